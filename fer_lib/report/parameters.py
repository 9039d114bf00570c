"""What the notebooks' parameters may be: types, ranges and choices by name, for texts, YAML values and cells alike."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fer_lib.emotions import EMOTIONS
from fer_lib.errors import InputError
from fer_lib.models import spec

Scalar = str | int | float | bool
Parameters = dict[str, Scalar]

_Range = tuple[str, Callable[[float], bool]]
"""What to say of it, and whether a number lies in it."""


def _from(low: float, high: float) -> _Range:
    return f"from {low:g} to {high:g}", lambda value: low <= value <= high


def _below(high: float) -> _Range:
    return f"a share of at least 0 and below {high:g}", lambda value: 0 <= value < high


def _at_least(low: int) -> _Range:
    return f"at least {low}", lambda value: value >= low


_SHARE: _Range = "a share of 1, such as 0.61", lambda value: 0 <= value <= 1

_REAL: dict[str, _Range] = {
    "WIDTH": _from(0, 4),
    "LEARNING_RATE": ("above 0", lambda value: value > 0),
    "WEIGHT_DECAY": _at_least(0),
    "SHIFT": _from(0, 12),
    "ROTATE": _from(0, 45),
    "ZOOM": _from(0, 0.5),
    "LIGHT": _from(0, 1),
    "KEEP": ("a share above 0 and at most 1", lambda value: 0 < value <= 1),
    **dict.fromkeys(("VALIDATION", "CONV_DROPOUT", "DENSE_DROPOUT", "LABEL_SMOOTHING"), _below(1)),
    "VOTES": _below(0.5),
    **dict.fromkeys(("ERASE", "PUBLIC_ACCURACY", "PRIVATE_ACCURACY"), _SHARE),
    **dict.fromkeys(("DNN_PUBLIC_ACCURACY", "DNN_PRIVATE_ACCURACY"), _SHARE),
}
"""Numbers with digits after the point, however they are written."""

_WHOLE: dict[str, _Range] = {
    **dict.fromkeys(
        ("SEEDS", "EPOCHS", "BATCH_SIZE", "STEPS", "FILTERS", "ACROSS", "DEPTHS", "PER_EMOTION"), _at_least(1)
    ),
    **dict.fromkeys(
        ("CONTROLS", "COMPARED", "SHUFFLED", "SAMPLES", "MASKS", "MISTAKES", "CONFUSIONS"), _at_least(1)
    ),
    **dict.fromkeys(("SHIFTED", "ODD", "DISPUTED"), _at_least(1)),
    **dict.fromkeys(("SEED", "SMALL_EPOCHS", "TRAIN_LIMIT"), _at_least(0)),
    "DEPTH": _from(0, 18),
    "FACE_LABEL": _from(0, len(EMOTIONS) - 1),
}
"""Whole numbers."""

_CHOICES = {
    "MODEL": spec.MODELS,
    "INITIALIZER": spec.INITIALIZERS,
    "OPTIMIZER": spec.OPTIMIZERS,
    "SCHEDULE": spec.SCHEDULES,
    "PRECISION": spec.PRECISIONS,
    "METHOD": spec.SALIENCY_METHODS,
}
"""What a text may be."""

TITLE_VARIABLES = ("STUDENT_ID", "DEPARTMENT", "STUDENT_NAME", "COLLABORATORS_Q1")
"""What make takes beside parameters: the title block."""

_TYPES: dict[str, type[Scalar]] = {
    **dict.fromkeys(_REAL, float),
    **dict.fromkeys(_WHOLE, int),
    **dict.fromkeys(("AUGMENT", "STANDARDISE", "USE_PRETRAINED"), bool),
    **dict.fromkeys(_CHOICES, str),
}
"""What is written in a cell does not change these: `WIDTH = 1` is a number still."""

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def as_type(key: str, value: Any, default: Scalar) -> Scalar:
    """A value from a YAML file (which reads 1e-3 as a text), a command or a cell, as the type of the parameter.

    Args:
        key: The parameter's name, by which its range is known.
        value: What was given.
        default: What it is as committed, which decides the type of what is not known by name.

    Raises:
        InputError: It is of another type, or none that the parameter can be.
    """
    kind = _TYPES.get(key, str if default is None else type(default))
    if kind not in _KINDS:
        raise InputError(f"{key} is {default!r}, which no text can be; write it in the notebook's own cell.")
    try:
        typed = _converted(value, kind)
    except (ValueError, KeyError, OverflowError):
        raise InputError(f"{key} must be {_KINDS[kind]}, but was {value!r}.") from None
    if key in _CHOICES:
        require_known(str(typed), _CHOICES[key], key)
    if key in _REAL or key in _WHOLE:
        says, contains = (_REAL | _WHOLE)[key]
        if not contains(float(typed)):
            raise InputError(f"{key} must be {says}, but was {typed}.")
    return typed


def _converted(value: Any, kind: type[Scalar]) -> Scalar:
    if kind is bool and isinstance(value, str):
        return {"true": True, "false": False}[value.lower()]
    if type(value) is not kind and not isinstance(value, str) and (kind, type(value)) != (float, int):
        raise ValueError
    typed = kind(value)
    if isinstance(typed, float) and not math.isfinite(typed):
        raise ValueError
    return typed


def require_known(name: str, known: Iterable[str], what: str, *, meant: Iterable[str] = ()) -> None:
    """Raise an InputError that names the near miss, unless a name is one of the known; `meant` may be the miss too."""
    names = sorted(known)
    if name not in names:
        near = difflib.get_close_matches(name, [*names, *meant], 1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."
        raise InputError(f"Unknown {what}: {name}; {hint}")


def require_comparable(parameters: Mapping[str, Parameters]) -> None:
    """Raise an InputError unless the models of questions 1 and 2 will be judged by the same faces, and by any."""
    both = [parameters.get(name, {}) for name in ("q1_cnn", "q2_dnn")]  # a report may leave one out
    for key in ("SEED", "VALIDATION"):
        cnn, dnn = (own.get(key) for own in both)
        if None not in (cnn, dnn) and cnn != dnn:
            raise InputError(
                f"Question 2 compares its model with that of question 1 on the same validation faces, but {key} is "
                f"{cnn} for q1_cnn and {dnn} for q2_dnn; give both the same."
            )
    if any(own.get("VALIDATION") == 0 for own in both):
        raise InputError(
            "A report needs VALIDATION above 0: its models are judged by the faces held out (0 is for `fer-lib "
            "train` and an answer file from all faces)."
        )
