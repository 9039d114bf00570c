"""Saliency maps beside their faces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fer_lib.labels import labels
from fer_lib.plots.pictures import canvas, picture_grid, place, write
from fer_lib.plots.style import LINE, PALETTE, SMALL, WIDTH, Array, colors


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
    word = labels(language)
    parts = {word["original"]: originals, word["saliency"]: _relative(heat), word["masked"]: masked}
    return _series(parts, {word["saliency"]}, titles, across, word["heat"])


def two_readings(
    originals: Array,
    answered: Array,
    true: Array,
    titles: Sequence[str] = (),
    *,
    across: int = 2,
    language: str = "en",
) -> Figure:
    """For each wrongly answered face: the face, what speaks for the answer given, and what for the true one.

    Args:
        originals: Faces, (n, h, w) or (n, h, w, c); grey values 0..255.
        answered: Heat maps about the class answered, (n, h, w).
        true: Heat maps about the true class, (n, h, w).
        titles: One line for each face; or none.
        across: Faces side by side.
        language: Of the labels.
    """
    word = labels(language)
    parts = {
        word["original"]: originals,
        word["for_answer"]: _relative(answered),
        word["for_true"]: _relative(true),
    }
    return _series(parts, {word["for_answer"], word["for_true"]}, titles, across, word["heat"])


def saliency_methods(
    originals: Array, heat: Mapping[str, Array], titles: Sequence[str] = (), *, language: str = "en"
) -> Figure:
    """A row for each face: the face, and beside it its map by each method.

    Args:
        originals: Faces, (n, h, w) or (n, h, w, c); grey values 0..255.
        heat: Heat maps by method (a key of `explain.METHODS`), each (n, h, w); brightest is what the hottest 1%
            of the pixels of a map reach.
        titles: One for each face; or none.
        language: Of the labels.
    """
    word = labels(language)
    left = 0.62 if titles else 0
    pitch = min((WIDTH - left) / (len(heat) + 1), 0.95)
    heading = 2 * SMALL * LINE + 0.06
    figure, ax = canvas(heading + len(originals) * pitch, left + pitch * (len(heat) + 1))
    columns = {word["original"]: originals} | {word[name]: _relative(maps) for name, maps in heat.items()}
    for column, (name, images) in enumerate(columns.items()):
        write(
            ax, name.replace(" ", "\n", 1), left + (column + 0.5) * pitch - 0.02, heading - 0.03, va="bottom"
        )
        for row, image in enumerate(images):
            place(ax, image, left + column * pitch, heading + row * pitch, pitch - 0.04, heat=column > 0)
    for row, title in enumerate(titles):
        write(ax, title, left - 0.06, heading + (row + 0.5) * pitch - 0.02, ha="right", va="center")
    return figure


def saliency_evidence(
    shares: Array,
    deletion: Mapping[str, Array],
    insertion: Mapping[str, Array],
    left: Mapping[str, Array],
    *,
    language: str = "en",
) -> Figure:
    """What maps are worth: probabilities while the hottest pixels go or come back, and what shuffled weights leave.

    Args:
        shares: Share of the pixels changed, (k,).
        deletion: Mean probability by method, each (k,); "random" is drawn as the yardstick.
        insertion: The same while pixels come back.
        left: Mean rank correlation with the trained model's map by method, each (stages + 1,), 1 first.
        language: Of the labels.
    """
    word = labels(language)
    figure = Figure(figsize=(WIDTH, 2.75), layout="constrained")
    panels = figure.subplots(1, 3)
    every = {
        "deletion": ("pixels_removed", shares, deletion),
        "insertion": ("pixels_back", shares, insertion),
        "shuffling": ("layers_shuffled", None, left),
    }
    for ax, (title, (label, places, curves)) in zip(panels, every.items(), strict=True):
        for name, values in curves.items():
            steps = np.linspace(0, 1, len(values)) if places is None else places
            ax.plot(steps, values, label=word[name], **_line_of(name, list(left)))
        ax.set(title=word[title], xlabel=word[label])
        ax.xaxis.set_major_formatter(PercentFormatter(1))
    panels[0].set(ylabel=word["probability"])
    panels[2].set(ylabel=word["rank_correlation"])
    low, high = zip(panels[0].get_ylim(), panels[1].get_ylim(), strict=True)
    for ax in panels[:2]:
        ax.set_ylim(max(0, min(low)), min(1, max(high)))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _line_of(name: str, names: Sequence[str]) -> dict[str, str]:
    if name not in names:
        return {"color": "0.5", "linestyle": ":"}
    number = names.index(name)
    return {"color": PALETTE[number % len(PALETTE)], "linestyle": "--" if number % 2 else "-"}


def _series(
    parts: Mapping[str, Array], hot: set[str], titles: Sequence[str], across: int, bar_title: str
) -> Figure:
    """Faces in blocks of several pictures, headed by the names of the parts, with a scale for the `hot` ones."""
    count, faces = len(parts), len(next(iter(parts.values())))
    gap, line, rows = 0.25, SMALL * LINE, math.ceil(faces / across)
    size = min((WIDTH - (across - 1) * gap) / (count * across), 0.95)
    left = (WIDTH - across * count * size - (across - 1) * gap) / 2
    heading, title = line + 0.05, (line + 0.1 if titles else 0.04)
    bottom = heading + rows * (size + title)
    figure, ax = canvas(bottom + 0.65)
    for number in range(faces):
        row, block = divmod(number, across)
        x, y = left + block * (count * size + gap), heading + row * (size + title) + title
        for part, (name, images) in enumerate(parts.items()):
            place(ax, images[number], x + part * size, y, size - 0.04, heat=name in hot)
            if row == 0:
                write(ax, name, x + (part + 0.5) * size - 0.02, 0.03, va="top")
        if titles:
            write(ax, titles[number], x, y - 0.03, ha="left", va="bottom")
    bar = ax.inset_axes((WIDTH / 2 - 1.5, bottom + 0.25, 3, 0.1), transform=ax.transData)
    figure.colorbar(ScalarMappable(Normalize(0, 1), "magma"), bar, orientation="horizontal")
    bar.set_title(bar_title, size=SMALL, pad=3)
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
    columns = max(4, math.ceil((len(heat) + 1) / 2))  # few maps stay small
    figure, ax, size, corners = picture_grid(len(heat) + 1, columns, above=SMALL * LINE + 0.06)
    pictures = [*(heat / max(heat.max(), np.finfo(float).tiny)), face]
    captions = [*titles, labels(language)["mean_face"]]
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
