"""Runs side by side, with each other and with themselves on other faces."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_lib import metrics
from fer_lib.data.faces import FaceSplits
from fer_lib.emotions import EMOTIONS
from fer_lib.errors import InputError
from fer_lib.models.prediction import ensemble
from fer_lib.models.spec import dnn_units
from fer_lib.runs.folder import Run, find, is_complete
from fer_lib.runs.members import members
from fer_lib.runs.trainer import faces_of


def without_leaked(run: Run, splits: FaceSplits) -> dict[str, dict[str, float]]:
    """Accuracy on the labelled tests without the faces that also stand in the training set.

    Returns:
        By split, where there are such faces: `count` of them among `faces`, and `value`, `low` and `high` (95%
        interval) of the accuracy on the rest.
    """
    found = {}
    for name, faces in splits.tests.items():
        leaked = splits.leaked(name)
        if faces.labels is not None and leaked.any() and not leaked.all():
            rest = metrics.accuracy(run.probabilities(name)[~leaked], faces.labels[~leaked])
            found[name] = {**rest.as_dict(), "count": int(leaked.sum()), "faces": len(faces)}
    return found


def evaluate(
    root: Path,
    names: Sequence[str],
    splits: FaceSplits,
    *,
    thorough: bool = False,
    kept_by: Run | None = None,
    **form: Any,
) -> pd.DataFrame:
    """What several models, and their ensemble if there are two or more, are worth on the labelled tests.

    Args:
        root: The folder of all runs.
        names: As for `members`.
        splits: The data. Where test faces also stand in its training faces, there are rows without them too.
        thorough: As for `members`.
        kept_by: A run that keeps the models' answers, so that they are computed once.
        **form: As for `members`.

    Returns:
        Columns model ("" for the ensemble), stranger (whether it may have learned from other faces than the training
        faces, and so from test faces), split, copies (whether the faces that also stand in the training set count),
        accuracy, low, high (95% Wilson interval), faces, p (of McNemar's paired test against the ensemble; NaN for the
        ensemble itself, or where there is none), and one of each emotion's name: the share of its faces that
        were found, NaN where it has none.
    """
    answering = members(root, names, drawn=splits.drawn, thorough=thorough, **form)
    strangers = [one.may_have_trained_on(splits) for one in answering]
    titles = [one.name for one in answering]
    if len(answering) > 1:
        titles, strangers = [*titles, ""], [*strangers, any(strangers)]
    rows = []
    for split, faces in splits.tests.items():
        if faces.labels is None:
            continue
        answers = [one.answers(faces, kept_by) for one in answering]
        answers += [ensemble(answers)] * (len(answering) > 1)
        leaked = splits.leaked(split)
        subsets = {True: leaked | True, False: ~leaked}
        for copies, kept in (
            (key, kept) for key, kept in subsets.items() if key or 0 < kept.sum() < len(faces)
        ):
            for title, stranger, probabilities in zip(titles, strangers, answers, strict=True):
                found = metrics.accuracy(probabilities[kept], faces.labels[kept])
                p = metrics.mcnemar(
                    *(one[kept].argmax(axis=1) == faces.labels[kept] for one in (probabilities, answers[-1]))
                )["p"]
                matrix = metrics.confusion_matrix(faces.labels[kept], probabilities[kept].argmax(axis=1))
                row = {
                    "model": title, "stranger": stranger, "split": split, "copies": copies,
                    "accuracy": found.value, "low": found.low, "high": found.high, "faces": found.faces,
                    "p": p if title and len(answering) > 1 else math.nan,
                }  # fmt: skip
                rows.append(row | dict(zip(EMOTIONS, metrics.class_scores(matrix).recall, strict=True)))
    return pd.DataFrame(rows)


def evaluate_ensemble(
    root: Path, names: Sequence[str], splits: FaceSplits, *, kept_by: Run | None = None
) -> pd.DataFrame:
    """What an ensemble and its members are worth on all faces of the labelled tests: rows and columns of `evaluate`.

    Without rows where there is nothing to compare: fewer than two models, no labelled test, or drawn faces, since the
    package's models know photographs.
    """
    labelled = any(faces.labels is not None for faces in splits.tests.values())
    if not (names and labelled) or splits.drawn:
        return pd.DataFrame(columns=["model", "stranger", "split", "accuracy", "low", "high", "faces", "p"])
    found = evaluate(root, names, splits, kept_by=kept_by)
    together = bool((found["model"] == "").any())
    return found[found["copies"] & together].reset_index(drop=True)


def against_best_member(judged: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """How an ensemble compares with the best of its members, from `evaluate_ensemble`.

    Returns:
        By split: the accuracies `ensemble` and `best`, `p` of McNemar's paired test as statistics write it, and the
        `verdict`, see `metrics.compare`.
    """
    found = {}
    for split, rows in judged.groupby("split", sort=False):
        together = float(rows.loc[rows["model"] == "", "accuracy"].iloc[0])
        best = rows[rows["model"] != ""].nlargest(1, "accuracy").iloc[0]
        found[str(split)] = {
            "ensemble": together,
            "best": float(best["accuracy"]),
            "p": metrics.p_value(best["p"]),
            "verdict": metrics.compare(together, best["accuracy"], best["p"]),
        }
    return found


def paired_with_best(root: Path, names: Sequence[str], splits: FaceSplits) -> list[float]:
    """McNemar's p of the first run against each of the others on the same validation faces.

    Args:
        root: The folder of all runs.
        names: Their ids, the best first. Runs that are no longer there, or held out other faces, are passed over.
        splits: The data that they learned from.
    """
    found = [find(root, name) for name in names if is_complete(root / name)]
    if not found or found[0].id != names[0]:
        return []
    held_out = faces_of(found[0], splits)[1]
    labels, ids = held_out.known_labels, held_out.ids
    same = [run for run in found if np.array_equal(faces_of(run, splits)[1].ids, ids)]
    right = [run.probabilities("validation").argmax(axis=1) == labels for run in same]
    return [metrics.mcnemar(right[0], other)["p"] for other in right[1:]]


def side_by_side(named: Mapping[str, Run]) -> pd.DataFrame:
    """Size, cost and accuracy of runs, a row for each.

    Args:
        named: The runs by what a reader calls them.

    Returns:
        Columns model (the name), parameters, mega_multiply_adds (of a face), seconds_per_epoch (CPU seconds; missing
        where the weights came with the package, since another machine took them), thousand_predictions (CPU seconds),
        training and validation (accuracies).
    """
    rows = [
        {
            "model": name,
            "parameters": run.metrics["parameters"],
            "mega_multiply_adds": run.metrics["multiply_adds"] / 1e6,
            "seconds_per_epoch": None
            if run.record.get("pretrained")
            else run.metrics["cpu_seconds"]["epoch"],
            "thousand_predictions": run.metrics["cpu_seconds"]["thousand_predictions"],
            "training": run.metrics["accuracy"]["training"]["value"],
            "validation": run.metrics["accuracy"]["validation"]["value"],
        }
        for name, run in named.items()
    ]
    return pd.DataFrame(rows).astype({"seconds_per_epoch": float})


def compare_dnns(
    cnn: Run, dnns: Iterable[Run], labels: npt.NDArray[np.int64], *, seed: int = 0
) -> pd.DataFrame:
    """DNNs of several shapes, each compared with a CNN on the same validation faces.

    Args:
        cnn: The CNN.
        dnns: Runs of DNNs that held out the same faces.
        labels: The labels of those faces.
        seed: Decides the bootstrap samples.

    Returns:
        A row for each DNN. Columns layers (hidden ones), units (of each, as a text), parameters, accuracy (95% Wilson
        interval) and ahead (by how much the CNN's accuracy is higher; 95% bootstrap interval of the paired difference),
        both also with `_low` and `_high`, p (McNemar's test) and verdict (`metrics.compare`, of the CNN).
    """
    right = cnn.probabilities("validation").argmax(axis=1) == labels
    rows = []
    for dnn in dnns:
        model, answers = dnn.record["model"], dnn.probabilities("validation")
        units, found = dnn_units(model["width"], model.get("depth")), metrics.accuracy(answers, labels)
        other = answers.argmax(axis=1) == labels
        ahead = metrics.bootstrap(np.mean, right.astype(float) - other, seed=seed)
        p = metrics.mcnemar(right, other)["p"]
        rows.append(
            {
                "layers": len(units), "units": ", ".join(map(str, units)), "parameters": dnn.metrics["parameters"],
                "accuracy": found.value, "accuracy_low": found.low, "accuracy_high": found.high,
                "ahead": ahead.value, "ahead_low": ahead.low, "ahead_high": ahead.high,
                "p": p, "verdict": metrics.compare(right.mean(), other.mean(), p),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


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


_LISTED = {"run", "recipe", "seed", "faces", "seconds", "cpu_seconds"}


def brief(run: Run) -> dict[str, Any]:
    """What `runs_table` needs of a run."""
    measured = {name: run.metrics[name] for name in ("seconds", "cpu_seconds")}
    return {
        "run": {"id": run.id},
        **{name: run.record[name] for name in ("recipe", "seed", "faces")},
        **measured,
    }


def runs_table(facts: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The runs that notebooks trained or found, one row each.

    Args:
        facts: What each notebook stated: `Run.facts`, and under `repeats` those of further runs; others are left out.

    Returns:
        Columns run (its id), epochs, seed, training_faces, training_seconds, training_cpu_seconds.
    """
    rows = {
        one["run"]["id"]: (
            one["run"]["id"],
            one["recipe"]["epochs"],
            one["seed"],
            one["faces"]["train"],
            one["seconds"]["training"],
            one["cpu_seconds"]["training"],
        )
        for stated in facts
        for one in (stated, *stated.get("repeats", []))
        if one.keys() >= _LISTED
    }
    columns = ["run", "epochs", "seed", "training_faces", "training_seconds", "training_cpu_seconds"]
    return pd.DataFrame(list(rows.values()), columns=columns)
