"""A whole sweep: what is missing of it is run, each point is on the leaderboard as soon as it ends."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from fer_lib import data
from fer_lib.data.faces import FaceSplits
from fer_lib.errors import InputError
from fer_lib.files import held
from fer_lib.report import execute
from fer_lib.report.execute import CellError
from fer_lib.report.parameters import Parameters
from fer_lib.sweep import leaderboard, local, page, spec
from fer_lib.sweep.points import Limits, Outcome, Task
from fer_lib.sweep.spec import Sweep
from fer_lib.sweep.watch import Watch

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

    def tasks(self) -> list[Task]:
        """All points, each with the id of the CNN's run to compare with once that is trained."""
        ids = {
            spec.common(cnn): _run_id(task) if task.is_done else ""
            for cnn, task in zip(self.sweep.cnns, self.cnn_tasks(), strict=True)
        }
        return [
            self._task(number, self.sweep.notebook, point, ids.get(spec.common(point), ""))
            for number, point in enumerate(self.sweep.points)
        ]

    def cnn_tasks(self) -> list[Task]:
        """The trainings of the CNNs to compare with, numbered down from -1, if the sweep needs any."""
        return [self._task(~number, "q1_cnn", cnn) for number, cnn in enumerate(self.sweep.cnns)]

    def varied(self, number: int) -> Parameters:
        """In what a point differs from others."""
        return {name: self.sweep.points[number][name] for name in self.sweep.varied}

    def title(self, number: int) -> str:
        """A point, or a CNN to compare with, in a line."""
        if number >= 0:
            return spec.describe(self.varied(number))
        cnn = self.sweep.cnns[~number]
        return f"CNN for {spec.describe({name: cnn[name] for name in spec.COMMON})}"

    def _task(self, number: int, notebook: str, point: Parameters, cnn: str = "") -> Task:
        own: Parameters = {
            "DATA": execute.seen_from_notebooks(self.source),
            "RUN_ROOT": os.path.relpath(self.run_root, execute.ROOT / "notebooks"),
            "LANGUAGE": self.language,
            "PROFILE": self.sweep.profile,
            "RUN": cnn,
        }
        parameters = {**point, **{name: value for name, value in own.items() if name in point}}
        name = f"{number + 1:0{len(str(len(self.sweep.points)))}}" if number >= 0 else f"cnn{number}"
        out = self.folder / "points" / name
        return Task(number, notebook, parameters, out, self._fingerprint, execute.code_digest(), self.limits)

    @cached_property
    def _fingerprint(self) -> str:
        return data.source_fingerprint(self.source)


def load_faces(plan: Plan) -> FaceSplits:
    """The faces of a sweep.

    Raises:
        InputError: They cannot be used, or points that differ in TRAIN_LIMIT would learn from the same ones.
    """
    splits = data.load(plan.source, cache=execute.ROOT / "data")

    @cache
    def available(share: float, seed: int) -> int:
        return len(data.split_validation(splits.train, fraction=share, seed=seed)[0])

    for number, point in enumerate(plan.sweep.points):
        faces = available(float(point["VALIDATION"]), int(point["SEED"]))
        if "TRAIN_LIMIT" in plan.sweep.varied and int(point["TRAIN_LIMIT"]) > faces:
            raise InputError(
                f"The point {plan.title(number)} asks for more than the {faces:,} faces that there are to learn from; "
                "lower its TRAIN_LIMIT, or name more faces, as DATA=drawn:train=30000 does."
            )
    return splits


def run_sweep(plan: Plan, engine: Engine, *, workers: int = 1) -> Path:
    """Run what is missing of a sweep and keep its leaderboard.

    Args:
        plan: What to run, on what, where.
        engine: Who runs it.
        workers: How many lines to show.

    Returns:
        The leaderboard.

    Raises:
        InputError: The data cannot be used or are too few, or the sweep runs already.
        CellError: Some points failed; all others were run.
    """
    load_faces(plan)  # checked before anything starts, and drawn once for all
    with held(
        plan.folder, f"This sweep runs already, in another process; its leaderboard is in {plan.folder}."
    ):
        _train_cnns(plan, engine, workers)
        tasks = plan.tasks()
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


def _train_cnns(plan: Plan, engine: Engine, workers: int) -> None:
    """Train what is missing of the CNNs to compare with."""
    tasks = plan.cnn_tasks()
    missing = [task for task in tasks if not task.is_done]
    if missing:
        with Watch("CNN", len(tasks), len(tasks) - len(missing), workers) as watch:
            for outcome in _outcomes(plan, engine, missing, watch):
                title = plan.title(outcome.number)
                if outcome.error:
                    raise CellError(f"The {title} could not be trained. {outcome.error}")
                watch.ended(title, "trained")


def _run_id(task: Task) -> str:
    return str(execute.facts(task.out / f"{task.notebook}.ipynb")["run"]["id"])


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


def local_engine(workers: int) -> Engine:
    """Points on this machine, so many at once."""
    return lambda tasks, hear: local.run(tasks, workers, hear)


def cluster_engine(plan: Plan, scheduler: str) -> Engine:
    """Points on a dask cluster."""
    from fer_lib.sweep import cluster

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
