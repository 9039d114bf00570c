"""A small report project of its own, with prose and executed notebooks, for tests of the report."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
from bs4 import BeautifulSoup
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pypdf import PdfReader

from fer_lib.publish.answer import Answer
from fer_lib.publish.assemble import assemble
from fer_lib.publish.document import Report
from fer_lib.publish.prose import report_folder
from fer_lib.publish.render import write_page, write_paper
from fer_lib.publish.title import Title

TITLE = Title("B00000000", "電機四", "王小明", {"q2": "陳小華 B00000001"})
HOSTILE = [
    "<script>alert(1)</script>",
    '#import "x"',
    r"$\input{/etc/passwd}$",
    "*bold* _it_ `code` [a](b)",
    "back\\slash 'quotes\" & &amp; {braces}",
    '#read("/etc/passwd")',
    "a--b ... -1 ~ @ref <label> // x /* y */ https://example.org",
    "= heading",
    "- item",
    "{{ resources }} {% raw %}",
]
ALL = " ".join(HOSTILE)
WORDS = {
    "q1.md": """
## title
CNN：模型架構與準確率

## question
請說明你實作的 CNN model，其模型架構、訓練過程和準確率為何？

## training
訓練 {epochs} 個 epoch，名稱是{name}（`{name}`），見[下圖](#curves)、[下表](#layers)與[第二題的圖](#q2.curves)。

### 小標題

- **誤差**很小

## curves
{name}的訓練過程，共 {epochs} 個 epoch

## curves.alt
{name}的折線圖

## layers
各層的參數
""",
    "q2.md": """
## title
DNN 與 CNN 的比較

## question
承上題，請用與上述 CNN 接近的參數量，實做簡單的 DNN model。

## curves
DNN 的訓練過程

## curves.alt
DNN 的折線圖
""",
}
REPORT = re.sub(
    r"## (abstract|headline|summary|provenance)\.(?s:.*?)(?=\n## |\Z)",
    "",
    (report_folder() / "text" / "zh-TW" / "report.md").read_text(encoding="utf-8"),
)
LINES = """
## summary.q1
驗證準確率 {q1.accuracy:.1%}

## summary.q2
DNN 的驗證準確率 {q2.accuracy:.1%}

## provenance.data.drawn
資料：程式繪製的臉，{q1.faces:,} 張

## provenance.data.real
資料：照片，{q1.faces:,} 張
"""


def figure() -> plt.Figure:
    made, axes = plt.subplots(figsize=(4, 2))
    axes.imshow(np.arange(49).reshape(7, 7))
    return made


def first(answer: Answer, name: str = "模型", **facts: Any) -> None:
    answer.text("question")
    answer.text("training", epochs=3, name=name)
    answer.figure(figure(), "curves", epochs=3, name=name)
    layers = pd.DataFrame({"層": [f"conv2d_{i}" for i in range(160)], "參數": np.arange(160) * 1000})
    answer.table(layers, "layers", formats={"參數": ",d"})
    answer.facts(accuracy=0.6389, faces=5000, **facts)


def second(answer: Answer) -> None:
    answer.figure(figure(), "curves", raster=True)
    answer.facts(accuracy=0.42)


class Project:
    """Prose and executed notebooks in a folder of their own."""

    def __init__(self, root: Path) -> None:
        self.root, self.texts = root, root / "text"
        for name, text in {**WORDS, "report.md": REPORT + LINES}.items():
            self.write(name, text)

    def write(self, name: str, text: str, *, language: str = "zh-TW") -> None:
        path = self.texts / language / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def notebook(self, question: str, call: Callable[[Answer], None], *, language: str = "zh-TW") -> Path:
        """A notebook as papermill leaves it, with what `call` shows and the noise of a real run."""
        InteractiveShell.instance()
        with capture_output() as captured:
            call(Answer(question, language, texts=self.texts))
        InteractiveShell.clear_instance()
        outputs = [new_output("display_data", o.data, metadata=o.metadata or {}) for o in captured.outputs]
        noise = [
            new_output("stream", name="stdout", text="NOISE 1/10 loss: 1.9"),
            new_output("stream", name="stderr", text="UserWarning: NOISE"),
            new_output("execute_result", {"text/plain": "NOISE"}, execution_count=1),
        ]
        cells = [
            new_markdown_cell("A note"),
            new_code_cell("EPOCHS = 3", metadata={"tags": ["parameters"]}),
            new_code_cell("answer.show(CODE_OF_A_CELL)", outputs=noise + outputs),
        ]
        path = self.root / language / f"{question}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=cells), path)
        return path

    def assemble(self, *notebooks: Path, title: Title = TITLE, **options: Any) -> Report:
        return assemble(notebooks, self.texts, "zh-TW", title, **options)

    def render(
        self, *notebooks: Path, title: Title = TITLE, **options: Any
    ) -> tuple[BeautifulSoup, PdfReader]:
        report = self.assemble(*notebooks, title=title, **options)
        page, paper = self.root / "out" / "hw3-report.html", self.root / "out" / "hw3-report.pdf"
        write_paper(report, paper)
        write_page([report], page)
        return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser"), PdfReader(paper)
