"""A leaderboard as figures: what accuracy costs, how parameters go together, what each of them does.

Leaderboards are tables with a row for each model: the varied parameters, accuracy with low and high (the ends of its
interval), cpu_seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from fer_lib.labels import labels
from fer_lib.plots.style import PALETTE, SMALL, WIDTH, figure_of, new_axes

_MOST_TICKS = 8
_COLUMNS = 3
_COLORS = "viridis"
_APART = 0.02  # so that lines through the same values stay apart
_LABEL = 0.06, 0.07  # width and height of a rank, as shares of the range
_ROOM = 24  # characters that fit below a small plot


def cost_and_accuracy(board: pd.DataFrame, front: Sequence[bool], *, language: str = "en") -> Figure:
    """Accuracy against CPU seconds of training, with intervals; a line joins the models of the Pareto front.

    Args:
        board: The leaderboard.
        front: Which rows no cheaper model equals.
        language: Of the labels.
    """
    word = labels(language)
    ax = new_axes(3.0)
    ends = board["accuracy"] - board["low"], board["high"] - board["accuracy"]
    ax.errorbar(
        board["cpu_seconds"], board["accuracy"], yerr=ends, fmt="none", ecolor="0.85", elinewidth=0.8, zorder=1
    )  # fmt: skip
    chosen = board[np.asarray(front)].sort_values("cpu_seconds")
    ax.plot(board["cpu_seconds"], board["accuracy"], "o", color="0.55", markersize=4, label=word["models"])
    ax.plot(
        chosen["cpu_seconds"], chosen["accuracy"], "o-", color=PALETTE[1], markersize=5,
        drawstyle="steps-post", label=word["front"],
    )  # fmt: skip
    wide = board["cpu_seconds"].max() > 8 * board["cpu_seconds"].min()
    for place, rank in _apart(board, chosen, np.log if wide else np.asarray):
        ax.annotate(
            f"#{rank}", place, (-4, 3), textcoords="offset points", ha="right", size=SMALL, color=PALETTE[1]
        )
    if wide:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set(xlabel=word["cpu_seconds"], ylabel=word["validation_accuracy"])
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return figure_of(ax)


def _apart(
    board: pd.DataFrame, chosen: pd.DataFrame, scale: Callable[..., Any]
) -> Iterator[tuple[tuple[float, float], int]]:
    """Places and ranks of the chosen models, the best first, but for those whose labels would cover each other.

    `scale` takes CPU seconds to the axis.
    """
    width, height = np.ptp(scale(board["cpu_seconds"])) or 1, np.ptp(board["accuracy"]) or 1
    labelled: list[tuple[float, float]] = []
    for _, row in chosen.sort_values("rank").iterrows():
        x, y = float(scale(row["cpu_seconds"])), row["accuracy"]
        if all(abs(x - a) > _LABEL[0] * width or abs(y - b) > _LABEL[1] * height for a, b in labelled):
            labelled.append((x, y))
            yield (row["cpu_seconds"], y), int(row["rank"])


def parallel_coordinates(board: pd.DataFrame, varied: Sequence[str], *, language: str = "en") -> Figure:
    """A line for each model through its parameters to its accuracy, the best on top and brightest.

    Args:
        board: The leaderboard.
        varied: The parameters, from left to right.
        language: Of the labels.
    """
    word = labels(language)
    ax = new_axes(3.0)
    heights = [_places(board[name])[0] for name in varied]
    low, high = board["accuracy"].min(), board["accuracy"].max()
    scale = Normalize(low, max(high, low + 1e-9))
    heights.append(np.asarray(scale(board["accuracy"])))
    colors = mpl.colormaps[_COLORS]
    order = np.argsort(board["accuracy"].to_numpy())
    apart = np.linspace(-_APART, _APART, len(board))
    for nudge, row in zip(apart, order, strict=True):
        share = float(scale(board["accuracy"].iloc[row]))
        ax.plot(
            [height[row] + nudge for height in heights[:-1]] + [heights[-1][row]],
            color=colors(0.95 * share),
            alpha=0.35 + 0.65 * share,
            linewidth=1,
        )
    for x, name in enumerate(varied):
        for label, place in _labels(board[name]):
            ax.annotate(
                label, (x, place), (-4, 0), textcoords="offset points", ha="right", va="center", size=SMALL,
                bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
            )  # fmt: skip
    for place in (0.0, 0.5, 1.0):
        ax.annotate(
            f"{scale.inverse(place):.1%}", (len(varied), place), (4, 0), textcoords="offset points",
            va="center", size=SMALL,
        )  # fmt: skip
    ax.vlines(range(len(varied) + 1), 0, 1, color="0.3", linewidth=0.8)
    ax.set(xlim=(-0.35, len(varied) + 0.3), ylim=(-0.05, 1.05), yticks=[])
    ax.set_xticks(range(len(varied) + 1), [*varied, word["validation_accuracy"]])
    ax.tick_params(axis="x", length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    return figure_of(ax)


def parameter_effects(board: pd.DataFrame, varied: Sequence[str], *, language: str = "en") -> Figure:
    """For each parameter, accuracy by its value: a point for each model, a line through their means.

    Args:
        board: The leaderboard.
        varied: The parameters.
        language: Of the labels.
    """
    word = labels(language)
    rows = math.ceil(len(varied) / _COLUMNS)
    columns = math.ceil(len(varied) / rows)
    figure = Figure(figsize=(WIDTH, 2.1 * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False).flat
    for name, ax in zip(varied, axes, strict=False):
        places, _ = _places(board[name])
        jitter = np.linspace(-0.02, 0.02, len(board))
        ax.plot(places + jitter, board["accuracy"], "o", color="0.6", markersize=3, label=word["models"])
        means = board.groupby(places)["accuracy"].mean()
        ax.plot(means.index, means, "o-", color=PALETTE[0], label=word["mean"])
        ticks, where = zip(*_labels(board[name]), strict=True)
        crowded = sum(map(len, ticks)) > _ROOM
        ax.set_xticks(where, ticks, rotation=45 if crowded else 0, ha="right" if crowded else "center")
        ax.set(xlabel=name, xlim=(-0.1, 1.1))
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    for ax in list(axes):
        ax.set_axis_off()
    first = figure.axes[0]
    first.set_ylabel(word["validation_accuracy"])
    figure.legend(*first.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def _places(values: pd.Series[Any]) -> tuple[npt.NDArray[np.float64], list[Any]]:
    """Where values lie from 0 to 1: few of them, or texts, evenly in their order; many numbers to scale, or log."""
    distinct = sorted(values.unique())
    if len(distinct) <= _MOST_TICKS or not pd.api.types.is_numeric_dtype(values):
        steps = max(len(distinct) - 1, 1)
        order = {value: i / steps if len(distinct) > 1 else 0.5 for i, value in enumerate(distinct)}
        return values.map(order).to_numpy(float), distinct
    numbers = values.to_numpy(float)
    if numbers.min() > 0 and numbers.max() > 20 * numbers.min():
        numbers = np.log(numbers)
    shown = [distinct[0], distinct[len(distinct) // 2], distinct[-1]]
    return (numbers - numbers.min()) / np.ptp(numbers), shown


def _labels(values: pd.Series[Any]) -> list[tuple[str, float]]:
    """Values to write at an axis, and where."""
    places, shown = _places(values)
    where = {value: float(places[int(np.argmax(values.to_numpy() == value))]) for value in shown}
    return [(f"{v:g}" if isinstance(v, float) else str(v), place) for v, place in where.items()]
