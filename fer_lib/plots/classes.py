"""How many faces each emotion has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fer_lib.emotions import EMOTION_NAMES
from fer_lib.labels import labels
from fer_lib.plots.style import WIDTH, colors


def class_shares(counts: Mapping[str, Sequence[int]], *, language: str = "en") -> Figure:
    """The share of each emotion in each split, as bars side by side; the legend says how many faces a split has.

    Args:
        counts: By the name of a split, as a reader calls it, the faces of each of the seven emotions.
        language: Of the labels.
    """
    words, names = labels(language), EMOTION_NAMES[language]
    figure = Figure(figsize=(WIDTH, 2.4), layout="constrained")
    ax = figure.subplots()
    width = 0.8 / max(len(counts), 1)
    for number, ((split, each), color) in enumerate(zip(counts.items(), colors(len(counts)), strict=True)):
        places = np.arange(len(names)) + width * (number - (len(counts) - 1) / 2)
        total = sum(each)
        ax.bar(places, np.array(each) / max(total, 1), width, color=color, label=f"{split} ({total:,})")
    ax.set_xticks(range(len(names)), names)
    ax.set(ylabel=words["share"])
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.tick_params(axis="x", length=0)
    ax.grid(visible=False, axis="x")
    ax.legend()
    return figure
