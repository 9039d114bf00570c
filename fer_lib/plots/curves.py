"""Lines over epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_lib.labels import labels
from fer_lib.plots.style import PALETTE, WIDTH, colors, figure_of, new_axes


def training_curves(history: pd.DataFrame, *, language: str = "en") -> Figure:
    """Accuracy and loss by epoch, on training and validation faces, with the best epoch marked.

    Args:
        history: A row for each epoch; columns epoch, accuracy, loss and, where known, val_accuracy, val_loss.
        language: Of the labels.
    """
    word = labels(language)
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
    word = labels(language)
    ax = ax or new_axes(3.0)
    for color, (name, history) in zip(colors(len(histories)), histories.items(), strict=True):
        _curve(ax, history, metric, color=color, linestyle="--", label=f"{name} · {word['training']}")
        _curve(ax, history, f"val_{metric}", color=color, label=f"{name} · {word['validation']}")
    _label_epochs(ax, metric, word)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    return figure_of(ax)


def _curve(ax: Axes, history: pd.DataFrame, column: str, **style: Any) -> None:
    if column in history:
        # One epoch makes no line: it needs a point to be seen.
        ax.plot(history["epoch"], history[column], marker="." if len(history) == 1 else None, **style)


def _label_epochs(ax: Axes, metric: str, word: Mapping[str, str]) -> None:
    ax.set(xlabel=word["epoch"], ylabel=word[metric])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    if metric == "accuracy":
        ax.yaxis.set_major_formatter(PercentFormatter(1))
