"""The report on screen and on paper, as nbconvert exporters: `jupyter nbconvert --to hw3 …`, `--to hw3-pdf …`.

The page asks for nothing from outside. The PDF has to pass as PDF/UA-1: a character without a glyph or a picture
without a description is an error here, not a gap on paper.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import Any

import pypandoc
import typst
from nbconvert.exporters.templateexporter import TemplateExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor, TagRemovePreprocessor
from traitlets import Bool, Dict, List, Unicode, default
from traitlets.config import Config

from fer_lib import fonts
from fer_lib.errors import InputError
from fer_lib.files import REPORT
from fer_lib.report.interactive import render
from fer_lib.report.notes import notes_of
from fer_lib.report.numbers import numbers_of
from fer_lib.report.preprocessors import (
    LinkOutputs,
    MarkAuthor,
    NumberCitations,
    NumberOutputs,
    PlaceCells,
    RenderMarkdown,
    SplitChapters,
)
from fer_lib.report.record import Record, embed
from fer_lib.report.title import WHO, read_title

NOTEBOOK_ONLY = "notebook-only"
"""The tag of cells that help whoever opens the notebook and are not of the report."""

FULL = "full"
"""The tag of cells that the short form leaves out."""

_HEADLINES = re.compile(r"<h[1-6]\b.*?</h[1-6]>|<strong>.*?</strong>", re.DOTALL)
_REPEATED = re.compile(r"(<(?:style|script)>.*?</(?:style|script)>)", re.DOTALL)
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_ESCAPED = re.compile(r"\\u([0-9a-f]{4})")
_LONG = 12  # rows, and
_NARROW = 3  # columns of a table that paper has in two halves if it is longer and no wider


class _Report(TemplateExporter):
    """What page and paper have in common."""

    preprocessors = List(
        [
            CoalesceStreamsPreprocessor,
            PlaceCells,
            MarkAuthor,
            NumberCitations,
            RenderMarkdown,
            NumberOutputs,
            LinkOutputs,
            SplitChapters,
        ]
    ).tag(config=True)
    template_extension = Unicode(".html.j2").tag(config=True, affects_environment=True)
    priority = ("text/html", "image/svg+xml", "image/png", "image/jpeg", "text/plain")
    short = False
    title = Dict(help="Who hands it in: student_id, department, name.").tag(config=True)
    made = Dict(help="How it was made: profile, fingerprint, parameters, see `Record`.")

    @property
    def default_config(self) -> Config:
        """See `TemplateExporter`."""
        config = super().default_config.copy()
        config.NbConvertBase.display_data_priority = list(self.priority)
        return config

    @default("extra_template_basedirs")
    def _default_extra_template_basedirs(self) -> list[str]:
        return [str(REPORT / "templates")]

    def from_notebook_node(self, nb: Any, resources: Any = None, **kw: Any) -> tuple[Any, Any]:
        """See `TemplateExporter`.

        Raises:
            InputError: A link leads nowhere, a picture has no description and the like; names notebook and cell.
        """
        resources = {
            **(resources or {}),
            "who": self.title or vars(read_title(REPORT / "title.yaml")),
            "short": self.short,
            "keys": {str(note["key"]) for note in notes_of(nb) if "key" in note},
        }
        tags = {NOTEBOOK_ONLY, FULL} if self.short else {NOTEBOOK_ONLY}
        nb, _ = TagRemovePreprocessor(remove_cell_tags=tags).preprocess(copy(nb), {})
        body, resources = super().from_notebook_node(nb, resources, **kw)
        return _without_gaps(body), resources


class ReportExporter(_Report):
    """The course report as one HTML file; a notebook merged of two languages gets a switch."""

    export_from_notebook = "Course report (HTML)"
    output_mimetype = "text/html"
    template_name = Unicode("hw3").tag(config=True, affects_template=True)
    file_extension = Unicode(".html").tag(config=True)

    def from_notebook_node(self, nb: Any, resources: Any = None, **kw: Any) -> tuple[str, Any]:
        """See `_Report`."""
        page, resources = super().from_notebook_node(nb, resources, **kw)
        page = _with_fonts(_with_policy(_each_once(page)))
        return embed(page, _record(resources, self.made)), resources


class ReportPDFExporter(_Report):
    """The course report as PDF/UA-1, by pandoc and Typst, in the language of the notebook."""

    export_from_notebook = "Course report (PDF)"
    output_mimetype = "application/pdf"
    template_name = Unicode("hw3_typst").tag(config=True, affects_template=True)
    file_extension = Unicode(".pdf").tag(config=True)
    priority = ("image/svg+xml", "image/png", "text/html", "image/jpeg", "text/plain")
    short = Bool(False, help="Leave out what is tagged `full`, set it tightly, without contents.").tag(
        config=True
    )

    def default_filters(self) -> Iterator[tuple[str, Any]]:
        """See `TemplateExporter`."""
        yield from super().default_filters()
        yield "paper_table", _paper_table

    def from_notebook_node(self, nb: Any, resources: Any = None, **kw: Any) -> tuple[Any, Any]:
        """See `_Report`.

        Raises:
            InputError: As `ReportExporter`; or a character cannot be printed.
        """
        body, resources = super().from_notebook_node(nb, resources, **kw)
        return _typeset(body, resources), resources


def _record(resources: Mapping[str, Any], made: Mapping[str, Any]) -> Record:
    """What a page says of itself, in its first language."""
    first = resources["reports"][0]
    notes = (
        (chapter["notebook"], note)
        for chapter in first["chapters"]
        for cell in chapter["cells"]
        for note in notes_of({"cells": [cell]})
    )
    own = resources["own"][first["language"]]
    who = {key: resources["who"][key] for key in WHO}
    return Record(who, first["language"], numbers_of(notes), own, **made)


def _paper_table(note: Mapping[str, Any], runs: str) -> str:
    """A table for paper, a long and narrow one in two halves side by side."""
    columns, rows, numeric = note["columns"], note["rows"], note["numeric"]
    if len(rows) > _LONG and len(columns) <= _NARROW:
        half = (len(rows) + 1) // 2
        pairs = zip(rows[:half], [*rows[half:], [""] * len(columns)][:half], strict=True)
        columns, numeric, rows = [*columns] * 2, [*numeric] * 2, [[*left, *right] for left, right in pairs]
    caption = f"<b>{note['label']}</b> {note['caption']}{runs}"
    return render(
        "table.html.j2", columns=columns, rows=rows, numeric=numeric, key=note["id"], caption=caption
    )


def _without_gaps(page: str) -> str:
    """The page with no heading more than one level below the one before it, as PDF/UA and screen readers ask."""
    level = 1

    def raised(tag: re.Match[str]) -> str:
        nonlocal level
        if not tag[1]:
            level = min(int(tag[2]), level + 1)
        return f"<{tag[1]}h{level}"

    return re.sub(r"<(/?)h([1-6])\b", raised, page)


def _each_once(page: str) -> str:
    """The page with equal styles and equal scripts only where the last of them stands: a script sees all before it."""
    parts = _REPEATED.split(page)
    last = {part: number for number, part in enumerate(parts)}
    return "".join(part for number, part in enumerate(parts) if number % 2 == 0 or last[part] == number)


def _with_policy(page: str) -> str:
    """The page with a policy that runs its own scripts and no others."""
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in _SCRIPT.findall(page)]
    return page.replace("SCRIPT-HASHES", " ".join(f"'sha256-{digest}'" for digest in digests), 1)


def _with_fonts(page: str) -> str:
    """The page with the parts of the two fonts that it needs in the place of their names."""
    headings = "".join(_HEADLINES.findall(page))
    words = "".join(chr(int(code, 16)) for code in _ESCAPED.findall(page))  # of the script, as JSON has them
    for family, text in ((fonts.FAMILY, page + words), (fonts.SERIF_FAMILY, headings)):
        data = base64.b64encode(fonts.woff2_subset("".join(sorted(set(text))), family)).decode()
        page = page.replace(f"url({family})", f"url(data:font/woff2;base64,{data})")
    return page


def _typeset(body: str, resources: Mapping[str, Any]) -> bytes:
    """HTML as PDF: pandoc turns it into Typst markup, in which every text is a string and none is markup."""
    templates = REPORT / "templates" / "hw3_typst"
    with tempfile.TemporaryDirectory(prefix="fer-lib-") as name:
        root = Path(name)  # of all that Typst may read
        markup = pypandoc.convert_text(
            _with_files(body, root),
            "typst",
            format="html-auto_identifiers",
            extra_args=[
                "--sandbox",
                "--wrap=none",
                "--shift-heading-level-by=-1",
                f"--lua-filter={templates / 'strings.lua'}",
            ],
        )
        (root / "body.typ").write_text(markup, encoding="utf-8")
        main = Path(shutil.copy(templates / "main.typ", root))
        try:
            return bytes(
                typst.compile(
                    main,
                    root=root,
                    font_paths=[fonts.chinese_font(f).parent for f in (fonts.FAMILY, fonts.SERIF_FAMILY)],
                    ignore_system_fonts=True,
                    sys_inputs={"report": _front_matter(resources)},
                    pdf_standards=["ua-1"],
                )
            )
        except typst.TypstError as error:
            raise InputError(_explain(error)) from None


def _with_files(body: str, root: Path) -> str:
    """HTML whose pictures are files in a folder, no more in their addresses."""

    def written(picture: re.Match[str]) -> str:
        name = f"{hashlib.sha256(picture[2].encode()).hexdigest()[:16]}.{picture[1]}"
        (root / name).write_bytes(base64.b64decode(picture[2]))
        return f'src="{name}"'

    return re.sub(r'\bsrc="data:image/(\w+)[^,"]*,([^"]*)"', written, body)


def _front_matter(resources: Mapping[str, Any]) -> str:
    """What stands around the body, as JSON: Typst sees strings."""
    report, who = resources["reports"][0], resources["who"]
    labels = report["labels"]
    return json.dumps(
        {
            "language": report["language"],
            "title": labels["title"],
            "subtitle": labels["subtitle"],
            "who": [[labels[key], who[key]] for key in WHO],
            "author": who["name"],
            "contents": labels["contents"],
            "short": resources["short"],
            "authorship": report["authorship"],
        }
    )


def _explain(error: typst.TypstError) -> str:
    """What stops Typst, in one sentence."""
    if missing := re.search(r"the text `\"(.+?)\"` could not be displayed", error.message):
        named = ", ".join(f"{c} (U+{ord(c):04X} {unicodedata.name(c, 'unnamed')})" for c in missing[1])
        return f"The fonts of the PDF have no glyph for {named}; write it in another way."
    return f"The PDF cannot be set: {' '.join(error.message.split())}."
