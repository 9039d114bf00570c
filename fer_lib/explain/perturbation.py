"""Saliency from what the model says when part of the image is hidden: no gradient needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.explain.grad_cam import resized
from fer_lib.explain.gradient_based import baseline_of
from fer_lib.explain.gradients import BATCH, probabilities, scores
from fer_lib.explain.heat import Attributions
from fer_lib.explain.layers import Images

_PAIRS = 4096
"""Most masked images at once in memory, whatever the batch: 38 MB of faces."""


def occlusion(
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64],
    *,
    patch: int = 8,
    stride: int = 4,
    baseline: float | None = None,
    seed: int = 0,
    batch_size: int = BATCH,
) -> Attributions:
    """How far the score falls when a patch is hidden, for each pixel the mean over the patches that hide it.

    Nothing is random. Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2014).

    Args:
        model: As in `saliency_maps`.
        images: As in `saliency_maps`.
        labels: Class of each image, int array of shape (n,).
        patch: Height and width of the patch.
        stride: Pixels from one place of the patch to the next, at most `patch`.
        baseline: Value of the hidden pixels; None for the mean of each image and channel.
        seed: Not used.
        batch_size: Most images in memory at once.

    Raises:
        ValueError: The patch is larger than the image, or the stride leaves pixels out.
    """
    height, width = images.shape[1:3]
    if not 1 <= stride <= patch <= min(height, width):
        raise ValueError(
            f"patch and stride must be 1 <= stride <= patch <= {min(height, width)}, but were {patch}, {stride}"
        )
    masks = np.stack([_without(height, width, y, x, patch) for y in _places(height, patch, stride)
                      for x in _places(width, patch, stride)])  # fmt: skip
    before = _of(scores(model, images, batch_size=batch_size), labels)
    after = _masked_outputs(scores, model, images, labels, masks, baseline, batch_size)
    hidden = (1 - masks).reshape(len(masks), -1)
    drops = (before[:, np.newaxis] - after) @ hidden / hidden.sum(axis=0)
    return np.asarray(drops.reshape(images.shape[:3]), np.float32)


def rise(
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64],
    *,
    masks: int = 1000,
    cells: int = 7,
    keep: float = 0.5,
    baseline: float | None = None,
    seed: int = 0,
    batch_size: int = BATCH,
) -> Attributions:
    """The mean probability of the class over random soft masks, for each pixel weighted by how far they show it.

    Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models" (2018), whose
    grid and share these are.

    Args:
        model: As in `saliency_maps`.
        images: As in `saliency_maps`.
        labels: Class of each image, int array of shape (n,).
        masks: Number of masks, the same for all images. Noise falls with its root.
        cells: A mask is a grid of so many cells a side, kept or hidden, enlarged and shifted at random.
        keep: Share of the cells to keep.
        baseline: Value of hidden pixels; None for the mean of each image and channel.
        seed: Decides the masks.
        batch_size: Most images in memory at once.
    """
    if masks < 1:
        raise ValueError(f"masks must be at least 1, but was {masks}")
    drawn = _soft_masks(masks, images.shape[1:3], cells, keep, seed)
    found = _masked_outputs(probabilities, model, images, labels, drawn, baseline, batch_size)
    flat = drawn.reshape(masks, -1)
    return np.asarray((found @ flat / flat.sum(axis=0)).reshape(images.shape[:3]), np.float32)


def _masked_outputs(
    output: Callable[..., npt.NDArray[np.float32]],
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64],
    masks: npt.NDArray[np.float32],
    baseline: float | None,
    batch_size: int,
) -> npt.NDArray[np.float32]:
    """What the model says of the class of each image under each mask, (images, masks)."""
    found = np.empty((len(images), len(masks)), np.float32)
    empty = baseline_of(images, baseline)
    for image, mask in _pairs(len(images), len(masks)):
        shown = masks[mask, :, :, np.newaxis]
        masked = empty[image] + shown * (images[image] - empty[image])
        found[image, mask] = _of(output(model, masked, batch_size=batch_size), labels[image])
    return found


def _pairs(images: int, masks: int) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """All pairs of an image and a mask, so many at a time."""
    for start in range(0, images * masks, _PAIRS):
        yield np.divmod(np.arange(start, min(start + _PAIRS, images * masks)), masks)


def _of(outputs: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    return outputs[np.arange(len(labels)), labels]


def _places(length: int, patch: int, stride: int) -> list[int]:
    """Where patches start: every `stride` pixels, and last at the very end."""
    return sorted({*range(0, length - patch + 1, stride), length - patch})


def _without(height: int, width: int, y: int, x: int, patch: int) -> npt.NDArray[np.float32]:
    mask = np.ones((height, width), np.float32)
    mask[y : y + patch, x : x + patch] = 0
    return mask


def _soft_masks(
    count: int, size: tuple[int, ...], cells: int, keep: float, seed: int
) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    height, width = size
    cell = (-(-height // cells), -(-width // cells))
    grid = (rng.random((count, cells + 1, cells + 1)) < keep).astype(np.float32)
    large = resized(grid, (cell[0] * (cells + 1), cell[1] * (cells + 1)))
    corners = rng.integers(0, cell, (count, 2))
    return np.stack([
        mask[y : y + height, x : x + width] for mask, (y, x) in zip(large, corners, strict=True)
    ])  # fmt: skip
