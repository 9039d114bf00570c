"""Arrays to figures, at most `WIDTH` wide: a block of text on A4, or the column of a web page.

Functions give a `Figure` that pyplot does not know of: a notebook shows it where it is the value of a cell
(after `%matplotlib inline`), nothing shows or saves it by itself, and it is gone when nobody holds it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_lib.emotions import EMOTION_NAMES
from fer_lib.words import words

Array = npt.NDArray[Any]

WIDTH = 6.5
"""Width of every figure in inches."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours for categories that any colour vision tells apart (Okabe and Ito, 2008)."""

TEXT = 9
SMALL = 7.5
"""Font sizes in points at print size: headings and axes; captions in grids."""

_LINE = 1.25 / 72
"""Height of a line of text in inches for each point of its font size."""

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "0.3",
    "axes.grid": True,
    "axes.labelsize": TEXT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": TEXT,
    "axes.unicode_minus": True,
    "figure.dpi": 200,
    "font.family": ["DejaVu Sans"],
    "font.size": TEXT,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "image.interpolation": "none",  # pixels stay squares; in SVG they stay the image's own
    "legend.fontsize": SMALL + 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "fer-lib",
    "xtick.color": "0.3",
    "xtick.labelsize": SMALL + 0.5,
    "xtick.labelcolor": "black",
    "ytick.color": "0.3",
    "ytick.labelsize": SMALL + 0.5,
    "ytick.labelcolor": "black",
}


def use_style(language: str = "en") -> None:
    """Set Matplotlib's defaults to the house style, with a font that has the language's characters.

    Raises:
        InputError: There is no such language.
    """
    words(language)
    mpl.rcParams.update(_STYLE)
    mpl.rcParams["axes.prop_cycle"] = cycler(color=PALETTE)
    if language == "zh-TW":
        from fer_lib.fonts import use_in_matplotlib

        use_in_matplotlib()


def training_curves(history: pd.DataFrame, *, language: str = "en") -> Figure:
    """Accuracy and loss by epoch, on training and validation faces, with the best epoch marked.

    Args:
        history: A row for each epoch; columns epoch, accuracy, loss and, where known, val_accuracy, val_loss.
        language: Of the labels.
    """
    word = words(language)
    figure = Figure(figsize=(WIDTH, 2.7), layout="constrained")
    for ax, metric in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        _curve(ax, history, metric, label=word["training"], color=PALETTE[1], linestyle="--")
        _curve(ax, history, f"val_{metric}", label=word["validation"], color=PALETTE[0])
        _label_epochs(ax, metric, word)
    ax = figure.axes[0]
    if "val_accuracy" in history:
        best = int(history["val_accuracy"].to_numpy().argmax())
        epoch, value = history["epoch"].iloc[best], history["val_accuracy"].iloc[best]
        label = word["best_epoch"].format(epoch=epoch, value=value)
        ax.plot(epoch, value, "o", color=PALETTE[0], label=label)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def compare_curves(
    histories: Mapping[str, pd.DataFrame],
    *,
    metric: str = "accuracy",
    language: str = "en",
    ax: Axes | None = None,
) -> Figure:
    """One metric of several models by epoch: validation as a full line, training as a broken one.

    Args:
        histories: Name of each model and its history, as in `training_curves`.
        metric: "accuracy" or "loss".
        language: Of the labels.
        ax: Where to draw; a new figure if None.
    """
    word = words(language)
    ax = ax or _new_axes(3.0)
    for color, (name, history) in zip(_colors(len(histories)), histories.items(), strict=True):
        _curve(ax, history, metric, color=color, linestyle="--", label=f"{name} · {word['training']}")
        _curve(ax, history, f"val_{metric}", color=color, label=f"{name} · {word['validation']}")
    _label_epochs(ax, metric, word)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    return _figure(ax)


def bars(
    values: pd.DataFrame,
    *,
    low: pd.DataFrame | None = None,
    high: pd.DataFrame | None = None,
    label: str = "",
    form: str = "{:.1%}",
    ax: Axes | None = None,
) -> Figure:
    """Horizontal bars that compare models: one group for each row, one colour for each column.

    Args:
        values: Numbers from 0 up; the names of rows and columns are shown. NaN leaves a bar out.
        low: Lower ends of intervals, same rows and columns, or None.
        high: Upper ends of intervals.
        label: What the numbers are.
        form: Format of the number at each bar.
        ax: Where to draw; a new figure if None.
    """
    rows, columns = values.shape
    ax = ax or _new_axes(0.75 + rows * (0.12 + 0.22 * columns))
    height = 0.84 / columns
    for number, (name, color) in enumerate(zip(values.columns, _colors(columns), strict=True)):
        places = np.arange(rows) + (number - (columns - 1) / 2) * height
        widths = values[name].to_numpy(float)
        ends = widths if high is None else high[name].to_numpy(float)
        ax.barh(places, widths, 0.9 * height, color=color, label=str(name))
        if low is not None:
            ax.hlines(places, low[name], ends, color="black", linewidth=1)
        for place, width, end in zip(places, widths, ends, strict=True):
            if np.isfinite(width):
                ax.annotate(
                    form.format(width),
                    (end, place),
                    (3, 0),
                    textcoords="offset points",
                    va="center",
                    size=SMALL,
                )
    # The number at each bar says more than ticks would.
    ax.set(xlabel=label, xticks=[], yticks=np.arange(rows), yticklabels=[str(name) for name in values.index])
    ax.margins(x=0.12)
    ax.set_xlim(left=0)
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    if columns > 1:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=columns)
    return _figure(ax)


def confusion_matrix(
    matrix: Array, *, normalise: str = "true", language: str = "en", ax: Axes | None = None
) -> Figure:
    """Which emotion was taken for which: shares in two decimals, counts below them.

    Args:
        matrix: Counts, int array of shape (7, 7); rows are the true emotions, columns the predicted ones.
        normalise: "true" for shares of each row, "predicted" for shares of each column; 0 without faces.
        language: Of the labels.
        ax: Where to draw; a new figure if None.
    """
    totals = matrix.sum(axis={"true": 1, "predicted": 0}[normalise], keepdims=True)
    shares = matrix / np.maximum(totals, 1)
    title = words(language)[f"share_of_{normalise}"]
    return _emotion_matrix(shares, matrix, title=title, language=language, ax=ax)


def probability_matrix(probabilities: Array, *, language: str = "en", ax: Axes | None = None) -> Figure:
    """The mean probability of each emotion, in two decimals.

    Args:
        probabilities: Array of shape (7, 7); rows are the true emotions, columns what the model says.
        language: Of the labels.
        ax: Where to draw; a new figure if None.
    """
    title = words(language)["mean_probability"]
    return _emotion_matrix(probabilities, None, title=title, language=language, ax=ax)


def _emotion_matrix(
    shares: Array, counts: Array | None, *, title: str, language: str, ax: Axes | None
) -> Figure:
    word, names = words(language), EMOTION_NAMES[language]
    ax = ax or _new_axes(4.2)
    colors = sns.color_palette("mako_r", as_cmap=True)
    sns.heatmap(
        shares, vmin=0, vmax=1, cmap=colors, cbar=False, square=True, linewidths=0.5,
        xticklabels=names, yticklabels=names, ax=ax,
    )  # fmt: skip
    for (row, column), share in np.ndenumerate(shares):
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": _readable_on(colors(share))}
        y = row + (0.5 if counts is None else 0.42)
        ax.text(column + 0.5, y, f"{share:.2f}", size=TEXT + 1, **style)
        if counts is not None:
            ax.text(column + 0.5, row + 0.75, f"{counts[row, column]:,}", size=SMALL - 0.5, **style)
    ax.set(xlabel=word["predicted_emotion"], ylabel=word["true_emotion"], title=title)
    ax.tick_params(length=0, rotation=0)
    ax.grid(visible=False)
    return _figure(ax)


def face_grid(images: Array, titles: Sequence[str] = (), *, columns: int = 7) -> Figure:
    """Faces in rows, each with its title above.

    Args:
        images: Array of shape (n, h, w) or (n, h, w, c); grey values 0..255.
        titles: One for each face, of any number of lines; or none.
        columns: Faces in a row.
    """
    lines = max((title.count("\n") + 1 for title in titles), default=0)
    figure, ax, size, corners = _grid(len(images), columns, above=lines * SMALL * _LINE + 0.06)
    for image, (x, y) in zip(images, corners, strict=True):
        _place(ax, image, x, y, size)
    for title, (x, y) in zip(titles, corners, strict=bool(titles)):
        _write(ax, title, x + size / 2, y - 0.03, va="bottom")
    return figure


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
    gap, line, rows = 0.25, SMALL * _LINE, math.ceil(len(originals) / across)
    size = min((WIDTH - (across - 1) * gap) / (3 * across), 0.95)
    left = (WIDTH - across * 3 * size - (across - 1) * gap) / 2
    heading, title = line + 0.05, (line + 0.1 if titles else 0.04)
    bottom = heading + rows * (size + title)
    figure, ax = _canvas(bottom + 0.65)
    shown = zip(originals, _relative(heat), masked, strict=True)
    for number, triple in enumerate(shown):
        row, block = divmod(number, across)
        x, y = left + block * (3 * size + gap), heading + row * (size + title) + title
        for part, (image, key) in enumerate(zip(triple, ("original", "saliency", "masked"), strict=True)):
            _place(ax, image, x + part * size, y, size - 0.04, heat=key == "saliency")
            if row == 0:
                _write(ax, word[key], x + (part + 0.5) * size - 0.02, 0.03, va="top")
        if titles:
            _write(ax, titles[number], x, y - 0.03, ha="left", va="bottom")
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
    figure, ax, size, corners = _grid(len(heat) + 1, columns, above=SMALL * _LINE + 0.06)
    pictures = [*(heat / max(heat.max(), np.finfo(float).tiny)), face]
    captions = [*titles, words(language)["mean_face"]]
    for image, caption, (x, y) in zip(pictures, captions, corners, strict=True):
        _place(ax, image, x, y, size, heat=image is not face)
        _write(ax, caption, x + size / 2, y - 0.03, va="bottom")
    x, y = corners[-1]
    steps = (np.arange(face.shape[0]) + 0.5) * size / face.shape[0]
    for region, color in zip(regions, _colors(len(regions)), strict=True):
        ax.contour(x + steps, y + steps, region, levels=[region.max() / 2], colors=color, linewidths=1.2)
    return figure


def filter_grid(
    pictures: Array,
    activations: Array,
    *,
    filters: Sequence[int] | None = None,
    dead: Array | None = None,
    columns: int = 8,
    language: str = "en",
) -> Figure:
    """What excites each filter; below it the filter's number, grey, and its activation.

    Args:
        pictures: Array of shape (n, h, w, c), grey values 0..255: `filters.displayable` makes them.
        activations: Final activation of each filter, (n,).
        filters: Number of each filter; None for 0, 1, 2, ...
        dead: bool (n,), filters whose activation is replaced by a word, or None.
        columns: Pictures in a row, at most 10 for captions that do not touch.
        language: Of the labels.
    """
    captions = [_number(value) for value in activations]
    for index in np.flatnonzero([] if dead is None else dead):
        captions[index] = words(language)["dead"]
    return _filter_pictures(pictures, captions, filters, columns, heat=False)


def layer_output_grid(outputs: Array, *, filters: Sequence[int] | None = None, columns: int = 8) -> Figure:
    """What each filter of a layer makes of one face, minimum to maximum; below it its number and its mean.

    Args:
        outputs: Array of shape (n, h, w).
        filters: Number of each filter; None for 0, 1, 2, ...
        columns: Maps in a row, at most 10 for captions that do not touch.
    """
    span = np.ptp(outputs, axis=(1, 2), keepdims=True)
    maps = (outputs - outputs.min(axis=(1, 2), keepdims=True)) / np.where(span > 0, span, 1)
    captions = [_number(value) for value in outputs.mean(axis=(1, 2))]
    return _filter_pictures(maps, captions, filters, columns, heat=True)


def _filter_pictures(
    images: Array, captions: Sequence[str], filters: Sequence[int] | None, columns: int, *, heat: bool
) -> Figure:
    numbers = range(len(images)) if filters is None else filters
    figure, ax, size, corners = _grid(len(images), columns, below=SMALL * _LINE + 0.04)
    for image, caption, number, (x, y) in zip(images, captions, numbers, corners, strict=True):
        _place(ax, image, x, y, size, heat=heat)
        _write(ax, str(number), x + 0.02, y + size + 0.02, ha="left", va="top", color="0.4")
        _write(ax, caption, x + size - 0.02, y + size + 0.02, ha="right", va="top")
    return figure


def _grid(
    count: int, columns: int, *, above: float = 0, below: float = 0
) -> tuple[Figure, Axes, float, list[tuple[float, float]]]:
    """A canvas with room for square pictures in rows: their size and top left corners in inches."""
    pitch = (WIDTH + 0.04) / columns
    height = above + pitch + below
    figure, ax = _canvas(math.ceil(count / columns) * height, min(count, columns) * pitch - 0.04)
    corners = [(i % columns * pitch, i // columns * height + above) for i in range(count)]
    return figure, ax, pitch - 0.04, corners


def _relative(heat: Array) -> Array:
    """Heat as part of what the hottest 1% of each map reach: one outlier would leave all else dark."""
    top = np.quantile(heat, 0.99, axis=(1, 2), keepdims=True)
    top = np.where(top > 0, top, heat.max(axis=(1, 2), keepdims=True))
    return np.asarray(np.clip(heat / np.where(top > 0, top, 1), 0, 1))


def _canvas(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """A figure that is one axes, in inches from its top left corner, so that nothing needs laying out."""
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.set_axis_off()
    return figure, ax


def _place(ax: Axes, image: Array, x: float, y: float, size: float, *, heat: bool = False) -> None:
    pixels = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    colors, top = ("magma", 1.0) if heat else ("gray", 255.0)
    if pixels.ndim == 3:
        pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    extent = (x, x + size, y + size * pixels.shape[0] / pixels.shape[1], y)
    ax.imshow(pixels, colors, vmin=0, vmax=top, extent=extent, interpolation="none")


def _write(
    ax: Axes, text: str, x: float, y: float, *, ha: str = "center", va: str, color: str = "black"
) -> None:
    ax.text(x, y, text, ha=ha, va=va, size=SMALL, color=color)


def _curve(ax: Axes, history: pd.DataFrame, column: str, **style: Any) -> None:
    if column in history:
        # One epoch makes no line: it needs a point to be seen.
        ax.plot(history["epoch"], history[column], marker="." if len(history) == 1 else None, **style)


def _label_epochs(ax: Axes, metric: str, word: Mapping[str, str]) -> None:
    ax.set(xlabel=word["epoch"], ylabel=word[metric])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    if metric == "accuracy":
        ax.yaxis.set_major_formatter(PercentFormatter(1))


def _new_axes(height: float) -> Axes:
    return Figure(figsize=(WIDTH, height), layout="constrained").add_subplot()


def _figure(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def _colors(count: int) -> list[str]:
    return [PALETTE[number % len(PALETTE)] for number in range(count)]


def _readable_on(color: tuple[float, ...]) -> str:
    """Black or white, whichever stands out more from a colour, at least 4.5:1 (WCAG 2.2, contrast ratio)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
    luminance = np.dot([0.2126, 0.7152, 0.0722], linear)
    return "black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white"


def _number(value: float) -> str:
    """Three digits, or all before the point."""
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(max(digits, 0), 2)}f}"
