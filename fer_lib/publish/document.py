"""The report as parts in order, before any layout: what `assemble` makes and `render` sets."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from markupsafe import Markup

from fer_lib.publish.answer import table_html
from fer_lib.publish.title import Title

SUFFIXES = {"image/svg+xml": "svg", "image/png": "png"}
"""File suffixes of the pictures that an answer may hold, by MIME type."""

_LONG = 12  # rows, and
_NARROW = 3  # columns of a table that paper has in two halves if it is longer and no wider


@dataclass(frozen=True)
class Block:
    """One part of an answer.

    Attributes:
        kind: "text", "table" or "figure".
        key: The section of its words.
        html: The text, or the caption.
        label: "Table 1"; empty for texts.
        identifier: The element's id, `q1-curves`; empty for texts.
        runs: Ids of the runs that it comes from.
        table: What `answer.table_html` takes, for tables.
        alt: Description, for figures.
        mime: Type of the picture, for figures.
        picture: Its bytes.
        width: Its width in inches.
        photo: Whether it holds photographs or heat, whose colours stay as they are on a dark page.
        curves: What `explore.curves` found in it.
        explore: What the page shows in its place (`explore.Cells.data`, `explore.Frames.data`); empty for none.
    """

    kind: str
    key: str
    html: Markup
    label: str = ""
    identifier: str = ""
    runs: Sequence[str] = ()
    table: Mapping[str, Any] = field(default_factory=dict)
    alt: str = ""
    mime: str = ""
    picture: bytes = b""
    width: float = 0.0
    photo: bool = True
    curves: Sequence[Mapping[str, Any]] = ()
    explore: Mapping[str, Any] = field(default_factory=dict)

    @property
    def caption(self) -> Markup:
        """The caption with its number."""
        return Markup("<b>{}</b> {}").format(self.label, self.html)

    def table_with(self, more: Markup) -> Markup:
        """The table with its caption and more after that, as HTML."""
        return Markup(table_html(self.table, self.caption + more, identifier=self.identifier))

    def table_on_paper(self, more: Markup) -> Markup:
        """The same, a long and narrow table in two halves side by side."""
        return replace(self, table=_folded(self.table)).table_with(more)

    @property
    def address(self) -> str:
        """The picture as an address that holds all of it, for a page that stands alone."""
        mime, picture = self.mime, self.picture
        if mime == "image/png":
            mime, picture = "image/webp", _as_webp(picture)
        return f"data:{mime};base64,{base64.b64encode(picture).decode()}"

    @property
    def sheet_class(self) -> str:
        """The class of elements that show parts of the sheet of `explore`."""
        return f"sheet-{hashlib.sha256(self.explore['sheet'].encode()).hexdigest()[:10]}"

    @property
    def file(self) -> str:
        """The picture's file name, for paper."""
        return f"{self.identifier}.{SUFFIXES[self.mime]}"


def _folded(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """A long and narrow table in two halves side by side, any other as it is."""
    rows, columns = table["rows"], table["columns"]
    if len(rows) <= _LONG or len(columns) > _NARROW:
        return table
    half = (len(rows) + 1) // 2
    pairs = zip(rows[:half], [*rows[half:], [""] * len(columns)][:half], strict=True)
    return {
        "columns": [*columns] * 2,
        "numeric": [*table["numeric"]] * 2,
        "rows": [[*left, *right] for left, right in pairs],
    }


def _as_webp(png: bytes) -> bytes:
    """The same pixels in half the bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(buffer, "WEBP", lossless=True, quality=50, method=2)
    return buffer.getvalue()


@dataclass(frozen=True)
class Chapter:
    """The answer to one question.

    Attributes:
        question: `q1`.
        identifier: The id of its heading.
        title: Its heading.
        asked: The question in full.
        collaborators: Who worked on it together, or the word for nobody.
        blocks: The answer.
        notebook: File name of the notebook.
        cells: The notebook's cells, for those who want to read the code.
    """

    question: str
    identifier: str
    title: str
    asked: Markup
    collaborators: str
    blocks: Sequence[Block]
    notebook: str
    cells: Sequence[Any]


@dataclass(frozen=True)
class Report:
    """The whole report in one language.

    Attributes:
        language: `zh-TW` or `en`.
        prefix: What stands before every id of this report, so that two share a page.
        title: Its name.
        subtitle: What it is about.
        who: Who hands it in.
        labels: Words such as `figure` and `contents`.
        notice: What to know before reading on; empty for photographs.
        abstract: What was done, in a paragraph; may be empty.
        headlines: The most important results, a number and its name each.
        summary: The answers in one sentence each, by question.
        chapters: One for each question.
        origin: How the numbers came into the text.
        provenance: Data, machine and versions, a line each.
        runs: The runs behind it, as a table for `answer.table_html`; the first column is the run's id.
        commands: What to type to repeat it.
    """

    language: str
    prefix: str
    title: str
    subtitle: str
    who: Title
    labels: Mapping[str, str]
    notice: Markup
    abstract: Markup
    headlines: Sequence[Markup]
    summary: Mapping[str, Markup]
    chapters: Sequence[Chapter]
    origin: Markup
    provenance: Sequence[Markup]
    runs: Mapping[str, Any]
    commands: Sequence[str] = ()

    @property
    def known_runs(self) -> frozenset[str]:
        """The ids of the runs that the provenance lists."""
        return frozenset(row[0] for row in self.runs.get("rows", []))
