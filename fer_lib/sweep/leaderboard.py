"""The leaderboard of a sweep, as a table and as a page: a row for each point, the best validation accuracy first.

Models are compared on validation faces alone: choosing by test faces would make test accuracy mean nothing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from fer_lib.errors import InputError
from fer_lib.files import REPORT, atomic_write, write_text
from fer_lib.labels import label_file, labels

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
_MIN_DRAWN = 3  # models that make a figure
_FORMATS = {
    **dict.fromkeys(("accuracy", "low", "high"), "{:.1%}"),
    **dict.fromkeys(("rank", "point", "parameters"), "{:,.0f}"),
    **dict.fromkeys(("cpu_seconds", "mega_multiply_adds"), "{:,.1f}"),
    "thousand_predictions": "{:.2f}",
}


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
    with atomic_write(folder / _FILE) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
    return folder / _FILE


def read(folder: Path, *, notebook: str = "", faces: str = "") -> pd.DataFrame:
    """The leaderboard in the folder of a sweep, without the points that failed.

    Args:
        folder: Of the sweep.
        notebook: What the sweep must be of, such as "q1_cnn"; "" for any.
        faces: The fingerprint of the faces that its models must have learned from; "" for any.

    Raises:
        InputError: There is none, it is none of ours, every point failed, or it is another sweep than wanted.
    """
    path = (folder / _FILE).resolve()
    if not path.is_file():
        raise InputError(f"There is no leaderboard {path}; make it with `make sweep`, name its folder.")
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
        parameters; `margin`, half its interval in percentage points; `names`, what was varied; `front`, models of the
        Pareto front; `spread`, percentage points from worst to best.
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


def write_page(
    frame: pd.DataFrame, folder: Path, *, name: str, points: int, running: bool, language: str
) -> Path:
    """Write `leaderboard.html`, one file that needs no network.

    Args:
        frame: From `table`.
        folder: Of the sweep.
        name: Of the sweep.
        points: How many it has in all.
        running: Whether more is to come; until then the page reloads itself and has no figures.
        language: Of its words.
    """
    ended = frame[frame["accuracy"].notna()]
    counts = {"name": name, "points": points, "ended": len(frame), "failed": len(frame) - len(ended)}
    say = {key: str(text).format_map(counts) for key, text in label_file(language)["sweep"].items()}
    keys = ["chosen", "front"] + ["failed"] * bool(counts["failed"]) + ["running"] * running
    keys += ["stopped"] * (not running and len(frame) < points)
    word = {**labels(language), "accuracy": labels(language)["validation_accuracy"]}
    shown = [str(column) for column in frame.columns if column not in _LAST]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(REPORT / "templates"), autoescape=True, trim_blocks=True
    )
    text = environment.get_template("leaderboard.html.j2").render(
        language=language,
        title=say["title"],
        running=running,
        sentences=[say[key] for key in keys],
        columns=[word.get(column, column) for column in shown],
        run=word["run"],
        error=word["error"] if counts["failed"] else "",
        rows=list(_rows(frame, shown)),
        figures=[(say[key], svg) for key, svg in _figures(ended, language)] if not running else [],
    )
    write_text(folder / "leaderboard.html", text)
    return folder / "leaderboard.html"


def _rows(frame: pd.DataFrame, shown: Sequence[str]) -> Iterator[dict[str, Any]]:
    for on_front, (_, row) in zip(pareto_front(frame), frame.iterrows(), strict=True):
        cells = ["" if pd.isna(row[key]) else _FORMATS.get(key, "{}").format(row[key]) for key in shown]
        texts = {key: "" if pd.isna(row[key]) else str(row[key]) for key in _LAST}
        yield {"front": on_front, "cells": cells, **texts}


def _figures(frame: pd.DataFrame, language: str) -> Iterator[tuple[str, str]]:
    """The key of the caption, and the figure as SVG."""
    from fer_lib import plots

    names = [name for name in varied(frame) if frame[name].nunique() > 1]
    if len(frame) < _MIN_DRAWN:
        return
    plots.use_style(language)
    drawn = {"cost": plots.cost_and_accuracy(frame, pareto_front(frame), language=language)}
    if names:
        drawn["parallel"] = plots.parallel_coordinates(frame, names, language=language)
        drawn["effects"] = plots.parameter_effects(frame, names, language=language)
    for key, figure in drawn.items():
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        yield key, buffer.getvalue()[buffer.getvalue().index("<svg") :]
