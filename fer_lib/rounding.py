"""Rounding of a network's large kernels, each to as few bits as let its answers be.

The weights of one input after the other are rounded, and what that changes of a layer's outputs is made up for by the
weights of inputs still to come, as far as these go together with it (Frantar et al., "GPTQ: Accurate Post-Training
Quantization for Generative Pre-trained Transformers", 2022). How fine a kernel's steps must be is measured: rounding it
alone tells how much the answers depend on it.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fer_lib.errors import InputError
from fer_lib.networks import untied

LARGE = 10_000
"""Weights from which on a kernel is rounded. Small ones stay whole: answers depend on them most, and they take little
room."""

CHANGE = 1e-3
"""Root mean square change of a probability by all rounding together."""

FACES = 1024
"""How many training faces suffice to measure that by."""

_TRIAL_STEPS = 4.0
"""Per root mean square of a filter's weights, where a kernel is rounded alone."""

_DAMPING = 0.01
"""Of the mean of the diagonal, as in GPTQ: so much the second moment of inputs is taken to differ on other faces."""

Rounded = tuple[npt.NDArray[np.signedinteger], npt.NDArray[np.float32]]
"""A kernel in whole steps, and how large the steps of each of its filters (the last axis) are."""


def rounded_kernels(
    model: keras.Model, faces: npt.NDArray[np.uint8], *, change: float = CHANGE
) -> dict[str, Rounded]:
    """The large kernels of dense and convolutional layers, by the path of the weight.

    The mean square change is shared out by numbers of weights, which needs about the least room. No step is wider than
    the root mean square of a filter's weights.

    Args:
        model: From raw pixels to probabilities.
        faces: Raw pixels (n, 48, 48, 1), uint8, such as it learned from.
        change: Root mean square change of a probability to allow.

    Raises:
        InputError: The answers are NaN.
    """
    copy = untied(model)
    answers = copy.predict(faces, verbose=0)
    if not np.isfinite(answers).all():
        raise InputError(f"{model.name} answers NaN: its training diverged.")
    layers = [layer for layer in copy.layers if _is_large(layer)]
    total = sum(math.prod(layer.kernel.shape) for layer in layers)
    found = {}
    for layer in tqdm(layers, "rounding", unit="layer", leave=False, file=sys.stderr, disable=None):
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        moment = second_moment(copy, layer, faces)
        whole, step = round_kernel(kernel, moment, steps=_TRIAL_STEPS)
        layer.kernel.assign(whole * step)
        changed = np.square(copy.predict(faces, verbose=0) - answers).mean()
        layer.kernel.assign(kernel)
        allowed = change**2 * kernel.size / total
        fine = max(1.0, _TRIAL_STEPS * math.sqrt(changed / allowed))
        found[layer.kernel.path] = round_kernel(kernel, moment, steps=fine)
    return found


def round_kernel(
    kernel: npt.NDArray[np.float32], moment: npt.NDArray[np.float64], *, steps: float
) -> Rounded:
    """A kernel in whole steps, such that the mean square change of its outputs is small.

    Args:
        kernel: (..., filters).
        moment: Second moment of its inputs (k, k), where k inputs make an output of a filter.
        steps: How many steps make up the root mean square of a filter's weights.
    """
    weights = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)
    step = np.sqrt(np.square(weights).mean(axis=0)) / steps
    rest = weights / np.where(step, step, 1)
    count = len(rest)
    damped = moment + (_DAMPING * np.trace(moment) / count or 1.0) * np.eye(count)
    # Row i says how the inputs after i best make up for an error of i, once those before it are settled.
    follow = np.linalg.cholesky(np.linalg.inv(damped)).T
    whole = np.empty_like(rest)
    for i in range(count):
        whole[i] = np.rint(rest[i])
        rest[i:] -= np.outer(follow[i, i:] / follow[i, i], rest[i] - whole[i])
    smallest = np.min_scalar_type(-int(np.abs(whole).max()) - 1)
    return whole.reshape(kernel.shape).astype(smallest), step.astype(np.float32)


def second_moment(
    model: keras.Model, layer: keras.layers.Layer, faces: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """The mean product (k, k) of any two of the k inputs that make an output of a layer, over faces and places."""
    inputs_of = keras.Model(model.inputs[0], layer.input)
    size = math.prod(layer.kernel.shape[:-1])
    moment, count = np.zeros((size, size)), 0
    for start in range(0, len(faces), 128):
        inputs = _rows(layer, inputs_of(faces[start : start + 128], training=False))
        moment += keras.ops.convert_to_numpy(keras.ops.transpose(inputs) @ inputs)
        count += len(inputs)
    return moment / count


def _is_large(layer: keras.layers.Layer) -> bool:
    dense = isinstance(layer, keras.layers.Dense)
    convolution = isinstance(layer, keras.layers.Conv2D) and layer.groups == 1
    return (dense or convolution) and math.prod(layer.kernel.shape) >= LARGE


def _rows(layer: keras.layers.Layer, inputs: Any) -> Any:
    """What a layer multiplies by its kernel, one row per output of a filter."""
    if isinstance(layer, keras.layers.Conv2D):
        inputs = keras.ops.image.extract_patches(
            inputs,
            layer.kernel_size,
            strides=layer.strides,
            dilation_rate=layer.dilation_rate,
            padding=layer.padding,
        )
    return keras.ops.cast(keras.ops.reshape(inputs, (-1, inputs.shape[-1])), "float32")
