"""The words of figures, tables, captions and the page, by language: `report/labels/<language>.yaml`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from fer_lib.emotions import LANGUAGES
from fer_lib.errors import InputError
from fer_lib.files import REPORT

if TYPE_CHECKING:
    import pandas as pd

FOLDER = REPORT / "labels"
"""One file for each of `LANGUAGES`, with the same keys."""


def labels(language: str) -> Mapping[str, str]:
    """The words of figures and tables by key.

    Raises:
        InputError: There is no such language.
    """
    words: Mapping[str, str] = label_file(language)["words"]
    return words


@cache
def label_file(language: str) -> Mapping[str, Any]:
    """The whole file of a language: `words`, `page`, `captions` and `sweep`.

    Raises:
        InputError: There is no such language, or its file is not YAML.
    """
    if language not in LANGUAGES:
        raise InputError(f"There is no language {language!r}; the languages are {', '.join(LANGUAGES)}.")
    path = FOLDER / f"{language}.yaml"
    try:
        content: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read: {' '.join(str(error).split())}.") from None
    return content


def format_number(value: float, spec: str = "") -> str:
    """A number as print has it, with a true minus sign.

    Raises:
        ValueError: The format does not fit.
    """
    text = format(value, spec)
    return "\N{MINUS SIGN}" + text[1:] if text.startswith("-") else text


def format_interval(value: float, low: float, high: float, spec: str = ".2f") -> str:
    """A number with its 95% interval, such as "58.7% [55.4, 61.8]"; without it, or empty, where it is not known."""
    number = "" if math.isnan(value) else format_number(value, spec)
    if math.isnan(low):
        return number
    ends = ", ".join(format_number(end, spec).removesuffix("%") for end in (low, high))
    return f"{number} [{ends}]"


def interval_texts(frame: pd.DataFrame, column: str, spec: str = ".2f") -> list[str]:
    """A column with its intervals, as `format_interval` has them.

    They stand in the columns of its name with `_low` and `_high`, or in `low` and `high`.
    """
    ends = [
        name if name in frame else name.removeprefix(f"{column}_")
        for name in (f"{column}_low", f"{column}_high")
    ]
    rows = frame[[column, *ends]].to_numpy(float, na_value=math.nan)
    return [format_interval(value, low, high, spec) for value, low, high in rows]
