"""Question 4: which pixels a model's decision hangs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.emotions import FACE_SIZE
from fer_lib.errors import InputError
from fer_lib.faces import REGIONS
from fer_lib.gradients import Images, input_gradients

Heat = npt.NDArray[np.float32]
"""Heat maps, (n, h, w), never negative."""

MEAN_FACE_BOXES: Mapping[str, tuple[tuple[int, int, int, int], ...]] = {
    "brows": ((11, 15, 8, 21), (11, 15, 27, 40)),
    "eyes": ((15, 21, 9, 21), (15, 21, 27, 39)),
    "nose": ((21, 33, 19, 29),),
    "mouth": ((34, 43, 14, 34),),
}
"""Boxes (top, bottom, left, right) read off the mean of FER2013's 28,709 training faces."""


@dataclass(frozen=True)
class RegionShares:
    """How much of the heat falls on the regions of drawn faces.

    Attributes:
        share: Heat in a region as part of all heat, float64 (n, r) in 0..1; NaN where a map has no heat.
        ratio: Mean heat of a pixel in the region over that of a pixel outside, float64 (n, r): 1 for heat
            that knows nothing of the region; NaN where the region is empty or a map has no heat.
    """

    share: npt.NDArray[np.float64]
    ratio: npt.NDArray[np.float64]


def saliency_maps(
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64] | None = None,
    *,
    method: str = "gradient",
    normalise: bool = False,
    seed: int = 0,
    batch_size: int = 64,
    **options: Any,
) -> Heat:
    """Heat maps: how strongly the score of a class answers to each pixel.

    Args:
        model: A functional or Sequential classifier with one image input; softmax or score outputs.
        images: Array of shape (n, h, w, c), in the units that the model takes.
        labels: Class that each image's map is about, int array of shape (n,); None for the predicted class.
        method: A key of `METHODS`.
        normalise: Whether to divide each map by its maximum, for pictures; a map of zeros stays zero.
        seed: Decides what a method draws at random.
        batch_size: Most images in memory at once.
        **options: Settings of the method: see its function.

    Returns:
        float32 array of shape (n, h, w), never negative: score per unit of a pixel, or 0..1 when normalised.

    Raises:
        InputError: There is no such method.
        ValueError: Shapes do not fit the model or each other.
    """
    if method not in METHODS:
        raise InputError(f"There is no saliency method {method!r}; the methods are {', '.join(METHODS)}.")
    images = np.asarray(images, np.float32)
    if labels is None:
        labels = model.predict(images, batch_size=batch_size, verbose=0).argmax(axis=-1)
    heat = METHODS[method](model, images, labels, seed=seed, batch_size=batch_size, **options)
    return normalised(heat) if normalise else heat


def gradient(
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64],
    *,
    seed: int = 0,
    batch_size: int = 64,
) -> Heat:
    """The size of the score's gradient, the largest over the channels of a pixel. Nothing in it is random.

    Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks: Visualising Image Classification
    Models and Saliency Maps" (2013).
    """
    return _channel_maximum(input_gradients(model, images, labels, batch_size=batch_size))


def smoothgrad(
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64],
    *,
    samples: int = 50,
    noise: float = 0.15,
    seed: int = 0,
    batch_size: int = 64,
) -> Heat:
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
    if samples < 1:
        raise ValueError(f"samples must be at least 1, but was {samples}")
    rng = np.random.default_rng(seed)
    deviation = noise * np.ptp(images, axis=(1, 2, 3), keepdims=True)
    total = np.zeros(images.shape, np.float32)
    for _ in range(samples):
        noisy = images + deviation * rng.standard_normal(images.shape[1:], np.float32)
        total += input_gradients(model, noisy, labels, batch_size=batch_size)
    return _channel_maximum(total / np.float32(samples))


METHODS: Mapping[str, Callable[..., Heat]] = {"gradient": gradient, "smoothgrad": smoothgrad}
"""Saliency methods by name: functions `(model, images, labels, *, batch_size, ...)` to heat (n, h, w)."""


def normalised(heat: Heat) -> Heat:
    """Each map divided by its maximum, so that 1 is its hottest pixel; a map of zeros stays zero."""
    hottest = heat.max(axis=(1, 2), keepdims=True)
    return np.asarray(heat / np.where(hottest > 0, hottest, 1), np.float32)


def mask_low_heat(
    images: Images, heat: Heat, *, keep: float = 0.2, threshold: float | None = None
) -> tuple[Images, npt.NDArray[np.bool_]]:
    """Show only what is hot: paint all other pixels in the mean colour of their image.

    Args:
        images: Array of shape (n, h, w) or (n, h, w, c).
        heat: Heat maps, (n, h, w).
        keep: Share of the pixels to keep, the hottest; pixels without any heat are never kept.
        threshold: Keep the pixels above this heat instead, however many they are.

    Returns:
        The masked images, dtype and shape of `images`, and what was kept, bool (n, h, w).

    Raises:
        ValueError: `heat` does not fit the images.
        InputError: `keep` is not above 0 and at most 1.
    """
    if images.shape[:3] != heat.shape:
        raise ValueError(f"heat must be {images.shape[:3]} as the images, but was {heat.shape}")
    if not 0 < keep <= 1:
        raise InputError(f"The share of pixels to keep must be above 0 and at most 1, but was {keep}.")
    if threshold is None:
        kept = (heat >= np.quantile(heat, 1 - keep, axis=(1, 2), keepdims=True)) & (heat > 0)
    else:
        kept = heat > threshold
    mean = images.mean(axis=(1, 2), keepdims=True)
    shown = kept.reshape(kept.shape + (1,) * (images.ndim - kept.ndim))
    return np.where(shown, images, mean.astype(images.dtype)), kept


def mean_face_regions(count: int) -> npt.NDArray[np.bool_]:
    """Where brows, eyes, nose and mouth stand on the mean face of FER2013, for faces without masks of their own.

    FER2013's faces are centred, so fixed boxes hold most features of most faces; turned or tilted heads miss them.

    Returns:
        The same masks for each of `count` faces, bool (count, 4, 48, 48), in the order of `faces.REGIONS`.
    """
    masks = np.zeros((len(REGIONS), FACE_SIZE, FACE_SIZE), bool)
    for mask, boxes in zip(masks, (MEAN_FACE_BOXES[name] for name in REGIONS), strict=True):
        for top, bottom, left, right in boxes:
            mask[top:bottom, left:right] = True
    return np.broadcast_to(masks, (count, *masks.shape))


def region_share(heat: Heat, regions: npt.NDArray[np.bool_]) -> RegionShares:
    """How much of the heat falls on each region, and how much hotter the region is than the rest.

    Args:
        heat: Heat maps, (n, h, w).
        regions: Masks of r regions, bool (n, r, h, w), as `Faces.regions`;
            `regions.any(axis=1, keepdims=True)` makes one region of all.

    Raises:
        ValueError: `regions` does not fit the heat.
    """
    if regions.ndim != 4 or (regions.shape[0], *regions.shape[2:]) != heat.shape:
        raise ValueError(f"regions must be (n, r, h, w) for heat {heat.shape}, but were {regions.shape}")
    inside = np.einsum("nhw,nrhw->nr", heat, regions, dtype=np.float64)
    whole = heat.sum(axis=(1, 2), dtype=np.float64)[:, np.newaxis]
    pixels = regions.sum(axis=(2, 3))
    others = regions.shape[2] * regions.shape[3] - pixels
    with np.errstate(divide="ignore", invalid="ignore"):
        return RegionShares(share=inside / whole, ratio=(inside / pixels) / ((whole - inside) / others))


def _channel_maximum(gradients: npt.NDArray[np.float32]) -> Heat:
    return np.asarray(np.abs(gradients).max(axis=-1))
