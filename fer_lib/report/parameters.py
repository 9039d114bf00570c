"""What the notebooks' parameters may be, for texts, YAML values and cells alike, over those of `models.spec`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from fer_lib.emotions import EMOTIONS
from fer_lib.errors import InputError
from fer_lib.models.spec import SETTINGS, Real, Switch, Whole, checked

Scalar = str | int | float | bool
Parameters = dict[str, Scalar]

SALIENCY_METHODS = (
    "gradient", "smoothgrad", "gradient_input", "integrated_gradients", "grad_cam", "occlusion", "rise",
)  # fmt: skip
"""The keys of `explain.METHODS`."""

_COUNTS = (
    "STEPS", "FILTERS", "ACROSS", "DEPTHS", "PER_EMOTION", "COMPARED", "SHUFFLED", "SAMPLES", "MASKS", "MISTAKES",
    "CONFUSIONS", "ODD", "DISPUTED", "SEEDS", "CONTROLS", "SHIFTED",
)  # fmt: skip
_SCORES = ("PUBLIC_ACCURACY", "PRIVATE_ACCURACY", "DNN_PUBLIC_ACCURACY", "DNN_PRIVATE_ACCURACY")

TYPES: dict[str, Any] = {
    **SETTINGS,
    **dict.fromkeys(_COUNTS, Annotated[Whole, Field(ge=1)]),
    **dict.fromkeys(_SCORES, Annotated[Real, Field(ge=0, le=1)]),
    "SEED": Annotated[Whole, Field(ge=0)],
    "KEEP": Annotated[Real, Field(gt=0, le=1)],
    "FACE_LABEL": Annotated[Whole, Field(ge=0, le=len(EMOTIONS) - 1)],
    "USE_PRETRAINED": Switch,
    "METHOD": Literal[SALIENCY_METHODS],
}
"""Annotated types by name. What is written in a cell does not change these: `WIDTH = 1` is a number still."""

_KINDS = {int: Whole, float: Real, bool: Switch, str: str}

TITLE_VARIABLES = ("STUDENT_ID", "DEPARTMENT", "STUDENT_NAME", "COLLABORATORS_Q1")
"""What make takes beside parameters: the title block."""


def as_type(key: str, value: Any, default: Any) -> Scalar:
    """A value from a YAML file (which reads 1e-3 as a text), a command or a cell, as the type of the parameter.

    Args:
        key: The parameter's name, by which its range is known.
        value: What was given.
        default: What it is as committed, which decides the type of what is not known by name.

    Raises:
        InputError: It is of another type, or none that the parameter can be.
    """
    hint = TYPES.get(key) or _KINDS.get(str if default is None else type(default))
    if hint is None:
        raise InputError(f"{key} is {default!r}, which no text can be; write it in the notebook's own cell.")
    typed: Scalar = checked(key, value, hint)
    return typed


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
