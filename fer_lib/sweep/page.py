"""`leaderboard.html`: the leaderboard to look at, in one file that asks nothing of the network."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from fer_lib.files import REPORT, write_text
from fer_lib.labels import label_file, labels
from fer_lib.sweep import leaderboard

_FORMATS = {
    **dict.fromkeys(("accuracy", "low", "high"), "{:.1%}"),
    **dict.fromkeys(("rank", "point", "parameters"), "{:,.0f}"),
    "cpu_seconds": "{:,.1f}",
    "mega_multiply_adds": "{:,.1f}",
    "thousand_predictions": "{:.2f}",
}
_HIDDEN = ("run", "data", "notebook", "error")
_FEWEST = 3  # models that make a figure


def write(table: pd.DataFrame, folder: Path, *, name: str, points: int, running: bool, language: str) -> Path:
    """Write the page.

    Args:
        table: From `leaderboard.table`.
        folder: Of the sweep.
        name: Of the sweep.
        points: How many it has in all.
        running: Whether more is to come; until then the page loads itself anew and has no figures.
        language: Of its words.
    """
    sentences = label_file(language)["sweep"]
    ended = table[table["accuracy"].notna()]
    facts = {"name": name, "points": points, "ended": len(table), "failed": len(table) - len(ended)}

    def say(key: str) -> str:
        return str(sentences[key].format_map(facts))

    keys = ["chosen", "front"] + ["failed"] * bool(facts["failed"]) + ["running"] * running
    keys += ["stopped"] * (not running and len(table) < points)
    drawn = [] if running else _figures(ended, language)
    figures = [{"caption": say(key), "svg": svg} for key, svg in drawn]
    templates = jinja2.FileSystemLoader(REPORT / "templates")
    environment = jinja2.Environment(loader=templates, autoescape=True)
    word = labels(language)
    shown = [column for column in table.columns if column not in _HIDDEN]
    heads = [word.get("validation_accuracy" if column == "accuracy" else column, column) for column in shown]
    text = environment.get_template("leaderboard.html.j2").render(
        language=language,
        title=say("title"),
        running=running,
        sentences=[say(key) for key in keys],
        columns=[*heads, word["run"], *[word["error"]] * bool(facts["failed"])],
        failed=facts["failed"],
        rows=list(_rows(table, shown)),
        figures=figures,
    )
    write_text(folder / "leaderboard.html", text)
    return folder / "leaderboard.html"


def _rows(table: pd.DataFrame, shown: list[str]) -> Iterator[dict[str, Any]]:
    front = leaderboard.pareto_front(table)
    for best, (_, row) in zip(front, table.iterrows(), strict=True):
        texts = {key: "" if pd.isna(row[key]) else str(row[key]) for key in _HIDDEN}
        yield {"front": best, "cells": [_cell(key, row[key]) for key in shown], **texts}


def _cell(column: str, value: Any) -> str:
    return "" if pd.isna(value) else _FORMATS.get(column, "{}").format(value)


def _figures(board: pd.DataFrame, language: str) -> Iterator[tuple[str, str]]:
    """Key of the caption and SVG."""
    from fer_lib import plots

    if len(board) < _FEWEST:
        return
    plots.use_style(language)
    varied = [name for name in leaderboard.varied(board) if board[name].nunique() > 1]
    drawn = {
        "cost": plots.cost_and_accuracy(board, leaderboard.pareto_front(board), language=language),
        "parallel": plots.parallel_coordinates(board, varied, language=language) if varied else None,
        "effects": plots.parameter_effects(board, varied, language=language) if varied else None,
    }
    for key, figure in drawn.items():
        if figure is not None:
            buffer = io.StringIO()
            figure.savefig(buffer, format="svg", metadata={"Date": None})
            svg = buffer.getvalue()
            yield key, svg[svg.index("<svg") :]
