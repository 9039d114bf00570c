"""Emotions against emotions."""

from __future__ import annotations

from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_lib.emotions import EMOTION_NAMES
from fer_lib.labels import labels
from fer_lib.plots.style import SMALL, TEXT, Array, figure_of, new_axes, readable_on


def confusion_matrix(
    matrix: Array, *, normalize: str = "true", language: str = "en", ax: Axes | None = None
) -> Figure:
    """Which emotion was taken for which: shares in per cent, counts below them.

    Args:
        matrix: Counts, int array of shape (7, 7); rows are the true emotions, columns the predicted ones.
        normalize: "true" for shares of each row, "predicted" for shares of each column; 0 without faces.
        language: Of the labels.
        ax: Where to draw; a new figure if None.
    """
    totals = matrix.sum(axis={"true": 1, "predicted": 0}[normalize], keepdims=True)
    shares = matrix / np.maximum(totals, 1)
    title = labels(language)[f"share_of_{normalize}"]
    return _emotion_matrix(shares, matrix, title=title, language=language, ax=ax)


def probability_matrix(probabilities: Array, *, language: str = "en", ax: Axes | None = None) -> Figure:
    """The mean probability of each emotion, in per cent.

    Args:
        probabilities: Array of shape (7, 7); rows are the true emotions, columns what the model says.
        language: Of the labels.
        ax: Where to draw; a new figure if None.
    """
    title = labels(language)["mean_probability"]
    return _emotion_matrix(probabilities, None, title=title, language=language, ax=ax or new_axes(2.7))


def _emotion_matrix(
    shares: Array, counts: Array | None, *, title: str, language: str, ax: Axes | None
) -> Figure:
    word, names = labels(language), EMOTION_NAMES[language]
    ax = ax or new_axes(4.2)
    colors = sns.color_palette("mako_r", as_cmap=True)
    sns.heatmap(
        shares, vmin=0, vmax=1, cmap=colors, cbar=False, square=counts is not None, linewidths=0.5,
        xticklabels=names, yticklabels=names, ax=ax,
    )  # fmt: skip
    for (row, column), share in np.ndenumerate(shares):
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": readable_on(colors(share))}
        y = row + (0.5 if counts is None else 0.42)
        ax.text(column + 0.5, y, f"{share:.0%}", size=TEXT + 1, **style)
        if counts is not None:
            ax.text(column + 0.5, row + 0.75, f"{counts[row, column]:,}", size=SMALL - 0.5, **style)
    ax.set(xlabel=word["predicted_emotion"], ylabel=word["true_emotion"], title=title)
    ax.tick_params(length=0, rotation=0)
    ax.grid(visible=False)
    return figure_of(ax)
