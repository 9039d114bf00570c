"""What a run takes over from earlier ones: the weights that it starts from, the answers that it learns from."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_lib import pretrained
from fer_lib.data.faces import Faces
from fer_lib.errors import InputError
from fer_lib.files import replacing
from fer_lib.models import compute_in
from fer_lib.prediction import ensemble, predict
from fer_lib.runs.folder import Run, is_complete, learned_from, views_of
from fer_lib.spec import GROWING, Recipe


@dataclass(frozen=True)
class Teaching:
    """What teachers answer for the training faces.

    Attributes:
        answers: Their mean probabilities, (n, 7).
        seconds: How long they took, all together.
        cpu_seconds: The same in CPU seconds.
    """

    answers: npt.NDArray[np.float32]
    seconds: float
    cpu_seconds: float


def require_unseen(root: Path, recipe: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Stop a run that would hold out faces which a model that it starts or learns from may have learned from.

    Args:
        root: The folder of all runs.
        recipe: Names these models, as a run.json keeps it: the run's own recipe, or one that they go back to.
        record: What the run's run.json is to say of it.

    Raises:
        InputError: Such a model does not exist, or learned from other faces than this run is to learn from.
    """
    if not record["recipe"]["validation"]:
        return
    for parameter, names in (("START", recipe["start"]), ("TEACHERS", recipe.get("teachers", ""))):
        for name in names.split():
            theirs = _ancestor(root, name, parameter).record
            if theirs["data"]["drawn"] != record["data"]["drawn"]:
                require_unseen(root, theirs["recipe"], record)
            elif _held_out(theirs) != _held_out(record):
                raise InputError(
                    f"{parameter} names {name}, which may have learned from faces that this run would hold out: it "
                    f"learned from {theirs['data']['source']} with SEED {theirs['seed']} and VALIDATION "
                    f"{theirs['recipe']['validation']:g}. Train on the same with the same, or with VALIDATION=0."
                )


def start_from(model: keras.Model, root: Path, name: str) -> None:
    """Give a model the weights of an earlier run, which may be less deep if the model is one of `GROWING`.

    Raises:
        InputError: There is no such run, or it has other layers.
    """
    earlier = _ancestor(root, name, "START").model
    try:
        if model.name in GROWING:
            for layer in earlier.layers:
                model.get_layer(layer.name).set_weights(layer.get_weights())
        else:
            model.set_weights(earlier.get_weights())
    except ValueError:
        less_deep = " or of one less deep" if model.name in GROWING else ""
        raise InputError(
            f"START names {name}, whose layers are not those of {model.name} at this width and depth; name a run of "
            f"the same network{less_deep}."
        ) from None


def teach(run: Run, root: Path, faces: Faces, recipe: Recipe, *, progress: bool) -> Teaching | None:
    """What the recipe's teachers answer, each kept in the run's folder until `forget`; None without teachers.

    Args:
        run: The run that learns from it.
        root: The folder of all runs.
        faces: Its training faces.
        recipe: Names the teachers.
        progress: Whether to show a progress bar for each on standard error.

    Raises:
        InputError: There is no such teacher.
    """
    answers, seconds = list[npt.NDArray[np.float32]](), np.zeros(2)
    for name in recipe.teachers.split():
        path = run.path / f"taught-{name}.npz"
        known = _read(path, len(faces))
        if known is None:
            teacher = _ancestor(root, name, "TEACHERS")
            began = np.array([time.perf_counter(), time.process_time()])
            title = f"{name}: teaching" if progress else ""
            compute_in(teacher.model, recipe.precision)
            given = predict(teacher.model, faces, views_of(teacher.record), progress=title)
            known = given, np.array([time.perf_counter(), time.process_time()]) - began
            with replacing(path) as temporary:
                np.savez(temporary, answers=known[0], seconds=known[1])
        answers.append(known[0])
        seconds += known[1]
    return Teaching(ensemble(answers), *map(float, seconds)) if answers else None


def forget(run: Run) -> None:
    """Remove what the teachers answered."""
    for path in run.path.glob("taught-*.npz"):
        path.unlink(missing_ok=True)


def _ancestor(root: Path, name: str, parameter: str) -> Run | pretrained.Pretrained:
    """The model of an id: the package's where it has one, so that it stands for the same weights everywhere."""
    if name in pretrained.names():
        return pretrained.load(name)
    if Path(name).name != name or not is_complete(root / name):
        raise InputError(
            f"{parameter} names {name!r}, but there is no complete run of this whole id in {root}, nor does such a "
            f"model come with the package ({', '.join(pretrained.names())})."
        )
    return Run(root / name)


def _held_out(record: Mapping[str, Any]) -> tuple[str, int, float]:
    """What decides which faces a run holds out: the training faces, the seed, the share."""
    return learned_from(record), record["seed"], record["recipe"]["validation"]


def _read(path: Path, n: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]] | None:
    """Kept answers for n faces with their wall and CPU seconds, or None where there are none that are whole."""
    try:
        with np.load(path) as file:
            answers, seconds = file["answers"], file["seconds"]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    return (answers, seconds) if answers.shape == (n, 7) else None
