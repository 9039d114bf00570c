import pytest

from fer_lib.errors import InputError
from fer_lib.publish.prose import report_folder
from fer_lib.publish.verify import compare, describe, read_tolerances

RULES = {"*seconds*": None, "*accuracy*": 0.04, "*count": 0.0, "*": 0.1}


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
    verdict = compare({"q1": told}, {"q1": found}, RULES)
    assert [d.name for d in verdict.differences] == wrong
    assert verdict.compared == 2


def test_words_must_be_the_same_and_new_facts_are_differences():
    verdict = compare({"q3": {"names": ["Sad"]}}, {"q3": {"names": ["Fear"], "more": 1}}, RULES)
    assert [(d.name, d.told, d.found) for d in verdict.differences] == [
        ("q3.more", None, 1),
        ("q3.names.0", "Sad", "Fear"),
    ]


def test_the_verdict_names_each_difference_and_counts_the_rest():
    verdict = compare({"q1": {"accuracy": 0.6, "x": 1}}, {"q1": {"accuracy": 0.5, "x": 1}}, RULES)
    assert describe(verdict).splitlines() == [
        "q1.accuracy: the report says 0.6, now 0.5 (tolerance 0.04)",
        "1 of 2 facts agree within tolerance, 1 to the last digit.",
    ]


def test_the_projects_own_tolerances_know_times_and_counts():
    tolerances = read_tolerances(report_folder() / "tolerances.yaml")
    told = {"q1": {"seconds": {"epoch": 1.0}, "parameters": 5, "accuracy": {"validation": {"value": 0.5}}}}
    found = {"q1": {"seconds": {"epoch": 2.0}, "parameters": 6, "accuracy": {"validation": {"value": 0.53}}}}
    assert [d.name for d in compare(told, found, tolerances).differences] == ["q1.parameters"]


@pytest.mark.parametrize("text", ['"*": -1', '"*": many', '"*": true', '"*a": 1'])
def test_tolerances_that_are_none_are_an_input_error(tmp_path, text):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(InputError, match=r"t\.yaml"):
        read_tolerances(tmp_path / "t.yaml")
