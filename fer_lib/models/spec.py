"""What can be set of a model and of its training: names, ranges, choices. Needs no Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

from fer_lib.emotions import EMOTIONS, FACE_SIZE
from fer_lib.errors import InputError
from fer_lib.models.augmentation import UNCHANGED, Augmentation

MODELS = ("cnn", "dnn", "compact")
"""The models there are; `architectures.MODELS` builds them."""

CNN_FILTERS = (64, 64, 128, 128, 256, 256, 512, 512)
CNN_UNITS = (4096, 4096)
DNN_UNITS = (256, 256, 512, 512, 1024, 2048, 2048, 4096, 4096)
COMPACT_FILTERS = (24, 48, 96, 192)
DEFAULT_DEPTHS = {"cnn": len(CNN_FILTERS), "dnn": len(DNN_UNITS), "compact": len(COMPACT_FILTERS) - 1}
CNN_DEPTHS = range(4, 17)
"""How many convolutions the CNN may have: one to four in each of its four blocks."""
DNN_DEPTHS = range(1, 19)
"""How many hidden layers the DNN may have: up to twice the original's, of its nine sizes."""
COMPACT_DEPTHS = range(3, 13)
"""How many residual blocks the small network may have: one to four in each of its three stages."""
INITIALIZERS = ("glorot_uniform", "he_normal")
DEPTHS = {"cnn": CNN_DEPTHS, "dnn": DNN_DEPTHS, "compact": COMPACT_DEPTHS}
"""What `ModelSpec.depth` may be, for models whose depth can be set."""

OPTIMIZERS = ("Adamax", "Adam", "AdamW", "SGD")
SCHEDULES = ("constant", "cosine")
SALIENCY_METHODS = (
    "gradient", "smoothgrad", "gradient_input", "integrated_gradients", "grad_cam", "occlusion", "rise",
)  # fmt: skip
"""The keys of `explain.METHODS`."""

PRECISIONS = ("float32", "mixed_bfloat16")
SMALL = 32
"""Height and width of the faces in the epochs before `small_epochs` ends."""


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
        _settle_types(self)
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
        if self.depth in (None, DEFAULT_DEPTHS.get(self.name)):
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


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; the defaults are those of the original script.

    Attributes:
        epochs: Passes over the training faces.
        batch_size: Faces a step.
        optimizer: A key of `OPTIMIZERS`.
        learning_rate: Its step size (0.002 is what Keras's Adamax used in 2017).
        weight_decay: Share by which a step shrinks the weights, times the learning rate (AdamW's decoupled decay).
        schedule: "constant", or "cosine": a short climb, then half a cosine down to 0.
        label_smoothing: Share of each target that is spread evenly over the classes.
        votes: Share of each target that goes to the emotions people voted for (FER+), where votes are given.
        augment: Whether each epoch sees the faces changed at random: mirrored, moved by `shift`, and so on, as
            `augmentation.Augmentation` says of the next five.
        shift: Pixels.
        rotate: Degrees.
        zoom: Logarithm of the factor.
        light: Strength.
        erase: Share of the faces.
        small_epochs: Epochs, the first ones, that see the faces reduced to `SMALL` pixels: cheaper by half, and for
            networks with global pooling alone.
        precision: "float32", or "mixed_bfloat16": twice as fast where the processor has bfloat16 units, slow elsewhere.
        validation: Share of the training faces held out for validation; 0 learns from all of them.
        train_limit: Use at most this many of the remaining faces, drawn at random; 0 means all.
    """

    epochs: int = 200
    batch_size: int = 128
    optimizer: str = "Adamax"
    learning_rate: float = 0.002
    weight_decay: float = 0.0
    schedule: str = "constant"
    label_smoothing: float = 0.0
    votes: float = 0.0
    augment: bool = False
    shift: float = 4.0
    rotate: float = 0.0
    zoom: float = 0.0
    light: float = 0.0
    erase: float = 0.0
    small_epochs: int = 0
    precision: str = "float32"
    validation: float = 0.15
    train_limit: int = 0

    def __post_init__(self) -> None:
        _settle_types(self)
        choices = {"optimizer": tuple(OPTIMIZERS), "schedule": SCHEDULES, "precision": PRECISIONS}
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(f"There is no {name} {value!r}; choose one of {', '.join(allowed)}.")
        lowest = {"epochs": 1, "batch_size": 1, "train_limit": 0, "weight_decay": 0, "small_epochs": 0}
        for name, low in lowest.items():
            if not getattr(self, name) >= low:
                raise InputError(f"{name} must be at least {low}, but was {getattr(self, name)}.")
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate must be above 0, but was {self.learning_rate}.")
        for name in ("validation", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(
                    f"{name} must be a share of at least 0 and below 1, but was {getattr(self, name)}."
                )
        if not 0 <= self.votes < 0.5:  # the label stays the largest part of its target
            raise InputError(f"votes must be a share of at least 0 and below 0.5, but was {self.votes}.")
        if self.small_epochs > self.epochs:
            raise InputError(
                f"small_epochs must be at most epochs ({self.epochs}), but was {self.small_epochs}."
            )
        _ = self.augmentation

    @property
    def augmentation(self) -> Augmentation:
        """What happens to faces before they are learned from."""
        if not self.augment:
            return UNCHANGED
        names = [field.name for field in fields(Augmentation) if field.name != "mirror"]
        return Augmentation(mirror=True, **{name: getattr(self, name) for name in names})


_TYPES: dict[str, tuple[type, str]] = {
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "bool": (bool, "True or False"),
    "str": (str, "a text"),
}


def _settle_types(settings: ModelSpec | Recipe) -> None:
    """Make numbers with a point floats (one id for 1 and 1.0; YAML reads 1e-3 as a text), refuse other types."""
    for field in fields(settings):
        value, kind = getattr(settings, field.name), str(field.type).removesuffix(" | None")
        if value is None and kind != field.type:
            continue
        if kind == "float" and not isinstance(value, bool):
            with suppress(TypeError, ValueError):
                value = float(value)
                object.__setattr__(settings, field.name, value)
        of, says = _TYPES[kind]
        if not isinstance(value, of) or isinstance(value, bool) != (kind == "bool"):
            raise InputError(f"{field.name} must be {says}, but was {value!r}.")


SHAPE = ("MODEL", *(f.name.upper() for f in fields(ModelSpec) if f.name != "name"))
"""The names of the settings that make a model."""

SETTINGS = (*SHAPE, *(f.name.upper() for f in fields(Recipe)))
"""The names of all settings, as profiles, notebooks and the command line write them."""


def default_settings() -> dict[str, Any]:
    """The settings of the original report's CNN, by name; a DEPTH of 0 is the model's own."""
    found = {
        f.name.upper(): f.default for kind in (ModelSpec, Recipe) for f in fields(kind) if f.name != "name"
    }
    return {"MODEL": MODELS[0], **found, "DEPTH": 0}


def from_settings(values: Mapping[str, Any]) -> tuple[ModelSpec, Recipe]:
    """The model and the recipe that settings describe, by their names in capitals; a DEPTH of 0 is the model's own.

    Raises:
        InputError: A value cannot be used.
    """

    def of(kind: type[Any]) -> dict[str, Any]:
        return {f.name: values[f.name.upper()] for f in fields(kind) if f.name.upper() in values}

    shape = of(ModelSpec) | {"depth": values.get("DEPTH") or None}
    return ModelSpec(values.get("MODEL", MODELS[0]), **shape), Recipe(**of(Recipe))


def dnn_width(parameters: int, depth: int | None = None) -> float:
    """The width at which `dnn` of a depth comes nearest to a number of parameters.

    The number grows with the width in small steps (units are whole numbers), so bisection finds it.

    Raises:
        InputError: No width from 0 to 4 has about that many parameters (the nearest is more than 2% off).
    """
    low, high = 1e-3, 4.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        if dnn_parameters(middle, depth) < parameters:
            low = middle
        else:
            high = middle
    width = min((low, high), key=lambda w: abs(dnn_parameters(w, depth) - parameters))
    nearest = dnn_parameters(width, depth)
    if abs(nearest - parameters) > 0.02 * parameters:
        raise InputError(
            f"No dense network of this form has about {parameters:,} parameters; the nearest has {nearest:,}; give "
            "q2_dnn.WIDTH, such as 0.01."
        )
    return width


def dnn_units(width: float, depth: int | None) -> list[int]:
    """The sizes of the DNN's hidden layers; one layer alone has the widest."""
    last, depth = len(DNN_UNITS) - 1, depth or DEFAULT_DEPTHS["dnn"]
    places = [last - i * last // max(depth - 1, 1) for i in reversed(range(depth))]
    return scaled([DNN_UNITS[place] for place in places], width)


def dnn_parameters(width: float, depth: int | None = None) -> int:
    """The number of parameters of `architectures.dnn`."""
    sizes = [FACE_SIZE * FACE_SIZE, *dnn_units(width, depth), len(EMOTIONS)]
    return sum((before + 1) * after for before, after in pairwise(sizes))


def scaled(sizes: Sequence[int], width: float) -> list[int]:
    """Numbers of filters or units at a width."""
    return [max(1, round(size * width)) for size in sizes]
