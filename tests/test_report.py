"""The report from end to end: real kernels, real notebooks, the real HTML and PDF, on small data."""

import re
import subprocess
import sys
from pathlib import Path

import pypdf
import pytest
from bs4 import BeautifulSoup
from face_files import fer2013_text

from fer_lib import synthetic
from fer_lib.publish import execute, verify
from fer_lib.publish.kernel import Kernel
from fer_lib.publish.report import make_report

SMALL = {
    "EPOCHS": "2", "WIDTH": "0.05", "TRAIN_LIMIT": "200", "STEPS": "5", "FILTERS": "6",
    "PER_EMOTION": "3", "MISTAKES": "4", "METHOD": "gradient",
}  # fmt: skip
HOSTILE = '<script>alert(1)</script> #import "x" $\\input{/etc/passwd}$ *b* _i_'
TITLE = {"name": HOSTILE, "department": "CS 3", "collaborators.q2": "A. Chen B00000001"}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """FER2013's file, with drawn faces in it."""
    path = tmp_path_factory.mktemp("data") / "fer2013.csv"
    usages = ["Training"] * 350 + ["PublicTest"] * 70
    path.write_text(fer2013_text(synthetic.draw_faces(420, seed=1), usages))
    return path


@pytest.fixture(scope="module")
def made(faces, tmp_path_factory):
    """The report in both languages, by someone with a dangerous name: (folder, page, text of the PDFs)."""
    out = tmp_path_factory.mktemp("build")
    html, *papers = build(faces, out, title=TITLE)
    page = BeautifulSoup(html.read_text(encoding="utf-8"), "html.parser")
    return out, page, [pdf_text(paper) for paper in papers]


@pytest.fixture(scope="module")
def short(made, faces):
    """The short form with one parameter changed: what was executed before and after, and the PDFs."""
    out, _, _ = made
    before = executed(out)
    _, *papers = build(faces, out, title=TITLE, form="short", settings={"CONFUSIONS": "3"})
    return before, executed(out), papers


def build(data: Path, out: Path, **options) -> tuple[Path, ...]:
    settings = {**SMALL, **options.pop("settings", {})}
    options = {"language": "both", **options}
    return make_report(str(data), settings=settings, run_root=out / "runs", out=out, **options)


def pdf_text(pdf: Path) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(pdf).pages)


def executed(out: Path) -> dict[str, int]:
    return {"/".join(path.parts[-2:]): path.stat().st_mtime_ns for path in out.glob("executed/*/q*.ipynb")}


QUESTIONS = (
    "請說明你實作的 CNN model，其模型架構、訓練過程和準確率為何？",
    "請用與上述 CNN 接近的參數量，實做簡單的 DNN model。",
    "觀察答錯的圖片中，哪些 class 彼此間容易用混？",
    "試繪出其 saliency maps，觀察模型在做 classification 時，是 focus 在圖片的哪些部份？",
    "利用上課所提到的 gradient ascent 方法，觀察特定層的 filter 最容易被哪種圖片 activate。",
)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_every_question_is_quoted_in_html_and_pdf(made):
    _, page, (text, _) = made
    for question in QUESTIONS:
        assert squeezed(question) in squeezed(page.get_text())
        assert squeezed(question) in squeezed(text)


def test_dangerous_name_appears_as_text(made):
    _, page, texts = made
    assert page.get_text().count(HOSTILE) == 2
    assert not page.find_all("script", string=re.compile("alert"))
    assert all(squeezed(HOSTILE) in squeezed(text) for text in texts)
    assert "A. Chen B00000001" in page.get_text()


def test_figures_and_tables_are_numbered_described_and_complete(made):
    _, page, (text, _) = made
    figures = page.select(".report:lang(zh-TW) figure")
    tables = page.select(".report:lang(zh-TW) .chapter table:has(> caption)")
    captions = [figure.figcaption.get_text() for figure in figures]
    numbers = [int(re.match(r"\s*圖\s*(\d+)", caption)[1]) for caption in captions]
    assert numbers == list(range(1, len(figures) + 1)) and len(figures) > 20
    numbers = [int(re.match(r"\s*表\s*(\d+)", table.caption.get_text())[1]) for table in tables]
    assert numbers == list(range(1, len(tables) + 1)) and len(tables) > 7
    for figure in page.find_all("figure"):
        image = figure.select_one("img, svg, table, [role=img]")
        names = [image.get(name, "") for name in ("alt", "aria-label", "aria-describedby")]
        assert "".join(names).strip()
    assert squeezed(captions[0]) in squeezed(text)


def test_page_is_one_file_that_asks_for_nothing(made):
    _, page, _ = made
    addresses = [tag.get(name) for tag in page.find_all(True) for name in ("src", "href") if tag.get(name)]
    assert [a for a in addresses if not a.startswith(("data:", "#"))] == []
    styles = " ".join(style.get_text() for style in page.find_all("style"))
    assert re.findall(r"url\((?!['\"]?data:)", styles) == []
    assert "@import" not in styles


def test_code_is_folded_in_the_page_and_left_out_of_the_pdf(made):
    _, page, texts = made
    folds = page.select("details.code")
    assert any("runs.train_or_reuse" in fold.get_text() for fold in folds)
    assert not any(fold.has_attr("open") for fold in folds)
    assert not any("train_or_reuse" in text for text in texts)


def test_numbers_in_the_text_are_those_of_the_run(made):
    out, page, _ = made
    facts = execute.facts(out / "executed" / "quick-zh-TW" / "q1_cnn.ipynb")
    text = squeezed(page.get_text())
    assert f"共有{facts['parameters']:,}個參數" in text
    assert f"{facts['accuracy']['validation']['value']:.2%}" in text
    assert squeezed(f"test faces (Public) is {facts['accuracy']['public']['value']:.2%}") in text
    assert facts["run"]["id"] in text
    assert "white noise, and the images after 5 steps" in str(page)
    assert "程式畫出來的" not in text and squeezed("drawn by a program") not in text


@pytest.mark.parametrize("name", execute.NOTEBOOKS)
def test_both_languages_state_the_same_numbers(made, name):
    out, _, _ = made
    chinese, english = (
        dict(verify.leaves(execute.facts(out / "executed" / f"quick-{language}" / f"{name}.ipynb")))
        for language in ("zh-TW", "en")
    )
    assert chinese.keys() == english.keys()
    assert {k: v for k, v in chinese.items() if not isinstance(v, str)}.items() <= english.items()


def test_english_is_english_throughout(made):
    _, page, (_, text) = made
    [english] = page.select(".report:lang(en)")
    english.select_one(".languages").decompose()
    for content in (english.get_text(), text):
        assert re.findall(r"[\u4e00-\u9fff]", content) == []


def test_second_report_runs_nothing_and_changes_nothing(made, faces):
    out, _, _ = made
    before = executed(out), (out / "hw3-report.pdf").stat().st_mtime_ns
    build(faces, out, title=TITLE)
    assert (executed(out), (out / "hw3-report.pdf").stat().st_mtime_ns) == before


def test_changed_parameter_runs_only_the_notebooks_that_have_it(short):
    before, after, _ = short
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"quick-zh-TW/q3_confusion.ipynb", "quick-en/q3_confusion.ipynb"}


def test_a_page_of_another_form_is_not_taken_for_this_one(short, faces, made):
    out, _, _ = made
    pages = []
    for form in ("full", "short", "full"):
        page, _ = build(faces, out, title=TITLE, settings={"CONFUSIONS": "3"}, language="en", form=form)
        pages.append(page.read_text(encoding="utf-8"))
    assert ["FORM=short" in page for page in pages] == [False, True, False]


def test_short_form_has_four_to_six_pages(short):
    assert all(4 <= len(pypdf.PdfReader(paper).pages) <= 6 for paper in short[2])


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
