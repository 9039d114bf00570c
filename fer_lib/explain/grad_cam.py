"""Saliency from a layer's maps, weighted by what they do for the score."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.explain.gradients import BATCH, layer_gradients
from fer_lib.explain.heat import Attributions
from fer_lib.explain.layers import Images, last_maps


def grad_cam(
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64],
    *,
    layer: str | None = None,
    seed: int = 0,
    batch_size: int = BATCH,
) -> Attributions:
    """The maps of a layer, weighted by the mean gradient of the score by each, at the size of the image.

    Positive values speak for the class; the paper's ReLU is left to `saliency_maps`. Nothing is random.
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (2017).

    Args:
        model: As in `saliency_maps`.
        images: As in `saliency_maps`.
        labels: Class of each image, int array of shape (n,).
        layer: A layer that gives maps; None for the last one that does.
        seed: Not used.
        batch_size: Most images in memory at once.

    Raises:
        InputError: The model has no such layer, or none that gives maps.
    """
    maps, gradients = layer_gradients(
        model, last_maps(model) if layer is None else layer, images, labels, batch_size=batch_size
    )
    weights = gradients.mean(axis=(1, 2))
    return resized(np.einsum("nhwk,nk->nhw", maps, weights), images.shape[1:3])


def resized(maps: npt.NDArray[np.float32], size: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Maps (n, h, w) at another size, bilinear, the outer half pixels continued."""
    rows, columns = (_interpolation(old, new) for old, new in zip(maps.shape[1:], size, strict=True))
    return np.asarray(rows @ maps @ columns.T, np.float32)


def _interpolation(old: int, new: int) -> npt.NDArray[np.float32]:
    """The matrix (new, old) that interpolates `old` values at the middles of `new` pixels."""
    places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(places[:, np.newaxis] - np.arange(old))), np.float32)
