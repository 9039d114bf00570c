"""Run folders, `runs/<id>/`: the only place where models, histories and predictions are written and read.

    run.json         what was trained, on what, when, with which versions; status "training" or "complete"
    history.csv      one row an epoch
    metrics.json     accuracies with intervals, times
    predictions.npz  probabilities (n, 7) and labels of the validation and test faces
    model.keras      the trained model
    computed/        maps and ascents of the model, as notebooks asked for them
    checkpoint.npz   while it trains: the last state it can go on from

The id is a hash of model, recipe, training data and seed: the same id again is the same run, with nothing to do.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_lib.data.faces import FaceSplits
from fer_lib.errors import InputError, first_line
from fer_lib.files import atomic_write, write_text
from fer_lib.models.augmentation import View, views
from fer_lib.models.prediction import load_model
from fer_lib.models.spec import Recipe
from fer_lib.runs.cached import Result, load_or_compute

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
        return read_json(self.path / "run.json")

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json: `accuracy[split]["value"|"low"|"high"|"faces"]`, parameters, times."""
        return read_json(self.path / "metrics.json")

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row an epoch, with the fields of `training.Epoch` as columns."""
        return pd.read_csv(self.path / "history.csv")

    @cached_property
    def model(self) -> keras.Model:
        """The trained model, from raw pixels (n, 48, 48, 1) to probabilities (n, 7)."""
        return load_model(self.path / "model.keras")

    def cached(
        self, function: Callable[..., Result], *inputs: Any, model: keras.Model | None = None, **settings: Any
    ) -> Result:
        """`function(run.model, *inputs, **settings)`, computed once: the result stays in the run's folder.

        Args:
            function: One of the package's own whose first argument is a model, such as `explain.saliency_maps`.
            *inputs: Arrays and plain values, which count by their content.
            model: Another model than the run's, such as an untrained one.
            **settings: The same as `inputs`, by name.
        """
        return load_or_compute(self.path, model or (lambda: self.model), function, *inputs, **settings)

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
        training = self.metrics["accuracy"]["training"]
        first, last = history.iloc[0].to_dict(), history.iloc[-1].to_dict()
        names = ("model", "recipe", "faces", "versions", "machine", "seed")
        return {
            "run": {"id": self.id},
            "data": {**self.record["data"], "source": splits.source, "drawn": splits.drawn},
            **{name: self.record[name] for name in names},
            **{
                name: self.metrics[name] for name in ("parameters", "multiply_adds", "seconds", "cpu_seconds")
            },
            "pretrained": bool(self.record.get("pretrained")),
            "mega_multiply_adds": self.metrics["multiply_adds"] / 1e6,
            "accuracy": {
                split: {
                    "value": row["accuracy"],
                    "low": row["low"],
                    "high": row["high"],
                    "faces": row["faces"],
                }
                for split, row in table.where(table.notna(), None).iterrows()
            },
            "first": first,
            "last": last,
            "gap": 100 * (training["value"] - self.metrics["accuracy"]["validation"]["value"]),
            "completed": self.record["completed"],
            "code": self.record.get("code", {}),
            "best_epoch": int(best["epoch"]),
            "best_val_accuracy": float(best["val_accuracy"]),
        }

    @property
    def views(self) -> tuple[View, ...]:
        """How the model is shown a face to answer for it: in ways like those that it learned from."""
        return views_of(self.record)

    def probabilities(self, split: str) -> npt.NDArray[np.float32]:
        """Predicted probabilities (n, 7) of "validation" or a test split, in the order of its faces.

        Raises:
            InputError: It held out no faces for validation, or has not seen such a test.
        """
        known = read_predictions(self.path / "predictions.npz")
        if split not in known:
            raise InputError(
                f"Run {self.id} has no {split} faces to look at, but {', '.join(known) or 'none'}; name a run that "
                "held some out (VALIDATION above 0) and has seen these tests."
            )
        return known[split]


def accuracies(run: Run, splits: FaceSplits, *, public: float = 0.0, private: float = 0.0) -> pd.DataFrame:
    """The accuracies of a run: columns split, accuracy, low, high (95% interval), faces; missing ones are NaN.

    Rows: training, validation, public, private, test, average (of public and private), those that are known.

    Args:
        run: A complete run.
        splits: The data that the report is about: accuracies on other tests that the run has seen do not count.
        public: The accuracy that Kaggle's public board gave, for data without these labels; 0 = unknown.
        private: The same of the private board.

    Raises:
        InputError: A given accuracy is not a share, or one that is measured.
    """
    require_unmeasured(splits, public=public, private=private)
    seen, measured = run.record["tests"], run.metrics["accuracy"]
    known = {name for name, faces in splits.tests.items() if seen.get(name) == faces.fingerprint()}
    rows: list[tuple[str, Any, Any, Any, Any]] = []
    given_by_split = {"public": public, "private": private}
    for split in ("training", "validation", "public", "private", "test"):
        given = given_by_split.get(split)
        if split in measured and split in known | {"training", "validation"}:
            found = measured[split]
            rows.append((split, found["value"], found["low"], found["high"], found["faces"]))
        elif given:
            rows.append((split, given, None, None, None))
    tests = [row[1] for row in rows if row[0] in ("public", "private")]
    if len(tests) == 2:
        rows.append(("average", sum(tests) / 2, None, None, None))
    return pd.DataFrame(rows, columns=["split", "accuracy", "low", "high", "faces"]).convert_dtypes()


def require_unmeasured(splits: FaceSplits, *, public: float, private: float) -> None:
    """Stop, best before training, where Kaggle's boards are said to have judged what is measured here.

    Raises:
        InputError: A given accuracy is not a share, or its test faces have labels.
    """
    for split, share in (("public", public), ("private", private)):
        if not 0 <= share <= 1:
            raise InputError(
                f"The {split} accuracy must be a share between 0 and 1 such as 0.6598, but was {share}."
            )
        if share and split in splits.tests and splits.tests[split].labels is not None:
            raise InputError(
                f"The {split} accuracy is given as {share}, but the {split} faces of {splits.source} have labels, by "
                "which it is measured; leave it away."
            )


def views_of(record: Mapping[str, Any]) -> tuple[View, ...]:
    """How a run's model is shown a face."""
    return views(Recipe(**record["recipe"]).augmentation)


def learned_from(record: Mapping[str, Any]) -> str:
    """The fingerprint of the training faces of a run, those that it held out included."""
    fingerprint: str = record["data"]["fingerprint"]
    return fingerprint.partition("-")[0]  # what follows is of FER+'s votes


def is_complete(path: Path) -> bool:
    """Whether a folder holds a run that was trained to the end, with all that belongs to it.

    A run whose recipe has settings that this version does not know is none: it cannot be told how it was trained.
    """
    try:
        record = read_json(path / "run.json")
    except InputError:
        return False
    known = record.get("recipe", {}).keys() <= {field.name for field in fields(Recipe)}
    whole = all((path / name).is_file() for name in _ARTIFACTS)
    return record.get("status") == "complete" and known and whole


def find(root: Path, run_id: str) -> Run:
    """The complete run with an id, the only one whose id begins so, or the run in a folder.

    Raises:
        InputError: There is none, it is not complete, or several ids begin so.
    """
    if is_complete(Path(run_id)):
        return Run(Path(run_id).resolve())
    found = [path for path in complete_folders(root) if run_id and path.name.startswith(run_id)]
    exact = [path for path in found if path.name == run_id]
    if len(exact or found) == 1:
        return Run((exact or found)[0])
    if found:
        raise InputError(f"{len(found)} runs in {root} begin with {run_id!r}; give more of the id.")
    raise InputError(f"There is no complete run {run_id!r} in {root}; train one with `fer-lib train`.")


def newest(root: Path, splits: FaceSplits) -> Run:
    """The run of a convolutional network that was completed last, of those on these faces that held some out.

    Raises:
        InputError: There is none.
    """
    fingerprint = splits.fingerprint()
    found = [run for run in cnns(root) if learned_from(run.record) == fingerprint]
    found = [run for run in found if run.record["faces"]["validation"]]
    if not found:
        raise InputError(
            f"There is no complete run of a CNN in {root} on these faces; train one with `fer-lib train` or "
            "notebooks/q1_cnn.ipynb."
        )
    return found[-1]


def cnns(root: Path) -> list[Run]:
    """The complete runs of convolutional networks, in the order in which they were completed."""
    found = [run for run in map(Run, complete_folders(root)) if run.record["model"]["name"] != "dnn"]
    return sorted(found, key=lambda run: str(run.record["completed"]))


def complete_folders(root: Path) -> list[Path]:
    """The folders of all complete runs, by name."""
    return [path for path in sorted(root.iterdir()) if is_complete(path)] if root.is_dir() else []


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of a run.

    Raises:
        InputError: It is damaged.
    """
    try:
        content: dict[str, Any] = {**json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, TypeError, ValueError) as error:
        raise InputError(_damaged(path, error)) from None
    return content


def read_predictions(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Probabilities (n, 7) by split.

    Raises:
        InputError: The file is damaged.
    """
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(_damaged(path, error)) from None


def _damaged(path: Path, error: Exception) -> str:
    return (
        f"{path} is damaged ({first_line(error)}); remove the folder {path.parent} to train this run again."
    )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file of a run, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_predictions(run: Run, probabilities: dict[str, npt.NDArray[np.float32]]) -> None:
    """Write probabilities (n, 7) by split, whole or not at all."""
    with atomic_write(run.path / "predictions.npz") as temporary:
        np.savez_compressed(temporary, **probabilities)  # type: ignore[arg-type]
