"""Run folders, `runs/<id>/`: the only place where models, histories and predictions are written and read.

    run.json         what was trained, on what, when, with which versions; status "training" or "complete"
    history.csv      one row an epoch
    metrics.json     accuracies with intervals, times
    predictions.npz  probabilities (n, 7) and labels of the validation and test faces
    model.keras      the trained model
    checkpoint.npz   while it trains: the last state it can go on from

The id is a hash of model, recipe, training data and seed: the same id again is the same run, with nothing to do.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import filelock
import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from fer_lib import checkpoints, evaluation, models, pretrained, training
from fer_lib.checkpoints import Checkpoint
from fer_lib.data import split_validation
from fer_lib.errors import InputError
from fer_lib.faces import Faces, FaceSplits
from fer_lib.files import replacing, write_text
from fer_lib.models import ModelSpec
from fer_lib.prediction import first_line, load_model, predict
from fer_lib.training import Position, Recipe

FORMAT = 2
"""Part of every id: raised when code changes what the same model and recipe lead to."""

TIMED_FACES = 3000
"""How many faces are predicted at the most to measure how long that takes."""

_ARTIFACTS = ("history.csv", "metrics.json", "predictions.npz", "model.keras")


@dataclass(frozen=True)
class Run:
    """A complete run."""

    path: Path

    @property
    def id(self) -> str:
        """The name of the run's folder."""
        return self.path.name

    @cached_property
    def record(self) -> dict[str, Any]:
        """What was trained on what: the content of run.json."""
        return _read_json(self.path / "run.json")

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json: `accuracy[split]["value"|"low"|"high"|"faces"]`, parameters, times."""
        return _read_json(self.path / "metrics.json")

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row an epoch, with the fields of `training.Epoch` as columns."""
        return pd.read_csv(self.path / "history.csv")

    @cached_property
    def model(self) -> keras.Model:
        """The trained model, from raw pixels (n, 48, 48, 1) to probabilities (n, 7)."""
        return load_model(self.path / "model.keras")

    def facts(self, splits: FaceSplits, *, public: float = 0.0, private: float = 0.0) -> dict[str, Any]:
        """What prose says of a run on these data: plain nested values (`accuracies` explains the arguments)."""
        table = accuracies(self, splits, public=public, private=private).astype(object).set_index("split")
        history = self.history
        if "validation" not in self.metrics["accuracy"]:
            raise InputError(
                f"Run {self.id} held out no faces to be judged by; a report needs VALIDATION above 0 (0 is for "
                "`fer-lib train` and an answer file from all faces)."
            )
        best = history.iloc[int(history["val_accuracy"].argmax())]
        first, last = history.iloc[0].to_dict(), history.iloc[-1].to_dict()
        names = ("model", "recipe", "faces", "versions", "machine", "seed")
        return {
            "run": {"id": self.id},
            "data": {**self.record["data"], "source": splits.source, "drawn": splits.drawn},
            **{name: self.record[name] for name in names},
            **{
                name: self.metrics[name] for name in ("parameters", "multiply_adds", "seconds", "cpu_seconds")
            },
            "mega_multiply_adds": self.metrics["multiply_adds"] / 1e6,
            "accuracy": {
                split: {"value": row["accuracy"], "low": row["low"], "high": row["high"]}
                for split, row in table.where(table.notna(), None).iterrows()
            },
            "first": first,
            "last": last,
            "gap": 100 * (last["accuracy"] - last["val_accuracy"]),
            "best_epoch": int(best["epoch"]),
            "best_val_accuracy": float(best["val_accuracy"]),
        }

    @property
    def mirrored(self) -> bool:
        """Whether the model answers for a face and its mirror image together: it learned from both."""
        return bool(self.record["recipe"]["augment"])

    def probabilities(self, split: str) -> npt.NDArray[np.float32]:
        """Predicted probabilities (n, 7) of "validation" or a test split, in the order of its faces."""
        return _read_predictions(self.path / "predictions.npz")[split]


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
    if seed < 0:
        raise InputError(f"The seed must be at least 0, but was {seed}.")
    train, validation = _divide(splits, recipe, seed)
    record = {
        "format": FORMAT,
        "model": asdict(spec),
        "recipe": asdict(recipe),
        "data": {"fingerprint": _fingerprint(splits, recipe), "source": splits.source, "drawn": splits.drawn},
        "faces": {
            "train": len(train),
            "validation": len(validation),
            "available": len(splits.train) - len(validation),
        },
        "seed": seed,
    }
    untrained = models.build(spec, train.pixels, seed=seed, precision=recipe.precision)
    if recipe.start:
        _start_from(untrained, root, recipe.start)
    run = Run(root / _run_id(record, untrained))
    run.path.mkdir(parents=True, exist_ok=True)
    with _locked(run):
        if not is_complete(run.path) and ready_made and run.id in pretrained.names():
            _take_over(run, train, validation)
        elif not is_complete(run.path):
            _train(run, untrained, train, validation, recipe, seed=seed, record=record, progress=progress)
        _predict_new_tests(run, splits)
    return Run(run.path)


def accuracies(run: Run, splits: FaceSplits, *, public: float = 0.0, private: float = 0.0) -> pd.DataFrame:
    """The accuracies of a run: columns split, accuracy, low, high (95% interval), faces; missing ones are NaN.

    Rows: training, validation, public, private, test, average (of public and private), those that are known.

    Args:
        run: A complete run.
        splits: The data that the report is about: accuracies on other tests that the run has seen do not count.
        public: The accuracy that Kaggle's public board gave, for data without these labels; 0 = unknown.
        private: The same of the private board.

    Raises:
        InputError: A given accuracy is not a share.
    """
    for name, share in (("public", public), ("private", private)):
        if not 0 <= share <= 1:
            raise InputError(
                f"The {name} accuracy must be a share between 0 and 1 such as 0.6598, but was {share}."
            )
    seen, measured = run.record["tests"], run.metrics["accuracy"]
    known = {name for name, faces in splits.tests.items() if seen.get(name) == faces.fingerprint()}
    rows = [("training", run.metrics["training_accuracy"], None, None, run.record["faces"]["train"])]
    for split, given in (("validation", 0.0), ("public", public), ("private", private), ("test", 0.0)):
        if split in measured and split in known | {"validation"}:
            found = measured[split]
            rows.append((split, found["value"], found["low"], found["high"], found["faces"]))
        elif given:
            rows.append((split, given, None, None, None))
    tests = [row[1] for row in rows if row[0] in ("public", "private")]
    if len(tests) == 2:
        rows.append(("average", sum(tests) / 2, None, None, None))
    return pd.DataFrame(rows, columns=["split", "accuracy", "low", "high", "faces"]).convert_dtypes()


def ratios(first: Run, second: Run) -> dict[str, float]:
    """How the cost of two runs compares: `parameters` second by first, `multiply_adds` and `cpu_seconds` (of an
    epoch, as many faces assumed) first by second."""
    one, other = first.metrics, second.metrics
    per_face = [run.metrics["cpu_seconds"]["epoch"] / run.record["faces"]["train"] for run in (first, second)]
    return {
        "parameters": other["parameters"] / one["parameters"],
        "multiply_adds": one["multiply_adds"] / other["multiply_adds"],
        "cpu_seconds": per_face[0] / per_face[1],
    }


def is_complete(path: Path) -> bool:
    """Whether a folder holds a run that was trained to the end, with all that belongs to it."""
    try:
        status = _read_json(path / "run.json").get("status")
    except InputError:
        return False
    return status == "complete" and all((path / name).is_file() for name in _ARTIFACTS)


def find(root: Path, run_id: str) -> Run:
    """The complete run with an id, the only one whose id begins so, or the run in a folder.

    Raises:
        InputError: There is none, it is not complete, or several ids begin so.
    """
    if is_complete(Path(run_id)):
        return Run(Path(run_id).resolve())
    found = [path for path in _complete(root) if run_id and path.name.startswith(run_id)]
    exact = [path for path in found if path.name == run_id]
    if len(exact or found) == 1:
        return Run((exact or found)[0])
    if found:
        raise InputError(f"{len(found)} runs in {root} begin with {run_id!r}; give more of the id.")
    raise InputError(f"There is no complete run {run_id!r} in {root}; train one with `fer-lib train`.")


def newest(root: Path, splits: FaceSplits | None = None) -> Run:
    """The run of a convolutional network that was completed last.

    Args:
        root: The folder of all runs.
        splits: Only runs on these faces count; None for any, where runs on photographs go before runs on drawings.

    Raises:
        InputError: There is none.
    """
    found = [run for run in map(Run, _complete(root)) if run.record["model"]["name"] != "dnn"]
    if splits is not None:
        fingerprint = splits.fingerprint()
        found = [run for run in found if run.record["data"]["fingerprint"].startswith(fingerprint)]
    if not found:
        where = root if splits is None else f"{root} on these faces"
        raise InputError(
            f"There is no complete run of a CNN in {where}; train one with `fer-lib train` or notebooks/q1_cnn.ipynb."
        )
    return max(found, key=lambda run: (not run.record["data"]["drawn"], str(run.record["completed"])))


@dataclass(frozen=True)
class Member:
    """A model that answers, alone or with others; `title` says which it is and how good."""

    title: str
    model: keras.Model
    mirrored: bool


def members(root: Path, names: Sequence[str] = ()) -> list[Member]:
    """Models to answer by.

    Args:
        root: The folder of all runs.
        names: Each the id of a run or of a model that comes with the package, a `.keras` file, or "newest": the
            run that was completed last. No names, or "newest" without any run: the models that come with the package.

    Raises:
        InputError: There is no such run or file.
    """
    untrained = list(names) == ["newest"] and not _complete(root)
    chosen = (names if not untrained else []) or pretrained.names() or ["newest"]
    return [_member(root, name) for name in chosen]


def _member(root: Path, name: str) -> Member:
    if Path(name).suffix == ".keras":
        return Member(name, load_model(Path(name)), mirrored=False)
    if name in pretrained.names():
        found = pretrained.load(name)
        return Member(_title(name, found.record), found.model, bool(found.record["recipe"]["augment"]))
    run = newest(root) if name == "newest" else find(root, name)
    return Member(_title(run.id, run.record), run.model, run.mirrored)


def _title(run_id: str, record: Mapping[str, Any]) -> str:
    seen = f"{record['faces']['train']:,} faces of {record['data']['source']}"
    return f"{run_id}, trained for {record['recipe']['epochs']} epochs on {seen}"


def _complete(root: Path) -> list[Path]:
    return [path for path in sorted(root.iterdir()) if is_complete(path)] if root.is_dir() else []


def require_same_validation(run: Run, *, seed: int, validation: float) -> None:
    """Stop a comparison of two models that were not validated on the same faces.

    Raises:
        InputError: The run has another seed or another share of validation faces.
    """
    its_seed, its_share = run.record["seed"], run.record["recipe"]["validation"]
    if (seed, validation) != (its_seed, its_share):
        raise InputError(
            f"Run {run.id} was validated on other faces (SEED {its_seed}, VALIDATION {its_share}) than this one "
            f"would be (SEED {seed}, VALIDATION {validation}); give both models the same."
        )


def faces_of(run: Run, splits: FaceSplits) -> tuple[Faces, Faces]:
    """The faces that a run learned from and those that it held out, `run.probabilities("validation")` in this order.

    Raises:
        InputError: The run was trained on other faces than these.
    """
    if run.record["data"]["fingerprint"].partition("-")[0] != splits.fingerprint():
        raise InputError(
            f"Run {run.id} was trained on other faces ({run.record['data']['source']}) than these "
            f"({splits.source}); name a run on the same data."
        )
    return _divide(splits, Recipe(**run.record["recipe"]), run.record["seed"])


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


def _divide(splits: FaceSplits, recipe: Recipe, seed: int) -> tuple[Faces, Faces]:
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


def _run_id(record: dict[str, Any], model: keras.Model) -> str:
    # The layers are hashed too, so that a changed network never passes for the trained old one.
    layers = [(type(layer).__name__, str(layer.output.shape)) for layer in model.layers]
    data = {**record, "data": record["data"]["fingerprint"], "layers": layers}
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
    path = run.path / "checkpoint.npz"
    position, epochs = Position(), list[dict[str, Any]]()
    found = checkpoints.read(path)
    checkpoints.clear_partial(path)
    if found:
        position, epochs, arrays = found
        training.restore(model, arrays)
    record = {**record, "versions": _versions(), "machine": _machine(), "started": _now()}
    _write_json(run.path / "run.json", {**record, "status": "training"})
    name, clock = record["model"]["name"], checkpoints.Clock()

    def save(position: Position) -> None:
        clock.time(lambda: checkpoints.write(path, Checkpoint(position, epochs, training.state(model))))

    with (
        _held_interrupts() as interrupted,
        tqdm(
            desc=f"{name}: training",
            total=recipe.epochs * len(train),
            initial=position.epochs * len(train) + position.faces,
            unit="face",
            unit_scale=True,
            mininterval=0.5,
            disable=not progress,
        ) as bar,
    ):

        def on_step(position: Position) -> None:
            bar.update(position.epochs * len(train) + position.faces - bar.n)
            if interrupted() or clock.rings():
                save(position)
            if interrupted():
                raise Interrupted(
                    f"{run.id} stopped in epoch {position.epochs + 1} of {recipe.epochs} and saved that; "
                    "the same command goes on from there"
                )

        for epoch in training.train(
            model, train, validation, recipe, seed=seed, start=position, on_step=on_step
        ):
            epochs.append(asdict(epoch))
            save(Position(epochs=epoch.epoch))
            with replacing(run.path / "history.csv") as temporary:
                pd.DataFrame(epochs).to_csv(temporary, index=False)
            bar.set_description(f"{name}: epoch {epoch.epoch}/{recipe.epochs}")
            if len(validation):
                bar.set_postfix_str(f"validation {epoch.val_accuracy:.1%}")

    trained = models.build(ModelSpec(**record["model"]), train.pixels)
    trained.set_weights(model.get_weights())
    _complete_run(run, trained, train, validation, pd.DataFrame(epochs), record)
    path.unlink()


def _start_from(model: keras.Model, root: Path, name: str) -> None:
    [start] = members(root, [name])
    try:
        model.set_weights(start.model.get_weights())
    except ValueError:
        raise InputError(
            f"START names {name}, whose layers are not those of {model.name} at this width; name a run of the "
            "same network."
        ) from None


def _take_over(run: Run, train: Faces, validation: Faces) -> None:
    """Make the run folder from the weights that come with the package."""
    found = pretrained.load(run.id)
    record = {**found.record, "pretrained": True}
    _complete_run(run, found.model, train, validation, pd.DataFrame(found.history), record)


def pack(run: Run, folder: Path = pretrained.FOLDER) -> Path:
    """Write a complete run's model as one that comes with the package."""
    dropped = ("tests", "status", "completed", "pretrained")
    record = {key: value for key, value in run.record.items() if key not in dropped}
    path = folder / f"{run.id}.npz"
    pretrained.save(path, run.model, record=record, history=_rows(run.history))
    return path


def _rows(history: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in history.to_dict(orient="records")]


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
    mirrored = bool(record["recipe"]["augment"])
    predict(model, timed, mirrored=mirrored)  # compiles for each size of batch, which is not to be timed
    wall, cpu = time.perf_counter(), time.process_time()
    predict(model, timed, mirrored=mirrored)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    predictions, measured = {}, {}
    if len(validation):
        predictions["validation"] = predict(model, validation, mirrored=mirrored)
        right = evaluation.accuracy(predictions["validation"], validation.known_labels)
        measured["validation"] = right.as_dict()
    metrics = {
        "accuracy": measured,
        "training_accuracy": float(history["accuracy"].iloc[-1]),
        "parameters": model.count_params(),
        "multiply_adds": models.multiply_adds(model),
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
    with replacing(run.path / "history.csv") as temporary:
        history.to_csv(temporary, index=False)
    _write_predictions(run, predictions)
    _write_json(run.path / "metrics.json", metrics)
    with replacing(run.path / "model.keras") as temporary:
        model.save(temporary)
    _write_json(run.path / "run.json", {**record, "completed": _now(), "tests": {}, "status": "complete"})


class Interrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C, after its state was saved; says where it stopped."""


@contextmanager
def _held_interrupts() -> Iterator[Callable[[], bool]]:
    """Hold the first Ctrl-C back, and give a function that says whether there was one; a second one stops at once.

    Python hands signals to the main thread alone; elsewhere nothing is held.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def hold(number: int, frame: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, usual)

    usual = signal.signal(signal.SIGINT, hold)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, usual)


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
    predictions = _read_predictions(run.path / "predictions.npz")
    for name, faces in new.items():
        predictions[name] = predict(run.model, faces, mirrored=run.mirrored)
        if faces.labels is not None:
            metrics["accuracy"][name] = evaluation.accuracy(predictions[name], faces.labels).as_dict()
        record["tests"][name] = faces.fingerprint()
    _write_predictions(run, predictions)
    _write_json(run.path / "metrics.json", metrics)
    _write_json(run.path / "run.json", record)


def _write_predictions(run: Run, probabilities: dict[str, npt.NDArray[np.float32]]) -> None:
    with replacing(run.path / "predictions.npz") as temporary:
        np.savez_compressed(temporary, **probabilities)  # type: ignore[arg-type]


def _versions() -> dict[str, str]:
    backend = keras.backend.backend()
    names = ("fer-lib", "keras", "numpy")
    return {
        "python": platform.python_version(),
        "backend": backend,
        **{name: version(name) for name in names},
    }


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(_damaged(path, error)) from None
    return content


def _read_predictions(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(_damaged(path, error)) from None


def _damaged(path: Path, error: Exception) -> str:
    return (
        f"{path} is damaged ({first_line(error)}); remove the folder {path.parent} to train this run again."
    )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
