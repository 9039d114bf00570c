"""The report on screen and on paper: one HTML file and one PDF from executed notebooks.

nbconvert sets both as HTML, by the templates in `report/templates`; for paper, pandoc and Typst go on from
there. The HTML asks for nothing from outside. The PDF has to pass as PDF/UA-1: a character without a glyph or a
figure without a description is an error here, not a gap on paper.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pypandoc
import typst

from fer_lib import fonts
from fer_lib.errors import InputError
from fer_lib.files import replacing
from fer_lib.publish.document import Report
from fer_lib.publish.prose import report_folder
from fer_lib.publish.title import WHO

NAME = "hw3-report"
"""File name of the report, without its suffix."""

_HEADING = re.compile(r"<h[1-6]\b.*?</h[1-6]>|<ul class=\"headlines\">.*?</ul>", re.DOTALL)


def write_page(reports: Sequence[Report], path: Path) -> None:
    """Set reports, one for each language, as one HTML file.

    Args:
        reports: The first is the one that is seen first; all but it have a `prefix`.
        path: The file, which appears whole or not at all.
    """
    page = _with_script_hash(_set(reports, "page.html.j2", sheets=_sheets(reports)))
    page = _with_fonts(page, "".join(word for report in reports for word in report.labels.values()))
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def write_paper(report: Report, path: Path, *, short: bool = False) -> None:
    """Set a report as PDF.

    Args:
        report: The report.
        path: The file, which appears whole or not at all.
        short: Set it tightly, with smaller figures and without contents.

    Raises:
        InputError: A character cannot be printed.
    """
    paper = _print(report, short=short)
    with replacing(path) as temporary:
        temporary.write_bytes(paper)


def _set(reports: Sequence[Report], template: str, **more: Any) -> str:
    """The reports as HTML by one of the templates."""
    # Two seconds to load, which a report that is up to date need not wait for.
    from nbconvert import HTMLExporter
    from nbformat.v4 import new_notebook

    templates = report_folder() / "templates"
    exporter = HTMLExporter(
        extra_template_basedirs=[str(templates.parent)], template_name=templates.name, template_file=template
    )
    body, _ = exporter.from_notebook_node(new_notebook(), {"reports": reports, **more})
    return str(body)


def _sheets(reports: Sequence[Report]) -> dict[str, str]:
    """The sheets of all faces and frames by class, each once: languages share them."""
    blocks = (block for report in reports for chapter in report.chapters for block in chapter.blocks)
    return {block.sheet_class: block.explore["sheet"] for block in blocks if block.explore.get("sheet")}


def _with_script_hash(page: str) -> str:
    """The page with a policy that runs its own script and no other."""
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return page.replace("SCRIPT-HASH", f"sha256-{digest}", 1)


def _with_fonts(page: str, script: str) -> str:
    """The page with the parts of the two fonts that it and its script need in the place of their names."""
    headings = "".join(_HEADING.findall(page))
    for family, text in ((fonts.FAMILY, page + script), (fonts.SERIF_FAMILY, headings)):
        data = base64.b64encode(fonts.woff2_subset("".join(sorted(set(text))), family)).decode()
        page = page.replace(f"url({family})", f"url(data:font/woff2;base64,{data})")
    return page


def _print(report: Report, *, short: bool) -> bytes:
    """The report as PDF."""
    with tempfile.TemporaryDirectory(prefix="fer-lib-") as name:
        # The root of all that Typst may read: what is written here and nothing else.
        root = Path(name)
        templates = report_folder() / "templates"
        for block in (block for chapter in report.chapters for block in chapter.blocks if block.picture):
            (root / block.file).write_bytes(block.picture)
        body = _as_typst(
            _with_files(_set([report], "print.html.j2", short=short), root), templates / "print.lua"
        )
        (root / "body.typ").write_text(body, encoding="utf-8")
        main = Path(shutil.copy(templates / "print.typ", root))
        try:
            return bytes(
                typst.compile(
                    main,
                    root=root,
                    font_paths=[
                        fonts.chinese_font(family).parent for family in (fonts.FAMILY, fonts.SERIF_FAMILY)
                    ],
                    ignore_system_fonts=True,
                    sys_inputs={"report": _front_matter(report, short=short)},
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


def _as_typst(body: str, filter_file: Path) -> str:
    """HTML as Typst markup, in which every text is a string and none is markup."""
    return str(
        pypandoc.convert_text(
            body,
            "typst",
            format="html-auto_identifiers",
            extra_args=[
                "--sandbox",
                "--wrap=none",
                "--shift-heading-level-by=-1",
                f"--lua-filter={filter_file}",
            ],
        )
    )


def _front_matter(report: Report, *, short: bool) -> str:
    """What stands around the body, as JSON: Typst sees strings."""
    who = {key: getattr(report.who, key) for key in WHO}
    return json.dumps(
        {
            "language": report.language,
            "title": report.title,
            "subtitle": report.subtitle,
            "who": [[report.labels[key], text] for key, text in who.items()],
            "author": report.who.name,
            "contents": report.labels["contents"],
            "short": short,
        }
    )


def _explain(error: typst.TypstError) -> str:
    """What stops Typst, in one sentence."""
    if missing := re.search(r"the text `\"(.+?)\"` could not be displayed", error.message):
        named = ", ".join(f"{c} (U+{ord(c):04X} {unicodedata.name(c, 'unnamed')})" for c in missing[1])
        return f"The fonts of the PDF have no glyph for {named}; write it in another way."
    return f"The PDF cannot be set: {' '.join(error.message.split())}."
