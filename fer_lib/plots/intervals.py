"""Estimates with their 95% intervals: in rows beside controls, and as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fer_lib.labels import labels
from fer_lib.plots.style import PALETTE, WIDTH, Array, colors

_MARKERS = "osD^v"


def control_intervals(names: Sequence[str], estimates: Array, *, xlabel: str, even: float = 1.0) -> Figure:
    """A row for each estimate, the measured one first and its controls below, with 95% intervals.

    Args:
        names: What was measured, then the controls, as a reader calls them.
        estimates: The estimates and the lower and upper ends of their intervals, (n, 3).
        xlabel: What was measured.
        even: The value that says nothing, drawn as a dotted line.
    """
    figure = Figure(figsize=(WIDTH, 0.6 + 0.26 * len(names)), layout="constrained")
    ax = figure.subplots()
    ax.axvline(even, color="0.5", linestyle=":")
    for row, (value, start, end) in enumerate(estimates):
        color, marker = (PALETTE[0], "o") if row == 0 else (PALETTE[1], "s")
        ax.hlines(row, start, end, color=color, linewidth=1.8)
        ax.plot([value], [row], marker, color=color, markersize=5)
    ax.axvspan(*estimates[0, 1:], color=PALETTE[0], alpha=0.12, linewidth=0)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel=xlabel, ylim=(len(names) - 0.4, -0.6))
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    return figure


def accuracy_by_shift(
    shifts: Sequence[int],
    accuracy: Mapping[str, Array],
    *,
    language: str = "en",
) -> Figure:
    """The accuracy of several models by the shift of the faces, with 95% intervals.

    Args:
        shifts: Pixels, (k,).
        accuracy: By the name of a model: accuracy and the lower and upper end of its interval, (k, 3).
        language: Of the labels.
    """
    word = labels(language)
    figure = Figure(figsize=(WIDTH, 2.2), layout="constrained")
    ax = figure.subplots()
    for number, (name, estimates) in enumerate(accuracy.items()):
        color = colors(len(accuracy))[number]
        ax.vlines(shifts, estimates[:, 1], estimates[:, 2], color=color, linewidth=1)
        ax.plot(shifts, estimates[:, 0], f"{_MARKERS[number]}-", color=color, markersize=4, label=name)
    ax.set(xlabel=word["shift"], ylabel=word["validation_accuracy"], xticks=shifts)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(accuracy))
    return figure
