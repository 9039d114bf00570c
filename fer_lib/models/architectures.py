"""The networks: the original report's CNN and DNN, and a small modern one.

Every model takes raw pixels, (n, 48, 48, 1) in 0..255: its first layer is a parameter-free `Rescaling` with the
training set's mean and deviation, so that nobody can normalise test data with the wrong numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import dropwhile

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
from keras import layers

from fer_lib.emotions import EMOTIONS, FACE_SIZE
from fer_lib.models.spec import (
    CNN_FILTERS,
    CNN_UNITS,
    COMPACT_FILTERS,
    DEFAULT_DEPTHS,
    ModelSpec,
    dnn_units,
    scaled,
)
from fer_lib.startup import set_up_keras

set_up_keras()

KERNEL = 3
"""Height and width of the filters of all convolutions."""

NORM_MOMENTUM = 0.95
"""Of batch norm's running means; Keras's 0.99 lags behind a one-cycle schedule."""

_AT_ONCE = 1 << 20


def build(
    spec: ModelSpec, pixels: npt.NDArray[np.uint8], *, seed: int = 0, precision: str = "float32"
) -> keras.Model:
    """Build an untrained model.

    Args:
        spec: What to build.
        pixels: Training pixels, uint8 (n, 48, 48), whose mean and deviation the first layer takes over.
        seed: Decides the initial weights and every dropout mask. Keras's global seed is set to it.
        precision: Keras's dtype policy for the layers' arithmetic; weights are float32 in any.

    Returns:
        A functional model from float (n, 48, 48, 1) in 0..255 to probabilities (n, 7).
    """
    keras.utils.set_random_seed(seed)
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        image = keras.Input((FACE_SIZE, FACE_SIZE, 1), name="face")
        x = _preparation(spec, pixels)(image)
        x = MODELS[spec.name](x, spec)
        return keras.Model(image, x, name=spec.name)
    finally:
        keras.config.set_dtype_policy(usual)


def cnn(x: keras.KerasTensor, spec: ModelSpec) -> keras.KerasTensor:
    """The original's VGG-like CNN: four pairs of 3x3 convolutions, two dense layers, 40,372,679 parameters.

    Of another depth, it has the same four blocks with other numbers of convolutions, as VGG11 to VGG19 have
    (Simonyan & Zisserman, "Very Deep Convolutional Networks", 2015).
    """
    depth, i = spec.depth or DEFAULT_DEPTHS["cnn"], 0
    blocks = scaled(CNN_FILTERS[::2], spec.width)
    for block, (filters, convolutions) in enumerate(zip(blocks, _shared(depth, len(blocks)), strict=True), 1):
        for _ in range(convolutions):
            i += 1
            x = layers.Conv2D(
                filters, KERNEL, padding="same", activation="relu",
                kernel_initializer=spec.initializer, name=f"conv2d_{i}",
            )(x)  # fmt: skip
            x = layers.Dropout(spec.conv_dropout, name=f"dropout_{i}")(x)
        x = layers.MaxPooling2D(name=f"max_pooling2d_{block}")(x)
    x = layers.Flatten(name="flatten_1")(x)
    x = layers.Dropout(spec.dense_dropout, name=f"dropout_{depth + 1}")(x)
    for i, units in enumerate(scaled(CNN_UNITS, spec.width), start=1):
        x = _hidden_dense(units, spec, name=f"dense_{i}")(x)
        x = layers.Dropout(spec.dense_dropout, name=f"dropout_{depth + 1 + i}")(x)
    return layers.Dense(len(EMOTIONS), activation="softmax", dtype="float32", name="dense_3")(x)


def dnn(x: keras.KerasTensor, spec: ModelSpec) -> keras.KerasTensor:
    """The original's dense network on the flat pixels: nine hidden layers, 33,073,671 parameters.

    Of another depth, its sizes are spread evenly over the original's, from the narrow to the wide.
    """
    x = layers.Flatten(name="flatten")(x)
    units_of = dnn_units(spec.width, spec.depth)
    for i, units in enumerate(units_of, start=1):
        x = _hidden_dense(units, spec, name=f"dense_{i}")(x)
        rate = spec.conv_dropout if i <= len(units_of) - 2 else spec.dense_dropout
        x = layers.Dropout(rate, name=f"dropout_{i}")(x)
    return layers.Dense(
        len(EMOTIONS), activation="softmax", dtype="float32", name=f"dense_{len(units_of) + 1}"
    )(x)


def compact(x: keras.KerasTensor, spec: ModelSpec) -> keras.KerasTensor:
    """A small residual network that a laptop trains: pooling before the width, no wide dense layers.

    After He et al., "Deep Residual Learning for Image Recognition" (2016). Each block starts as its shortcut: the
    last batch norm's scale begins at 0 (Goyal et al., "Accurate, Large Minibatch SGD", 2017).
    """
    stem, *stages = scaled(COMPACT_FILTERS, spec.width)
    counts = _shared(spec.depth or DEFAULT_DEPTHS["compact"], len(stages))
    x = _conv(stem, spec, name="conv2d_stem")(x)
    for i, (filters, count) in enumerate(zip(stages, counts, strict=True), start=1):
        x = layers.MaxPooling2D(name=f"pool{i}")(x)
        if i == 1:
            # After the pooling, a quarter of the positions is left to normalise.
            x = layers.ReLU(name="relu_stem")(_norm(name="norm_stem")(x))
        shortcut = _conv(filters, spec, kernel=1, name=f"block{i}_shortcut")(x)
        x = _residual_block(x, shortcut, filters, spec, name=f"block{i}")
        for j in range(2, count + 1):
            x = _residual_block(x, x, filters, spec, name=f"block{i}_{j}")
        if spec.conv_dropout:
            x = layers.Dropout(spec.conv_dropout, name=f"dropout{i}")(x)
    x = layers.GlobalAveragePooling2D(name="pool_top")(x)
    x = layers.Dropout(spec.dense_dropout, name="dropout_top")(x)
    return layers.Dense(len(EMOTIONS), activation="softmax", dtype="float32", name="dense_top")(x)


MODELS: dict[str, Callable[[keras.KerasTensor, ModelSpec], keras.KerasTensor]] = {
    "cnn": cnn,
    "dnn": dnn,
    "compact": compact,
}
"""What stands between the prepared image and the probabilities, by name. A new model is a new entry."""


def architecture(model: keras.Model) -> pd.DataFrame:
    """The summary table of a model as Keras prints it: columns layer, output_shape, parameters, totals last.

    It begins at the first layer that has weights; what stands before only prepares the pixels. A dropout with a rate of
    0 does nothing and is left out.
    """
    body = dropwhile(lambda layer: not layer.weights, model.layers)
    rows = [
        (f"{layer.name} ({type(layer).__name__})", str(layer.output.shape), layer.count_params())
        for layer in body
        if getattr(layer, "rate", None) != 0
    ]
    total, trainable = model.count_params(), sum(math.prod(w.shape) for w in model.trainable_weights)
    rows += [
        ("Total params", "", total),
        ("Trainable params", "", trainable),
        ("Non-trainable params", "", total - trainable),
    ]
    return pd.DataFrame(rows, columns=["layer", "output_shape", "parameters"])


def stages(model: keras.Model) -> pd.DataFrame:
    """What a diagram of a model shows: its input, then the layers with weights, like ones of one shape together.

    Returns:
        Columns kind ("input", "conv", "residual", "dense", "output"), count (convolutions, residual blocks or dense
        layers together), kernel (side of the filters; 0 if none), height, width and channels of the output (dense
        layers have units as channels, and 1 by 1 positions), step (what stands before: "", "pool", "average" or
        "flatten").
    """
    rows: list[dict[str, object]] = [_stage("input", model.inputs[0].shape)]
    block: list[dict[str, object]] = []  # convolutions since the last pooling or sum
    step = ""
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            block.append(_stage("conv", layer.output.shape, layer.kernel_size[0], step))
            step = ""
        elif isinstance(layer, layers.Add):
            largest = max(block, key=lambda conv: str(conv["kernel"]))
            block = [{**largest, "kind": "residual", "step": block[0]["step"]}]
        elif isinstance(layer, layers.Dense):
            rows += block
            rows.append(_stage("dense", layer.output.shape, 0, step))
            block, step = [], ""
        elif name := _STEPS.get(type(layer)):
            rows, block, step = [*rows, *block], [], name
        if isinstance(layer, layers.Add):
            rows, block = [*rows, *block], []
    rows[-1]["kind"] = "output"
    frame = pd.DataFrame(rows)
    same = ["kind", "kernel", "height", "width", "channels"]
    new = (frame[same] != frame[same].shift()).any(axis=1) | (frame["step"] != "")
    return frame.assign(count=frame.groupby(new.cumsum())["kind"].transform("size"))[new].reset_index(
        drop=True
    )


_STEPS = {
    layers.MaxPooling2D: "pool",
    layers.GlobalAveragePooling2D: "average",
    layers.Flatten: "flatten",
}


def _stage(kind: str, shape: tuple[int, ...], kernel: int = 0, step: str = "") -> dict[str, object]:
    height, width = shape[1:3] if len(shape) == 4 else (1, 1)
    return {
        "kind": kind, "kernel": kernel, "height": height, "width": width, "channels": shape[-1], "step": step,
    }  # fmt: skip


def multiply_adds(model: keras.Model) -> int:
    """Multiply-add operations of convolutions and dense layers for one image, forward."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, (layers.Conv2D, layers.Dense)):
            positions = math.prod(layer.output.shape[1:-1])
            total += positions * math.prod(layer.kernel.shape)
    return total


def _preparation(spec: ModelSpec, pixels: npt.NDArray[np.uint8]) -> keras.layers.Layer:
    if not spec.standardise:
        return layers.Rescaling(1 / 255, name="rescaling")
    mean = float(pixels.mean(dtype=np.float64))
    deviation = math.sqrt(_squares(pixels.ravel(), mean) / pixels.size)
    scale = 1 / max(deviation, 1.0)
    return layers.Rescaling(scale, offset=-mean * scale, name="standardisation")


def _squares(values: npt.NDArray[np.uint8], mean: float) -> float:
    """The sum of squared deviations, added up by halves as NumPy does: its `std` to the bit, in little memory."""
    if len(values) <= _AT_ONCE:
        return float(np.square(values - mean).sum())
    half = len(values) // 2
    half -= half % 8
    return _squares(values[:half], mean) + _squares(values[half:], mean)


def _hidden_dense(units: int, spec: ModelSpec, *, name: str) -> keras.layers.Layer:
    return layers.Dense(units, activation="relu", kernel_initializer=spec.initializer, name=name)


def _conv(filters: int, spec: ModelSpec, *, name: str, kernel: int = KERNEL) -> keras.layers.Layer:
    return layers.Conv2D(filters, kernel, padding="same", kernel_initializer=spec.initializer, name=name)


def _norm(*, name: str, start: str = "ones") -> keras.layers.Layer:
    return layers.BatchNormalization(momentum=NORM_MOMENTUM, gamma_initializer=start, name=name)


def _residual_block(
    x: keras.KerasTensor, shortcut: keras.KerasTensor, filters: int, spec: ModelSpec, *, name: str
) -> keras.KerasTensor:
    y = _conv(filters, spec, name=f"{name}_conv1")(x)
    y = layers.ReLU(name=f"{name}_relu1")(_norm(name=f"{name}_norm1")(y))
    y = _conv(filters, spec, name=f"{name}_conv2")(y)
    y = _norm(name=f"{name}_norm2", start="zeros")(y)
    y = layers.Add(name=f"{name}_add")([shortcut, y])
    return layers.ReLU(name=f"{name}_relu2")(y)


def _shared(depth: int, blocks: int) -> list[int]:
    """How many layers each of so many blocks has; what cannot be shared out goes to the later ones."""
    return [depth // blocks + (block >= blocks - depth % blocks) for block in range(blocks)]
