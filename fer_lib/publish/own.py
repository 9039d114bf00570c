"""A student's own words: one Markdown file, `ANSWERS=my.md`, that replaces or adds to the report's.

It is a prose file like those in `report/text`, with keys that say where its sections go:

    ## q1                   at the end of the answer to question 1
    ## q1.before            at its beginning
    ## q1.after.curves      after the part `curves` of that answer
    ## q1.curves            in the place of the words of `curves`
    ## q1.instead           in the place of all running text of that answer; its figures and tables stay
    ## report.abstract      in the place of a section of report.md

Placeholders are those of the report's own words, and those of any question with its name in front
(`{q2.accuracy.validation.value:.1%}`). Pictures are files beside it: `![what it shows](curve.png)`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from fer_lib.errors import InputError
from fer_lib.publish.prose import Section, nearest, read_sections

Own = Mapping[str, Section]
"""Own words by key."""


def file_for(path: Path, language: str) -> Path:
    """The file with own words in a language: `my.en.md` beside `my.md` if there is one, else `my.md`."""
    special = path.with_suffix(f".{language}{path.suffix}")
    return special if special.is_file() else path


def read_own(path: Path, known: Mapping[str, Collection[str]]) -> Own:
    """A student's own words.

    Args:
        path: The Markdown file.
        known: The sections there are, by question, and by `report`.

    Raises:
        InputError: The file cannot be read, or has a section that nothing in the report asks for or a picture that is
            not there; names file and line.
    """
    sections = read_sections(path, notes=False)
    allowed = set(_places(known))
    for key, section in sections.items():
        if key not in allowed:
            raise InputError(
                f"{path}, line {section.line}: the report has no place {key!r}{nearest(key, allowed)}."
            )
        section.pictures()
    return sections


def _places(known: Mapping[str, Collection[str]]) -> list[str]:
    places = []
    for name, keys in known.items():
        places += [f"{name}.{key}" for key in keys]
        if re.fullmatch(r"q\d+", name):
            places += [name, f"{name}.before", f"{name}.instead"]
            places += [f"{name}.after.{key}" for key in keys if not key.endswith(".alt")]
    return places
