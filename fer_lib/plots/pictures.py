"""Faces in rows, and the canvas in inches that they and other small pictures are laid out on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_lib.plots.style import LINE, SMALL, WIDTH, Array


def face_grid(images: Array, titles: Sequence[str] = (), *, columns: int = 7) -> Figure:
    """Faces in rows, each with its title above.

    Args:
        images: Array of shape (n, h, w) or (n, h, w, c); grey values 0..255.
        titles: One for each face, of any number of lines; or none.
        columns: Faces in a row.
    """
    lines = max((title.count("\n") + 1 for title in titles), default=0)
    figure, ax, size, corners = picture_grid(len(images), columns, above=lines * SMALL * LINE + 0.06)
    for image, (x, y) in zip(images, corners, strict=True):
        place(ax, image, x, y, size)
    for title, (x, y) in zip(titles, corners, strict=bool(titles)):
        write(ax, title, x + size / 2, y - 0.03, va="bottom")
    return figure


def picture_grid(
    count: int, columns: int, *, above: float = 0, below: float = 0
) -> tuple[Figure, Axes, float, list[tuple[float, float]]]:
    """A canvas with room for square pictures in even rows: their size and top left corners in inches."""
    pitch = (WIDTH + 0.04) / columns
    height = above + pitch + below
    rows = math.ceil(count / columns)
    across = math.ceil(count / rows)  # no last row of one or two
    figure, ax = canvas(rows * height, across * pitch - 0.04)
    corners = [(i % across * pitch, i // across * height + above) for i in range(count)]
    return figure, ax, pitch - 0.04, corners


def canvas(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """A figure that is one axes, in inches from its top left corner, so that nothing needs laying out."""
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.set_axis_off()
    return figure, ax


def place(ax: Axes, image: Array, x: float, y: float, size: float, *, heat: bool = False) -> None:
    """An image of grey values 0..255, or heat 0..1, with its top left corner at (x, y), `size` inches wide."""
    pixels = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    colors, top = ("magma", 1.0) if heat else ("gray", 255.0)
    if pixels.ndim == 3:
        pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    extent = (x, x + size, y + size * pixels.shape[0] / pixels.shape[1], y)
    ax.imshow(pixels, colors, vmin=0, vmax=top, extent=extent, interpolation="none")


def write(
    ax: Axes, text: str, x: float, y: float, *, ha: str = "center", va: str, color: str = "black"
) -> None:
    """A small text at a point of the canvas."""
    ax.text(x, y, text, ha=ha, va=va, size=SMALL, color=color)
