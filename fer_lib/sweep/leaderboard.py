"""The leaderboard of a sweep: a row for each point, the best validation accuracy first.

Models are compared on validation faces alone: a choice by test faces would make their accuracy mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fer_lib.errors import InputError
from fer_lib.files import replacing

MEASURED = (
    "accuracy",
    "low",
    "high",
    "cpu_seconds",
    "parameters",
    "mega_multiply_adds",
    "thousand_predictions",
)
"""Columns of numbers: validation accuracy with its 95% interval, CPU seconds of training, size, work for a face, and
CPU seconds for 1,000 predictions."""

_LAST = ("run", "data", "notebook", "error")
"""Columns of texts: the run's id, the fingerprint of the faces that it learned from, where its notebook lies."""
_FILE = "leaderboard.csv"
_SHOWN = 10


def row(point: int, varied: Mapping[str, Any], facts: Mapping[str, Any], notebook: str) -> dict[str, Any]:
    """The row of a point whose notebook was executed, from the facts that it stated."""
    accuracy = facts["accuracy"]["validation"]
    return {
        "point": point,
        **varied,
        **{name: accuracy[key] for name, key in (("accuracy", "value"), ("low", "low"), ("high", "high"))},
        "cpu_seconds": facts["cpu_seconds"]["training"],
        "parameters": facts["parameters"],
        "mega_multiply_adds": facts["mega_multiply_adds"],
        "thousand_predictions": facts["cpu_seconds"]["thousand_predictions"],
        "run": facts["run"]["id"],
        "data": facts["data"]["fingerprint"],
        "notebook": notebook,
    }


def failed_row(point: int, varied: Mapping[str, Any], error: str, notebook: str) -> dict[str, Any]:
    """The row of a point that failed; `notebook` is what was executed up to there, or ""."""
    return {"point": point, **varied, "notebook": notebook, "error": error}


def table(rows: Sequence[Mapping[str, Any]], varied: Sequence[str]) -> pd.DataFrame:
    """The rows in order: by accuracy, then the smaller model, then the earlier point; those that failed last."""
    columns = ["point", *varied, *MEASURED, *_LAST]
    frame = pd.DataFrame(rows, columns=columns)
    frame = frame.sort_values(["accuracy", "parameters", "point"], ascending=[False, True, True])
    frame.insert(0, "rank", range(1, len(frame) + 1))
    frame["rank"] = frame["rank"].where(frame["accuracy"].notna())
    whole = dict.fromkeys(("rank", "point", "parameters"), "Int64")
    return frame.astype(whole).reset_index(drop=True)


def write(frame: pd.DataFrame, folder: Path) -> Path:
    """Write `leaderboard.csv`."""
    with replacing(folder / _FILE) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
    return folder / _FILE


def path_in(folder: Path) -> Path:
    """The leaderboard's file in the folder of a sweep.

    Raises:
        InputError: There is none.
    """
    path = (folder / _FILE).resolve()
    if not path.is_file():
        raise InputError(f"There is no leaderboard {path}; make it with `make sweep`, name its folder.")
    return path


def read(folder: Path, *, notebook: str = "", faces: str = "") -> pd.DataFrame:
    """The leaderboard in the folder of a sweep, without the points that failed.

    Args:
        folder: Of the sweep.
        notebook: What the sweep must be of, such as "q1_cnn"; "" for any.
        faces: The fingerprint of the faces that its models must have learned from; "" for any.

    Raises:
        InputError: There is none, it is none of ours, every point failed, or it is another sweep than wanted.
    """
    path = path_in(folder)
    frame = pd.read_csv(path, dtype=dict.fromkeys(_LAST, str))
    if missing := {"rank", "point", *MEASURED, *_LAST} - set(frame.columns):
        raise InputError(f"{path} has no column {sorted(missing)[0]}; `make sweep` writes one that has.")
    frame = frame[frame["accuracy"].notna()]
    if frame.empty:
        raise InputError(f"In {path} every point failed; the column `error` says why.")
    if notebook and not (names := frame["notebook"].map(lambda place: Path(place).stem)).eq(notebook).all():
        raise InputError(f"{path} is a sweep of {names.iloc[0]}; one of {notebook} is wanted here.")
    if not frame["data"].str.startswith(faces).all():
        raise InputError(
            f"{path} is a sweep of models that learned from other faces than these; sweep with the same DATA."
        )
    return frame.astype({"rank": int, "parameters": int})


def best(frame: pd.DataFrame) -> pd.DataFrame:
    """The first rows, with as much of them as fits a page: rank, what was varied, accuracy, cost, size."""
    return frame[["rank", *varied(frame), "accuracy", "cpu_seconds", "parameters"]].head(_SHOWN)


def facts(frame: pd.DataFrame) -> dict[str, Any]:
    """What prose says of a leaderboard.

    Returns:
        `models`; `shown`, rows in `best`; `best` and `worst`, rows as mappings; `settings`, the best one's varied
        parameters; `margin`, half its interval in percentage points; `alike`, how many others lie within it; `names`,
        what was varied; `front`, models of the Pareto front; `spread`, percentage points from worst to best.
    """
    first, last = frame.iloc[0], frame.iloc[-1]
    kept = ["accuracy", "low", "high", "cpu_seconds", "parameters", "run"]
    return {
        "models": len(frame),
        "shown": min(len(frame), _SHOWN),
        "best": first[kept].to_dict(),
        "worst": last[kept].to_dict(),
        "settings": ", ".join(f"{name}={first[name]}" for name in varied(frame)),
        "names": ", ".join(varied(frame)),
        "margin": 50 * float(first["high"] - first["low"]),
        "alike": int((frame["accuracy"].iloc[1:] >= first["low"]).sum()),
        "front": sum(pareto_front(frame)),
        "spread": 100 * float(first["accuracy"] - last["accuracy"]),
    }


def pareto_front(frame: pd.DataFrame) -> list[bool]:
    """Which rows no row of at most the same CPU seconds equals in accuracy."""
    by_cost = frame.sort_values(["cpu_seconds", "accuracy"], ascending=[True, False])["accuracy"]
    best_before = by_cost.cummax().shift(fill_value=-1.0)
    return (by_cost > best_before).reindex(frame.index).to_list()


def varied(frame: pd.DataFrame) -> list[str]:
    """The columns of varied parameters."""
    return [str(name) for name in frame.columns if str(name).isupper()]
