"""The report from end to end: real kernels, real notebooks, the real HTML and PDF, on small data."""

import re
import subprocess
import sys
from pathlib import Path

import pypdf
import pytest
from bs4 import BeautifulSoup
from conftest import write_course_files
from face_files import fer2013_text

from fer_lib import synthetic
from fer_lib.publish import execute
from fer_lib.publish.kernel import Kernel
from fer_lib.publish.report import make_report

SMALL = {
    "EPOCHS": "2", "WIDTH": "0.05", "TRAIN_LIMIT": "200", "STEPS": "5", "FILTERS": "6",
    "PER_EMOTION": "3", "MISTAKES": "4", "METHOD": "gradient",
}  # fmt: skip
HOSTILE = '<script>alert(1)</script> #import "x" $\\input{/etc/passwd}$ *b* _i_'


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A folder with the course's files, of drawn faces."""
    folder = tmp_path_factory.mktemp("course")
    train, test = synthetic.draw_faces(350, seed=1), synthetic.draw_faces(40, seed=2)
    write_course_files(folder, train, test)
    return folder


@pytest.fixture(scope="module")
def chinese(course, tmp_path_factory):
    """The report in Chinese on the course's files, by someone with a dangerous name: (folder, html, pdf text)."""
    out = tmp_path_factory.mktemp("build")
    html, pdf = build(course, out, title={"name": HOSTILE, "collaborators.q2": "陳大文 B00000001"})
    return out, BeautifulSoup(html.read_text(encoding="utf-8"), "html.parser"), pdf_text(pdf)


def build(data: Path | str, out: Path, **options) -> tuple[Path, Path]:
    settings = {**SMALL, **options.pop("settings", {})}
    return make_report(str(data), settings=settings, run_root=out / "runs", out=out, **options)


def pdf_text(pdf: Path) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(pdf).pages)


def executed(out: Path) -> dict[str, int]:
    return {path.stem: path.stat().st_mtime_ns for path in out.glob("executed/*/q*.ipynb")}


QUESTIONS = (
    "請說明你實作的 CNN model，其模型架構、訓練過程和準確率為何？",
    "請用與上述 CNN 接近的參數量，實做簡單的 DNN model。",
    "觀察答錯的圖片中，哪些 class 彼此間容易用混？",
    "試繪出其 saliency maps，觀察模型在做 classification 時，是 focus 在圖片的哪些部份？",
    "利用上課所提到的 gradient ascent 方法，觀察特定層的 filter 最容易被哪種圖片 activate。",
)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_every_question_is_quoted_in_html_and_pdf(chinese):
    _, page, text = chinese
    for question in QUESTIONS:
        assert squeezed(question) in squeezed(page.get_text())
        assert squeezed(question) in squeezed(text)


def test_dangerous_name_appears_as_text(chinese):
    _, page, text = chinese
    assert HOSTILE in page.get_text()
    assert not page.find_all("script", string=re.compile("alert"))
    assert squeezed(HOSTILE) in squeezed(text)
    assert "陳大文 B00000001" in page.get_text()


def test_figures_and_tables_are_numbered_described_and_complete(chinese):
    _, page, text = chinese
    figures = page.find_all("figure")
    tables = page.select(".chapter table:has(> caption)")
    captions = [figure.figcaption.get_text() for figure in figures]
    numbers = [int(re.match(r"\s*圖\s*(\d+)", caption)[1]) for caption in captions]
    assert numbers == list(range(1, len(figures) + 1)) and len(figures) > 20
    numbers = [int(re.match(r"\s*表\s*(\d+)", table.caption.get_text())[1]) for table in tables]
    assert numbers == list(range(1, len(tables) + 1)) and len(tables) > 7
    for figure in figures:
        image = figure.select_one("img, svg, table, [role=img]")
        names = [image.get(name, "") for name in ("alt", "aria-label", "aria-describedby")]
        assert "".join(names).strip()
    assert squeezed(captions[0]) in squeezed(text)


def test_page_is_one_file_that_asks_for_nothing(chinese):
    _, page, _ = chinese
    addresses = [tag.get(name) for tag in page.find_all(True) for name in ("src", "href") if tag.get(name)]
    assert [a for a in addresses if not a.startswith(("data:", "#"))] == []
    styles = " ".join(style.get_text() for style in page.find_all("style"))
    assert re.findall(r"url\((?!['\"]?data:)", styles) == []
    assert "@import" not in styles


def test_code_is_folded_in_the_page_and_left_out_of_the_pdf(chinese):
    _, page, text = chinese
    folds = page.select("details.code")
    assert any("runs.train_or_reuse" in fold.get_text() for fold in folds)
    assert not any(fold.has_attr("open") for fold in folds)
    assert "train_or_reuse" not in text


def test_numbers_in_the_text_are_those_of_the_run(chinese):
    out, page, _ = chinese
    facts = execute.facts(out / "executed" / "quick-zh-TW" / "q1_cnn.ipynb")
    text = squeezed(page.get_text())
    assert f"共有{facts['parameters']:,}個參數" in text
    assert f"{facts['accuracy']['validation']['value']:.2%}" in text
    assert facts["run"]["id"] in text


def test_second_report_runs_nothing_and_changes_nothing(chinese, course):
    out, _, _ = chinese
    before = executed(out), (out / "hw3-report.pdf").stat().st_mtime_ns
    build(course, out, title={"name": HOSTILE, "collaborators.q2": "陳大文 B00000001"})
    assert (executed(out), (out / "hw3-report.pdf").stat().st_mtime_ns) == before


def test_changed_parameter_runs_only_the_notebooks_that_have_it(chinese, course):
    out, _, _ = chinese
    before = executed(out)
    build(course, out, title={"name": HOSTILE}, settings={"q5_filters.STEPS": "4"})
    after = executed(out)
    assert {name for name in before if after[name] != before[name]} == {"q5_filters"}


def test_english_report_of_labelled_data_has_public_accuracy_and_no_chinese(tmp_path):
    faces = synthetic.draw_faces(280, seed=3)
    usages = ["Training"] * 210 + ["PublicTest"] * 70
    (tmp_path / "fer2013.csv").write_text(fer2013_text(faces, usages))
    title = {"name": "A. Student", "department": "CS 3"}
    html, pdf = build(tmp_path / "fer2013.csv", tmp_path / "out", language="en", title=title)
    page = BeautifulSoup(html.read_text(encoding="utf-8"), "html.parser")
    assert page.html["lang"] == "en"
    facts = execute.facts(tmp_path / "out" / "executed" / "quick-en" / "q1_cnn.ipynb")
    assert f"test faces (Public) is {facts['accuracy']['public']['value']:.2%}" in page.get_text()
    assert "drawn by a program" not in page.get_text()
    for content in (page.get_text(), pdf_text(pdf)):
        assert re.findall(r"[\u4e00-\u9fff]", content) == []


@pytest.mark.real_data
def test_first_question_is_answered_on_real_faces(real_data, tmp_path):
    make_files = [sys.executable, real_data / "make_files.py", tmp_path, "hw3", "--limit", "400"]
    subprocess.run(make_files, check=True)
    parameters = execute.resolve("quick", {"EPOCHS": "1", "WIDTH": "0.05"})["q1_cnn"]
    parameters |= {"DATA": str(tmp_path), "RUN_ROOT": str(tmp_path / "runs")}
    with Kernel() as kernel:
        executed, _ = execute.execute("q1_cnn", parameters, tmp_path, data_fingerprint="", kernel=kernel)
    facts = execute.facts(executed)
    assert not facts["drawn"]
    assert facts["data"]["source"] == "train.csv + test.csv"
    assert facts["faces"] == {"train": 340, "validation": 60, "available": 340}
