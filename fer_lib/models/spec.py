"""What can be set of a model and of its training: names, types, ranges, choices and meanings. Needs no Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, get_args, get_type_hints

from pydantic import (
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    Strict,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from fer_lib.emotions import EMOTIONS, FACE_SIZE
from fer_lib.errors import InputError, require_known
from fer_lib.models.augmentation import UNCHANGED, Augmentation

CNN_FILTERS = (64, 64, 128, 128, 256, 256, 512, 512)
CNN_UNITS = (4096, 4096)
DNN_UNITS = (256, 256, 512, 512, 1024, 2048, 2048, 4096, 4096)
COMPACT_FILTERS = (24, 48, 96, 192)
DEFAULT_DEPTHS = {"cnn": len(CNN_FILTERS), "dnn": len(DNN_UNITS), "compact": len(COMPACT_FILTERS) - 1}
DEPTHS = {"cnn": range(4, 17), "dnn": range(1, 19), "compact": range(3, 13)}
"""What `ModelSpec.depth` may be: one to four convolutions in each of the CNN's four blocks, up to twice the original's
hidden layers, one to four residual blocks in each of the small network's three stages."""

SMALL = 32
"""Height and width of the faces in the epochs before `small_epochs` ends."""


def _reject_switch(error: Literal["int_type", "float_type"]) -> BeforeValidator:
    """Python takes True for 1; who writes it means something else."""

    def checked(value: Any) -> Any:
        if isinstance(value, bool):
            raise PydanticCustomError(error, "a switch is no number")
        return value

    return BeforeValidator(checked)


def _read_switch(value: Any) -> Any:
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


# Texts are read as numbers: those of a command line, and 1e-3, which YAML takes for a text.
Whole = Annotated[int, _reject_switch("int_type")]
Real = Annotated[float, _reject_switch("float_type"), Field(allow_inf_nan=False)]
Switch = Annotated[bool, Strict(), BeforeValidator(_read_switch)]

_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_KINDS = {
    "int": "a whole number", "float": "a number", "finite": "a number", "bool": "true or false", "string": "a text",
}  # fmt: skip


def limits(hint: Any) -> str:
    """The bounds of an annotated type in words, such as "at least 0 and below 1"; empty where it has none."""
    found = FieldInfo.from_annotation(hint).metadata
    bounds = ((key, getattr(bound, key)) for bound in found for key in _BOUNDS if hasattr(bound, key))
    return " and ".join(f"{_BOUNDS[key]} {bound:g}" for key, bound in bounds)


def input_error(error: ValidationError, name: str, hint: Any) -> InputError:
    """What pydantic found first, as a sentence that names the setting and what it may be."""
    first = error.errors()[0]
    kind, value = first["type"], first["input"]
    if kind == "literal_error":
        try:
            require_known(str(value), get_args(FieldInfo.from_annotation(hint).annotation), name)
        except InputError as unknown:
            return unknown
    if kind.startswith(("greater_than", "less_than")):
        return InputError(f"{name} must be {limits(hint)}, but was {value}.")
    return InputError(
        f"{name} must be {_KINDS.get(kind.partition('_')[0], first['msg'])}, but was {value!r}."
    )


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint)


def checked(name: str, value: Any, hint: Any) -> Any:
    """A value as an annotated type.

    Raises:
        InputError: It cannot be one.
    """
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        raise input_error(error, name, hint) from None


class _Settings:
    """Has a value that cannot be used said in a sentence of ours."""

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            place = error.errors()[0]["loc"][0]  # a number where the value had no name
            name = place if isinstance(place, str) else list(cls.__annotations__)[place]
            said = "model" if name == "name" else name
            raise input_error(error, said, get_type_hints(cls, include_extras=True).get(name, Any)) from None


_Share = Annotated[Real, Field(ge=0, lt=1)]


@dataclass(frozen=True, config={"extra": "forbid"})
class ModelSpec(_Settings):
    """What a model is, but for its weights."""

    name: Annotated[Literal["cnn", "dnn", "compact"], Field(description="the model")]
    width: Annotated[
        Real, Field(ge=0, le=4, description="factor on the number of filters and units; 1 is the original")
    ] = 1.0
    conv_dropout: Annotated[
        _Share,
        Field(
            description="dropout after convolutions (cnn), stages (compact) and the narrow dense layers (dnn)"
        ),
    ] = 0.3
    dense_dropout: Annotated[_Share, Field(description="dropout after the wide dense layers")] = 0.5
    standardise: Annotated[
        Switch,
        Field(description="whether the training mean and deviation are taken out first; if not, 255 divides"),
    ] = True
    # The narrow CNN needs "he_normal" (He et al., "Delving Deep into Rectifiers", 2015) to start learning soon.
    initializer: Annotated[
        Literal["glorot_uniform", "he_normal"],
        Field(description="Keras's name for the weights to start from"),
    ] = "glorot_uniform"
    depth: Annotated[
        Whole | None,
        Field(
            ge=0, le=18, description="convolutions (cnn), hidden layers (dnn) or residual blocks (compact)"
        ),
    ] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.width:
            raise InputError("The width of a model must be above 0 and at most 4, but was 0.")
        allowed = DEPTHS[self.name]
        if self.depth is not None and self.depth not in allowed:
            raise InputError(
                f"The depth of the model {self.name} must be {allowed[0]} to {allowed[-1]}, but was {self.depth}."
            )
        return self

    @property
    def record(self) -> dict[str, Any]:
        """The settings as run.json keeps them and as ids are hashed, without a depth that is the model's own."""
        record = asdict(self)
        if self.depth in (None, DEFAULT_DEPTHS[self.name]):
            del record["depth"]
        return record


@dataclass(frozen=True, config={"extra": "forbid"})
class Recipe(_Settings):
    """How a model is trained; the defaults are those of the original script."""

    epochs: Annotated[Whole, Field(ge=1, description="passes over the training faces")] = 200
    batch_size: Annotated[Whole, Field(ge=1, description="faces in a training step")] = 128
    optimizer: Annotated[
        Literal["Adamax", "Adam", "AdamW", "SGD"], Field(description="Keras's name for what takes the steps")
    ] = "Adamax"
    learning_rate: Annotated[
        Real, Field(gt=0, description="step size; 0.002 is what Keras's Adamax used in 2017")
    ] = 0.002
    weight_decay: Annotated[
        Real, Field(ge=0, description="share by which a step shrinks the weights, times the learning rate")
    ] = 0.0
    schedule: Annotated[
        Literal["constant", "cosine"],
        Field(description="of the learning rate; cosine: a short climb, then half a cosine down to 0"),
    ] = "constant"
    label_smoothing: Annotated[
        _Share, Field(description="share of each target that is spread evenly over the classes")
    ] = 0.0
    # Below 0.5, so that the label stays the largest part of its target.
    votes: Annotated[
        Real,
        Field(
            ge=0, lt=0.5, description="share of each target that goes to people's votes (FER+), where given"
        ),
    ] = 0.0
    augment: Annotated[
        Switch,
        Field(description="whether each epoch sees the faces changed at random: mirrored, and as follows"),
    ] = False
    shift: Annotated[Real, Field(ge=0, le=FACE_SIZE / 4, description="pixels of movement")] = 4.0
    rotate: Annotated[Real, Field(ge=0, le=45, description="degrees of rotation")] = 0.0
    zoom: Annotated[Real, Field(ge=0, le=0.5, description="logarithm of the enlargement or reduction")] = 0.0
    light: Annotated[
        Real, Field(ge=0, le=1, description="strength of changes to contrast and brightness")
    ] = 0.0
    erase: Annotated[Real, Field(ge=0, le=1, description="share of the faces that lose a rectangle")] = 0.0
    small_epochs: Annotated[
        Whole,
        Field(ge=0, description=f"first epochs on faces of {SMALL} pixels; for networks with global pooling"),
    ] = 0
    precision: Annotated[
        Literal["float32", "mixed_bfloat16"],
        Field(
            description="mixed_bfloat16 is twice as fast where the processor has such units, slow elsewhere"
        ),
    ] = "float32"
    validation: Annotated[
        _Share, Field(description="share of the training faces held out for validation; 0 learns from all")
    ] = 0.15
    train_limit: Annotated[
        Whole,
        Field(ge=0, description="at most this many of the remaining faces, drawn at random; 0 means all"),
    ] = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.small_epochs > self.epochs:
            raise InputError(
                f"small_epochs must be at most epochs ({self.epochs}), but was {self.small_epochs}."
            )
        return self

    @property
    def augmentation(self) -> Augmentation:
        """What happens to faces before they are learned from."""
        if not self.augment:
            return UNCHANGED
        names = [field.name for field in fields(Augmentation) if field.name != "mirror"]
        return Augmentation(mirror=True, **{name: getattr(self, name) for name in names})


def _hints(kind: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {"MODEL" if name == "name" else name.upper(): hint for name, hint in hints.items()}


SHAPE: dict[str, Any] = _hints(ModelSpec)
"""The settings that make a model: their annotated types by name."""

SETTINGS: dict[str, Any] = {**SHAPE, **_hints(Recipe)}
"""All settings: their annotated types by name, as profiles, notebooks and the command line write them."""

MODELS: tuple[str, ...] = get_args(get_args(SETTINGS["MODEL"])[0])
"""The models there are; `architectures.MODELS` builds them."""


def describe() -> str:
    """All settings with their meanings, ranges and choices, a line each."""
    lines = []
    for name, hint in SETTINGS.items():
        field = FieldInfo.from_annotation(hint)
        allowed = limits(hint) or ", ".join(map(str, get_args(field.annotation)))
        lines.append(f"  {name:<16} {field.description}" + (f" ({allowed})" if allowed else ""))
    return "\n".join(lines)


def default_settings() -> dict[str, Any]:
    """The settings of the original report's CNN, by name; a DEPTH of 0 is the model's own."""
    given = asdict(ModelSpec("cnn")) | asdict(Recipe())
    return {"MODEL": given.pop("name"), **{name.upper(): value for name, value in given.items()}, "DEPTH": 0}


def from_settings(values: Mapping[str, Any]) -> tuple[ModelSpec, Recipe]:
    """The model and the recipe that settings describe, by their names in capitals; a DEPTH of 0 is the model's own.

    Raises:
        InputError: A value cannot be used.
    """

    def of(kind: type[Any]) -> dict[str, Any]:
        return {f.name: values[f.name.upper()] for f in fields(kind) if f.name.upper() in values}

    shape = of(ModelSpec) | {"depth": values.get("DEPTH") or None}
    return ModelSpec(values.get("MODEL", "cnn"), **shape), Recipe(**of(Recipe))


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
