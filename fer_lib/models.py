"""The networks: the original report's CNN and DNN, and a small modern one.

Every model takes raw pixels, (n, 48, 48, 1) in 0..255: its first layer is a parameter-free `Rescaling` with the
training set's mean and deviation, so that nobody can normalise test data with the wrong numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import dropwhile, pairwise
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
from keras import layers

from fer_lib.emotions import EMOTIONS, FACE_SIZE
from fer_lib.errors import InputError

KERNEL = 3
"""Height and width of the filters of all convolutions."""

CNN_FILTERS = (64, 64, 128, 128, 256, 256, 512, 512)
CNN_UNITS = (4096, 4096)
DNN_UNITS = (256, 256, 512, 512, 1024, 2048, 2048, 4096, 4096)
COMPACT_FILTERS = (24, 48, 96, 192)
OWN_DEPTHS = {"cnn": len(CNN_FILTERS), "dnn": len(DNN_UNITS), "compact": len(COMPACT_FILTERS) - 1}
CNN_DEPTHS = range(4, 17)
"""How many convolutions the CNN may have: one to four in each of its four blocks."""
DNN_DEPTHS = range(1, 19)
"""How many hidden layers the DNN may have: up to twice the original's, of its nine sizes."""
COMPACT_DEPTHS = range(3, 13)
"""How many residual blocks the small network may have: one to four in each of its three stages."""
INITIALIZERS = ("glorot_uniform", "he_normal")

NORM_MOMENTUM = 0.95
"""Of batch norm's running means; Keras's 0.99 lags behind a one-cycle schedule."""

_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class ModelSpec:
    """What a model is, but for its weights.

    Attributes:
        name: A key of `MODELS`.
        width: Factor on the number of filters and units; 1 is the original.
        conv_dropout: Dropout after convolutions (CNN), stages (compact) and the narrow dense layers (DNN).
        dense_dropout: Dropout after the wide dense layers.
        standardise: Whether the first layer subtracts the training mean and divides by the deviation; if not,
            it divides by 255.
        initializer: Keras's name for the weights to start from; the original took Keras's default. The narrow CNN
            needs "he_normal" (He et al., "Delving Deep into Rectifiers", 2015) to start learning soon.
        depth: Number of convolutions (CNN), hidden layers (DNN) or residual blocks (compact); None is their own:
            8, 9 and 3.
    """

    name: str
    width: float = 1.0
    conv_dropout: float = 0.3
    dense_dropout: float = 0.5
    standardise: bool = True
    initializer: str = "glorot_uniform"
    depth: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.type == "float":  # one id for 1 and 1.0
                object.__setattr__(self, field.name, float(getattr(self, field.name)))
        if self.name not in MODELS:
            raise InputError(f"There is no model {self.name!r}; the models are {', '.join(MODELS)}.")
        if self.initializer not in INITIALIZERS:
            raise InputError(
                f"There is no initializer {self.initializer!r}; choose one of {', '.join(INITIALIZERS)}."
            )
        if not 0 < self.width <= 4:
            raise InputError(f"The width of a model must be above 0 and at most 4, but was {self.width}.")
        if not (0 <= self.conv_dropout < 1 and 0 <= self.dense_dropout < 1):
            raise InputError(
                f"Dropout must be at least 0 and below 1, but was {self.conv_dropout} and {self.dense_dropout}."
            )
        if self.depth is not None:
            self._require_depth(self.depth)

    @property
    def record(self) -> dict[str, Any]:
        """The settings as run.json keeps them and as ids are hashed, without a depth that is the model's own."""
        record = asdict(self)
        if self.depth in (None, OWN_DEPTHS.get(self.name)):
            del record["depth"]
        return record

    def _require_depth(self, depth: int) -> None:
        if self.name not in DEPTHS:
            raise InputError(f"The model {self.name} has one depth only; leave depth out (DEPTH 0).")
        allowed = DEPTHS[self.name]
        if depth not in allowed:
            raise InputError(
                f"The depth of the model {self.name} must be {allowed[0]} to {allowed[-1]}, but was {depth}."
            )


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


def compute_in(model: keras.Model, precision: str) -> None:
    """Set the dtype policy of all layers but the last, as `build` does; before the model's first answer."""
    for layer in model.layers[:-1]:
        layer.dtype_policy = precision


def cnn(x: keras.KerasTensor, spec: ModelSpec) -> keras.KerasTensor:
    """The original's VGG-like CNN: four pairs of 3x3 convolutions, two dense layers, 40,372,679 parameters.

    Of another depth, it has the same four blocks with other numbers of convolutions, as VGG11 to VGG19 have
    (Simonyan & Zisserman, "Very Deep Convolutional Networks", 2015).
    """
    depth, i = spec.depth or OWN_DEPTHS["cnn"], 0
    blocks = _scaled(CNN_FILTERS[::2], spec.width)
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
    for i, units in enumerate(_scaled(CNN_UNITS, spec.width), start=1):
        x = _hidden_dense(units, spec, name=f"dense_{i}")(x)
        x = layers.Dropout(spec.dense_dropout, name=f"dropout_{depth + 1 + i}")(x)
    return layers.Dense(len(EMOTIONS), activation="softmax", dtype="float32", name="dense_3")(x)


def dnn(x: keras.KerasTensor, spec: ModelSpec) -> keras.KerasTensor:
    """The original's dense network on the flat pixels: nine hidden layers, 33,073,671 parameters.

    Of another depth, its sizes are spread evenly over the original's, from the narrow to the wide.
    """
    x = layers.Flatten(name="flatten")(x)
    units_of = _dnn_units(spec.width, spec.depth)
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
    last batch norm's scale begins at 0 (Goyal et al., "Accurate, Large Minibatch SGD", 2017). Beyond the first of a
    stage, a block thus begins as the identity, so that training can go on from a shallower network (`Recipe.start`).
    """
    stem, *stages = _scaled(COMPACT_FILTERS, spec.width)
    counts = _shared(spec.depth or OWN_DEPTHS["compact"], len(stages))
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

DEPTHS = {"cnn": CNN_DEPTHS, "dnn": DNN_DEPTHS, "compact": COMPACT_DEPTHS}
"""What `ModelSpec.depth` may be, for models that heed it."""

GROWING = ("compact",)
"""Models whose further layers begin as the identity: what a shallower one has learned, a deeper one can go on with."""


def dnn_width(parameters: int, depth: int | None = None) -> float:
    """The width at which `dnn` of a depth comes nearest to a number of parameters.

    The number grows with the width in small steps (units are whole numbers), so bisection finds it.

    Raises:
        InputError: No width from 0 to 4 has about that many parameters (the nearest is more than 2% off).
    """
    low, high = 1e-3, 4.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        if _dnn_parameters(middle, depth) < parameters:
            low = middle
        else:
            high = middle
    width = min((low, high), key=lambda w: abs(_dnn_parameters(w, depth) - parameters))
    nearest = _dnn_parameters(width, depth)
    if abs(nearest - parameters) > 0.02 * parameters:
        raise InputError(
            f"No dense network of this form has about {parameters:,} parameters; the nearest has {nearest:,}; give "
            "q2_dnn.WIDTH, such as 0.01."
        )
    return width


def architecture(model: keras.Model) -> pd.DataFrame:
    """The summary table of a model as Keras prints it: columns layer, output_shape, parameters, totals last.

    It begins at the first layer that has weights; what stands before only prepares the pixels.
    """
    body = dropwhile(lambda layer: not layer.weights, model.layers)
    rows = [
        (f"{layer.name} ({type(layer).__name__})", str(layer.output.shape), layer.count_params())
        for layer in body
    ]
    total, trainable = model.count_params(), sum(math.prod(w.shape) for w in model.trainable_weights)
    rows += [
        ("Total params", "", total),
        ("Trainable params", "", trainable),
        ("Non-trainable params", "", total - trainable),
    ]
    return pd.DataFrame(rows, columns=["layer", "output_shape", "parameters"])


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


def _scaled(sizes: Sequence[int], width: float) -> list[int]:
    return [max(1, round(size * width)) for size in sizes]


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


def _dnn_units(width: float, depth: int | None) -> list[int]:
    """The sizes of the DNN's hidden layers; one layer alone has the widest."""
    last, depth = len(DNN_UNITS) - 1, depth or OWN_DEPTHS["dnn"]
    places = [last - i * last // max(depth - 1, 1) for i in reversed(range(depth))]
    return _scaled([DNN_UNITS[place] for place in places], width)


def _dnn_parameters(width: float, depth: int | None = None) -> int:
    sizes = [FACE_SIZE * FACE_SIZE, *_dnn_units(width, depth), len(EMOTIONS)]
    return sum((before + 1) * after for before, after in pairwise(sizes))
