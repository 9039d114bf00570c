"""Saliency maps beside their faces."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from fer_lib.plots.pictures import canvas, picture_grid, place, write
from fer_lib.plots.style import LINE, SMALL, WIDTH, Array, colors
from fer_lib.words import words


def saliency_triptychs(
    originals: Array,
    heat: Array,
    masked: Array,
    titles: Sequence[str] = (),
    *,
    across: int = 2,
    language: str = "en",
) -> Figure:
    """For each face: the original, its heat map, and the original with the low heat masked.

    Args:
        originals: Faces, (n, h, w) or (n, h, w, c); grey values 0..255.
        heat: Heat maps, (n, h, w); brightest is what the hottest 1% of the pixels of a map reach.
        masked: Masked faces, shape of `originals`.
        titles: One line for each face; or none.
        across: Faces side by side.
        language: Of the labels.
    """
    word = words(language)
    gap, line, rows = 0.25, SMALL * LINE, math.ceil(len(originals) / across)
    size = min((WIDTH - (across - 1) * gap) / (3 * across), 0.95)
    left = (WIDTH - across * 3 * size - (across - 1) * gap) / 2
    heading, title = line + 0.05, (line + 0.1 if titles else 0.04)
    bottom = heading + rows * (size + title)
    figure, ax = canvas(bottom + 0.65)
    shown = zip(originals, _relative(heat), masked, strict=True)
    for number, triple in enumerate(shown):
        row, block = divmod(number, across)
        x, y = left + block * (3 * size + gap), heading + row * (size + title) + title
        for part, (image, key) in enumerate(zip(triple, ("original", "saliency", "masked"), strict=True)):
            place(ax, image, x + part * size, y, size - 0.04, heat=key == "saliency")
            if row == 0:
                write(ax, word[key], x + (part + 0.5) * size - 0.02, 0.03, va="top")
        if titles:
            write(ax, titles[number], x, y - 0.03, ha="left", va="bottom")
    bar = ax.inset_axes((WIDTH / 2 - 1.5, bottom + 0.25, 3, 0.1), transform=ax.transData)
    figure.colorbar(ScalarMappable(Normalize(0, 1), "magma"), bar, orientation="horizontal")
    bar.set_title(word["heat"], size=SMALL, pad=3)
    bar.tick_params(labelsize=SMALL)
    return figure


def mean_saliency(
    heat: Array, face: Array, regions: Array, titles: Sequence[str], *, language: str = "en"
) -> Figure:
    """The mean heat of each emotion, and last the mean face with the outlines of its regions.

    Args:
        heat: Heat maps, (n, h, w), all on one scale from 0 to the hottest pixel of all.
        face: The mean face, (h, w); grey values 0..255.
        regions: How often each pixel belongs to each region, (r, h, w) in 0..1; drawn where it is half of the most.
        titles: One for each heat map.
        language: Of the labels.
    """
    columns = math.ceil((len(heat) + 1) / 2)
    figure, ax, size, corners = picture_grid(len(heat) + 1, columns, above=SMALL * LINE + 0.06)
    pictures = [*(heat / max(heat.max(), np.finfo(float).tiny)), face]
    captions = [*titles, words(language)["mean_face"]]
    for image, caption, (x, y) in zip(pictures, captions, corners, strict=True):
        place(ax, image, x, y, size, heat=image is not face)
        write(ax, caption, x + size / 2, y - 0.03, va="bottom")
    x, y = corners[-1]
    steps = (np.arange(face.shape[0]) + 0.5) * size / face.shape[0]
    for region, color in zip(regions, colors(len(regions)), strict=True):
        ax.contour(x + steps, y + steps, region, levels=[region.max() / 2], colors=color, linewidths=1.2)
    return figure


def _relative(heat: Array) -> Array:
    """Heat as part of what the hottest 1% of each map reach: one outlier would leave all else dark."""
    top = np.quantile(heat, 0.99, axis=(1, 2), keepdims=True)
    top = np.where(top > 0, top, heat.max(axis=(1, 2), keepdims=True))
    return np.asarray(np.clip(heat / np.where(top > 0, top, 1), 0, 1))
