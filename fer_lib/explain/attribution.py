"""The saliency methods by name, and the heat maps that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.errors import InputError
from fer_lib.explain.grad_cam import grad_cam
from fer_lib.explain.gradient_based import gradient, gradient_input, integrated_gradients, smoothgrad
from fer_lib.explain.gradients import BATCH, scores
from fer_lib.explain.heat import Attributions, Heat, scale_to_unit
from fer_lib.explain.layers import Images
from fer_lib.explain.perturbation import occlusion, rise


class Method(NamedTuple):
    """A saliency method.

    Attributes:
        attribute: Function `(model, images, labels, *, seed, batch_size, ...)` to attributions (n, h, w).
        heat: What makes heat of them, (n, h, w) and never negative.
    """

    attribute: Callable[..., Attributions]
    heat: Callable[[Attributions], Heat]


def _supporting(attributions: Attributions) -> Heat:
    """What speaks for the class; what speaks against it is no heat."""
    return np.asarray(np.maximum(attributions, 0))


def _above_coldest(attributions: Attributions) -> Heat:
    return np.asarray(attributions - attributions.min(axis=(1, 2), keepdims=True))


METHODS: Mapping[str, Method] = {
    "gradient": Method(gradient, np.abs),
    "smoothgrad": Method(smoothgrad, np.abs),
    "gradient_input": Method(gradient_input, np.abs),
    "integrated_gradients": Method(integrated_gradients, np.abs),
    "grad_cam": Method(grad_cam, _supporting),
    "occlusion": Method(occlusion, _supporting),
    "rise": Method(rise, _above_coldest),
}
"""Saliency methods by name, the cheapest first but for SmoothGrad."""


def saliency_maps(
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64] | None = None,
    *,
    method: str = "gradient",
    normalize: bool = False,
    seed: int = 0,
    batch_size: int = BATCH,
    **options: Any,
) -> Heat:
    """Heat maps: how much each pixel has to do with the score of a class.

    Args:
        model: A functional or Sequential classifier with one image input; softmax or score outputs.
        images: Array of shape (n, h, w, c), in the units that the model takes.
        labels: Class that each image's map is about, int array of shape (n,); None for the predicted class.
        method: A key of `METHODS`.
        normalize: Whether to divide each map by its maximum, for pictures; a map of zeros stays zero.
        seed: Decides what a method draws at random.
        batch_size: Most images in memory at once.
        **options: Settings of the method: see its function.

    Returns:
        float32 array of shape (n, h, w), never negative: the size of the attributions of the gradient methods;
        of Grad-CAM and occlusion what speaks for the class; of RISE what stands above the coldest pixel.
        0..1 when normalized.

    Raises:
        InputError: There is no such method, or the model has no convolution for Grad-CAM.
        ValueError: Shapes do not fit the model or each other.
    """
    found = attributions(model, images, labels, method=method, seed=seed, batch_size=batch_size, **options)
    heat = METHODS[method].heat(found)
    return scale_to_unit(heat) if normalize else heat


def attributions(
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64] | None = None,
    *,
    method: str = "gradient",
    seed: int = 0,
    batch_size: int = BATCH,
    **options: Any,
) -> Attributions:
    """What the method itself says of each pixel, with its sign and in its own unit.

    Args and errors as in `saliency_maps`.

    Returns:
        float32 array of shape (n, h, w).
    """
    require_method(method)
    images = np.asarray(images, np.float32)
    if labels is None:
        labels = scores(model, images, batch_size=batch_size).argmax(axis=-1)
    return METHODS[method].attribute(model, images, labels, seed=seed, batch_size=batch_size, **options)


def maps_by_method(
    model: keras.Model,
    images: Images,
    labels: npt.NDArray[np.int64] | None = None,
    *,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
) -> dict[str, Heat]:
    """Heat maps of the same images by every method, as `saliency_maps` gives them.

    Args:
        model: As in `saliency_maps`.
        images: As in `saliency_maps`.
        labels: As in `saliency_maps`.
        settings: Options by method, such as `{"rise": {"masks": 200}}`.
        seed: Decides what a method draws at random.
    """
    options = settings or {}
    return {
        method: saliency_maps(model, images, labels, method=method, seed=seed, **options.get(method, {}))
        for method in METHODS
    }


def require_method(method: str) -> None:
    """Raise an InputError that names the methods, unless `method` is one."""
    if method not in METHODS:
        raise InputError(f"There is no saliency method {method!r}; the methods are {', '.join(METHODS)}.")
