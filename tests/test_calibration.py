"""What probabilities are worth, on answers laid out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fer_lib.metrics import agreement, calibration, wilson_interval


def sure_of(answers, confidence):
    """Probabilities that give each answer its confidence and share the rest."""
    probabilities = np.full((len(answers), 7), (1 - np.array(confidence)[:, None]) / 6, np.float32)
    probabilities[np.arange(len(answers)), answers] = confidence
    return probabilities


def test_accuracy_and_confidence_are_compared_bin_by_bin():
    answers, labels = np.array([0, 1, 2, 3]), np.array([0, 1, 2, 0])
    found = calibration(sure_of(answers, [0.95, 0.91, 0.55, 0.58]), labels)
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 2]
    np.testing.assert_allclose(found.accuracy[[5, 9]], [0.5, 1])
    np.testing.assert_allclose(found.confidence[[5, 9]], [0.565, 0.93], rtol=1e-6)
    assert np.isnan(found.accuracy[[0, 8]]).all()
    assert found.error == pytest.approx((2 * 0.065 + 2 * 0.07) / 4, rel=1e-5)
    assert found.overconfidence == pytest.approx((0.95 + 0.91 + 0.55 + 0.58) / 4 - 0.75, rel=1e-5)
    assert (found.low[5], found.high[5]) == wilson_interval(1, 2)


def test_the_edge_of_a_bin_belongs_to_the_bin_below_and_certainty_to_the_last():
    found = calibration(sure_of(np.array([0, 0]), [0.5, 1.0]), np.array([0, 0]))
    assert found.counts.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


def test_a_model_as_sure_as_right_has_no_error():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 20000)
    labels = np.where(rng.random(20000) < confidence, 2, 3)
    found = calibration(sure_of(np.full(20000, 2), confidence), labels)
    assert found.error < 0.02
    assert abs(found.overconfidence) < 0.01


def test_people_side_with_the_label_or_with_the_model_where_the_two_differ():
    answers, labels = np.array([0, 1, 2]), np.array([0, 3, 4])
    votes = np.zeros((3, 7), np.float32)
    votes[0, 0] = 1
    votes[1, [1, 3]] = 0.75, 0.25
    votes[2, [4, 5]] = 0.4, 0.6
    found = agreement(sure_of(answers, [0.9] * 3), labels, votes)
    assert (found.faces, found.wrong) == (3, 2)
    assert found.answer == pytest.approx(0.75 / 2)
    assert found.label == pytest.approx(0.65 / 2)
    assert found.sided == 0.5
    assert found.majority == pytest.approx(2 / 3)
    assert found.label_majority == pytest.approx(1 / 3)


def test_without_mistakes_there_is_nobody_to_side_with():
    found = agreement(sure_of(np.array([1]), [0.9]), np.array([1]), np.eye(7, dtype=np.float32)[[1]])
    assert found.wrong == 0
    assert np.isnan([found.answer, found.label, found.sided]).all()
