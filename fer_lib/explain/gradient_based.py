"""Saliency from the score's gradient by the image."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.explain.gradients import BATCH, input_gradients
from fer_lib.explain.heat import Attributions
from fer_lib.explain.layers import Images


def gradient(
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64],
    *,
    seed: int = 0,
    batch_size: int = BATCH,
) -> Attributions:
    """The size of the score's gradient, the largest over the channels of a pixel. Nothing in it is random.

    Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks: Visualising Image Classification
    Models and Saliency Maps" (2013).
    """
    return _largest(input_gradients(model, images, labels, batch_size=batch_size))


def smoothgrad(
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64],
    *,
    samples: int = 50,
    noise: float = 0.15,
    seed: int = 0,
    batch_size: int = BATCH,
) -> Attributions:
    """The size of the gradient's mean over noisy copies of the image, which drops what only one copy shows.

    Smilkov et al., "SmoothGrad: removing noise by adding noise" (2017), whose settings these are.

    Args:
        model: As in `saliency_maps`.
        images: As in `saliency_maps`.
        labels: Class of each image, int array of shape (n,).
        samples: Noisy copies of each image.
        noise: Standard deviation of the noise as part of the image's range of values.
        seed: Decides the noise. All images get the same, so that a map does not depend on its neighbours.
        batch_size: Most images in memory at once.
    """
    _at_least_one("samples", samples)
    rng = np.random.default_rng(seed)
    deviation = noise * np.ptp(images, axis=(1, 2, 3), keepdims=True)
    copies = (images + deviation * rng.standard_normal(images.shape[1:], np.float32) for _ in range(samples))
    return _largest(_sum_of_gradients(model, copies, labels, batch_size) / np.float32(samples))


def gradient_input(
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64],
    *,
    baseline: float | None = None,
    seed: int = 0,
    batch_size: int = BATCH,
) -> Attributions:
    """The gradient times how far each pixel is from a baseline: its part in a linear score. Nothing is random.

    Shrikumar et al., "Not Just a Black Box: Learning Important Features Through Propagating Activation
    Differences" (2016).

    Args:
        model: As in `saliency_maps`.
        images: As in `saliency_maps`.
        labels: Class of each image, int array of shape (n,).
        baseline: Value of a pixel that says nothing; None for the mean of each image and channel, because zero is
            black here, and black is not nothing.
        seed: Not used.
        batch_size: Most images in memory at once.
    """
    away = images - baseline_of(images, baseline)
    slopes = input_gradients(model, images, labels, batch_size=batch_size)
    return np.asarray((away * slopes).sum(axis=-1))


def integrated_gradients(
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64],
    *,
    steps: int = 32,
    baseline: float | None = None,
    seed: int = 0,
    batch_size: int = BATCH,
) -> Attributions:
    """The score's rise on the way from a baseline to the image, divided among the pixels. Nothing is random.

    Their sum is that rise (completeness, which `completeness` measures), up to the error of the sum over
    `steps` midpoints. Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks" (2017).

    Args:
        model: As in `saliency_maps`.
        images: As in `saliency_maps`.
        labels: Class of each image, int array of shape (n,).
        steps: Places on the way at which the gradient is taken.
        baseline: Where the way starts, as in `gradient_input`.
        seed: Not used.
        batch_size: Most images in memory at once.
    """
    _at_least_one("steps", steps)
    start = baseline_of(images, baseline)
    away = images - start
    places = (start + (step + 0.5) / steps * away for step in range(steps))
    mean = _sum_of_gradients(model, places, labels, batch_size) / np.float32(steps)
    return np.asarray((away * mean).sum(axis=-1))


def baseline_of(images: Images, baseline: float | None) -> npt.NDArray[np.float32]:
    """Images that say nothing: one value everywhere, `baseline` or the mean of each image and channel."""
    if baseline is not None:
        return np.full_like(images, baseline, np.float32)
    return np.broadcast_to(images.mean(axis=(1, 2), keepdims=True, dtype=np.float32), images.shape)


def _sum_of_gradients(
    model: keras.Model, variants: Iterable[Images], labels: npt.NDArray[np.int64], batch_size: int
) -> npt.NDArray[np.float32]:
    """The gradients summed over variants of all images; small sets of images share a batch."""
    total = np.zeros((), np.float32)
    waiting: list[Images] = []

    def flush() -> npt.NDArray[np.float32]:
        stacked = np.concatenate(waiting)
        found = input_gradients(model, stacked, np.tile(labels, len(waiting)), batch_size=batch_size)
        return np.asarray(found.reshape(len(waiting), *waiting[0].shape).sum(axis=0))

    for variant in variants:
        waiting.append(np.asarray(variant, np.float32))
        if (len(waiting) + 1) * len(variant) > batch_size:
            total = total + flush()
            waiting.clear()
    return total + flush() if waiting else total


def _largest(gradients: npt.NDArray[np.float32]) -> Attributions:
    return np.asarray(np.abs(gradients).max(axis=-1))


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, but was {value}")
