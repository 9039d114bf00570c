"""Pages that a class handed in: what each says of itself, whether its numbers come out here, and which are alike."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fer_lib import data
from fer_lib.emotions import LANGUAGES
from fer_lib.errors import InputError, printable, require_known
from fer_lib.files import atomic_write, write_text
from fer_lib.report import build, execute
from fer_lib.report.authorship import count_words
from fer_lib.report.execute import ROOT
from fer_lib.report.numbers import Numbers
from fer_lib.report.record import Record, decisive, read_page
from fer_lib.report.verify import Tolerances, compare, numbers_in, read_tolerances

MIN_SHARED_WORDS = 8
"""From so many words on, a passage that two authors wrote alike is worth a look."""

MAX_NAMED = 3
"""Differences that a row names."""

NUMBERS = "numbers.json"

_FORMULA = tuple("=+-@\t\r")


@dataclass(frozen=True)
class Row:
    """What is told of one page."""

    file: str
    student_id: str = ""
    name: str = ""
    language: str = ""
    profile: str = ""
    data: str = ""
    fer_lib: str = ""
    keras: str = ""
    numbers: int = 0
    agree: str = ""
    own_words: int = 0
    observations: str = ""
    remarks: str = ""


def verify_pages(pages: Sequence[Path], *, source: str = "", out: Path, repeat: bool = False) -> pd.DataFrame:
    """One row a page.

    A page's numbers are compared with the report in `out` if that was made with the same settings on the same faces, or
    with what notebooks of that settings gave here when they were last repeated.

    Args:
        pages: `hw3-report.html` of each student, under any name.
        source: The faces that pages may be of, beside drawn ones.
        out: The folder of a report made here; what is repeated is kept in it.
        repeat: Run the notebooks for pages whose settings were not run here yet, once for all of the same settings.

    Raises:
        InputError: A file is not there, or the faces are not.
    """
    for path in pages:
        if not path.is_file():
            raise InputError(f"There is no file {path}; name the pages, such as handed-in/*.html.")
    sources = {data.source_fingerprint(each): each for each in {"", source}}
    records: dict[Path, Record] = {}
    rows: dict[Path, Row] = {}
    for path in pages:
        try:
            records[path] = read_page(path)
        except InputError as error:
            rows[path] = Row(str(path), remarks=str(error))
    alike = _alike(records, read_tolerances(ROOT / "report" / "tolerances.yaml"))
    for path, record in records.items():
        agree, reason = _agreement(record, sources, out, repeat=repeat)
        remarks = [*_remarks(record), *alike[path], *filter(None, [reason])]
        rows[path] = _row(path, record, agree, "; ".join(remarks))
    return pd.DataFrame([asdict(rows[path]) for path in dict.fromkeys(pages)])


def write_table(table: pd.DataFrame, path: Path) -> None:
    """The table as CSV for a spreadsheet, in which no text of a page is a formula."""
    with atomic_write(path) as temporary:
        table.map(_as_text).to_csv(temporary, index=False, encoding="utf-8-sig", lineterminator="\n")


def describe(table: pd.DataFrame) -> str:
    """The table for a terminal; what stands in no row is left out."""
    shown = table.loc[:, (table != "").any()].map(lambda value: printable(str(value)))
    with pd.option_context("display.unicode.east_asian_width", True):
        return str(shown.to_string(index=False, justify="left"))


def _row(path: Path, record: Record, agree: str, remarks: str) -> Row:
    asked = [own for own in record.own.values() if own.asked]
    return Row(
        file=str(path),
        student_id=record.who.get("student_id", ""),
        name=record.who.get("name", ""),
        language=record.language,
        profile=record.profile,
        data=record.fingerprint[:12],
        fer_lib=record.fact("versions.fer-lib"),
        keras=record.fact("versions.keras"),
        numbers=sum(map(len, record.numbers.values())),
        agree=agree,
        own_words=sum(own.words for own in record.own.values()),
        observations=f"{sum(own.words > 0 for own in asked)} of {len(asked)}",
        remarks=remarks,
    )


def _remarks(record: Record) -> Iterator[str]:
    """What of a page is not as the package made it."""
    if record.edited:
        yield "edited after it was made"
    for what, cells in (
        ("text changed", [cell for own in record.own.values() for cell in own.changed]),
        ("code changed", [cell for own in record.own.values() for cell in own.code]),
    ):
        if cells:
            yield f"{what}: {', '.join(cells)}"


def _alike(records: Mapping[Path, Record], tolerances: Tolerances) -> dict[Path, list[str]]:
    """For each page, which others hold the same measured times, or the same words of their authors."""
    same: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for path, record in records.items():
        # The times of two runs are never all equal, and so they tell one run that two handed in.
        times = [
            (name, values)
            for name, values in sorted(record.numbers.items())
            if next(t for p, t in tolerances.items() if fnmatch.fnmatchcase(name, p)) is None
        ]
        if times:
            same["same run as", json.dumps(times)].append(path)
        for text in {text for own in record.own.values() for text in own.texts}:
            if count_words(text) >= MIN_SHARED_WORDS:
                same["same words as", " ".join(text.casefold().split())].append(path)
    found: dict[Path, dict[str, None]] = {path: {} for path in records}
    for (what, _), paths in same.items():
        for path in paths:
            if others := [str(other) for other in paths if other != path]:
                found[path][f"{what} {', '.join(others)}"] = None
    return {path: list(remarks) for path, remarks in found.items()}


def _agreement(record: Record, sources: Mapping[str, str], out: Path, *, repeat: bool) -> tuple[str, str]:
    """How many of a page's numbers came out here too, such as "741 of 741"; else why that is not known."""
    if record.parameters is None:
        return "", "no settings in it: not made by `make report`"
    if record.fingerprint not in sources:
        return "", "other faces than those here (--data)"
    try:
        here = _made_here(record, out)
        if here is None and repeat:
            here = _repeat(record, sources[record.fingerprint], _folder(record, out))
    except (InputError, execute.CellError) as error:
        return "", f"cannot be repeated: {str(error).splitlines()[0]}"
    if here is None:
        return "", "not run here (--repeat)"
    # What the author's own cells say beside is left out.
    said = {name: record.numbers.get(name, [])[: len(values)] for name, values in here.items()}
    verdict = compare(said, here, read_tolerances(ROOT / "report" / "tolerances.yaml"))
    differing = [difference.name for difference in verdict.differences]
    agree = f"{verdict.compared - len(differing)} of {verdict.compared}"
    return agree, f"differs: {', '.join(differing[:MAX_NAMED])}" if differing else ""


def _made_here(record: Record, out: Path) -> Numbers | None:
    """The numbers of a report that was made or repeated here with the same settings."""
    made = build.read_record(out)
    if (
        made is not None
        and (made.language, made.fingerprint) == (record.language, record.fingerprint)
        and decisive(made.parameters) == record.parameters
    ):
        return numbers_in(made.executed(out))
    kept = _folder(record, out) / NUMBERS
    return json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else None


def _repeat(record: Record, source: str, folder: Path) -> Numbers:
    """The numbers of the notebooks here, run with the settings of a page, which may name what it likes."""
    require_known(record.language, LANGUAGES, "language")
    for name in record.parameters or {}:
        require_known(name, execute.chapters(), "chapter")
    parameters = execute.resolve(record.profile, names=list(record.parameters or {}))
    settings = {
        f"{name}.{key}": str(value)
        for name, own in (record.parameters or {}).items()
        for key, value in own.items()
        if key not in build.RESERVED and value != parameters[name].get(key)
    }
    for name, value in settings.items():
        if name.endswith((".SWEEP", ".ENSEMBLE")) and value != "pretrained":
            raise InputError(f"{name} names runs of its author's.")
    parameters = execute.resolve(record.profile, settings, list(parameters))
    places = {
        "DATA": execute.seen_from_notebooks(source),
        "PROFILE": record.profile,
        "RUN_ROOT": os.path.relpath(folder / "runs", ROOT / "notebooks"),
    }
    for own in parameters.values():
        own |= {key: value for key, value in places.items() if key in own}
    with build.lock(folder):
        notebooks = build.run_notebooks(
            parameters, {record.language: folder / record.language}, record.fingerprint
        )
        numbers = numbers_in(notebooks[record.language])
        write_text(folder / NUMBERS, json.dumps(numbers))
    return numbers


def _folder(record: Record, out: Path) -> Path:
    """Where notebooks of the same settings are repeated."""
    same = [record.language, record.fingerprint, record.parameters, execute.code_digest()]
    return out / "repeated" / hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:12]


def _as_text(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
