"""What `make report` does around the notebooks: which run, what is written and what goes, what a failure leaves."""

import json

import pytest
from bs4 import BeautifulSoup
from report_project import HOSTILE, printed, squeezed
from small_project import PROSE, Project, entered

from fer_lib.errors import InputError
from fer_lib.report import build
from fer_lib.report.build import RESERVED, make_report, read_record
from fer_lib.report.execute import CellError

SHARED = 'DATA = ""\nRUN_ROOT = "../runs"\nLANGUAGE = "en"\nCOLLABORATORS = ""\n'
TRAINS = """run = Path(RUN_ROOT) / f"run-{SEED}"
run.mkdir(parents=True, exist_ok=True)
(run / "run.json").write_text("{}")
facts(run={"id": run.name}, accuracy=0.5 + SEED / 10)"""
ONE = """%%prose zh-TW
# 第 1 題 · 一

準確率 {{ (0.5 + SEED / 10) | pct }}，合作者 {{ COLLABORATORS }}"""
TWO = """%%prose zh-TW
# 第 2 題 · 二

執行紀錄 {{ RUN }}，合作者 {{ COLLABORATORS }}"""
SUMMARY = """%%prose zh-TW
# 摘要

準確率 {{ known.q1_one.accuracy | pct }}，共 {{ known.q2_two.count }} 個"""
ENGLISH = {
    "第 1 題 · 一": "Question 1 · One", "第 2 題 · 二": "Question 2 · Two", "摘要": "Summary", "，共": ", all",
    "個": "of them", "，合作者": ", with", "準確率": "Accuracy", "執行紀錄": "Run", "zh-TW": "en",
}  # fmt: skip


def both(chinese: str) -> tuple[str, str]:
    """A passage in Chinese and in English."""
    english = chinese
    for old, new in ENGLISH.items():
        english = english.replace(old, new)
    return chinese, english


def write(project: Project) -> None:
    """Three notebooks: one that trains, one that looks at the run, one that looks at what both found."""
    project.profile("quick", "")
    project.chapters("summary", "q1_one", "q2_two")
    project.write(
        "q1_one", f'{SHARED}SEED = 0\nSWEEP = ""', f"{PROSE}\nfrom pathlib import Path", TRAINS, *both(ONE)
    )
    project.write("q2_two", f'{SHARED}RUN = ""\nCOUNT = 2', PROSE, "facts(count=COUNT)", *both(TWO))
    read = "from fer_lib.report import read_facts\nknown = read_facts(EXECUTED)"
    project.write("summary", 'LANGUAGE = "en"\nEXECUTED = "."', PROSE, read, *both(SUMMARY))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A project whose report was made in both languages."""
    root = tmp_path_factory.mktemp("done") / "project"
    with entered(root) as project:
        write(project)
        report(project, language="both")
    return root


@pytest.fixture
def project(done, tmp_path):
    """A copy of it, which the library takes for the project."""
    with entered(tmp_path / "project", like=done) as made:
        yield made


def report(project: Project, *, language: str = "en", **options: object) -> list[str]:
    """Make the report; the names of what it is in."""
    out = project.root / "build"
    return [
        path.name
        for path in make_report("", language=language, out=out, run_root=project.root / "runs", **options)
    ]


def files(project: Project) -> dict[str, bytes]:
    """What is in the report's folder, but for the executed notebooks."""
    return {
        path.name: path.read_bytes()
        for path in (project.root / "build").iterdir()
        if path.is_file() and path.name != ".lock"
    }


def executed(project: Project) -> dict[str, int]:
    """When each notebook was executed."""
    paths = (project.root / "build").glob("executed/*/*.ipynb")
    return {f"{path.parent.name}/{path.stem}": path.stat().st_mtime_ns for path in paths}


def ran(project: Project, before: dict[str, int]) -> set[str]:
    """The notebooks that were executed since."""
    return {name for name, moment in executed(project).items() if moment != before.get(name)}


def page(project: Project) -> BeautifulSoup:
    return BeautifulSoup((project.root / "build" / "hw3-report.html").read_text("utf-8"), "html.parser")


def text(project: Project) -> str:
    return page(project).get_text()


def paper(project: Project, name: str = "hw3-report.pdf") -> str:
    return printed((project.root / "build" / name).read_bytes())


# What runs


def test_chapters_stand_in_their_order_and_the_summary_knows_what_the_others_found(project):
    chapters = page(project).select(".report:lang(en) section h2")
    assert [chapter.get_text(" ", strip=True) for chapter in chapters] == [
        "Summary", "Question 1 One", "Question 2 Two",
    ]  # fmt: skip
    for shown in (squeezed(text(project)), paper(project, "hw3-report.en.pdf")):
        assert squeezed("Accuracy 50.0%, all 2 of them") in shown
        assert squeezed("Run run-0, with") in shown
    assert "準確率50.0%，共2個" in paper(project)


def test_second_report_runs_nothing_and_writes_nothing(project, capsys):
    moments = {
        path: path.stat().st_mtime_ns for path in (project.root / "build").rglob("*") if path.name != ".lock"
    }
    report(project, language="both")
    assert {path: path.stat().st_mtime_ns for path in moments} == moments
    assert "setting the report" not in capsys.readouterr().err


def test_touching_the_words_of_a_notebook_runs_that_one_only(project):
    before = executed(project)
    project.edit("q1_one", "Accuracy", "My accuracy")
    report(project)
    assert ran(project, before) == {"quick-en/q1_one"}
    assert "My accuracy 50.0%" in text(project)


def test_changed_parameter_runs_what_has_it_and_what_looks_at_its_facts(project):
    before = executed(project)
    report(project, settings={"COUNT": "3"})
    assert ran(project, before) == {"quick-en/q2_two", "quick-en/summary"}
    assert squeezed("all 3 of them") in paper(project)


def test_another_run_is_looked_at_by_all_that_ask_for_one(project):
    report(project, settings={"SEED": "1"})
    assert "Accuracy 60.0%, all 2 of them" in text(project) and "Run run-1" in text(project)
    assert read_record(project.root / "build").parameters["q1_one"]["SEED"] == 1


# What is written and what goes


def test_papers_of_another_language_or_other_notebooks_go(project):
    assert {"hw3-report.pdf", "hw3-report.en.pdf"} < files(project).keys()
    assert report(project, settings={"COUNT": "3"}) == ["hw3-report.html", "hw3-report.pdf"]
    assert files(project).keys() == {"hw3-report.html", "hw3-report.pdf", ".hw3-report.json"}
    assert [part["lang"] for part in page(project).select(".report")] == ["en"]


def test_short_form_stands_beside_the_full_one_of_the_same_notebooks(project):
    project.write(
        "provenance", 'LANGUAGE = "en"\nCOMMANDS = ""', PROSE, "%%prose\n# Source\n\n{{ COMMANDS | code }}"
    )
    project.chapters("summary", "q1_one", "q2_two", "provenance")
    report(project)
    full = files(project)
    assert report(project, form="short") == ["hw3-report.html", "hw3-report-short.pdf"]
    assert files(project).keys() == full.keys() | {"hw3-report-short.pdf"}
    assert files(project)["hw3-report.pdf"] == full["hw3-report.pdf"]
    assert "make report PROFILE=quick LANGUAGE=en FORM=short make verify" in text(project)

    report(project, settings={"COUNT": "3"}, form="short")
    assert files(project).keys() == {"hw3-report.html", "hw3-report-short.pdf", ".hw3-report.json"}


def test_second_language_has_a_paper_of_its_own(tmp_path):
    names = {
        form: [path.name for path in build._files(tmp_path, ("zh-TW", "en"), form)]
        for form in ("full", "short")
    }
    assert names == {
        "full": ["hw3-report.html", "hw3-report.pdf", "hw3-report.en.pdf"],
        "short": ["hw3-report.html", "hw3-report-short.pdf", "hw3-report-short.en.pdf"],
    }


def test_file_that_was_removed_is_written_again(project):
    before = executed(project)
    (project.root / "build" / "hw3-report.pdf").unlink()
    report(project, language="both")
    assert "hw3-report.pdf" in files(project)
    assert ran(project, before) == set()


def test_notebook_in_the_list_is_a_chapter_and_one_that_left_it_is_none(project):
    cells = (PROSE, " # My idea\n\nA thought of *my own*.", "%%prose\nThe language is {{ LANGUAGE }}.")
    project.write("mine", "LIMIT = None", *cells)
    project.chapters("summary", "q1_one", "mine")
    project.edit(
        "summary", "{{ known.q2_two.count }} of them", "{% if known.q2_two is not defined %}none{% endif %}"
    )
    report(project)
    [link] = page(project).select('nav a[href="#mine"]')
    assert link.get_text(strip=True) == "My idea"
    own = page(project).select("section.mine .own")
    assert [part.get_text().split("\n")[-2] for part in own] == [
        "A thought of my own.",
        "The language is en.",
    ]
    assert "Athoughtofmyown.Thelanguageisen." in paper(project)
    assert page(project).select("section.q2_two") == []
    assert "quick-en/q2_two" not in executed(project)


def test_own_words_and_collaborators_appear(project):
    path = project.root / "notebooks" / "q1_one.ipynb"
    content = json.loads(path.read_text())
    own = {"cell_type": "markdown", "id": "own", "metadata": {}, "source": "What I saw: **much**."}
    path.write_text(json.dumps({**content, "cells": [*content["cells"], own]}))
    project.edit("q2_two", 'COLLABORATORS = ""', 'COLLABORATORS = "nobody of note"')
    hostile = " ".join(HOSTILE[:4])
    report(project, title={"name": hostile, "collaborators.q1": hostile})
    assert text(project).count(hostile) == 2
    assert page(project).find_all("script", string="alert(1)") == []
    assert (
        paper(project).count(squeezed(hostile)) == 2
    )  # all stands on the first page, which has no running head
    for shown in (squeezed(text(project)), paper(project)):
        assert "WhatIsaw:much." in shown and "withnobodyofnote" in shown


# What is refused, and what a failure leaves


@pytest.mark.parametrize("name", RESERVED)
def test_what_a_report_sets_itself_is_refused_with_what_to_do_instead(project, name):
    for setting in (name, f"q1_one.{name}"):
        with pytest.raises(InputError) as caught:
            report(project, settings={setting: "x"})
        assert str(caught.value) == f"{setting} is not a parameter of a report: {RESERVED[name]}."


def test_sweep_that_is_not_there_is_one_sentence(project):
    with pytest.raises(InputError, match=r"no leaderboard .*nowhere/leaderboard\.csv"):
        report(project, settings={"SWEEP": "nowhere"})


def test_failed_cell_leaves_the_last_report_whole(project):
    out, before, record = project.root / "build", files(project), read_record(project.root / "build")
    moments = executed(project)
    project.edit("q1_one", "# Question 1", "# {{ questoin }} 1")
    with pytest.raises(InputError, match=r"q1_one\.ipynb, cell In \[\d+\]: .*'questoin' is undefined"):
        report(project)
    assert files(project) == before
    assert read_record(out) == record
    assert record.executed(out) == [
        out / "executed/quick-zh-TW" / f"{n}.ipynb" for n in ("summary", "q1_one", "q2_two")
    ]
    assert ran(project, moments) == {"quick-en/q1_one.failed"}

    project.edit("q1_one", "# {{ questoin }} 1", "# Question 1")
    report(project, language="both")
    assert files(project) == before


def test_report_that_cannot_be_set_leaves_the_last_one_and_says_that_its_notebooks_are_newer(project):
    out, before, record = project.root / "build", files(project), read_record(project.root / "build")
    project.edit("q1_one", "準確率", "[準確率](#nowhere)")
    with pytest.raises(InputError, match="link to #nowhere leads to no figure"):
        report(project, language="zh-TW")
    assert files(project) == before
    with pytest.raises(InputError, match="begun after it did not come to its end.*`make report` again"):
        record.executed(out)


def test_other_errors_name_the_cell(project):
    project.edit("q2_two", "facts(count=COUNT)", "facts(count=COUNT / 0)")
    with pytest.raises(CellError, match=r"q2_two\.ipynb, cell In \[\d+\]: ZeroDivisionError"):
        report(project)


def test_only_one_process_works_on_a_report(project):
    with build.lock(project.root / "build"), pytest.raises(InputError, match="Another process is at work"):
        report(project)


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"key": "x"}', '{"made": "by an older version"}'])
def test_record_that_is_none_is_no_report(tmp_path, content):
    if content is not None:
        (tmp_path / ".hw3-report.json").write_text(content)
    assert read_record(tmp_path) is None
