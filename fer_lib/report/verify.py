"""Run the notebooks of a report again, training and all, and compare every number with the report's."""

from __future__ import annotations

import fnmatch
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml

from fer_lib import data
from fer_lib.errors import InputError
from fer_lib.report import build, execute
from fer_lib.report.execute import ROOT
from fer_lib.report.notes import notes_of, read_notebook
from fer_lib.report.numbers import Numbers, numbers_of
from fer_lib.report.parameters import Parameters

Tolerances = Mapping[str, float | None]
"""Largest difference by pattern, first match counts; None is not compared."""


@dataclass(frozen=True)
class Difference:
    """Something that came out otherwise.

    Attributes:
        name: Such as `q1.accuracy.validation.value`.
        expected: What the report says; None where it says nothing.
        actual: What came out now.
        tolerance: What would have been near enough.
    """

    name: str
    expected: Any
    actual: Any
    tolerance: float


@dataclass(frozen=True)
class Verdict:
    """What came out.

    Attributes:
        compared: How many numbers and words were compared.
        exact: How many of them came out the same to the last digit.
        differences: Those that are too far away.
    """

    compared: int
    exact: int
    differences: tuple[Difference, ...]


def verify(out: Path, *, source: str = "") -> Verdict:
    """Run the notebooks of a report anew and compare.

    Everything is trained anew, in a folder beside the executed notebooks; stopped, it goes on there.

    Args:
        out: The report's folder.
        source: Where its faces are now; "" for where they were.

    Raises:
        InputError: There is no report, its notebooks were changed, or the faces are others.
    """
    tolerances = read_tolerances(ROOT / "report" / "tolerances.yaml")
    with build.lock(out):
        if (report := build.read_record(out)) is None:
            raise InputError(f"{out} holds no report; `make report` first.")
        notebooks = report.executed(out)
        seen = execute.seen_from_notebooks(source) if source else report.source
        fingerprint = data.source_fingerprint(execute.seen_from_here(seen))
        if fingerprint != report.fingerprint:
            raise InputError(
                f"{source or seen or 'drawn'}: these faces are not the report's; name those as DATA=..."
            )
        folder = notebooks[0].parent.with_name(f"{notebooks[0].parent.name}-verify")
        again = _run(notebooks, folder, seen, report)
        verdict = compare(numbers_in(notebooks), numbers_in(again), tolerances)
        shutil.rmtree(folder)
    return verdict


def _run(notebooks: Sequence[Path], folder: Path, source: str, report: build.BuildRecord) -> list[Path]:
    """The notebooks executed again in a folder, with runs of their own."""
    root = folder / "runs"
    known = next((p["RUN_ROOT"] for p in report.parameters.values() if "RUN_ROOT" in p), "")
    _lend_runs(notebooks, str(known), root)
    places: Parameters = {"DATA": source, "RUN_ROOT": os.path.relpath(root, ROOT / "notebooks")}
    again = {
        name: {**own, **{key: place for key, place in places.items() if key in own}}
        for name, own in report.parameters.items()
    }
    return build.run_notebooks(again, {report.language: folder}, report.fingerprint)[report.language]


def _lend_runs(notebooks: Sequence[Path], old: str, root: Path) -> None:
    """Let a folder have the runs that the report was given (ENSEMBLE), not those that it trained."""
    trained = {execute.facts(notebook).get("run", {}).get("id") for notebook in notebooks}
    root.mkdir(parents=True, exist_ok=True)
    for run in (ROOT / "notebooks" / old).glob("*/run.json"):
        if run.parent.name not in trained and not (root / run.parent.name).exists():
            (root / run.parent.name).symlink_to(run.parent.resolve())


def compare(expected: Numbers, actual: Numbers, tolerances: Tolerances) -> Verdict:
    """Compare what two reports say; words must be the same where they are compared at all."""
    compared = exact = 0
    differences = []
    for name in sorted(expected.keys() | actual.keys()):
        tolerance = next(t for pattern, t in tolerances.items() if fnmatch.fnmatchcase(name, pattern))
        if tolerance is None:
            continue
        for a, b in zip_longest(expected.get(name, ()), actual.get(name, ())):
            compared += 1
            exact += a == b
            if a != b and not _near(a, b, tolerance):
                differences.append(Difference(name, a, b, tolerance))
    return Verdict(compared, exact, tuple(differences))


def read_tolerances(path: Path) -> dict[str, float | None]:
    """Tolerances from a YAML file, in its order.

    Raises:
        InputError: One is no number from 0 up and not `any`, or no pattern fits everything.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    tolerances: dict[str, float | None] = {}
    for pattern, value in content.items():
        if value != "any" and (type(value) not in (int, float) or not 0 <= value < math.inf):
            raise InputError(f"{path}: {pattern} must be a number from 0 up or any, but is {value!r}.")
        tolerances[str(pattern)] = None if value == "any" else float(value)
    if "*" not in tolerances:
        raise InputError(f"{path} needs a last line '\"*\": ...' for all other numbers.")
    return tolerances


def describe(verdict: Verdict) -> str:
    """The verdict, for a terminal."""
    lines = [
        f"{d.name}: the report says {_said(d.expected)}, now {_said(d.actual)} (tolerance {d.tolerance:g})"
        for d in verdict.differences
    ]
    good = verdict.compared - len(lines)
    lines.append(
        f"{good} of {verdict.compared} numbers and words agree within tolerance, {verdict.exact} to the last digit."
    )
    return "\n".join(lines)


def _near(a: Any, b: Any, tolerance: float) -> bool:
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b))
    return numbers and abs(a - b) <= tolerance


def numbers_in(notebooks: Sequence[Path]) -> dict[str, list[Any]]:
    """All that executed notebooks say."""
    return numbers_of((path.stem, note) for path in notebooks for note in notes_of(read_notebook(path)))


def _said(value: Any) -> str:
    return "nothing" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
