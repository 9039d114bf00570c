"""Accuracies of this report among others."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fer_lib.labels import labels
from fer_lib.plots.style import PALETTE, SMALL, WIDTH

_MARKERS = {"": "D", "validation": "v", "public": "o", "private": "s", "test": "o"}
_QUIET = "0.45"


def accuracy_scale(results: pd.DataFrame, *, language: str = "en") -> Figure:
    """A row for each result, the lowest at the bottom, with a mark for each of its splits and bars for intervals.

    Args:
        results: Of `published.scale`.
        language: Of the labels.
    """
    word = labels(language)
    keys = list(dict.fromkeys(results["key"]))
    own_keys = set(results.loc[results["own"], "key"])
    figure = Figure(figsize=(WIDTH, 0.85 + 0.25 * len(keys)), layout="constrained")
    ax = figure.add_subplot()
    for split, of_split in results.groupby("split", sort=False):
        for own, marks in of_split.groupby("own"):
            rows, color = marks["key"].map(keys.index), PALETTE[1] if own else _QUIET
            ax.hlines(rows, marks["low"], marks["high"], color=color, linewidth=1.6, alpha=0.6)
            ax.plot(marks["accuracy"], rows, _MARKERS[str(split)], color=color, markersize=5)
        if split:
            ax.plot([], [], _MARKERS[str(split)], color=_QUIET, markersize=5, label=word[str(split)])
    for row, key in enumerate(keys):
        of_key = results[results["key"] == key]
        values = " / ".join(f"{value:.1%}" for value in of_key["accuracy"])
        end = of_key[["accuracy", "high"]].max().max()
        color = PALETTE[1] if key in own_keys else "black"
        ax.text(end + 0.018, row, values, va="center", fontsize=SMALL, color=color)
    ax.set_yticks(range(len(keys)), [word[key] for key in keys])
    for tick, key in zip(ax.get_yticklabels(), keys, strict=True):
        tick.set_color(PALETTE[1] if key in own_keys else "black")
    ax.set(xlim=(0, 1), ylim=(-0.6, len(keys) - 0.4), xlabel=word["accuracy"])
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper right", ncols=4, title=None)
    return figure
