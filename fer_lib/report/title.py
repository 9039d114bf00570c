"""Who hands the report in: `report/title.yaml` and what the command line puts over it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from fer_lib.errors import InputError, nearest

WHO = ("student_id", "department", "name")
"""The fields that every title has, in the order in which they are shown."""

_COLLABORATORS = "collaborators."


@dataclass(frozen=True)
class Title:
    """Who hands the report in.

    Attributes:
        student_id: 學號.
        department: 系級.
        name: 姓名.
        collaborators: By question (`q1`); empty or missing where there were none.
    """

    student_id: str
    department: str
    name: str
    collaborators: Mapping[str, str] = field(default_factory=dict)


def read_title(path: Path, overrides: Mapping[str, str] | None = None) -> Title:
    """Who hands the report in, from a YAML file; every value is text.

    Args:
        path: A file like `report/title.yaml`.
        overrides: `student_id`, `department`, `name` or `collaborators.q1`, over those of the file.

    Raises:
        InputError: The file cannot be read, has a field that nobody knows, or lacks one.
    """
    try:
        # BaseLoader leaves 012345 and "no" the texts that they are.
        loaded = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read: {' '.join(str(error).split())}.") from None
    if not isinstance(loaded, dict):
        raise InputError(f"{path} must hold lines such as `name: ...`.")
    if isinstance(questions := loaded.get("collaborators"), dict):
        del loaded["collaborators"]
        loaded |= {f"{_COLLABORATORS}{question}": who for question, who in questions.items()}
    values = {}
    for where, given in ((str(path), loaded), ("--title", overrides or {})):
        for key, value in given.items():
            if key not in WHO and not re.fullmatch(rf"{_COLLABORATORS}q\d+", key):
                known = nearest(key, [*WHO, f"{_COLLABORATORS}q1"])
                raise InputError(f"{where}: nothing is known of {key!r}{known}.")
            if not isinstance(value, str):
                raise InputError(f"{where}: {key} must be one text, but is {value!r}.")
            values[key] = value
    for key in WHO:
        if key not in values:
            raise InputError(f"{path} lacks {key!r}; add a line `{key}: ...`.")
    who = {key: values.pop(key) for key in WHO}
    return Title(**who, collaborators={k.removeprefix(_COLLABORATORS): text for k, text in values.items()})
