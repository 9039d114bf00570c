"""Profiles, `notebooks/profiles/*.yaml`: named settings of models and recipes, and what a notebook changes of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import yaml

from fer_lib import data
from fer_lib.errors import InputError, require_known
from fer_lib.files import PROJECT
from fer_lib.models.spec import DEPTHS, SETTINGS, ModelSpec, Recipe, dnn_width, from_settings

FOLDER = PROJECT / "notebooks" / "profiles"

FER2013 = "849c863cd479946e"
"""The fingerprint of FER2013's 28,709 training faces, in whatever file they come."""


def profile_names() -> list[str]:
    """The profiles there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def default_profile(source: str) -> str:
    """The profile of a report that names none: of FER2013's faces the one whose network comes with the package.

    Raises:
        InputError: The data cannot be loaded.
    """
    return "quick" if data.is_drawn(source) or data.load(source).fingerprint() != FER2013 else "compact"


def read_profile(name: str) -> dict[str, dict[str, Any]]:
    """A profile's settings by notebook, such as `{"q1_cnn": {"EPOCHS": 12}}`.

    Raises:
        InputError: There is no such profile, or its file is not one.
    """
    require_known(name, profile_names(), "profile")
    path = FOLDER / f"{name}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict) or not all(isinstance(values, dict) for values in content.values()):
        raise InputError(f"{path} must hold settings by notebook, such as `q1_cnn: {{EPOCHS: 3}}`.")
    return content


def settings(
    profile: str, notebook: str, further: Mapping[str, Any] | None = None, *, match: int = 0, **given: Any
) -> tuple[ModelSpec, Recipe]:
    """The model and the recipe that a notebook trains.

    Args:
        profile: The name of a profile.
        notebook: Whose settings in it, such as `q1_cnn`.
        further: Settings over the profile's, by their names in capitals: MODEL and the fields of `ModelSpec` and
            `Recipe`.
        match: For a DNN whose WIDTH is 0: how many parameters it shall have.
        **given: Settings over those; None leaves one to them.

    Raises:
        InputError: A name or a value cannot be used.
    """
    given = {**(further or {}), **{name: value for name, value in given.items() if value is not None}}
    for name in given:
        require_known(name, SETTINGS, "setting")
    values = {**read_profile(profile).get(notebook, {}), **given}
    if match and not values.get("WIDTH", 1):
        values["WIDTH"] = dnn_width(match, values.get("DEPTH") or None)
    return from_settings(values)


def rivals(depths: str, spec: ModelSpec, *, match: int) -> list[ModelSpec]:
    """DNNs like another one, but of other depths, each with about a given number of parameters, where there is one.

    Args:
        depths: Numbers of hidden layers with blanks between, such as "1 2 3"; "" for none.
        spec: The other DNN.
        match: How many parameters each shall have.

    Raises:
        InputError: A depth is none that the DNN can have.
    """
    for depth in depths.split():
        if not (depth.isdecimal() and int(depth) in DEPTHS["dnn"]):
            raise InputError(
                f"RIVALS must be numbers of hidden layers from {DEPTHS['dnn'][0]} to {DEPTHS['dnn'][-1]} with blanks "
                f'between, such as "1 2 3", but was {depths!r}.'
            )
    found = list[ModelSpec]()
    for layers in sorted(set(map(int, depths.split()))):
        with suppress(InputError):  # of a very small network there may be none of this depth
            found.append(replace(spec, depth=layers, width=dnn_width(match, layers)))
    return [one for one in found if one.record != spec.record]
