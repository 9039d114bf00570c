"""Training into a run folder: whole, found, taken over, or gone on with."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from fer_lib.data import split_validation
from fer_lib.data.faces import Faces, FaceSplits
from fer_lib.errors import InputError
from fer_lib.files import atomic_write
from fer_lib.metrics import accuracy
from fer_lib.models import architectures, checkpoints, pretrained, training
from fer_lib.models.checkpoints import Checkpoint
from fer_lib.models.prediction import predict
from fer_lib.models.spec import ModelSpec, Recipe
from fer_lib.runs.environment import code_version, machine, versions
from fer_lib.runs.folder import (
    Run,
    is_complete,
    learned_from,
    read_json,
    read_predictions,
    views_of,
    write_json,
    write_predictions,
)
from fer_lib.runs.interrupts import Interrupted, held_interrupts
from fer_lib.startup import progress_options

FORMAT = 2
"""Part of every id: raised when code changes what the same model and recipe lead to."""

CHECKPOINT = "checkpoint.npz"

MAX_TRAINING_FACES = 6000
"""How many faces, drawn at random, training accuracy is measured on at the most: it is then known to 1.3 points."""

TIMED_FACES = 3000
"""How many faces are predicted at the most to measure how long that takes."""


def train_or_reuse(
    splits: FaceSplits,
    spec: ModelSpec,
    recipe: Recipe,
    *,
    seed: int = 0,
    root: Path,
    progress: bool = True,
    ready_made: bool = False,
) -> Run:
    """The run of a model, a recipe, data and a seed: trained now, gone on with, or found complete.

    Test faces that the run has not seen yet (the same training faces can come with different tests) are predicted
    and added to it.

    Args:
        splits: The data; validation faces are split off `splits.train`.
        spec: The model.
        recipe: The training.
        seed: Decides split, initial weights and everything random.
        root: The folder of all runs.
        progress: Whether to show a progress bar on standard error.
        ready_made: Whether the weights that come with the package will do, where they are of this very run. The
            run's record then says `pretrained`.
    """
    train, validation = divide(splits, recipe, seed=seed)
    record = {
        "format": FORMAT,
        "model": spec.record,
        "recipe": asdict(recipe),
        "data": {"fingerprint": _fingerprint(splits, recipe), "source": splits.source, "drawn": splits.drawn},
        "faces": {
            "train": len(train),
            "validation": len(validation),
            "available": len(splits.train) - len(validation),
        },
        "seed": seed,
    }
    untrained = architectures.build(spec, train.pixels, seed=seed, precision=recipe.precision)
    run = Run(root / run_id(record, untrained))
    checkpoint = run.path / CHECKPOINT
    run.path.mkdir(parents=True, exist_ok=True)
    with _locked(run):
        _clear_partial(run)
        if not (is_complete(run.path) and (ready_made or not run.record.get("pretrained"))):
            run = Run(run.path)
            if ready_made and run.id in pretrained.names() and not checkpoint.exists():
                _take_over(run, train, validation)
            else:
                _train(
                    run,
                    untrained,
                    train,
                    validation,
                    recipe,
                    seed=seed,
                    record=record,
                    progress=progress,
                )
        _judge_training(Run(run.path), train)
        _predict_new_tests(Run(run.path), splits)
    return Run(run.path)


def repeat(
    splits: FaceSplits, spec: ModelSpec, recipe: Recipe, *, seeds: Iterable[int], root: Path
) -> list[Run]:
    """Runs that differ in their seed only: in the split of the faces, the initial weights and everything random.

    They lie in a folder of their own, `seeds/`, where nobody takes the newest of them for the model of a report.

    Args:
        splits: As for `train_or_reuse`.
        spec: The model.
        recipe: The training.
        seeds: A run for each.
        root: The folder of all runs.
    """
    return [train_or_reuse(splits, spec, recipe, seed=seed, root=root / "seeds") for seed in seeds]


def faces_of(run: Run, splits: FaceSplits) -> tuple[Faces, Faces]:
    """The faces that a run learned from and those that it held out, `run.probabilities("validation")` in this order.

    Raises:
        InputError: The run was trained on other faces than these.
    """
    if learned_from(run.record) != splits.fingerprint():
        raise InputError(
            f"Run {run.id} was trained on other faces ({run.record['data']['source']}) than these "
            f"({splits.source}); name a run and the data that it learned from."
        )
    return divide(splits, Recipe(**run.record["recipe"]), seed=run.record["seed"])


def _fingerprint(splits: FaceSplits, recipe: Recipe) -> str:
    """What of the data a run depends on: the training faces, and their votes if it learns from them."""
    if not recipe.votes:
        return splits.fingerprint()
    if splits.train.votes is None:
        raise InputError(
            f"The recipe learns from FER+ votes (votes = {recipe.votes}), but {splits.source} comes without; "
            "put fer2013new.csv beside it, or set votes to 0."
        )
    votes = hashlib.sha256(splits.train.soft_labels().tobytes()).hexdigest()
    return f"{splits.fingerprint()}-{votes[:8]}"


def divide(splits: FaceSplits, recipe: Recipe, *, seed: int) -> tuple[Faces, Faces]:
    """The training faces of a run and the validation faces that it holds out; a seed divides them always alike.

    Raises:
        InputError: The seed is out of range, or there are too few faces.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"The seed must be at least 0 and below 2**32 ({2**32:,}), but was {seed}.")
    train, validation = splits.train, splits.train[:0]
    if recipe.validation:
        train, validation = split_validation(train, fraction=recipe.validation, seed=seed)
    if 0 < recipe.train_limit < len(train):
        train = train[np.sort(np.random.default_rng(seed).permutation(len(train))[: recipe.train_limit])]
    return train, validation


@contextmanager
def _locked(run: Run) -> Iterator[None]:
    """Keep other processes from the run; says so if one has to be waited for."""
    lock = filelock.FileLock(run.path / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        tqdm.write(f"Another process is at work on {run.path}; waiting for it.", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def run_id(record: dict[str, Any], model: keras.Model) -> str:
    """The id of a run: of all in its record that decides what is learned, and of the network's layers."""
    # Layers and shapes are hashed too, so that another network seldom passes for the trained old one (else: FORMAT).
    layers = [(type(layer).__name__, str(layer.output.shape)) for layer in model.layers]
    keys = ("format", "model", "recipe", "faces", "seed")
    data = {**{key: record[key] for key in keys}, "data": record["data"]["fingerprint"], "layers": layers}
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    return f"{record['model']['name']}-{digest[:12]}"


def _train(
    run: Run,
    model: keras.Model,
    train: Faces,
    validation: Faces,
    recipe: Recipe,
    *,
    seed: int,
    record: dict[str, Any],
    progress: bool,
) -> None:
    training.compile_model(model, recipe, len(train))
    path, epochs = run.path / CHECKPOINT, list[dict[str, Any]]()
    here = {"versions": versions(), "machine": machine(), "code": code_version()}
    record = {**record, **here, "started": _now()}
    if found := checkpoints.read(path):
        epochs = found.epochs
        _restore(model, found.arrays, path)
        with suppress(InputError):  # a damaged file; what it held is known again but for the time
            begun = read_json(run.path / "run.json")
            record.update({key: begun[key] for key in (*here, "started") if key in begun})
            later = begun.get("went_on_with", [])
            last = later[-1] if later else {key: begun.get(key) for key in here}
            record["went_on_with"] = later if here == last else [*later, here]
    write_json(run.path / "run.json", {**record, "status": "training"})
    name = record["model"]["name"]
    with (
        held_interrupts() as interrupted,
        tqdm(
            **progress_options(f"{name}: training"),
            total=recipe.epochs * len(train),
            initial=len(epochs) * len(train),
            unit="face",
            unit_scale=True,
            disable=not progress,
        ) as bar,
    ):

        def on_step(faces: int) -> None:
            bar.update(faces)
            if interrupted():
                raise Interrupted(
                    f"{run.id} stopped in epoch {len(epochs) + 1} of {recipe.epochs}; the same command goes on "
                    f"{f'after epoch {len(epochs)}, which is saved' if epochs else 'from the beginning'}"
                )

        for epoch in training.train(
            model, train, validation, recipe, seed=seed, epochs_done=len(epochs), on_step=on_step
        ):
            epochs.append(asdict(epoch))
            checkpoints.write(path, Checkpoint(epochs, training.state(model)))
            with atomic_write(run.path / "history.csv") as temporary:
                pd.DataFrame(epochs).to_csv(temporary, index=False)
            bar.set_description(f"{name}: epoch {epoch.epoch}/{recipe.epochs}")
            if len(validation):
                bar.set_postfix_str(f"validation {epoch.val_accuracy:.1%}")
        if interrupted():
            raise Interrupted(f"{run.id} stopped after its last epoch; the same command completes it")

    trained = architectures.build(ModelSpec(**record["model"]), train.pixels)
    trained.set_weights(model.get_weights())
    _complete_run(run, trained, train, validation, pd.DataFrame(epochs), record)
    path.unlink(missing_ok=True)


def _restore(model: keras.Model, arrays: list[npt.NDArray[Any]], path: Path) -> None:
    try:
        training.restore(model, arrays)
    except ValueError:
        raise InputError(
            f"The checkpoint {path} was written by another version of Keras or of this package; remove the folder "
            f"{path.parent} to train from the start."
        ) from None


def _clear_partial(run: Run) -> None:
    """Remove what processes that were killed left: files half written, the checkpoint of a complete run."""
    for left in run.path.glob(".*-*.*"):
        left.unlink(missing_ok=True)
    if is_complete(run.path):
        (run.path / CHECKPOINT).unlink(missing_ok=True)


def _take_over(run: Run, train: Faces, validation: Faces) -> None:
    """Make the run folder from the weights that come with the package."""
    found = pretrained.load(run.id)
    record = {**found.record, "pretrained": True}
    _complete_run(run, found.model, train, validation, pd.DataFrame(found.history), record)


def _complete_run(
    run: Run,
    model: keras.Model,
    train: Faces,
    validation: Faces,
    history: pd.DataFrame,
    record: dict[str, Any],
) -> None:
    """Measure a trained model and write all that belongs to a run, its status last."""
    timed = (validation if len(validation) else train)[:TIMED_FACES]
    views = views_of(record)
    predict(model, timed)  # compiles for each size of batch, which is not to be timed
    wall, cpu = time.perf_counter(), time.process_time()
    predict(model, timed, views)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    predictions, measured = {}, {}
    if len(validation):
        predictions["validation"] = predict(model, validation, views)
        right = accuracy(predictions["validation"], validation.known_labels)
        measured["validation"] = right.as_dict()
    metrics = {
        "accuracy": measured,
        "parameters": model.count_params(),
        "multiply_adds": architectures.multiply_adds(model),
        "seconds": {
            "epoch": float(history["seconds"].mean()),
            "training": float(history["seconds"].sum()),
            "thousand_predictions": 1000 * wall / len(timed),
        },
        "cpu_seconds": {
            "epoch": float(history["cpu_seconds"].mean()),
            "training": float(history["cpu_seconds"].sum()),
            "thousand_predictions": 1000 * cpu / len(timed),
        },
    }
    with atomic_write(run.path / "history.csv") as temporary:
        history.to_csv(temporary, index=False)
    write_predictions(run, predictions)
    write_json(run.path / "metrics.json", metrics)
    with atomic_write(run.path / "model.keras") as temporary:
        model.save(temporary)
    write_json(run.path / "run.json", {**record, "completed": _now(), "tests": {}, "status": "complete"})


def _judge_training(run: Run, train: Faces) -> None:
    """Measure a complete run, if it is not yet, on faces that it learned from, in the way that it is tested.

    The mean that training itself shows is over an epoch in which the weights change, with dropout and augmentation.
    """
    metrics = dict(run.metrics)
    if "training" in metrics["accuracy"]:
        return
    order = np.random.default_rng(run.record["seed"]).permutation(len(train))
    judged = train[np.sort(order[:MAX_TRAINING_FACES])]
    right = accuracy(predict(run.model, judged, run.views), judged.known_labels)
    metrics["accuracy"] = {"training": right.as_dict(), **metrics["accuracy"]}
    write_json(run.path / "metrics.json", metrics)


def _predict_new_tests(run: Run, splits: FaceSplits) -> None:
    """Predict the test splits that a complete run has no predictions of, and take up their accuracies."""
    record, metrics = dict(run.record), dict(run.metrics)
    new = {
        name: faces
        for name, faces in splits.tests.items()
        if record["tests"].get(name) != faces.fingerprint() and len(faces)
    }
    if not new:
        return
    predictions = read_predictions(run.path / "predictions.npz")
    for name, faces in new.items():
        predictions[name] = predict(run.model, faces, run.views)
        metrics["accuracy"].pop(name, None)
        if faces.labels is not None:
            metrics["accuracy"][name] = accuracy(predictions[name], faces.labels).as_dict()
        record["tests"][name] = faces.fingerprint()
    write_predictions(run, predictions)
    write_json(run.path / "metrics.json", metrics)
    write_json(run.path / "run.json", record)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
