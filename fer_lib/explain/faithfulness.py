"""How far saliency maps can be trusted: measured, not looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.explain.grad_cam import resized
from fer_lib.explain.gradient_based import baseline_of
from fer_lib.explain.gradients import BATCH, probabilities, scores
from fer_lib.explain.heat import Attributions, Heat
from fer_lib.explain.layers import Images, clone_with_weights, shuffle_weights, weighted_layers

UNCHANGED = 0.3
"""A method whose maps keep more of their order than this, by rank correlation, shows the image and not the model."""


class Curve(NamedTuple):
    """The probability of the class as pixels are changed, the hottest first.

    Attributes:
        shares: Share of the pixels changed, float64 (k,), from 0 to 1.
        probabilities: Of each image, float32 (n, k).
    """

    shares: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float32]

    @property
    def areas(self) -> npt.NDArray[np.float64]:
        """The area under the curve of each image, float64 (n,), in 0..1."""
        return np.asarray(np.trapezoid(self.probabilities, self.shares, axis=1))

    @property
    def area(self) -> float:
        """The mean of `areas`."""
        return float(self.areas.mean())

    @property
    def mean(self) -> npt.NDArray[np.float32]:
        """The mean probability of all images, float32 (k,)."""
        return np.asarray(self.probabilities.mean(axis=0))


def deletion(
    model: keras.Model,
    images: Images,
    heat: Heat,
    labels: npt.NDArray[np.int64] | None = None,
    *,
    steps: int = 24,
    batch_size: int = BATCH,
) -> Curve:
    """The probability of a class while its hottest pixels are painted in the image's mean colour.

    The better a map, the sooner it falls and the smaller the area. Petsiuk, Das and Saenko, "RISE" (2018).

    Args:
        model: As in `saliency_maps`.
        images: As in `saliency_maps`.
        heat: Heat maps, (n, h, w).
        labels: Class of each image, int array of shape (n,); None for the predicted class.
        steps: Equal parts in which the pixels are changed.
        batch_size: Most images in memory at once.

    Raises:
        ValueError: Shapes do not fit the model or each other.
    """
    images = np.asarray(images, np.float32)
    return _curve(model, images, baseline_of(images, None), heat, labels, steps, batch_size)


def insertion(
    model: keras.Model,
    images: Images,
    heat: Heat,
    labels: npt.NDArray[np.int64] | None = None,
    *,
    steps: int = 24,
    cells: int = 4,
    batch_size: int = BATCH,
) -> Curve:
    """The probability of a class while its hottest pixels come back into an image blurred past recognition.

    The better a map, the sooner it rises and the larger the area. Petsiuk, Das and Saenko, "RISE" (2018).

    Args:
        model: As in `saliency_maps`.
        images: As in `saliency_maps`.
        heat: Heat maps, (n, h, w).
        labels: Class of each image, int array of shape (n,); None for the predicted class.
        steps: Equal parts in which the pixels come back.
        cells: The blurred image is the means of so many cells a side, interpolated.
        batch_size: Most images in memory at once.

    Raises:
        ValueError: Shapes do not fit the model or each other.
    """
    images = np.asarray(images, np.float32)
    labels = _predicted(model, images, labels, batch_size)
    return _curve(model, _blurred(images, cells), images, heat, labels, steps, batch_size)


def completeness(
    model: keras.Model,
    images: Images,
    attributions: Attributions,
    labels: npt.NDArray[np.int64],
    *,
    baseline: float | None = None,
    batch_size: int = BATCH,
) -> npt.NDArray[np.float64]:
    """How far the sum of each map is off the score's rise from the baseline to the image, as part of that rise.

    0 is complete, as integrated gradients are up to the error of their sum. Float64 (n,).

    Args:
        model: As in `saliency_maps`.
        images: As in `saliency_maps`.
        attributions: Signed maps, (n, h, w), as `explain.attributions` gives them.
        labels: Class of each image, int array of shape (n,).
        baseline: As in `integrated_gradients`.
        batch_size: Most images in memory at once.
    """
    images = np.asarray(images, np.float32)
    index = np.arange(len(images))
    rise = (
        scores(model, images, batch_size=batch_size)[index, labels]
        - scores(model, baseline_of(images, baseline), batch_size=batch_size)[index, labels]
    ).astype(np.float64)
    return np.asarray(np.abs(attributions.sum(axis=(1, 2), dtype=np.float64) - rise) / np.abs(rise))


class Randomization(NamedTuple):
    """What is left of maps when the model forgets.

    Attributes:
        layers: Of each stage, the name of the layer nearest to the image that has forgotten; all nearer to the
            output have too.
        left: By method, the rank correlation of each map with that of the trained model, float64 (stages, n).
    """

    layers: tuple[str, ...]
    left: Mapping[str, npt.NDArray[np.float64]]


def randomization(
    model: keras.Model,
    maps: Callable[[keras.Model], Mapping[str, Heat]],
    *,
    stages: int = 0,
    seed: int = 0,
) -> Randomization:
    """How much of a map is left when the model forgets, layer by layer from the output back to the image.

    The values of a layer's weights are put into random order, which keeps their distribution and loses what they
    know; a map that stays the same did not show what the model learned. Adebayo et al., "Sanity Checks for
    Saliency Maps" (2018), cascading randomisation.

    Args:
        model: The model; it stays as it is.
        maps: What makes maps (n, h, w) of a model, by method, always of the same images and classes.
        stages: Into how many about equal groups of layers the model is divided; 0 for each layer by itself.
        seed: Decides the order.
    """
    forgetful = clone_with_weights(model)
    before = maps(forgetful)
    layers = weighted_layers(forgetful)
    names, left = [], []
    for group in np.array_split(np.arange(len(layers)), min(stages or len(layers), len(layers))):
        for number in group:
            shuffle_weights(layers[number], seed=seed + int(number))
        names.append(str(layers[group[-1]].name))
        now = maps(forgetful)
        left.append({name: rank_correlation(before[name], now[name]) for name in before})
    return Randomization(tuple(names), {name: np.stack([stage[name] for stage in left]) for name in before})


def rank_correlation(first: Heat, second: Heat) -> npt.NDArray[np.float64]:
    """Spearman's rank correlation of each two maps (n, h, w), float64 (n,); 0 where one has a single value."""
    ranks = [_ranks(heat.reshape(len(heat), -1)) for heat in (first, second)]
    one, other = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    scale = np.sqrt(np.square(one).sum(axis=1) * np.square(other).sum(axis=1))
    return np.asarray((one * other).sum(axis=1) / np.where(scale > 0, scale, 1))


def _ranks(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The rank of each value in its row, equal values sharing their mean rank."""
    ranks = np.empty(rows.shape)
    for rank, row in zip(ranks, rows, strict=True):
        _, place, counts = np.unique(row, return_inverse=True, return_counts=True)
        rank[:] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def _curve(
    model: keras.Model,
    before: Images,
    after: Images,
    heat: Heat,
    labels: npt.NDArray[np.int64] | None,
    steps: int,
    batch_size: int,
) -> Curve:
    """The probability of the class while pixels go over from one image to another, the hottest first."""
    if heat.shape != before.shape[:3]:
        raise ValueError(f"heat must be {before.shape[:3]} as the images, but was {heat.shape}")
    labels = _predicted(model, before, labels, batch_size)
    order = np.argsort(-heat.reshape(len(heat), -1), axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(order.shape[1])[np.newaxis], axis=1)
    place = place.reshape(heat.shape)[..., np.newaxis]
    shares = np.linspace(0, 1, steps + 1)
    found = np.empty((len(before), steps + 1), np.float32)
    for number, share in enumerate(shares):
        mixed = np.where(place < round(share * order.shape[1]), after, before)
        found[:, number] = probabilities(model, mixed, batch_size=batch_size)[np.arange(len(labels)), labels]
    return Curve(shares, found)


def _predicted(
    model: keras.Model, images: Images, labels: npt.NDArray[np.int64] | None, batch_size: int
) -> npt.NDArray[np.int64]:
    if labels is not None:
        return labels
    return np.asarray(scores(model, images, batch_size=batch_size).argmax(axis=1))


def _blurred(images: Images, cells: int) -> npt.NDArray[np.float32]:
    """The mean of each of `cells` x `cells` parts, interpolated back to the whole image."""
    rows, columns = (_means(length, cells) for length in images.shape[1:3])
    small = rows @ np.moveaxis(images, -1, 1) @ columns.T
    large = resized(small.reshape(-1, *small.shape[2:]), images.shape[1:3])
    return np.moveaxis(large.reshape(len(images), images.shape[-1], *images.shape[1:3]), 1, -1)


def _means(length: int, cells: int) -> npt.NDArray[np.float32]:
    """The matrix (cells, length) that takes the mean of each of about equal parts."""
    part = np.arange(length) * cells // length
    of_part = (part == np.arange(cells)[:, np.newaxis]).astype(np.float32)
    return np.asarray(of_part / of_part.sum(axis=1, keepdims=True))
