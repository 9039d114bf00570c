"""A whole sweep: what is missing of it is run, each point is on the leaderboard as soon as it ends."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import filelock

from fer_lib import data
from fer_lib.errors import InputError
from fer_lib.publish import execute
from fer_lib.publish.execute import CellError, Parameters
from fer_lib.publish.sweep import leaderboard, local, page, spec
from fer_lib.publish.sweep.points import Limits, Outcome, Task
from fer_lib.publish.sweep.spec import Sweep
from fer_lib.publish.sweep.watch import Watch

Engine = Callable[[Sequence[Task], local.Hear], Iterator[Outcome]]
"""Runs points somewhere and gives how each ended, as it ends."""

LEAST_MEMORY = 0.25
"""GiB: no kernel with a network in it makes do with less; with TensorFlow it takes twice as much."""


@dataclass(frozen=True)
class Plan:
    """A sweep, on these data, in this folder.

    Attributes:
        sweep: What to run.
        folder: Where executed notebooks and leaderboard go.
        run_root: The folder of the trained runs.
        source: Data file or folder; "" for drawn faces.
        language: Of the notebooks and the leaderboard.
        limits: What a point may take.
    """

    sweep: Sweep
    folder: Path
    run_root: Path
    source: str = ""
    language: str = "zh-TW"
    limits: Limits = field(default_factory=Limits)

    def tasks(self, cnn: str = "") -> list[Task]:
        """All points, with the id of the CNN's run to compare with."""
        return [
            self._task(number, self.sweep.notebook, point, cnn)
            for number, point in enumerate(self.sweep.points)
        ]

    def cnn_task(self) -> Task | None:
        """The training of the CNN to compare with, if the sweep needs one."""
        return None if self.sweep.cnn is None else self._task(-1, "q1_cnn", self.sweep.cnn)

    def varied(self, number: int) -> Parameters:
        """In what a point differs from others; of the CNN to compare with: nothing."""
        point = self.sweep.points[number] if number >= 0 else {}
        return {name: point[name] for name in self.sweep.varied if name in point}

    def title(self, number: int) -> str:
        """A point in a line."""
        return spec.describe(self.varied(number)) or "CNN to compare with"

    def _task(self, number: int, notebook: str, point: Parameters, cnn: str = "") -> Task:
        own: Parameters = {
            "DATA": execute.seen_from_notebooks(self.source),
            "RUN_ROOT": os.path.relpath(self.run_root, execute.ROOT / "notebooks"),
            "LANGUAGE": self.language,
            "PROFILE": f"sweep {self.sweep.name}",
            "RUN": cnn,
        }
        parameters = {**point, **{name: value for name, value in own.items() if name in point}}
        name = f"{number + 1:0{len(str(len(self.sweep.points)))}}" if number >= 0 else "cnn"
        out = self.folder / "points" / name
        return Task(number, notebook, parameters, out, self._fingerprint, self._code[notebook], self.limits)

    @cached_property
    def _fingerprint(self) -> str:
        return data.source_fingerprint(self.source)

    @cached_property
    def _code(self) -> dict[str, str]:
        return {notebook: execute.code_digest(notebook) for notebook in ("q1_cnn", self.sweep.notebook)}


def run_sweep(plan: Plan, engine: Engine, *, workers: int = 1) -> Path:
    """Run what is missing of a sweep and keep its leaderboard.

    Args:
        plan: What to run, on what, where.
        engine: Who runs it.
        workers: How many lines to show.

    Returns:
        The leaderboard.

    Raises:
        InputError: The data cannot be used, or the sweep runs already.
        CellError: Some points failed; all others were run.
    """
    data.load(
        plan.source, cache=execute.ROOT / "data"
    )  # checked before anything starts, and drawn once for all
    with _alone(plan.folder):
        tasks = plan.tasks(_cnn(plan, engine))
        missing = [task for task in tasks if not task.is_done]
        rows = {task.number: _row(plan, task) for task in tasks if task not in missing}
        by_number = {task.number: task for task in missing}
        try:
            with Watch(plan.sweep.name, len(tasks), len(rows), workers) as watch:
                _publish(plan, rows, running=True)
                for outcome in _outcomes(plan, engine, missing, watch):
                    rows[outcome.number] = row = _row(plan, by_number[outcome.number], outcome.error)
                    _publish(plan, rows, running=True)
                    watch.ended(plan.title(outcome.number), _result(row))
        finally:
            path = _publish(plan, rows, running=False)
    failed = [row for row in rows.values() if row.get("error")]
    if failed:
        raise CellError(
            f"{len(failed)} of {len(rows)} points failed; {path} has the errors. The same command tries them again."
        )
    return path


def _publish(plan: Plan, rows: Mapping[int, Mapping[str, Any]], *, running: bool) -> Path:
    """Write the leaderboard; as a page too, which follows while the sweep is running."""
    table = leaderboard.table(list(rows.values()), plan.sweep.varied)
    page.write(
        table,
        plan.folder,
        name=plan.sweep.name,
        points=len(plan.sweep.points),
        running=running,
        language=plan.language,
    )
    return leaderboard.write(table, plan.folder)


def _cnn(plan: Plan, engine: Engine) -> str:
    """The id of the run to compare with, trained now if it is not there."""
    task = plan.cnn_task()
    if task is None:
        return ""
    if not task.is_done:
        with Watch("CNN", 1, 0, 1) as watch:
            for outcome in _outcomes(plan, engine, [task], watch):
                if outcome.error:
                    raise CellError(f"The CNN to compare with could not be trained. {outcome.error}")
    return str(execute.facts(task.out / "q1_cnn.ipynb")["run"]["id"])


def _outcomes(plan: Plan, engine: Engine, tasks: list[Task], watch: Watch) -> Iterator[Outcome]:
    def hear(worker: int, number: int, text: str) -> None:
        watch.hear(worker, plan.title(number), text)

    if tasks:
        with closing(engine(tasks, hear)) as outcomes:  # type: ignore[type-var]
            yield from outcomes


def _row(plan: Plan, task: Task, error: str = "") -> dict[str, Any]:
    notebook = task.out / f"{task.notebook}{'.failed' if error else ''}.ipynb"
    place = notebook.relative_to(plan.folder).as_posix() if notebook.is_file() else ""
    if error:
        return leaderboard.failed_row(task.number + 1, plan.varied(task.number), error, place)
    return leaderboard.row(task.number + 1, plan.varied(task.number), execute.facts(notebook), place)


def _result(row: Mapping[str, Any]) -> str:
    if row.get("error"):
        return f"failed: {row['error'].splitlines()[0]}"
    low, high = row["low"], row["high"]
    return f"validation {row['accuracy']:.1%} [{low:.1%}, {high:.1%}], {row['cpu_seconds']:.1f} CPU s"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the sweep's folder, so that no second process works on it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / ".lock", timeout=0):
            yield
    except filelock.Timeout:
        raise InputError(
            f"This sweep runs already, in another process; its leaderboard is in {folder}."
        ) from None


def local_engine(workers: int) -> Engine:
    """Points on this machine, so many at once."""
    return lambda tasks, hear: local.run(tasks, workers, hear)


def cluster_engine(plan: Plan, scheduler: str) -> Engine:
    """Points on a dask cluster."""
    from fer_lib.publish.sweep import cluster

    return lambda tasks, hear: cluster.run(tasks, scheduler, hear, source=plan.source, run_root=plan.run_root)


def limits(seconds: float, gibibytes: float, workers: int) -> Limits:
    """Limits of a point, with the threads that so many workers can have on this machine.

    Raises:
        InputError: One of them would end every point, or is no number.
    """
    for name, limit, least in (("TIMEOUT", seconds, 1), ("MEMORY", gibibytes, LEAST_MEMORY)):
        if limit and not least <= limit < math.inf:
            raise InputError(f"{name} must be at least {least}, or 0 for no limit, but was {limit:g}.")
    return Limits(seconds, int(gibibytes * 2**30), max(1, (os.cpu_count() or 1) // workers))
