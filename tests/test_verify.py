import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import small_project

from fer_lib import data
from fer_lib.errors import InputError
from fer_lib.files import REPORT
from fer_lib.report import build, execute
from fer_lib.report.build import BuildRecord
from fer_lib.report.verify import compare, describe, leaves, read_tolerances, verify

RULES = {"*seconds*": None, "*accuracy*": 0.04, "*count": 0.0, "*": 0.1}


def said(facts: dict) -> dict:
    return {name: [value] for name, value in leaves(facts)}


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ({"accuracy": {"value": 0.63}, "seconds": {"epoch": 9.0}, "count": 3}, []),
        ({"accuracy": {"value": 0.5}, "seconds": {"epoch": 9.0}, "count": 3}, ["q1.accuracy.value"]),
        ({"accuracy": {"value": 0.6}, "seconds": {"epoch": 1.0}, "count": 4}, ["q1.count"]),
        ({"accuracy": {"value": None}, "seconds": {}, "count": 3}, ["q1.accuracy.value"]),
        ({"accuracy": {}, "seconds": {}, "count": 3}, ["q1.accuracy.value"]),
    ],
)
def test_a_fact_that_came_out_otherwise_is_found(found, wrong):
    told = {"accuracy": {"value": 0.6}, "seconds": {"epoch": 1.0}, "count": 3}
    verdict = compare(said({"q1": told}), said({"q1": found}), RULES)
    assert [d.name for d in verdict.differences] == wrong
    assert verdict.compared == 2


def test_words_must_be_the_same_and_new_facts_are_differences():
    verdict = compare(said({"q3": {"names": ["Sad"]}}), said({"q3": {"names": ["Fear"], "more": 1}}), RULES)
    assert [(d.name, d.expected, d.actual) for d in verdict.differences] == [
        ("q3.more", None, 1),
        ("q3.names.0", "Sad", "Fear"),
    ]


def test_the_verdict_names_each_difference_and_counts_the_rest():
    verdict = compare(said({"q1": {"accuracy": 0.6, "x": 1}}), said({"q1": {"accuracy": 0.5, "x": 1}}), RULES)
    assert describe(verdict).splitlines() == [
        "q1.accuracy: the report says 0.6, now 0.5 (tolerance 0.04)",
        "1 of 2 numbers and words agree within tolerance, 1 to the last digit.",
    ]


def test_the_projects_own_tolerances_know_times_and_counts():
    tolerances = read_tolerances(REPORT / "tolerances.yaml")
    told = {"q1": {"seconds": {"epoch": 1.0}, "parameters": 5, "accuracy": {"validation": {"value": 0.5}}}}
    found = {"q1": {"seconds": {"epoch": 2.0}, "parameters": 6, "accuracy": {"validation": {"value": 0.53}}}}
    differences = compare(said(told), said(found), tolerances).differences
    assert [d.name for d in differences] == ["q1.parameters"]


QUESTION = """
from pathlib import Path
given = [run for run in ("given", "trained") if (Path(RUN_ROOT) / run / "run.json").exists()]
(Path(RUN_ROOT) / "trained").mkdir(parents=True, exist_ok=True)
_ = (Path(RUN_ROOT) / "trained" / "run.json").write_text("{}")
after = 4.5
facts(run={"id": "trained"}, given=given)
"""
TABLE = """
import pandas as pd
shares = pd.DataFrame({"A and B": ["Sad, Fear", "None"], "Shares": ["27.5% (21.0%–35.2%)", ""]})
table(shares, "my-pairs", caption="Pairs")
"""


@pytest.fixture
def report(tmp_path):
    """A report's folder: one notebook, executed with a run beside that it was given."""
    with small_project.entered(tmp_path) as project:
        parameters = 'DATA = ""\nRUN_ROOT = "../runs"\nLANGUAGE = "en"'
        passage = "%%prose en\n# A\n\nIt is {{ after | num(1) }}."
        project.write("q1_cnn", parameters, small_project.PROSE, QUESTION, passage, TABLE)
        project.chapters("q1_cnn")
        (tmp_path / "runs" / "given").mkdir(parents=True)
        (tmp_path / "runs" / "given" / "run.json").write_text("{}")
        out = tmp_path / "build"
        build.run_notebooks(parameters_of(), {"en": out / "executed" / "en"}, data.source_fingerprint(""))
        settle(out)
        yield out


def parameters_of() -> dict:
    return {"q1_cnn": dict(execute.declared("q1_cnn"))}


def settle(out: Path) -> None:
    """Note what the report was built from."""
    notebook = out / "executed" / "en" / "q1_cnn.ipynb"
    digest = hashlib.sha256(notebook.read_bytes()).hexdigest()
    fingerprint = data.source_fingerprint("")
    record = BuildRecord("", "en", "", fingerprint, {"executed/en/q1_cnn.ipynb": digest}, parameters_of())
    (out / f".{build.NAME}.json").write_text(json.dumps(asdict(record)))


def falsify(out: Path, *changes: tuple[str, str]) -> None:
    """Change the outputs of the executed notebook."""
    path = out / "executed" / "en" / "q1_cnn.ipynb"
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text)


def test_every_number_of_a_report_is_compared(report):
    verdict = verify(report)
    assert verdict.differences == () and verdict.compared == verdict.exact > 5
    falsify(report, ('"after": 4.5', '"after": 0.5'), ('"27.5% (21.0%–35.2%)"', '"47.5% (21.0%–35.2%)"'))
    settle(report)
    assert [(d.name, d.expected, d.actual) for d in verify(report).differences] == [
        ("q1_cnn.after", 0.5, 4.5),
        ("q1_cnn.my-pairs.Shares.Sad, Fear", 0.475, 0.275),
    ]


def test_what_is_not_the_report_is_not_verified(report, tmp_path):
    with pytest.raises(InputError, match=r"holds no report; `make report` first"):
        verify(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"drawn:seed=4: these faces are not the report's"):
        verify(report, source="drawn:seed=4")
    falsify(report, ('"after": 4.5', '"after": 0.5'))
    with pytest.raises(InputError, match=r"are not those of the report"):
        verify(report)
    with build.lock(report), pytest.raises(InputError, match=r"Another process is at work on the report"):
        verify(report)


@pytest.mark.parametrize("text", ['"*": -1', '"*": many', '"*": true', '"*a": 1'])
def test_tolerances_that_are_none_are_an_input_error(tmp_path, text):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(InputError, match=r"t\.yaml"):
        read_tolerances(tmp_path / "t.yaml")
