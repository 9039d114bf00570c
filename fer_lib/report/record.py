"""The record that a page carries as JSON: whose it is, how it was made, each number in it, and its author's words."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer_lib.errors import InputError
from fer_lib.report.authorship import Own
from fer_lib.report.parameters import Parameters

PLACES = ("DATA", "RUN_ROOT", "EXECUTED", "COMMANDS", "COLLABORATORS")
"""Parameters that do not decide a number: places on the author's machine, and names."""

_START = '<script type="application/json" id="record">'
_BLOCK = re.compile(re.escape(_START) + r"(.*?)</script>", re.DOTALL)


@dataclass(frozen=True)
class Record:
    """What a page says of itself.

    Attributes:
        who: Student id, department and name.
        language: Of the numbers below, the first of the page.
        numbers: All that the page says, see `numbers_of`.
        own: What is not the package's, by chapter.
        profile: The settings that were begun with.
        fingerprint: Of the faces.
        parameters: Of each notebook, without `PLACES`.
        edited: Whether the page is no longer as it was made.
    """

    who: Mapping[str, str]
    language: str
    numbers: Mapping[str, Sequence[Any]]
    own: Mapping[str, Own]
    profile: str = ""
    fingerprint: str = ""
    parameters: Mapping[str, Parameters] | None = None
    edited: bool = False

    def fact(self, name: str) -> str:
        """A fact that any of the notebooks states, such as `versions.keras`; nothing where none does."""
        found = (values[0] for key, values in self.numbers.items() if key.partition(".")[2] == name)
        return str(next(found, ""))


def decisive(parameters: Mapping[str, Parameters]) -> dict[str, Parameters]:
    """The parameters of notebooks that decide their numbers."""
    return {
        name: {key: value for key, value in own.items() if key not in PLACES}
        for name, own in parameters.items()
    }


def embed(page: str, record: Record) -> str:
    """The page with its record, which holds a hash of the page without it."""
    content = {**asdict(record), "edited": hashlib.sha256(page.encode()).hexdigest()}
    text = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")  # no text of it closes the element
    head, end, tail = page.rpartition("</body>")
    return f"{head}{_START}{text}</script>{end}{tail}"


def read_page(path: Path) -> Record:
    """The record of a page, which may come from anybody.

    Raises:
        InputError: It is no page of a report, or its record is damaged.
    """
    try:
        page = path.read_bytes().decode("utf-8")
        content = json.loads(_BLOCK.findall(page)[-1])
        seal = hashlib.sha256(_BLOCK.sub("", page).encode()).hexdigest()
        return Record(
            who={str(key): str(text) for key, text in content["who"].items()},
            language=str(content["language"]),
            numbers={str(name): _scalars(values) for name, values in content["numbers"].items()},
            own={str(name): Own(**_own(each)) for name, each in content["own"].items()},
            profile=str(content["profile"]),
            fingerprint=str(content["fingerprint"]),
            parameters=None
            if content["parameters"] is None
            else {
                str(name): {str(key): _scalar(value) for key, value in own.items()}
                for name, own in content["parameters"].items()
            },
            edited=content["edited"] != seal,
        )
    except (UnicodeDecodeError, ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{path.name} is no page of a report, or its record is damaged.") from None


def _own(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "asked": bool(content["asked"]),
        **{key: [str(text) for text in content[key]] for key in ("texts", "changed", "code")},
    }


def _scalars(values: Sequence[Any]) -> list[Any]:
    return [_scalar(value) for value in values]


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float | None):
        raise TypeError(f"{value!r} is no number and no text")
    return value
