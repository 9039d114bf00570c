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
from fer_lib.metrics import Estimate, bootstrap

RANDOM = "random"
"""The yardstick among the methods: pixels in random order."""


@dataclass(frozen=True)
class Comparison:
    """What the maps of each method are worth, by the method's name.

    Attributes:
        deletion: The curve while the hottest pixels are removed; also of `RANDOM`.
        insertion: The curve while the hottest pixels come back; also of `RANDOM`.
        on_features: Mean heat of a pixel on the features of a face over that elsewhere; also of `RANDOM`.
        correlation: Rank correlation of each map with the trained model's as its weights are shuffled, from the output
            to the image, float64 (stages + 1, images), 1 first; of some of the images only.
    """

    deletion: Mapping[str, Curve]
    insertion: Mapping[str, Curve]
    on_features: Mapping[str, float]
    correlation: Mapping[str, npt.NDArray[np.float64]]

    @property
    def shuffled(self) -> int:
        """Number of images behind `correlation`."""
        return int(next(iter(self.correlation.values())).shape[1])

    def gains(self, name: str) -> npt.NDArray[np.float64]:
        """Insertion area less deletion area of each image, float64 (n,): large where a map is faithful."""
        return self.insertion[name].areas - self.deletion[name].areas

    @property
    def ranking(self) -> list[str]:
        """The methods by their mean gain, the best first."""
        return sorted(self.correlation, key=lambda name: -float(self.gains(name).mean()))

    def lead(self, first: str, second: str) -> Estimate:
        """By how much the gain of one method is above that of another, or of `RANDOM`, on the same images."""
        return bootstrap(np.mean, self.gains(first) - self.gains(second))

    def after_shuffling(self, name: str) -> Estimate:
        """The mean rank correlation that is left when all weights are shuffled."""
        return bootstrap(np.mean, self.correlation[name][-1])

    @property
    def unchanged(self) -> list[str]:
        """The methods that do not clearly pass: the interval of `after_shuffling` is not within ±`UNCHANGED`."""
        left = {name: self.after_shuffling(name) for name in self.correlation}
        return [name for name, found in left.items() if not -UNCHANGED < found.low <= found.high < UNCHANGED]

    def scores(self) -> pd.DataFrame:
        """A row for each method, `RANDOM` last: means, with 95% bootstrap intervals over the images.

        Columns: deletion_area, insertion_area, gain (insertion less deletion) and after_shuffling (the rank
        correlation, with its sign; NaN of `RANDOM`), each also with `_low` and `_high`, and on_features.
        """
        every = {
            "deletion_area": {name: bootstrap(np.mean, curve.areas) for name, curve in self.deletion.items()},
            "insertion_area": {
                name: bootstrap(np.mean, curve.areas) for name, curve in self.insertion.items()
            },
            "gain": {name: bootstrap(np.mean, self.gains(name)) for name in self.deletion},
            "after_shuffling": {name: self.after_shuffling(name) for name in self.correlation},
        }
        columns = {
            f"{kind}{suffix}": {name: getattr(found, of) for name, found in each.items()}
            for kind, each in every.items()
            for suffix, of in (("", "value"), ("_low", "low"), ("_high", "high"))
        }
        return pd.DataFrame(columns | {"on_features": dict(self.on_features)}, index=list(self.deletion))


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
        correlation={
            name: np.concatenate([np.ones((1, len(some))), values]) for name, values in left.items()
        },
    )
