"""Saliency methods compared by their maps of the same images: deletion, insertion, randomization, regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_lib.explain.attribution import maps_by_method
from fer_lib.explain.faithfulness import UNCHANGED, Curve, deletion, insertion, randomization
from fer_lib.explain.heat import Heat
from fer_lib.explain.layers import Images
from fer_lib.explain.regions import region_share

RANDOM = "random"
"""The yardstick among the methods: pixels in random order."""


@dataclass(frozen=True)
class Comparison:
    """What the maps of each method are worth, by the method's name.

    Attributes:
        deletion: The curve while the hottest pixels are removed; also of `RANDOM`.
        insertion: The curve while the hottest pixels come back; also of `RANDOM`.
        on_features: Mean heat of a pixel on the features of a face over that elsewhere; also of `RANDOM`.
        correlation: Mean rank correlation with the trained model's maps as its weights are shuffled, from the
            output to the image, float64 (stages + 1,), 1 first.
        shuffled: Number of images behind `correlation`.
    """

    deletion: Mapping[str, Curve]
    insertion: Mapping[str, Curve]
    on_features: Mapping[str, float]
    correlation: Mapping[str, npt.NDArray[np.float64]]
    shuffled: int

    @property
    def best(self) -> str:
        """The method with the largest insertion area less deletion area."""
        return max(self.correlation, key=lambda name: self.insertion[name].area - self.deletion[name].area)

    @property
    def most_on_features(self) -> str:
        """The method whose maps are hottest on the features, relative to elsewhere."""
        return max(self.correlation, key=self.on_features.__getitem__)

    @property
    def unchanged(self) -> list[str]:
        """The methods that fail the check: with all weights shuffled, |rank correlation| is above `UNCHANGED`."""
        return [name for name, values in self.correlation.items() if abs(values[-1]) > UNCHANGED]

    def scores(self) -> pd.DataFrame:
        """A row for each method, `RANDOM` last.

        Columns: deletion_area, insertion_area, after_shuffling (the rank correlation, with its sign; NaN of
        `RANDOM`) and on_features.
        """
        last = {name: values[-1] for name, values in self.correlation.items()}
        return pd.DataFrame(
            {
                "deletion_area": {name: curve.area for name, curve in self.deletion.items()},
                "insertion_area": {name: curve.area for name, curve in self.insertion.items()},
                "after_shuffling": {name: last.get(name, np.nan) for name in self.deletion},
                "on_features": dict(self.on_features),
            }
        )


def compare_methods(
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64],
    features: npt.NDArray[np.bool_],
    *,
    shuffled: int = 8,
    stages: int = 4,
    maps: Callable[..., Mapping[str, Heat]] = maps_by_method,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
) -> Comparison:
    """Measure the maps of every method by deletion, insertion, shuffled weights and the features of the face.

    Beside them stands a random order of pixels.

    Args:
        model: As in `saliency_maps`.
        images: As in `saliency_maps`.
        labels: Class of each image, int array of shape (n,).
        features: Where the features of each face are, bool (n, h, w).
        shuffled: On how many images, drawn at random, the maps of shuffled weights are compared.
        stages: In how many steps the weights are shuffled, from the output to the image.
        maps: What makes maps (n, h, w) by method, called as `maps_by_method` is.
        settings: As in `maps_by_method`.
        seed: Decides all that is drawn at random.
    """
    rng = np.random.default_rng(seed)
    maps = partial(maps, settings=settings, seed=seed)
    orders = {**maps(model, images, labels), RANDOM: rng.random(images.shape[:3], np.float32)}
    some = rng.permutation(len(images))[:shuffled]
    left = randomization(
        model, lambda other: maps(other, images[some], labels[some]), stages=stages, seed=seed
    ).left
    regions = features[:, np.newaxis]
    return Comparison(
        deletion={name: deletion(model, images, heat, labels) for name, heat in orders.items()},
        insertion={name: insertion(model, images, heat, labels) for name, heat in orders.items()},
        on_features={
            name: float(np.nanmean(region_share(heat, regions).ratio)) for name, heat in orders.items()
        },
        correlation={name: np.r_[1, values.mean(axis=1)] for name, values in left.items()},
        shuffled=len(some),
    )
