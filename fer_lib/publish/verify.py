"""Run the notebooks of a report again, training and all, and compare every number with the report's."""

from __future__ import annotations

import fnmatch
import json
import math
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fer_lib import data
from fer_lib.errors import InputError
from fer_lib.publish import execute
from fer_lib.publish.execute import NOTEBOOKS, ROOT
from fer_lib.publish.kernel import Kernel

Tolerances = Mapping[str, float | None]
"""Largest difference by pattern, first match counts; None is not compared."""


@dataclass(frozen=True)
class Difference:
    """A fact that came out otherwise.

    Attributes:
        name: Such as `q1.accuracy.validation.value`.
        told: What the report says; None where it says nothing.
        found: What came out now.
        tolerance: What would have been near enough.
    """

    name: str
    told: Any
    found: Any
    tolerance: float


@dataclass(frozen=True)
class Verdict:
    """What came out.

    Attributes:
        compared: How many facts were compared.
        exact: How many of them came out the same to the last digit.
        differences: Those that are too far away.
    """

    compared: int
    exact: int
    differences: tuple[Difference, ...]


def verify(executed: Path, *, data_source: str | None = None) -> Verdict:
    """Run the notebooks of a report anew and compare.

    Everything is trained anew, in a folder beside the executed notebooks; stopped, it goes on there.

    Args:
        executed: The folder of the report's executed notebooks.
        data_source: Where the data are now; None for where they were.

    Raises:
        InputError: There is no report, or the data are others.
    """
    tolerances = read_tolerances(ROOT / "report" / "tolerances.yaml")
    told: dict[str, Any] = {}
    found: dict[str, Any] = {}
    folder = executed.parent / f"{executed.name}-verify"
    run = ""
    with Kernel() as kernel:
        for name in NOTEBOOKS:
            old = executed / f"{name}.ipynb"
            if not old.is_file():
                raise InputError(f"{old} is not there; `make report` first.")
            parameters = _parameters(old)
            if data_source is not None:
                parameters["DATA"] = data_source
            parameters["RUN_ROOT"] = str((folder / "runs").resolve())
            if "RUN" in parameters:
                parameters["RUN"] = run
            source = str(parameters["DATA"])
            print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
            fingerprint = data.source_fingerprint(execute.seen_from_here(source))
            new, _ = execute.execute(name, parameters, folder, data_fingerprint=fingerprint, kernel=kernel)
            kernel.forget()
            print("done", file=sys.stderr)
            told[name[:2]], found[name[:2]] = execute.facts(old), execute.facts(new)
            run = run or str(execute.facts(new)["run"]["id"])
    shutil.rmtree(folder)
    return compare(told, found, tolerances)


def compare(told: Mapping[str, Any], found: Mapping[str, Any], tolerances: Tolerances) -> Verdict:
    """Compare two trees of facts, leaf by leaf; words must be the same where they are compared at all."""
    old, new = dict(leaves(told)), dict(leaves(found))
    compared = exact = 0
    differences = []
    for name in sorted(old | new):
        tolerance = next(t for pattern, t in tolerances.items() if fnmatch.fnmatchcase(name, pattern))
        if tolerance is None:
            continue
        compared += 1
        a, b = old.get(name), new.get(name)
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
        f"{d.name}: the report says {_said(d.told)}, now {_said(d.found)} (tolerance {d.tolerance:g})"
        for d in verdict.differences
    ]
    good = verdict.compared - len(lines)
    summary = f"{good} of {verdict.compared} facts agree within tolerance, {verdict.exact} to the last digit."
    return "\n".join([*lines, summary])


def _near(a: Any, b: Any, tolerance: float) -> bool:
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b))
    return numbers and abs(a - b) <= tolerance


def leaves(facts: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """All that facts hold, by dotted names such as `accuracy.validation.value`."""
    if isinstance(facts, Mapping | list):
        items = facts.items() if isinstance(facts, Mapping) else enumerate(facts)
        for key, value in items:
            yield from leaves(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, facts


def _parameters(executed: Path) -> dict[str, Any]:
    """What an executed notebook was run with."""
    parameters: dict[str, Any] = json.loads(executed.read_text(encoding="utf-8"))["metadata"]["papermill"][
        "parameters"
    ]
    return parameters


def _said(value: Any) -> str:
    return "nothing" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
