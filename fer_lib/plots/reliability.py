"""Confidence against accuracy."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fer_lib.labels import labels
from fer_lib.plots.style import PALETTE, WIDTH, Array


def reliability_diagram(
    edges: Array,
    counts: Array,
    confidence: Array,
    accuracy: Array,
    low: Array,
    high: Array,
    *,
    language: str = "en",
) -> Figure:
    """A reliability diagram: accuracy against confidence, with 95% intervals, and a histogram of the confidences.

    Args:
        edges: Of the bins of confidence, (b + 1,).
        counts: Predictions in each bin, (b,); a bin without any is left out.
        confidence: Mean confidence in each bin, (b,).
        accuracy: Accuracy in each bin, (b,).
        low: Lower ends of its intervals, (b,).
        high: Upper ends, (b,).
        language: Of the labels.
    """
    word = labels(language)
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    curve, histogram = figure.subplots(1, 2)
    seen = counts > 0
    curve.plot([0, 1], [0, 1], color="0.5", linestyle=":", label=word["perfect"])
    curve.vlines(confidence[seen], low[seen], high[seen], color=PALETTE[0], linewidth=1)
    curve.plot(confidence[seen], accuracy[seen], "o-", color=PALETTE[0], markersize=4, label=word["right"])
    curve.set(xlabel=word["confidence"], ylabel=word["right"], ylim=(0, 1))
    curve.legend(loc="upper left")
    histogram.bar(edges[:-1], counts, np.diff(edges), align="edge", color=PALETTE[0], edgecolor="white")
    histogram.set(xlabel=word["confidence"], ylabel=word["answers"])
    for ax in (curve, histogram):
        ax.set_xlim(0, 1)
        ax.xaxis.set_major_formatter(PercentFormatter(1))
    curve.yaxis.set_major_formatter(PercentFormatter(1))
    return figure
