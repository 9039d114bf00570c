"""A diagram of a network: a block for each of its stages, from the image to the probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon

from fer_lib.emotions import FACE_SIZE
from fer_lib.labels import labels
from fer_lib.plots.style import PALETTE, SMALL, WIDTH

_COLORS = {
    "input": "0.55",
    "conv": PALETTE[0],
    "residual": PALETTE[2],
    "dense": PALETTE[4],
    "output": PALETTE[1],
}
_HEIGHT = 1.15  # of the tallest block in inches
_SLANT = 0.3  # of a block's depth, as a share of its height
_STEP = 7.0  # points of the letters below arrows


def network_diagram(stages: pd.DataFrame, *, language: str = "en") -> Figure:
    """Blocks from left to right, as tall as their maps and as thick as these are many; dense layers as bars.

    Args:
        stages: Of a model, see `architectures.stages`.
        language: Of the labels.
    """
    word = labels(language)
    figure = Figure(figsize=(WIDTH, 1.9))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, WIDTH), ylim=(-0.97, 0.93), aspect="equal")
    ax.axis("off")
    column = WIDTH / len(stages)
    right = 0.0
    rows: Iterable[Any] = stages.itertuples()
    for number, stage in enumerate(rows):
        middle = (number + 0.5) * column
        thick, height = _sizes(stage, column)
        slant = 0.0 if stage.height == 1 else _SLANT * height * min(1, column)
        left = middle - (thick + slant) / 2
        if number:
            _arrow(ax, right, left, word[f"step_{stage.step}"] if stage.step else "")
        _block(ax, left, thick, height, slant, _COLORS[stage.kind])
        if stage.kind == "residual":
            _shortcut(ax, left - 0.08, left + thick + slant + 0.08, height / 2 + slant / 2 + 0.08)
        right = left + thick + slant
        top = height / 2 + slant / 2 + (0.13 if stage.kind == "residual" else 0.06)
        ax.text(middle, top, _shape(stage), ha="center", va="bottom", fontsize=SMALL)
        ax.text(
            middle,
            -_HEIGHT / 2 - 0.12,
            _name(stage, word),
            ha="center",
            va="top",
            fontsize=SMALL,
            linespacing=1.25,
        )
    return figure


def _sizes(stage: Any, column: float) -> tuple[float, float]:
    """Thickness and height of a block in inches."""
    if stage.height == 1:
        return 0.13, _HEIGHT * (0.18 + 0.82 * math.log2(stage.channels) / 12)
    thick = 0.05 + 0.045 * math.log2(stage.channels)
    return min(thick, 0.6 * column), _HEIGHT * max(0.12, stage.height / FACE_SIZE) * 0.86


def _block(ax: Axes, left: float, thick: float, height: float, slant: float, color: str) -> None:
    low, high, right = -height / 2 - slant / 2, height / 2 - slant / 2, left + thick
    front = [(left, low), (right, low), (right, high), (left, high)]
    top = [(left, high), (right, high), (right + slant, high + slant), (left + slant, high + slant)]
    side = [(right, low), (right + slant, low + slant), (right + slant, high + slant), (right, high)]
    for corners, alpha in ((front, 0.75), (top, 0.45), (side, 0.3))[: 3 if slant else 1]:
        ax.add_patch(Polygon(corners, facecolor="white", edgecolor="none"))
        ax.add_patch(Polygon(corners, facecolor=color, alpha=alpha, edgecolor="none"))
        ax.add_patch(Polygon(corners, facecolor="none", edgecolor=color, linewidth=0.7, joinstyle="round"))


def _arrow(ax: Axes, start: float, end: float, label: str) -> None:
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 6, "color": "0.35", "linewidth": 0.8}
    ax.add_patch(FancyArrowPatch((start, 0), (end, 0), shrinkA=2, shrinkB=2, **style))
    if label:
        ax.text(
            (start + end) / 2,
            -0.07,
            label,
            ha="center",
            va="top",
            fontsize=_STEP,
            color="0.3",
            linespacing=1.1,
        )


def _shortcut(ax: Axes, start: float, end: float, top: float) -> None:
    ax.plot((start, start, end, end), (0, top, top, 0.04), color="0.35", linewidth=0.8)
    ax.plot(end, 0.04, marker=7, color="0.35", markersize=3)


def _shape(stage: Any) -> str:
    return str(stage.channels) if stage.height == 1 else f"{stage.height}×{stage.width}×{stage.channels}"


def _name(stage: Any, word: Any) -> str:
    kernel = f" {stage.kernel}×{stage.kernel}" if stage.kind == "conv" else ""
    times = f"\n× {stage.count}" if stage.count > 1 else ""
    return f"{word[f'stage_{stage.kind}']}{kernel}{times}"
