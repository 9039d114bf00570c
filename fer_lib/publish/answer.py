"""How a notebook shows the parts of an answer, words and numbers together, for the report to be set from."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.display import display

from fer_lib.errors import InputError
from fer_lib.publish.explore import Cells, Frames, curves
from fer_lib.publish.prose import Facts, Section, find_section, nearest, read_sections, report_folder
from fer_lib.words import written

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

METADATA = "fer_lib"
"""Where an output's metadata say what it is; `fer_lib.publish.document` reads it back."""

_RASTER_DPI = 200
_FIGURE_MARGIN = 0.04  # inches around the drawing, so that no antialiased edge is cut


class Answer:
    """Shows the parts of one question's answer in a notebook; the report is set from what it showed.

    Every output carries, in its metadata, the key of its words and the facts that filled them: the report
    fills the words anew, from the prose files of its day, without running the notebook again.

        answer = Answer("q1", LANGUAGE)
        answer.text("question")
        answer.text("training", epochs=history.epochs, accuracy=metrics)
        answer.table(summary, "architecture", formats={"Param #": ",d"})
        answer.figure(plots.curves(history), "curves", epochs=history.epochs)

    Facts are JSON-like: nested mappings, lists, strings, numbers; NumPy scalars and arrays are converted.
    """

    def __init__(self, question: str, language: str, *, texts: Path | None = None) -> None:
        """Reads the words.

        Args:
            question: Name of the prose file, `q1` for `q1.md`.
            language: `zh-TW` or `en`: a folder of `texts`.
            texts: The folder of languages; by default `report/text` of the repository.

        Raises:
            InputError: There are no such words, or they have an error.
        """
        texts = report_folder() / "text" if texts is None else texts
        self._path = texts / language / f"{question}.md"
        if not self._path.exists():
            known = ", ".join(sorted(str(p.relative_to(texts)) for p in texts.glob("*/*.md")))
            raise InputError(f"{self._path} does not exist; there are {known or 'no prose files'}.")
        self._sections = read_sections(self._path)
        self.language = language
        self._source = {"question": question, "language": language}
        self._runs: list[str] = []

    def source(self, *runs: str) -> None:
        """Names the runs, by id, that tables and figures from here on come from."""
        self._runs = list(runs)

    def text(self, key: str, **facts: Any) -> None:
        """Shows the section `key`."""
        section, known = self._section(key), _as_json(facts)
        bundle = {"text/html": section.html(known), "text/plain": section.plain(known)}
        self._show(bundle, "text", key, known)

    def table(
        self,
        frame: pd.DataFrame,
        key: str,
        *,
        formats: Mapping[str, str] | None = None,
        sortable: bool = False,
        **facts: Any,
    ) -> None:
        """Shows a frame's columns, in their order, as a table with the section `key` as its caption.

        The first column names the rows; the index is not shown.

        Args:
            frame: The table; columns of numbers are set to the right.
            key: The section with the caption.
            formats: Format specifications by column, such as `{"accuracy": ".2%"}`; others stay as they are.
            sortable: Whether readers of the page may sort its rows by a column.
            **facts: What the placeholders of the caption stand for.

        Raises:
            InputError: A format is for a column that is not there, or the section cannot be filled.
        """
        section, known = self._section(key), _as_json(facts)
        specs = dict(formats or {})
        if unknown := sorted(set(specs) - set(map(str, frame.columns))):
            raise InputError(
                f"the table {key!r} has no column {unknown[0]!r}{nearest(unknown[0], frame.columns)}."
            )
        columns = [str(name) for name in frame.columns]
        data = {
            "columns": columns,
            "numeric": [frame[name].dtype.kind in "iuf" for name in frame.columns],
            "sortable": sortable,
            "rows": [
                [
                    "" if absent else written(cell, specs.get(name, ""))
                    for name, cell, absent in zip(columns, row, blank, strict=True)
                ]
                for row, blank in zip(
                    frame.itertuples(index=False), frame.isna().itertuples(index=False), strict=True
                )
            ],
        }
        caption = section.html(known, inline=True)
        self._show(
            {"text/html": table_html(data, caption), "text/plain": frame.to_string(index=False)},
            "table",
            key,
            known,
            table=data,
        )

    def figure(
        self,
        figure: Figure,
        key: str,
        *,
        raster: bool = False,
        explore: Cells | Frames | None = None,
        **facts: Any,
    ) -> None:
        """Shows a figure with the section `key` as its caption and `key.alt` as its alternative text.

        The figure is closed. Its size in the report is its size in inches.

        Args:
            figure: A Matplotlib figure.
            key: The section with the caption.
            raster: Keep it as PNG: for many small images, where SVG would be heavy.
            explore: What the page shows in the place of the figure, for readers to look into.
            **facts: What the placeholders of caption and description stand for.

        Raises:
            InputError: One of the two sections is missing or cannot be filled.
        """
        section, description, known = self._section(key), self._section(f"{key}.alt"), _as_json(facts)
        caption, alt = section.html(known, inline=True), description.plain(known)
        mime, picture, about = _picture(figure, raster=raster)
        if explore is not None:
            about["explore"] = explore.data()
        self._show({mime: picture, "text/plain": alt}, "figure", key, known, **about)
        display(
            {"text/html": f"<p><small>{caption}</small></p>", "text/plain": section.plain(known)}, raw=True
        )

    def require(self, key: str) -> None:
        """Stop now, before long work, if a section that will be shown is not there.

        Raises:
            InputError: There is no section `key`.
        """
        self._section(key)

    def facts(self, **facts: Any) -> None:
        """Notes facts for the report's summary; shows nothing."""
        self._show({"text/plain": ""}, "facts", "", _as_json(facts))

    def _section(self, key: str) -> Section:
        return find_section(self._sections, key, self._path)

    def _show(self, bundle: dict[str, Any], kind: str, key: str, facts: Facts, **extra: Any) -> None:
        metadata = {
            METADATA: {**self._source, "kind": kind, "key": key, "facts": facts, "runs": self._runs, **extra}
        }
        display(bundle, raw=True, metadata=metadata)


def table_html(table: Mapping[str, Any], caption: str, *, identifier: str = "") -> str:
    """A table of `Answer.table` as HTML.

    Args:
        table: `columns` (names), `numeric` (one boolean per column), `rows` (lists of strings), `sortable`.
        caption: HTML.
        identifier: The element's id, or none.
    """

    def cell(tag: str, attributes: str, text: str, numeric: bool) -> str:
        side = ' style="text-align: right"' if numeric else ' style="text-align: left"'
        return f"<{tag}{attributes}{side}>{html.escape(text)}</{tag}>"

    numeric: Sequence[bool] = table["numeric"]
    head = "".join(
        cell("th", ' scope="col"', *column) for column in zip(table["columns"], numeric, strict=True)
    )
    rows = "\n".join(
        "<tr>"
        + cell("th", ' scope="row"', row[0], numeric[0])
        + "".join(cell("td", "", *value) for value in zip(row[1:], numeric[1:], strict=True))
        + "</tr>"
        for row in table["rows"]
    )
    attribute = f' id="{html.escape(identifier)}"' if identifier else ""
    attribute += ' class="sortable"' if table.get("sortable") else ""
    return (
        f"<table{attribute}>\n<caption>{caption}</caption>\n"
        f"<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _picture(figure: Figure, *, raster: bool) -> tuple[str, str, dict[str, Any]]:
    """A figure as MIME type, SVG or base64 of PNG, and what the page wants to know of it; closes it."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    kind = "png" if raster else "svg"
    buffer = io.BytesIO()
    figure.draw_without_rendering()  # settles constrained and tight layouts before the measuring
    box = figure.get_tightbbox().padded(_FIGURE_MARGIN)
    about = {
        "width": float(box.width),
        "photo": any(ax.images for ax in figure.axes),  # whose colours the dark page leaves alone
        "curves": curves(figure, box),
    }
    # No date and a fixed salt: the same figure gives the same bytes, and an unchanged report stays unchanged.
    with mpl.rc_context({"svg.hashsalt": "fer-lib"}):
        figure.savefig(
            buffer,
            format=kind,
            bbox_inches=box,
            dpi=_RASTER_DPI,
            metadata={"Date": None} if kind == "svg" else None,
        )
    plt.close(figure)
    if raster:
        return "image/png", base64.b64encode(buffer.getvalue()).decode(), about
    return "image/svg+xml", buffer.getvalue().decode(), about


def _as_json(value: Any) -> Any:
    """The value as JSON keeps it: NumPy converted, keys as strings, numbers that are not finite as None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    raise InputError(f"{value!r} is no fact; facts are numbers, strings, lists and mappings of them.")
