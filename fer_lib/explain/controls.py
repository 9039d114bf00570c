"""What a claim about heat maps has to beat: untrained networks, shuffled weights, and the middle of the picture."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_lib.emotions import FACE_SIZE
from fer_lib.explain.heat import Heat
from fer_lib.explain.layers import clone_with_weights, shuffle_weights, weighted_layers
from fer_lib.metrics import bootstrap

NARROW = FACE_SIZE / 4
"""Standard deviation of a narrow blob in pixels: a quarter of the picture."""

MAX_WIDTH = 1000.0
"""Standard deviation of a blob, in pixels, that is as good as even."""


def with_shuffled_weights(model: keras.Model, *, seed: int = 0) -> keras.Model:
    """A copy of a model in which the values of each weight array are in random order: it knows nothing any more.

    Args:
        model: The model; it stays as it is.
        seed: Decides the order.
    """
    copy = clone_with_weights(model)
    for number, layer in enumerate(weighted_layers(copy)):
        shuffle_weights(layer, seed=seed + number)
    return copy


def centre_prior(size: tuple[int, int], width: float) -> Heat:
    """A Gaussian blob in the middle of the picture, which knows nothing of the face: float32 (h, w), 1 in the middle.

    Args:
        size: Height and width of the map.
        width: Standard deviation in pixels.
    """
    return np.exp(-_squared_distances(size) / (2 * width**2)).astype(np.float32)


def width_like(heat: Heat) -> float:
    """The width at which `centre_prior` is spread as far about the middle as heat maps (n, h, w) are.

    Spread is the mean squared distance from the middle, each map counting as one with a sum of 1; at most `MAX_WIDTH`,
    where the heat is no nearer to the middle than even heat.
    """
    size = (heat.shape[1], heat.shape[2])
    distances, sums = _squared_distances(size), heat.sum(axis=(1, 2), dtype=np.float64)
    if not (sums > 0).any():
        return MAX_WIDTH
    spread = float(np.mean((heat * distances).sum(axis=(1, 2))[sums > 0] / sums[sums > 0]))
    low, high = 0.1, MAX_WIDTH
    while high - low > 1e-3:
        width = (low + high) / 2
        blob = np.exp(-distances / (2 * width**2))
        low, high = (width, high) if (blob * distances).sum() < spread * blob.sum() else (low, width)
    return (low + high) / 2


def compare_with_controls(
    measured: npt.NDArray[np.float64], controls: Mapping[str, npt.NDArray[np.float64]], *, seed: int = 0
) -> pd.DataFrame:
    """The mean of a measure over faces, and of what it has to beat on the same faces.

    Args:
        measured: Of each face, float (n,); faces where it or a control is NaN do not count.
        controls: The same of each control, by its name.
        seed: Decides the bootstrap samples.

    Returns:
        A row for "trained" and one for each control, by name. Columns value, and ahead (by how much the measured
        value is higher than the control's: the mean paired difference), both also with `_low` and `_high` (95%
        bootstrap interval over faces), and beaten (whether the interval of ahead lies above 0).
    """
    every = {"trained": measured, **controls}
    known = ~np.isnan(np.stack(list(every.values()))).any(axis=0)
    rows = {}
    for name, values in every.items():
        alone = bootstrap(np.mean, values[known], seed=seed)
        rows[name] = {"value": alone.value, "value_low": alone.low, "value_high": alone.high}
        if name in controls:
            ahead = bootstrap(np.mean, (measured - values)[known], seed=seed)
            rows[name] |= {"ahead": ahead.value, "ahead_low": ahead.low, "ahead_high": ahead.high}
    found = pd.DataFrame.from_dict(rows, orient="index")
    return found.assign(beaten=found["ahead_low"] > 0)


def _squared_distances(size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Of each pixel from the middle of the picture, float64 (h, w)."""
    y, x = (np.arange(length) - (length - 1) / 2 for length in size)
    return np.asarray(y[:, np.newaxis] ** 2 + x**2)
