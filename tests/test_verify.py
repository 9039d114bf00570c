"""`make verify`: the notebooks run again, and every number of the report is compared with what comes out."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from conftest import ROOT, striped_faces, write_course_files
from small_project import PROSE, Project, entered

from fer_lib import data
from fer_lib.cli import main
from fer_lib.errors import InputError
from fer_lib.files import digest
from fer_lib.labels import labels
from fer_lib.report import build, execute
from fer_lib.report.build import BuildRecord
from fer_lib.report.numbers import leaves
from fer_lib.report.verify import compare, describe, read_tolerances, verify

RULES = {"*seconds*": None, "*accuracy*": 0.04, "*count": 0.0, "*": 0.1}


def said(facts: dict) -> dict:
    return {name: [value] for name, value in leaves(facts)}


# Comparing


@pytest.mark.parametrize(
    ("actual", "wrong"),
    [
        ({"accuracy": {"value": 0.63}, "seconds": {"epoch": 9.0}, "count": 3}, []),
        ({"accuracy": {"value": 0.5}, "seconds": {"epoch": 9.0}, "count": 3}, ["q1.accuracy.value"]),
        ({"accuracy": {"value": 0.6}, "seconds": {"epoch": 1.0}, "count": 4}, ["q1.count"]),
        ({"accuracy": {"value": None}, "seconds": {}, "count": 3}, ["q1.accuracy.value"]),
        ({"accuracy": {}, "seconds": {}, "count": 3}, ["q1.accuracy.value"]),
        ({"accuracy": {"value": 0.6}, "seconds": {}, "count": True}, ["q1.count"]),
    ],
)
def test_a_fact_that_came_out_otherwise_is_found(actual, wrong):
    expected = {"accuracy": {"value": 0.6}, "seconds": {"epoch": 1.0}, "count": 3}
    verdict = compare(said({"q1": expected}), said({"q1": actual}), RULES)
    assert [d.name for d in verdict.differences] == wrong
    assert verdict.compared == 2


def test_words_must_be_the_same_and_new_facts_are_differences():
    verdict = compare(said({"q3": {"names": ["Sad"]}}), said({"q3": {"names": ["Fear"], "more": 1}}), RULES)
    assert [(d.name, d.expected, d.actual) for d in verdict.differences] == [
        ("q3.more", None, 1),
        ("q3.names.0", "Sad", "Fear"),
    ]


def test_what_is_said_several_times_is_compared_each_time():
    verdict = compare({"q1.x": [1.0, 2.0]}, {"q1.x": [1.0]}, RULES)
    assert (verdict.compared, verdict.exact) == (2, 1)
    assert [(d.expected, d.actual) for d in verdict.differences] == [(2.0, None)]


def test_the_verdict_names_each_difference_and_counts_the_rest():
    verdict = compare(said({"q1": {"accuracy": 0.6, "x": 1}}), said({"q1": {"accuracy": 0.5, "x": 1}}), RULES)
    assert describe(verdict).splitlines() == [
        "q1.accuracy: the report says 0.6, now 0.5 (tolerance 0.04)",
        "1 of 2 numbers and words agree within tolerance, 1 to the last digit.",
    ]


def test_the_projects_own_tolerances_know_times_and_counts():
    tolerances = read_tolerances(ROOT / "report" / "tolerances.yaml")
    expected = {
        "q1": {"seconds": {"epoch": 1.0}, "parameters": 5, "accuracy": {"validation": {"value": 0.5}}}
    }
    actual = {"q1": {"seconds": {"epoch": 2.0}, "parameters": 6, "accuracy": {"validation": {"value": 0.53}}}}
    differences = compare(said(expected), said(actual), tolerances).differences
    assert [d.name for d in differences] == ["q1.parameters"]


@pytest.mark.parametrize("language", ["en", "zh-TW"])
def test_no_column_with_a_time_is_compared(language):
    words, tolerances = labels(language), read_tolerances(ROOT / "report" / "tolerances.yaml")
    times = ("training_seconds", "training_cpu_seconds", "seconds_per_epoch", "thousand_predictions")
    for column in (words[time] for time in times):
        assert compare({f"q2_dnn.q2-comparison.{column}.CNN": [1.0]}, {}, tolerances).compared == 0


@pytest.mark.parametrize("text", ['"*": -1', '"*": many', '"*": true', '"*a": 1'])
def test_tolerances_that_are_none_are_an_input_error(tmp_path, text):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(InputError, match=r"t\.yaml"):
        read_tolerances(tmp_path / "t.yaml")


# Running again

CELLS = (
    f"{PROSE}\nfrom pathlib import Path\nimport pandas as pd\nhalf = 0.5",
    """given = [run for run in ("given", "trained") if (Path(RUN_ROOT) / run / "run.json").exists()]
facts(run={"id": "trained"}, given=given, after=4.5)""",
    """pairs = pd.DataFrame({"A and B": ["Sad, Fear", "None"], "Shares": ["27.5% (21.0%–35.2%)", ""]})
table(pairs, "pairs", caption="Pairs")""",
    """note = {"kind": "figure", "facts": {"matrix.count": {"Sad": {"Sad": 70}}}}
get_ipython().display_pub.publish({"text/plain": ""}, metadata={"fer_lib": note})""",
    "%%prose en\nA half is {{ half | num }}.",
    """(Path(RUN_ROOT) / "trained").mkdir(parents=True, exist_ok=True)
(Path(RUN_ROOT) / "trained" / "run.json").write_text("{}")""",
)


def settle(project: Project, parameters: dict, source: str = "") -> None:
    """Execute the notebooks, unless they were, and note what a report of them is made from."""
    out, seen = project.root / "build", execute.seen_from_notebooks(source)
    fingerprint = data.source_fingerprint(source)
    [paths] = build.run_notebooks(parameters, {"en": out / "executed" / "en"}, fingerprint).values()
    notebooks = {str(path.relative_to(out)): digest(path) for path in paths}
    record = BuildRecord("key", "en", seen, fingerprint, notebooks, parameters)
    (out / ".hw3-report.json").write_text(json.dumps(asdict(record)))


def given(project: Project, **changes: str) -> dict:
    return {"q1_cnn": {"DATA": "", "RUN_ROOT": "../runs", "LANGUAGE": "en", **changes}}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A project with a report of one notebook, and beside the run that it trained one that it was given."""
    root = tmp_path_factory.mktemp("done") / "project"
    with entered(root) as project:
        project.profile("quick", "")
        project.write("q1_cnn", 'DATA = ""\nRUN_ROOT = "../runs"\nLANGUAGE = "en"', *CELLS)
        (root / "runs" / "given").mkdir(parents=True)
        (root / "runs" / "given" / "run.json").write_text("{}")
        settle(project, given(project))
    return root


@pytest.fixture
def project(done, tmp_path):
    with entered(tmp_path / "project", like=done) as made:
        yield made


def falsify(project: Project, *changes: tuple[str, str]) -> None:
    """Change the outputs of the executed notebook."""
    path = project.root / "build" / "executed" / "en" / "q1_cnn.ipynb"
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def test_every_number_of_a_report_is_compared(project, capsys):
    out = project.root / "build"
    verdict = verify(out)
    assert (verdict.compared, verdict.exact, verdict.differences) == (10, 10, ())
    assert [path.name for path in (out / "executed").iterdir()] == ["en"]

    falsify(project, ('"after": 4.5', '"after": 0.5'), ('"27.5% (', '"47.5% ('), ('"Sad": 70', '"Sad": 7'))
    falsify(project, ('"half": 0.5', '"half": 0.7'))
    settle(project, given(project))
    with pytest.raises(SystemExit) as ended:
        main(["verify", "--report", str(out)])
    assert ended.value.code == 1
    assert [line.partition(" (tolerance")[0] for line in capsys.readouterr().out.splitlines()] == [
        "q1_cnn.after: the report says 0.5, now 4.5",
        "q1_cnn.half: the report says 0.7, now 0.5",
        "q1_cnn.matrix.count.Sad.Sad: the report says 7, now 70",
        "q1_cnn.pairs.Shares.Sad, Fear: the report says 0.475, now 0.275",
        "6 of 10 numbers and words agree within tolerance, 6 to the last digit.",
    ]


def test_what_is_not_the_report_is_not_verified(project, tmp_path):
    out = project.root / "build"
    with pytest.raises(InputError, match=r"holds no report; `make report` first"):
        verify(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"drawn:seed=4: these faces are not the report's"):
        verify(out, source="drawn:seed=4")
    with build.lock(out), pytest.raises(InputError, match=r"Another process is at work on the report"):
        verify(out)
    falsify(project, ('"after": 4.5', '"after": 0.5'))
    with pytest.raises(InputError, match=r"are not those of the report"):
        verify(out)


def test_last_report_can_be_verified_once_what_stopped_a_newer_one_is_mended(project):
    project.edit("q1_cnn", "A half is {{ half | num }}.", "A half is {{ haf | num }}.")
    with pytest.raises(InputError, match=r"q1_cnn\.ipynb, cell In \[\d+\]: .*'haf' is undefined"):
        build.run_notebooks(given(project), {"en": project.root / "build" / "executed" / "en"}, "")
    project.edit("q1_cnn", "A half is {{ haf | num }}.", "A half is {{ half | num }}.")
    assert verify(project.root / "build").differences == ()


def test_faces_that_were_moved_can_be_named(project, tmp_path):
    course = tmp_path / "course"
    course.mkdir()
    write_course_files(course, striped_faces(14), striped_faces(7, seed=5))
    seen = execute.seen_from_notebooks(str(course))
    shutil.rmtree(project.root / "runs" / "trained")
    settle(project, given(project, DATA=seen), str(course))
    moved = Path(shutil.move(course, tmp_path / "elsewhere"))
    with pytest.raises(InputError, match="course"):
        verify(project.root / "build")
    assert verify(project.root / "build", source=str(moved)).differences == ()


def test_report_of_notebooks_that_need_no_runs_is_verified(project):
    project.write("mine", 'LANGUAGE = "en"', PROSE, "facts(mine=1)")
    settle(project, {"mine": {"LANGUAGE": "en"}})
    verdict = verify(project.root / "build")
    assert (verdict.compared, verdict.differences) == (1, ())
