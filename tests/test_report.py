"""The report from end to end: real kernels, the committed notebooks, the real page and PDF, on small data."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pypdf
import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from face_files import fer2013_text
from report_project import kernel, run
from small_project import make
from white_space import white_space

from fer_lib.data.drawn import sampling
from fer_lib.report import execute
from fer_lib.report.build import make_report, read_record

SMALL = {
    "EPOCHS": "2", "SEEDS": "1", "WIDTH": "0.05", "TRAIN_LIMIT": "200", "STEPS": "5", "FILTERS": "6",
    "PER_EMOTION": "3", "MISTAKES": "4", "METHOD": "gradient", "COMPARED": "1", "CONTROLS": "1", "SHUFFLED": "2",
    "RIVALS": "1", "SHIFTED": "20",
}  # fmt: skip
HOSTILE = '<script>alert(1)</script> #import "x" $\\input{/etc/passwd}$ *b* _i_ {{ x }}'
TITLE = {"name": HOSTILE, "department": "CS 3", "collaborators.q2": f"A. Chen {HOSTILE}"}
QUESTIONS = (
    "Describe the CNN model that you implemented",
    "implement a simple DNN model with about as many parameters",
    "which classes are easily confused with each other?",
    "Plot its saliency maps",
    "use the gradient ascent method taught in class",
)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """FER2013's file, with drawn faces in it."""
    path = tmp_path_factory.mktemp("data") / "fer2013.csv"
    usages = ["Training"] * 350 + ["PublicTest"] * 70
    path.write_text(fer2013_text(sampling.draw_faces(420, seed=1), usages))
    return path


@pytest.fixture(scope="module")
def made(faces, tmp_path_factory):
    """The report, by someone with a dangerous name: (folder, page, text of the PDF)."""
    out = tmp_path_factory.mktemp("build")
    html, paper = build(faces, out)
    return out, BeautifulSoup(html.read_text(encoding="utf-8"), "html.parser"), pdf_text(paper)


def build(data: Path, out: Path, **options) -> tuple[Path, ...]:
    settings = {**SMALL, **options.pop("settings", {})}
    return make_report(
        str(data), settings=settings, title=TITLE, language="en", run_root=out / "runs", out=out, **options
    )


def pdf_text(pdf: Path) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(pdf).pages)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def executed(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in out.glob("executed/*/*.ipynb")}


def test_every_question_is_quoted_in_page_and_pdf(made):
    _, page, text = made
    for question in QUESTIONS:
        assert squeezed(question) in squeezed(page.get_text())
        assert squeezed(question) in squeezed(text)


def test_pages_are_filled(made):
    *shares, _ = white_space(made[0] / "hw3-report.pdf")
    assert np.mean(shares) < 0.08
    assert max(shares) < 0.25


def test_dangerous_names_appear_as_text(made):
    _, page, text = made
    assert page.get_text().count(HOSTILE) == 2
    scripts = page.select("script:not([type])")  # the record is data
    assert scripts and not any("alert" in script.string for script in scripts)
    assert squeezed(HOSTILE) in squeezed(text) and squeezed(TITLE["collaborators.q2"]) in squeezed(text)


def test_figures_and_tables_are_numbered_described_and_complete(made):
    _, page, text = made
    captions = [figure.figcaption.get_text() for figure in page.select("figure")]
    numbers = [int(re.match(r"\s*Figure\s*(\d+)", caption)[1]) for caption in captions]
    assert numbers == list(range(1, len(captions) + 1)) and len(captions) > 20
    tables = page.select(".chapter table:has(> caption)")
    numbers = [int(re.match(r"\s*Table\s*(\d+)", table.caption.get_text())[1]) for table in tables]
    assert numbers == list(range(1, len(tables) + 1)) and len(tables) > 7
    assert all(image.get("alt") for image in page.find_all("img"))
    assert squeezed(captions[0]) in squeezed(text)


def test_code_is_folded_in_the_page_and_left_out_of_the_pdf(made):
    _, page, text = made
    folds = page.select("details.code")
    assert any("runs.train_or_reuse" in fold.get_text() for fold in folds)
    assert not any(fold.has_attr("open") for fold in folds)
    assert "train_or_reuse" not in text and "%%prose" not in page.get_text()


def test_numbers_in_the_text_are_those_of_the_run(made):
    out, page, _ = made
    facts = execute.facts(out / "executed" / "quick-en" / "q1_cnn.ipynb")
    text = squeezed(page.get_text())
    assert f"has{facts['parameters']:,}parameters" in text
    assert f"{facts['accuracy']['validation']['value']:.1%}" in text
    assert facts["run"]["id"] in text
    assert "drawnbyaprogram" not in text


def test_english_is_english_throughout(made):
    _, page, text = made
    assert re.findall(r"[\u4e00-\u9fff]", page.get_text().replace("王小明", "")) == []
    assert re.findall(r"[\u4e00-\u9fff]", text.replace("資工三", "")) == []


def test_an_executed_notebook_holds_no_noise(made):
    out, _, _ = made
    for path in out.glob("executed/*/*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert [output for output in cell.get("outputs", []) if output["output_type"] == "stream"] == []


def test_only_what_changed_runs_again_and_the_short_form_is_short(made, faces):
    out, _, _ = made
    before, paper = executed(out), (out / "hw3-report.pdf").stat().st_mtime_ns
    build(faces, out)
    assert (executed(out), (out / "hw3-report.pdf").stat().st_mtime_ns) == (before, paper)
    _, short = build(faces, out, form="short")
    changed = {name for name, time in executed(out).items() if time != before[name]}
    assert changed == {"provenance.ipynb"}  # which names the command
    assert (out / "hw3-report.pdf").stat().st_mtime_ns == paper
    assert 4 <= len(pypdf.PdfReader(short).pages) <= 8


def test_other_language_says_the_same_from_what_was_computed(made, monkeypatch):
    out, _, _ = made
    monkeypatch.chdir(ROOT / "notebooks")
    kept = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*")}
    assert sum(path.parent.name == "computed" for path in kept) > 10
    english = out / "executed" / "quick-en"
    for name, parameters in read_record(out).parameters.items():
        found, passages = said(name, {**parameters, "LANGUAGE": "zh-TW", "EXECUTED": str(english)})
        expected = execute.facts(english / f"{name}.ipynb")
        assert numbers(found) == numbers(expected)
        assert all(re.search(r"[\u4e00-\u9fff]|^```", passage) for passage in passages)
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*")} == kept


def said(name: str, parameters: dict) -> tuple[dict, list[str]]:
    """The facts and passages of a committed notebook that is run in this process, where Keras is imported already."""
    content = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    code = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
    outputs = []
    with kernel() as shell:
        run(shell, code[0])
        shell.push(execute._injected(name, parameters))
        for cell in code[1:]:
            outputs += run(shell, cell)
    notes = [output["metadata"]["fer_lib"] for output in outputs if "fer_lib" in output.get("metadata", {})]
    facts = {key: fact for note in notes if note["kind"] == "facts" for key, fact in note["facts"].items()}
    return facts, [
        output["data"]["text/markdown"] for output in outputs if "text/markdown" in output.get("data", {})
    ]


def numbers(facts: object) -> object:
    """Facts without the words in them, which are of a language."""
    if isinstance(facts, dict):
        return {key: numbers(value) for key, value in facts.items()}
    if isinstance(facts, list):
        return [numbers(value) for value in facts]
    return "" if isinstance(facts, str) else facts


def test_interrupted_training_is_saved_and_said(faces, tmp_path):
    project = make(tmp_path / "project")
    project.take("q1_cnn", "q2_dnn")
    project.chapters("q1_cnn")
    project.edit("q1_cnn", "EPOCHS = None", "EPOCHS = 900")
    runs, out = tmp_path / "runs", tmp_path / "build"
    program = [sys.executable, str(Path(__file__).with_name("small_project.py")), str(project.root), "report"]
    places = ["--data", str(faces), "--runs", str(runs), "--out", str(out)]
    settings = [f"--set={name}={SMALL[name]}" for name in ("WIDTH", "TRAIN_LIMIT")]
    process = subprocess.Popen([*program, *places, *settings], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not list(runs.glob("*/history.csv")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "notebooks/q1_cnn.ipynb: EPOCHS is 900, not 12 as in profile quick" in errors
    [folder] = runs.iterdir()
    assert (folder / "checkpoint.npz").exists()
    assert re.search(
        rf"fer-lib: {folder.name} stopped in epoch \d+ of 900; the same command goes on after epoch", errors
    )
    assert "Traceback" not in errors
    assert list((out / "executed" / "quick-zh-TW").iterdir()) == []


@pytest.mark.real_data
def test_first_question_is_answered_on_real_faces(real_data, tmp_path):
    make_files = [sys.executable, real_data / "make_files.py", tmp_path, "hw3", "--limit", "400"]
    subprocess.run(make_files, check=True)
    parameters = execute.resolve("quick", {"EPOCHS": "1", "WIDTH": "0.05"})["q1_cnn"]
    parameters |= {"DATA": str(tmp_path), "RUN_ROOT": str(tmp_path / "runs")}
    done, _ = execute.execute("q1_cnn", parameters, tmp_path, fingerprint="")
    facts = execute.facts(done)
    assert not facts["drawn"]
    assert facts["data"]["source"] == "train.csv + test.csv"
    assert facts["faces"] == {"train": 340, "validation": 60, "available": 340}
