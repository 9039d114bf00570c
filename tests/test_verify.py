import json
from pathlib import Path

import pytest

from fer_lib import data
from fer_lib.errors import InputError
from fer_lib.publish import execute, made
from fer_lib.publish.kernel import Kernel
from fer_lib.publish.made import Made
from fer_lib.publish.prose import report_folder
from fer_lib.publish.verify import compare, describe, leaves, read_tolerances, verify

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
    assert [(d.name, d.told, d.found) for d in verdict.differences] == [
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
    tolerances = read_tolerances(report_folder() / "tolerances.yaml")
    told = {"q1": {"seconds": {"epoch": 1.0}, "parameters": 5, "accuracy": {"validation": {"value": 0.5}}}}
    found = {"q1": {"seconds": {"epoch": 2.0}, "parameters": 6, "accuracy": {"validation": {"value": 0.53}}}}
    differences = compare(said(told), said(found), tolerances).differences
    assert [d.name for d in differences] == ["q1.parameters"]


CELL = """
from pathlib import Path
def show(key, facts=None, **more):
    display({"text/plain": key}, raw=True, metadata={"fer_lib": {"key": key, "facts": facts or {}, **more}})
given = [run for run in ("given", "trained") if (Path(RUN_ROOT) / run / "run.json").exists()]
show("", {"run": {"id": "trained"}, "given": given})
show("first", {"after": 4.5})
show("second", {"after": 9.0})
show("pairs", table={"columns": ["A and B", "Shares"], "rows": [["Sad, Fear", "27.5% (21.0%–35.2%)"], ["None", ""]]})
show("matrix", explore={"kind": "cells", "names": ["Sad"], "rows": [[{"count": 70}]]})
(Path(RUN_ROOT) / "trained").mkdir(parents=True, exist_ok=True)
(Path(RUN_ROOT) / "trained" / "run.json").write_text("{}")
"""


@pytest.fixture
def report(tmp_path, monkeypatch):
    """A report's folder: one notebook, executed with a run beside that it was given."""
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {"tags": tags}, "source": cell, "outputs": [],
         "execution_count": None}
        for i, (cell, tags) in enumerate([('DATA = ""\nRUN_ROOT = "../runs"', ["parameters"]), (CELL, [])])
    ]  # fmt: skip
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"cells": cells, "metadata": {"kernelspec": kernelspec}, "nbformat": 4, "nbformat_minor": 5}
    for folder in ("notebooks", "runs/given"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "notebooks" / "q1_cnn.ipynb").write_text(json.dumps(content))
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "runs" / "given" / "run.json").write_text("{}")
    monkeypatch.setattr(execute, "ROOT", tmp_path)
    out, parameters = tmp_path / "build", {"DATA": "", "RUN_ROOT": str(tmp_path / "runs")}
    with Kernel() as kernel:
        execute.execute("q1_cnn", parameters, out / "executed" / "en", data_fingerprint="", kernel=kernel)
    settle(out)
    return out


def settle(out: Path) -> None:
    """Note what the report was made from."""
    notebook = out / "executed" / "en" / "q1_cnn.ipynb"
    Made("", "", data.source_fingerprint(""), {"executed/en/q1_cnn.ipynb": made.digest(notebook)}).write(out)


def falsify(out: Path, *changes: tuple[str, str]) -> None:
    """Change the outputs of the executed notebook."""
    path = out / "executed" / "en" / "q1_cnn.ipynb"
    notebook = json.loads(path.read_text())
    text = json.dumps(notebook["cells"][-1]["outputs"], ensure_ascii=False)
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    notebook["cells"][-1]["outputs"] = json.loads(text)
    path.write_text(json.dumps(notebook))


def test_every_number_of_a_report_is_compared(report):
    verdict = verify(report)
    assert (verdict.compared, verdict.exact, verdict.differences) == (10, 10, ())
    falsify(report, ('"after": 4.5', '"after": 0.5'), ('"27.5% (', '"47.5% ('), ('"count": 70', '"count": 7'))
    settle(report)
    assert [(d.name, d.told, d.found) for d in verify(report).differences] == [
        ("q1.after", 0.5, 4.5),
        ("q1.matrix.count.Sad.Sad", 7, 70),
        ("q1.pairs.Shares.Sad, Fear", 0.475, 0.275),
    ]


def test_what_is_not_the_report_is_not_verified(report, tmp_path):
    with pytest.raises(InputError, match=r"holds no report; `make report` first"):
        verify(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"drawn:seed=4: these faces are not the report's"):
        verify(report, source="drawn:seed=4")
    falsify(report, ('"after": 4.5', '"after": 0.5'))
    with pytest.raises(InputError, match=r"are not those of the report"):
        verify(report)
    with made.alone(report), pytest.raises(InputError, match=r"Another process is at work on the report"):
        verify(report)


@pytest.mark.parametrize("text", ['"*": -1', '"*": many', '"*": true', '"*a": 1'])
def test_tolerances_that_are_none_are_an_input_error(tmp_path, text):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(InputError, match=r"t\.yaml"):
        read_tolerances(tmp_path / "t.yaml")
