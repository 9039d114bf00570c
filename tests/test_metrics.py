import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_lib import metrics
from fer_lib.errors import InputError


@pytest.mark.parametrize(
    ("right", "n", "expected"),
    # from the closed form, as R's prop.test(correct=FALSE) prints it
    [(81, 263, (0.2553, 0.3662)), (0, 20, (0.0, 0.1611)), (20, 20, (0.8389, 1.0)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_interval_matches_published_values(right, n, expected):
    assert metrics.wilson_interval(right, n) == pytest.approx(expected, abs=1e-4)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share_and_stays_in_range(case):
    right, n = case
    low, high = metrics.wilson_interval(right, n)
    assert 0 <= low <= right / n + 1e-12
    assert right / n - 1e-12 <= high <= 1


def test_wilson_interval_of_nothing_is_everything():
    assert metrics.wilson_interval(0, 0) == (0, 1)


def test_accuracy_counts_the_most_probable_class():
    probabilities = np.eye(7, dtype=np.float32)[[0, 1, 2, 2]]
    found = metrics.accuracy(probabilities, np.array([0, 1, 2, 3]))
    assert (found.value, found.faces) == (0.75, 4)
    assert found.low < 0.75 < found.high


def test_confusion_matrix_has_true_rows_and_predicted_columns():
    matrix = metrics.confusion_matrix(np.array([0, 0, 3]), np.array([0, 4, 3]))
    assert matrix[0, 0] == matrix[0, 4] == matrix[3, 3] == 1
    assert matrix.sum() == 3


def test_confusions_come_by_share_of_the_true_class_without_the_diagonal():
    matrix = np.diag([10] * 7)
    matrix[0, 1], matrix[5, 6] = 5, 30
    found = metrics.confusions(matrix)
    assert [(c.true, c.predicted, c.count) for c in found] == [(5, 6, 30), (0, 1, 5)]
    assert found[0].share == pytest.approx(0.75)


def test_mutual_confusion_pools_both_directions():
    matrix = np.diag([10] * 7)
    matrix[2, 5], matrix[5, 2] = 6, 4
    assert metrics.mutual_confusion(matrix)[0] == (2, 5, pytest.approx(10 / 30))


def test_a_confused_pair_begins_with_its_more_frequent_direction():
    matrix = np.diag([100] * 7)
    matrix[2, 5], matrix[5, 2], matrix[0, 1] = 4, 40, 1
    first, second = metrics.confused_pairs(matrix)
    assert (first.forward.true, first.forward.predicted, first.backward.true) == (5, 2, 2)
    assert (first.count, first.share, first.one_way) == (44, pytest.approx(44 / 244), True)
    assert (second.forward.count, second.backward.count, second.one_way) == (1, 0, False)


def test_classes_that_are_never_confused_are_no_pair():
    assert metrics.confused_pairs(np.diag([10] * 7)) == []


def test_mean_probabilities_average_by_true_class():
    probabilities = np.eye(7, dtype=np.float32)[[1, 2, 6]]
    means = metrics.mean_probabilities(probabilities, np.array([0, 0, 3]))
    assert means[0].tolist() == [0, 0.5, 0.5, 0, 0, 0, 0]
    assert means[3, 6] == 1
    assert not means[1].any()


def test_when_wrong_looks_at_wrong_answers_only():
    probabilities = np.array(
        [
            [0.5, 0.4, 0.1, 0, 0, 0, 0],
            [0.7, 0.1, 0.2, 0, 0, 0, 0],
            [1, 0, 0, 0, 0, 0, 0],
            [0.1, 0.6, 0.3, 0, 0, 0, 0],
        ]
    )
    found = metrics.when_wrong(probabilities.astype(np.float32), np.array([1, 1, 0, 2]))
    low, _ = metrics.wilson_interval(2, 3)
    assert found == pytest.approx(
        {"predicted": 0.6, "true": 0.8 / 3, "second": 2 / 3, "low": low, "chance": 1 / 6, "common": 2 / 3}
    )


def test_typical_face_is_the_median_of_the_right_answers_or_else_the_nearest_to_right():
    label0 = [[p, 1 - p, 0, 0, 0, 0, 0] for p in (0.99, 0.6, 0.8, 0.3)]
    label2 = [[0.6, 0.1, 0.3, 0, 0, 0, 0], [0.5, 0.1, 0.4, 0, 0, 0, 0]]
    probabilities, labels = np.array(label0 + label2, np.float32), np.array([0, 0, 0, 0, 2, 2])
    assert [metrics.typical_face(probabilities, labels, label) for label in (0, 2)] == [2, 5]


def test_typical_face_of_an_absent_class_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="No validation face has the label 3; choose one of 0, 2"):
        metrics.typical_face(np.eye(7, dtype=np.float32)[:2], np.array([0, 2]), 3)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    # 2 * binomial tail of one half: 2 * (1 + 10 + 45) / 1024; 2 * 1 / 32; capped at 1
    [(8, 2, 112 / 1024), (5, 0, 2 / 32), (3, 3, 1.0), (0, 0, 1.0)],
)
def test_mcnemar_is_the_exact_binomial_test_on_the_disagreements(only_first, only_second, p):
    agreed = [True] * 4
    right = np.array(agreed + [True] * only_first + [False] * only_second)
    other = np.array(agreed + [False] * only_first + [True] * only_second)
    found = metrics.mcnemar(right, other)
    assert found == {"only_first": only_first, "only_second": only_second, "p": pytest.approx(p)}


def test_mcnemar_takes_thousands_of_disagreements():
    right = np.arange(6000) < 3500
    assert 0 < metrics.mcnemar(right, ~right)["p"] < 1e-30


@pytest.mark.parametrize(
    ("p", "written"), [(6e-28, "p < 0.001"), (0.001, "p = 0.001"), (0.04963, "p = 0.0496"), (1.0, "p = 1")]
)
def test_a_probability_is_written_as_statistics_do(p, written):
    assert metrics.p_value(p) == written


@pytest.mark.parametrize(
    ("first", "second", "p", "verdict"),
    [(0.7, 0.5, 0.01, "better"), (0.5, 0.7, 0.01, "worse"), (0.7, 0.5, 0.05, "similar")],
)
def test_comparison_is_decided_only_by_a_significant_test(first, second, p, verdict):
    assert metrics.compare(first, second, p) == verdict


@pytest.mark.parametrize(
    ("train", "verdict"), [(0.9, "strong"), (0.65, "slight"), (0.6, "none"), (0.5, "none")]
)
def test_overfitting_is_named_by_its_size(train, verdict):
    assert metrics.overfitting(train, 0.6) == verdict


def test_precision_recall_and_f1_are_those_of_the_counts():
    matrix = np.zeros((7, 7), np.int64)
    matrix[0, [0, 1]] = 6, 2
    matrix[1, [0, 1]] = 3, 9
    matrix[2, 1] = 4
    scores = metrics.class_scores(matrix)
    np.testing.assert_allclose(scores.precision[:3], [6 / 9, 9 / 15, np.nan])
    np.testing.assert_allclose(scores.recall[:3], [6 / 8, 9 / 12, 0])
    np.testing.assert_allclose(scores.f1[:3], [2 * 6 / 17, 2 * 9 / 27, 0])
    assert scores.faces.tolist() == [8, 12, 4, 0, 0, 0, 0]
    assert np.isnan(scores.recall[3])
    assert scores.macro_f1 == pytest.approx(np.mean([12 / 17, 18 / 27, 0]))


def test_a_confusion_comes_with_its_interval():
    matrix = np.zeros((7, 7), np.int64)
    matrix[2, [2, 5]] = 30, 10
    found = metrics.confusion_of(matrix, 2, 5)
    assert (found.count, found.share) == (10, 0.25)
    assert (found.low, found.high) == metrics.wilson_interval(10, 40)
    assert metrics.confusions(matrix) == [found]


def test_majority_is_the_accuracy_of_the_most_frequent_training_class():
    found = metrics.majority(np.array([3, 3, 0]), np.array([3, 0, 0, 0]))
    assert (found.value, found.faces) == (0.25, 4)


def test_spread_of_one_value_has_no_deviation():
    assert metrics.spread([0.5, 0.7])["deviation"] == pytest.approx(0.1 * 2**0.5)
    assert np.isnan(metrics.spread([0.5])["deviation"])
    assert metrics.spread([0.5, 0.7, 0.6]) == pytest.approx(
        {"count": 3, "mean": 0.6, "deviation": 0.1, "low": 0.5, "high": 0.7}
    )


def test_bootstrap_interval_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(3).normal(5, 2, 400)
    found = metrics.bootstrap(np.mean, values)
    error = values.std() / np.sqrt(400)
    assert (found.value, found.faces) == (pytest.approx(values.mean()), 400)
    assert [found.low, found.high] == pytest.approx(
        [values.mean() - 1.96 * error, values.mean() + 1.96 * error], abs=0.15 * error
    )
    assert found.above_0 and not found.below_0


def test_bootstrap_resamples_columns_together():
    values = np.random.default_rng(0).normal(size=50)
    found = metrics.bootstrap(lambda a, b: np.mean(a - b), values + 1, values)
    assert [found.value, found.low, found.high] == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("values", [[], [0.5], [np.nan, 1]])
def test_too_few_faces_have_no_interval_and_so_no_sign(values):
    found = metrics.bootstrap(np.mean, np.array(values))
    assert np.isnan([found.low, found.high]).all()
    assert not found.above_0 and not found.below_0


def test_difference_within_groups_is_the_coefficient_of_least_squares():
    rng = np.random.default_rng(1)
    groups, chosen = rng.integers(0, 4, 90), rng.random(90) < 0.3
    groups[:3], chosen[:3] = 5, True  # a group of one kind says nothing
    values = groups + 0.5 * chosen + rng.normal(size=90)
    design = np.column_stack([chosen, groups[:, np.newaxis] == np.unique(groups)])
    expected = np.linalg.lstsq(design.astype(float), values, rcond=None)[0][0]
    assert metrics.difference_within(values, chosen, groups) == pytest.approx(expected)
    assert np.isnan(metrics.difference_within(values, chosen, np.where(chosen, 0, 1)))


def test_lost_accuracy_is_a_share_of_what_there_was():
    first, second = np.array([[1, 1], [1, 0.5], [0, 0]]), np.array([[1, 0], [0, 0], [1, 0.5]])
    assert metrics.lost_share(first) == pytest.approx(0.25)
    assert metrics.extra_loss(first, second) == pytest.approx(0.75 - 0.25)


@pytest.mark.parametrize(
    ("right", "given", "learned", "one_sided"),
    # right answers of 100 faces in 5 classes, and how many others get class 0: chance, learned, and nearly one answer
    [(20, 0, False, False), (60, 0, True, False), (45, 50, True, False), (34, 66, False, True)],
)
def test_a_model_that_nearly_always_gives_one_answer_has_not_learned(right, given, learned, one_sided):
    labels = np.arange(100) % 5
    predicted = np.where(np.arange(100) < right, labels, (labels + 1) % 5)
    predicted[right : right + given] = 0
    found = metrics.answers(np.eye(7, dtype=np.float32)[predicted], labels)
    assert (found.majority, found.learned, found.one_sided) == (0.2, learned, one_sided)
