"""What a sweep will run and about how long that takes, from runs that are there already."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_lib.report import execute
from fer_lib.report.parameters import Parameters
from fer_lib.spec import OWN_DEPTHS
from fer_lib.sweep.run import Plan, load_faces

START_SECONDS = 6.0
"""CPU seconds that a worker needs before its first point, and"""
POINT_SECONDS = 5.0
"""CPU seconds of a point beside its epochs: building and compiling the model, predicting, the notebook's figures."""

FACE_SECONDS, FACE_WIDTH = {"cnn": 1.1e-3, "dnn": 2.8e-4}, 0.125
"""CPU seconds that profile quick's models, and the width of its CNN, need to learn from one face: where no run says
better."""


@dataclass(frozen=True)
class _Cost:
    """What a known run needed: CPU seconds to learn from one face, by model, width and depth (0: its own)."""

    model: str
    width: float
    depth: int
    seconds: float


def describe(plan: Plan, workers: int) -> str:
    """A line for each point that is missing or there, and the time that the missing ones take."""
    faces = len(load_faces(plan).train)
    known = list(_known([plan.run_root, execute.ROOT / "runs"]))
    cnns, points = plan.cnn_tasks(), plan.tasks()
    tasks = [*cnns, *points]
    missing = [task for task in tasks if not task.is_done]
    lines = [
        f"{task.out.name}  {plan.title(task.number)}{'' if task in missing else '  (done)'}" for task in tasks
    ]
    seconds = sum(_point_seconds(task.parameters, faces, known) for task in missing)
    seconds += START_SECONDS * min(workers, len(missing))
    basis = "from runs that are there" if known else "roughly, no run is there to go by"
    what = f"{len(points)} points"
    if cnns:
        what += f" and {len(cnns)} CNN{'s' if len(cnns) > 1 else ''} to compare with"
    lines.append(
        f"{what}, {len(tasks) - len(missing)} done. The rest takes about {_time(seconds)} of CPU time, "
        f"{_time(seconds / workers)} with {workers} at once ({basis})."
    )
    return "\n".join(lines)


def _point_seconds(point: Parameters, faces: int, known: Iterable[_Cost]) -> float:
    """CPU seconds: each face of each epoch costs what it costs in the known run that is most alike."""
    model, width = str(point.get("MODEL", "dnn")), float(point["WIDTH"]) or FACE_WIDTH
    alike = [cost for cost in known if cost.model == model] or [
        _Cost(model, FACE_WIDTH, 0, FACE_SECONDS.get(model, FACE_SECONDS["cnn"]))
    ]
    nearest = min(alike, key=lambda cost: abs(math.log(cost.width / width)))
    used = faces * (1 - float(point["VALIDATION"]))
    used = min(used, float(point["TRAIN_LIMIT"]) or used)
    size = (width / nearest.width) ** 2
    if model in OWN_DEPTHS and float(point["WIDTH"]):  # else the width makes up for the depth
        size *= (int(point.get("DEPTH", 0)) or OWN_DEPTHS[model]) / (nearest.depth or OWN_DEPTHS[model])
    return POINT_SECONDS + float(point["EPOCHS"]) * used * nearest.seconds * size


def _known(roots: Iterable[Path]) -> Iterable[_Cost]:
    for path in (path for root in roots for path in sorted(root.glob("*/metrics.json"))):
        try:
            metrics, record = _read(path), _read(path.with_name("run.json"))
            seconds = metrics["cpu_seconds"]["epoch"] / record["faces"]["train"]
            model = record["model"]
            yield _Cost(model["name"], model["width"], model.get("depth", 0), seconds)
        except (OSError, ValueError, KeyError):
            continue  # a run that is being written, or of another version


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
