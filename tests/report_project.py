"""Executed notebooks of a few cells, and the report that is made of them, for tests of the report."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup
from IPython.core.displayhook import CapturingDisplayHook
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pypdf import PdfReader
from traitlets.config import Config

from fer_lib.report import build, display
from fer_lib.report.exporters import ReportExporter, ReportPDFExporter

WHO = {"student_id": "B00000000", "department": "電機四", "name": "王小明"}
HOSTILE = [
    "<script>alert(1)</script>",
    '#import "x"',
    r"$\input{/etc/passwd}$",
    "*bold* _it_ `code` [a](b) [c](#curves) ![d](e.png)",
    "back\\slash 'quotes\" & &amp; {braces}",
    '#read("/etc/passwd")',
    "a--b ... -1 ~ @ref <label> // x /* y */ https://example.org",
    "= heading",
    "- item",
    "1. item",
    "{{ resources }} {% raw %} {# note #}",
]
ALL = " ".join(HOSTILE)
_IMPORTS = """
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from fer_lib.report import facts, figure, read_facts, source, table
from fer_lib.report.interactive import Cells, Frames

def lines():
    made, axes = plt.subplots(figsize=(3, 2))
    axes.plot([1, 2, 3], [0.25, 0.5, 0.75], label="validation")
    return made

source()
"""

_CONFIG = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"xmode": "Minimal"}})

Cell = str | tuple[str, str]


@contextmanager
def kernel(**variables: Any) -> Iterator[InteractiveShell]:
    """A shell as in a kernel, with the magic `%%prose` and these variables."""
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=_CONFIG)
    shell.register_magic_function(display.prose, "cell")
    shell.push(variables)
    shell.run_cell(_IMPORTS)
    try:
        yield shell
    finally:
        InteractiveShell.clear_instance()


def run(shell: InteractiveShell, source: str) -> list[Any]:
    """The outputs of a cell; an error in it is raised."""
    results: list[dict[str, Any]] = []
    shell.display_trap.hook = CapturingDisplayHook(shell, results)
    with capture_output() as captured:
        result = shell.run_cell(source)
    if error := result.error_before_exec or result.error_in_exec:
        raise error
    streams = [
        new_output("stream", name=name, text=text)
        for name, text in (("stdout", captured.stdout), ("stderr", captured.stderr))
        if text
    ]
    shown = [new_output("display_data", o.data, metadata=o.metadata or {}) for o in captured.outputs]
    return [*streams, *shown, *(new_output("execute_result", **each, execution_count=1) for each in results)]


def shown(source: str, *, language: str = "en", **variables: Any) -> list[Any]:
    """The outputs of one cell in a notebook that knows these variables."""
    with kernel(LANGUAGE=language, **variables) as shell:
        return run(shell, source)


def executed(*cells: Cell, language: str = "en", **variables: Any) -> Any:
    """A notebook whose cells have been run.

    Args:
        *cells: Sources of code cells, or of Markdown cells if they begin with a blank; a pair is a source and its tag.
        language: Its LANGUAGE.
        **variables: What its cells know.
    """
    made = []
    with kernel(LANGUAGE=language, **variables) as shell:
        for number, cell in enumerate(cells, start=1):
            source, tag = cell if isinstance(cell, tuple) else (cell, "")
            metadata = {"tags": [tag]} if tag else {}
            if source.startswith(" "):
                made.append(new_markdown_cell(source.strip(), metadata=metadata))
            else:
                outputs = run(shell, source)
                made.append(new_code_cell(source, outputs=outputs, metadata=metadata, execution_count=number))
    return new_notebook(cells=made)


def merged(folder: Path, notebooks: Mapping[str, Mapping[str, Any]]) -> Any:
    """One notebook of several, as `make report` merges them.

    Args:
        folder: For the notebooks.
        notebooks: By language and name.
    """
    paths: dict[str, list[Path]] = {language: [] for language in notebooks}
    for language, each in notebooks.items():
        for name, notebook in each.items():
            path = folder / language / f"{name}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, path)
            paths[language].append(path)
    return build.merge(paths)


def page(notebook: Any, who: Mapping[str, str] = WHO) -> str:
    """The report as HTML."""
    return str(ReportExporter(title=who).from_notebook_node(notebook)[0])


def paper(notebook: Any, who: Mapping[str, str] = WHO, *, short: bool = False) -> bytes:
    """The report as PDF."""
    return bytes(ReportPDFExporter(title=who, short=short).from_notebook_node(notebook)[0])


def parsed(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def printed(pdf: bytes | PdfReader) -> str:
    """The text of a PDF without blanks, which its line breaks would otherwise scatter."""
    reader = PdfReader(BytesIO(pdf)) if isinstance(pdf, bytes) else pdf
    return squeezed("".join(sheet.extract_text() for sheet in reader.pages))


def squeezed(text: str) -> str:
    """A text without blanks."""
    return re.sub(r"\s", "", text)
