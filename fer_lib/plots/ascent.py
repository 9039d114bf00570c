"""What excites filters, and what they make of a face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from fer_lib.labels import labels
from fer_lib.plots.pictures import canvas, picture_grid, place, write
from fer_lib.plots.style import LINE, SMALL, WIDTH, Array, short_number


def filter_grid(
    pictures: Array,
    activations: Array,
    *,
    filters: Sequence[int] | None = None,
    dead: Array | None = None,
    columns: int = 11,
    language: str = "en",
) -> Figure:
    """What excites each filter; below it the filter's number, grey, and its activation.

    Args:
        pictures: Array of shape (n, h, w, c), grey values 0..255: `explain.displayable` makes them.
        activations: Final activation of each filter, (n,).
        filters: Number of each filter; None for 0, 1, 2, ...
        dead: bool (n,), filters whose activation is replaced by a word, or None.
        columns: Pictures in a row, at most 12 for captions that do not touch.
        language: Of the labels.
    """
    captions = [short_number(value) for value in activations]
    for index in np.flatnonzero([] if dead is None else dead):
        captions[index] = labels(language)["dead"]
    return _filter_pictures(pictures, captions, filters, columns, heat=False)


def layer_output_grid(outputs: Array, *, filters: Sequence[int] | None = None, columns: int = 11) -> Figure:
    """What each filter of a layer makes of one face, minimum to maximum; below it its number and its mean.

    Args:
        outputs: Array of shape (n, h, w).
        filters: Number of each filter; None for 0, 1, 2, ...
        columns: Maps in a row, at most 12 for captions that do not touch.
    """
    span = np.ptp(outputs, axis=(1, 2), keepdims=True)
    maps = (outputs - outputs.min(axis=(1, 2), keepdims=True)) / np.where(span > 0, span, 1)
    captions = [short_number(value) for value in outputs.mean(axis=(1, 2))]
    return _filter_pictures(maps, captions, filters, columns, heat=True)


def picture_rows(
    rows: Mapping[str, Array], captions: Sequence[Sequence[str]] = (), *, headings: Sequence[str] = ()
) -> Figure:
    """Rows of pictures to compare from row to row, the name of each on its left.

    Args:
        rows: By name (of any number of lines), pictures (n, h, w) or (n, h, w, c) of grey values 0..255.
        captions: A short text under each picture, by row; or none.
        headings: A short text above each column; or none.
    """
    left, below = 1.0, (SMALL * LINE + 0.04 if captions else 0)
    above = SMALL * LINE + 0.06 if headings else 0
    columns = max(map(len, rows.values()))
    pitch = min((WIDTH - left + 0.04) / columns, 0.95)
    figure, ax = canvas(above + len(rows) * (pitch + below), left + columns * pitch - 0.04)
    for column, heading in enumerate(headings):
        write(ax, heading, left + (column + 0.5) * pitch - 0.02, above - 0.03, va="bottom")
    for number, (name, pictures) in enumerate(rows.items()):
        y = above + number * (pitch + below)
        write(ax, name, left - 0.08, y + (pitch - 0.04) / 2, ha="right", va="center")
        for column, picture in enumerate(pictures):
            place(ax, picture, left + column * pitch, y, pitch - 0.04)
        for column, caption in enumerate(captions[number] if captions else ()):
            write(ax, caption, left + (column + 0.5) * pitch - 0.02, y + pitch - 0.02, va="top")
    return figure


def _filter_pictures(
    images: Array, captions: Sequence[str], filters: Sequence[int] | None, columns: int, *, heat: bool
) -> Figure:
    numbers = range(len(images)) if filters is None else filters
    figure, ax, size, corners = picture_grid(len(images), columns, below=SMALL * LINE + 0.04)
    for image, caption, number, (x, y) in zip(images, captions, numbers, corners, strict=True):
        place(ax, image, x, y, size, heat=heat)
        write(ax, str(number), x + 0.02, y + size + 0.02, ha="left", va="top", color="0.4")
        write(ax, caption, x + size - 0.02, y + size + 0.02, ha="right", va="top")
    return figure
