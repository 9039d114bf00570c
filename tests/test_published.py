"""What accuracies are measured by, and where that stands written."""

import re

import pytest
from conftest import ROOT

from fer_lib.labels import labels
from fer_lib.published import PUBLISHED, scale
from fer_lib.report.citations import references

OWN = {"cnn": {"validation": {"value": 0.58, "low": 0.55, "high": 0.61}, "training": {"value": 0.7}}}


def test_every_published_accuracy_has_a_source_or_stands_in_the_results_of_this_package():
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    ours = set(re.findall(r"\.\d{3}", results))
    for one in PUBLISHED:
        assert one.source in references() or f"{one.accuracy:.3f}".removeprefix("0") in ours


@pytest.mark.parametrize("language", ["en", "zh-TW"])
def test_every_result_has_a_name(language):
    keys = scale(OWN | {"dnn": {}}, {"validation": 0.25}, fer2013=True)["key"]
    assert set(keys) <= set(labels(language))


def test_other_faces_than_those_of_fer2013_are_measured_by_chance_and_the_majority_alone():
    found = scale(OWN, {"validation": 0.25}, fer2013=False)
    assert found["key"].tolist() == ["scale_chance", "scale_majority", "scale_cnn"]
    assert found.loc[2, ["split", "accuracy", "low", "high"]].tolist() == ["validation", 0.58, 0.55, 0.61]


def test_results_are_in_order_of_their_best_accuracy():
    found = scale(OWN, {"validation": 0.25}, fer2013=True)
    best = found.groupby("key", sort=False)["accuracy"].max()
    assert best.is_monotonic_increasing
    assert best.index[-1] == "scale_best"
