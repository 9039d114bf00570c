"""Question 5: what the filters of a layer respond to, and how they respond to a face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.errors import InputError
from fer_lib.explain.ascent import MID_GREY, PLAIN, Regularization, ascend
from fer_lib.explain.gradients import BATCH
from fer_lib.explain.layers import Images, image_shape, layer_model

NOISE = 20.0
"""Standard deviation of the noise to start from, in grey values."""

REGULARIZATIONS: Mapping[str, Regularization] = {
    "plain": PLAIN,
    "regularised": Regularization(jitter=2, blur=0.5, total_variation=0.2, decay=0.005),
    "fourier": Regularization(jitter=2, total_variation=0.2, decay=0.01, coarse=1.0),
}
"""Ways of gradient ascent by name: without restraint, kept smooth, and kept smooth with coarse patterns first."""

LEARNING_RATES: Mapping[str, float] = {"plain": 1.0, "regularised": 2.0, "fourier": 2.0}
"""The pace of each way, in grey values a step."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class AscentResult:
    """The images that gradient ascent found for filters of one layer.

    Attributes:
        layer: Name of the layer.
        filters: Number of each filter in the layer, int64 (n,), from 0.
        history: Mean activation of each filter for its image, before the first and after each step, float32
            (steps + 1, n); under jitter, for its shifted image.
        steps: After how many steps the snapshots were taken, ascending, int64 (k,); the last is the end.
        snapshots: The images then, float32 (k, n, h, w, c), in the units that the model takes; values may lie
            outside 0..255.
        dead: bool (n,): filters that no image on the way excited at all: their activation stayed zero.
    """

    layer: str
    filters: npt.NDArray[np.int64]
    history: npt.NDArray[np.float32]
    steps: npt.NDArray[np.int64]
    snapshots: npt.NDArray[np.float32]
    dead: npt.NDArray[np.bool_]

    @property
    def images(self) -> npt.NDArray[np.float32]:
        """The images at the end, (n, h, w, c)."""
        return np.asarray(self.snapshots[-1])

    @property
    def activations(self) -> npt.NDArray[np.float32]:
        """Mean activation of each filter for its image at the end, (n,)."""
        return np.asarray(self.history[-1])

    def ranked(self) -> npt.NDArray[np.int64]:
        """Positions of the filters, the most excited first, dead ones last."""
        return np.lexsort((-self.activations, self.dead))

    def top(self, count: int | None = None) -> AscentResult:
        """The same for the `count` filters that are most excited, or for all, the most excited first."""
        order = self.ranked()[:count]
        return replace(
            self,
            filters=self.filters[order],
            history=self.history[:, order],
            snapshots=self.snapshots[:, order],
            dead=self.dead[order],
        )

    @property
    def frequency(self) -> float:
        """Mean of `mean_frequency` over the images at the end, in cycles per image width."""
        return float(mean_frequency(self.images).mean())

    @property
    def median_activation(self) -> float:
        """Median of the activations at the end."""
        return float(np.median(self.activations))

    def pictures(self) -> npt.NDArray[np.uint8]:
        """The snapshots as `displayable` makes them, (k, n, h, w) if they are grey and else (k, n, h, w, c)."""
        shown = np.stack([displayable(images) for images in self.snapshots])
        return shown[..., 0] if shown.shape[-1] == 1 else shown

    def captions(self, *, numbered: bool = False) -> list[list[str]]:
        """The activation of each filter at each snapshot, as texts: k lists of n.

        Args:
            numbered: Whether the filter's number stands before it.
        """
        names = [f"{number}: " if numbered else "" for number in self.filters]
        return [
            [f"{name}{value:.2f}" for name, value in zip(names, self.history[step], strict=True)]
            for step in self.steps
        ]


def gradient_ascent(
    model: keras.Model,
    layer: str,
    *,
    filters: Sequence[int] | None = None,
    limit: int | None = None,
    steps: int = 190,
    snapshots: Sequence[int] = (),
    regularization: Regularization = PLAIN,
    learning_rate: float = 1.0,
    seed: int = 0,
    start: Images | None = None,
    clip: tuple[float, float] | None = None,
    batch_size: int = BATCH,
) -> AscentResult:
    """Find for each filter of a layer an image that excites it.

    Every filter has its own image, and all are improved at once: a step moves each along the gradient of
    its filter's mean activation, by `learning_rate` grey values (root mean square). Images are in raw pixel
    units, because the model standardises by itself, and nothing keeps them in 0..255 unless `clip` does: the
    pattern is what matters, and `displayable` brings it into range. A filter that a ReLU keeps silent is first
    led to where it responds (see `ascent.ascend`). Erhan et al., "Visualizing Higher-Layer Features of a
    Deep Network" (2009).

    Args:
        model: A functional or Sequential model with one image input of fixed size; only its part up to
            `layer` runs.
        layer: Name of a layer, its filters on the last axis. A dense layer has units instead, and for the
            output layer the result shows classes (their scores before the softmax).
        filters: Numbers of the filters, from 0; None for all.
        limit: At most so many of them, the first ones; None for no limit.
        steps: Number of steps.
        snapshots: After which steps the images are kept too, beside the last; later ones than `steps` are not.
        regularization: What keeps the images readable; `REGULARIZATIONS` has some.
        learning_rate: Root mean square change of a pixel in one step, in units of the image.
        seed: Decides the noise to start from. All filters get the same, so that differences come from them.
        start: An image to start from instead of noise, (h, w, c), or one for each filter, (n, h, w, c).
        clip: Lowest and highest value that a pixel may take, or None for no bounds.
        batch_size: Most images in memory at once.

    Raises:
        InputError: The model has no such layer, or the layer no such filter.
        ValueError: `start` does not fit the model, or `steps` or `learning_rate` is not above 0.
    """
    if steps < 1 or not learning_rate > 0:
        raise ValueError(f"steps and learning_rate must be above 0, but were {steps} and {learning_rate}")
    numbers = _filter_numbers(model, layer, filters)[:limit]
    images = white_noise(image_shape(model), seed=seed) if start is None else np.asarray(start, np.float32)
    images = np.broadcast_to(images, (len(numbers), *images.shape[-3:]))
    stops = sorted({0, steps, *(step for step in snapshots if 0 <= step <= steps)})
    kept, histories = [images], [np.empty((0, len(numbers)), np.float32)]
    for done, stop in pairwise(stops):
        images, history = ascend(
            model,
            layer,
            numbers,
            images,
            steps=stop - done,
            learning_rate=learning_rate,
            clip=clip,
            regularization=regularization,
            done=done,
            seed=seed,
            batch_size=batch_size,
        )
        kept.append(images)
        histories.append(history if stop == steps else history[:-1])
    history = np.concatenate(histories)
    first = 0 if 0 in snapshots else 1
    dead = (history == 0).all(axis=0)
    return AscentResult(layer, numbers, history, np.array(stops[first:]), np.stack(kept[first:]), dead)


def preset(way: str, model: keras.Model, *, seed: int = 0) -> dict[str, Any]:
    """The arguments of `gradient_ascent` for one of the ways in `REGULARIZATIONS`.

    The fourier way starts from `pink_noise`, the others from `white_noise`.

    Args:
        way: A key of `REGULARIZATIONS`.
        model: The model whose input decides the shape of the noise.
        seed: Decides noise and jitter.

    Returns:
        `regularization`, `learning_rate`, `start` and `seed`.

    Raises:
        InputError: There is no such way.
    """
    if way not in REGULARIZATIONS:
        raise InputError(
            f"There is no way {way!r} of gradient ascent; choose one of {', '.join(REGULARIZATIONS)}."
        )
    return {
        "regularization": REGULARIZATIONS[way],
        "learning_rate": LEARNING_RATES[way],
        "start": pink_noise(image_shape(model), seed=seed) if way == "fourier" else None,
        "seed": seed,
    }


def white_noise(shape: tuple[int, ...], *, seed: int = 0) -> npt.NDArray[np.float32]:
    """Grey noise around mid-grey, independent in each pixel: float32 of the given shape."""
    rng = np.random.default_rng(seed)
    return np.asarray(MID_GREY + NOISE * rng.standard_normal(shape, np.float32))


def pink_noise(shape: tuple[int, ...], *, seed: int = 0) -> npt.NDArray[np.float32]:
    """Grey noise around mid-grey whose pattern of each size is equally strong, as in photographs.

    Its Fourier coefficients are random and fall with 1/frequency. Field, "Relations between the statistics of
    natural images and the response properties of cortical cells" (1987).

    Args:
        shape: Of the image, (h, w, c).
        seed: Decides the noise.
    """
    height, width, _ = shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, np.newaxis], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    white = np.random.default_rng(seed).standard_normal(shape)
    spectrum = np.fft.rfft2(white, axes=(0, 1)) / frequency[..., np.newaxis]
    noise = np.fft.irfft2(spectrum, (height, width), axes=(0, 1))
    return np.asarray(MID_GREY + NOISE * noise / noise.std(), np.float32)


def layer_outputs(model: keras.Model, layer: str, image: Images) -> npt.NDArray[np.float32]:
    """What each filter of a layer makes of one image.

    Args:
        model: A functional or Sequential model with one image input.
        layer: Name of a layer that gives maps.
        image: One image as the model takes it, (h, w, c).

    Returns:
        float32 array of shape (filters, h', w').

    Raises:
        InputError: The model has no such layer, or the layer gives no maps.
    """
    part = layer_model(model, layer)
    maps = part(np.asarray(image, np.float32)[np.newaxis], training=False)
    if maps.ndim != 4:
        raise InputError(f"Layer {layer!r} gives no maps but values of shape {part.output_shape[1:]}.")
    return np.asarray(np.moveaxis(keras.ops.convert_to_numpy(maps)[0], -1, 0), np.float32)


def mean_frequency(images: Images) -> npt.NDArray[np.float64]:
    """How fine the pattern of each image is: the mean spatial frequency, weighted by power, without the mean grey.

    Args:
        images: Array of shape (n, h, w, c).

    Returns:
        Cycles per image width, float64 (n,); 0 for an image without a pattern.
    """
    height, width = images.shape[1:3]
    power = np.square(np.abs(np.fft.fft2(images.mean(axis=-1))))
    power[:, 0, 0] = 0
    cycles = np.hypot(np.fft.fftfreq(height)[:, np.newaxis] * height, np.fft.fftfreq(width) * width)
    total = power.sum(axis=(1, 2))
    return np.asarray((power * cycles).sum(axis=(1, 2)) / np.where(total > 0, total, 1))


def mean_abs_correlation(images: Images) -> float:
    """How much the patterns of several images have in common: the mean of their absolute correlations, 0..1.

    Args:
        images: Array of shape (n, h, w, c) with at least two images, none of one value only.
    """
    pairs = np.corrcoef(images.reshape(len(images), -1))[np.triu_indices(len(images), 1)]
    return float(np.abs(pairs).mean())


def evenly_spaced(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of the items, at even distances, in order: the first one and, of several, the last."""
    places = np.linspace(0, len(items) - 1, count).round().astype(int)
    return [items[place] for place in np.unique(places)]


def displayable(images: Images) -> npt.NDArray[np.uint8]:
    """Images of any range as pictures: each centred on mid-grey, 2.5 standard deviations to black and white.

    Args:
        images: Array of shape (n, h, w, c).

    Returns:
        uint8 array of the same shape; an image of one value is all mid-grey.
    """
    centred = images - images.mean(axis=(1, 2, 3), keepdims=True)
    deviation = images.std(axis=(1, 2, 3), keepdims=True)
    unit = centred / np.where(deviation > 0, deviation, 1)
    return np.asarray(np.clip(MID_GREY + unit * (MID_GREY / 2.5), 0, 255).round(), np.uint8)


def filter_count(model: keras.Model, layer: str) -> int:
    """How many filters (or units) a layer has.

    Raises:
        InputError: The model has no such layer.
    """
    return int(layer_model(model, layer).output_shape[-1])


def _filter_numbers(model: keras.Model, layer: str, filters: Sequence[int] | None) -> npt.NDArray[np.int64]:
    count = filter_count(model, layer)
    numbers = np.arange(count) if filters is None else np.asarray(filters, np.int64)
    if not len(numbers) or numbers.min() < 0 or numbers.max() >= count:
        asked = ", ".join(map(str, numbers)) or "none"
        raise InputError(
            f"Layer {layer!r} has filters 0 to {count - 1}, but the filters asked for were: {asked}."
        )
    return numbers
