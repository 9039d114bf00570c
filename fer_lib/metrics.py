"""Metrics: accuracy with intervals, confusion, calibration, agreement with people, paired tests. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_lib.emotions import EMOTIONS
from fer_lib.errors import InputError

Z95 = 1.959963984540054
"""The standard normal's 97.5% point: a two-sided 95% interval."""

SIGNIFICANT = 0.05
"""A difference with a smaller probability under equal models counts as one."""

RESAMPLES = 2000
"""Bootstrap samples behind an interval."""


@dataclass(frozen=True)
class Accuracy:
    """A share of right answers with its 95% Wilson score interval."""

    value: float
    low: float
    high: float
    faces: int

    def as_dict(self) -> dict[str, Any]:
        """The same as plain numbers, for JSON and for prose."""
        return asdict(self)


@dataclass(frozen=True)
class Estimate:
    """A statistic of faces with its 95% bootstrap interval; NaN where there are too few faces for one."""

    value: float
    low: float
    high: float
    faces: int

    @property
    def above_0(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0

    @property
    def below_0(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.high < 0

    def as_dict(self) -> dict[str, Any]:
        """The same as plain numbers, for JSON and for prose."""
        return asdict(self)


@dataclass(frozen=True)
class Answers:
    """Whether a model tells the classes apart, or does little more than to give one answer always.

    Attributes:
        label: The class that it gives to most faces, 0-6.
        share: Share of the faces that get this class.
        majority: Share of the most frequent true class: the accuracy of always answering that one.
        accuracy: The accuracy, with its interval.
    """

    label: int
    share: float
    majority: float
    accuracy: Accuracy

    @property
    def one_sided(self) -> bool:
        """Whether one answer is nearer to being given to all faces than to being as frequent as a class can be."""
        return self.share > (1 + self.majority) / 2

    @property
    def learned(self) -> bool:
        """Whether the model is neither one-sided nor, by its interval, as good as always answering the same."""
        return self.accuracy.low > self.majority and not self.one_sided


@dataclass(frozen=True)
class Confusion:
    """One way in which wrong answers go: `count` faces of `true` were taken for `predicted`.

    `share` is that count among all faces of the true class, `low` to `high` its 95% Wilson interval; `true` and
    `predicted` are labels 0-6.
    """

    true: int
    predicted: int
    count: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes that are taken for each other.

    Attributes:
        forward: The direction with the larger share of its true class.
        backward: The other direction.
        share: Share of the faces of both classes that were taken for the other class.
    """

    forward: Confusion
    backward: Confusion
    share: float

    @property
    def count(self) -> int:
        """Faces taken for the other class, in both directions."""
        return self.forward.count + self.backward.count

    @property
    def one_way(self) -> bool:
        """Whether one direction is more frequent than the other beyond chance: their 95% intervals do not touch."""
        return self.forward.low > self.backward.high


@dataclass(frozen=True)
class ClassScores:
    """How well each class is found, float64 (7,) each; NaN where a class has no faces or answers.

    Attributes:
        precision: Share of the answers of this class that are right.
        recall: Share of the faces of this class that are classified correctly.
        f1: Harmonic mean of the two; 0 where either is 0.
        faces: Faces of the class, int64.
    """

    precision: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]
    f1: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int64]

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that have faces."""
        return float(self.f1[self.faces > 0].mean())


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """The 95% score interval for a share of `right` in `n`.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference" (1927). (0, 1) for n = 0.
    """
    if n == 0:
        return 0.0, 1.0
    share, z2 = right / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def accuracy(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Accuracy:
    """How many of the most probable classes (n, 7) are the labels (n,)."""
    right = int(np.sum(probabilities.argmax(axis=1) == labels))
    low, high = wilson_interval(right, len(labels))
    return Accuracy(right / len(labels) if len(labels) else math.nan, low, high, len(labels))


def majority(train: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> Accuracy:
    """The accuracy on `labels` (n,) of always answering the most frequent class of the training labels."""
    return accuracy(
        np.eye(len(EMOTIONS), dtype=np.float32)[[np.bincount(train).argmax()] * len(labels)], labels
    )


def answers(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Answers:
    """What a model of these probabilities (n, 7) answers most, beside the labels (n,)."""
    counts = np.bincount(probabilities.argmax(axis=1), minlength=len(EMOTIONS))
    majority = float(np.bincount(labels).max() / len(labels))
    share = float(counts.max() / len(labels))
    return Answers(int(counts.argmax()), share, majority, accuracy(probabilities, labels))


def bootstrap(
    statistic: Callable[..., Any], *columns: npt.NDArray[Any], resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """A statistic of faces with its 95% percentile interval over samples of the faces, drawn with replacement.

    Efron, "Bootstrap Methods: Another Look at the Jackknife" (1979). It covers the choice of the faces, not that of the
    seed that a model was trained with.

    Args:
        statistic: From columns to a number, such as `np.mean`.
        *columns: Arrays (n, ...) with a row for each face. They are resampled together, so that the difference of two
            models on the same faces is a paired one.
        resamples: How many samples.
        seed: Decides the samples.
    """
    faces = len(columns[0])
    value = float(statistic(*columns)) if faces else math.nan
    if faces < 2 or math.isnan(value):
        return Estimate(value, math.nan, math.nan, faces)
    samples = np.random.default_rng(seed).integers(faces, size=(resamples, faces))
    found = [statistic(*(column[sample] for column in columns)) for sample in samples]
    low, high = np.nanquantile(found, [0.025, 0.975])
    return Estimate(value, float(low), float(high), faces)


def mean_intervals(values: npt.NDArray[np.float64], *, seed: int = 0) -> npt.NDArray[np.float64]:
    """The mean of each column (n, k) over faces with its 95% bootstrap interval: value, low and high, (k, 3)."""
    found = [bootstrap(np.mean, column, seed=seed) for column in values.T]
    return np.array([(one.value, one.low, one.high) for one in found])


def difference_within(
    values: npt.NDArray[np.float64], chosen: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64]
) -> float:
    """How much higher the values of the chosen faces are than those of the others of the same group.

    The least-squares coefficient of `chosen` beside an effect of each group: the groups' differences, weighted by
    n₁n₀ / (n₁ + n₀). NaN where no group has faces of both kinds.

    Args:
        values: Float (n,).
        chosen: Bool (n,).
        groups: Integers from 0, (n,).
    """
    ones, zeros = (np.bincount(groups[kind], minlength=groups.max() + 1) for kind in (chosen, ~chosen))
    first, second = (
        np.bincount(groups[kind], values[kind], minlength=groups.max() + 1) for kind in (chosen, ~chosen)
    )
    both = (ones > 0) & (zeros > 0)
    if not both.any():
        return math.nan
    ones, zeros = ones[both], zeros[both]
    weights = ones * zeros / (ones + zeros)
    return float(np.average(first[both] / ones - second[both] / zeros, weights=weights))


def lost_share(rates: npt.NDArray[np.float64]) -> float:
    """The share of an accuracy that is lost: how often each face is classified correctly, before and after, (n, 2)."""
    before, after = rates.mean(axis=0)
    return float(1 - after / before) if before else math.nan


def extra_loss(rates: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """How much larger the `lost_share` of another model is than that of the first, on the same faces."""
    return lost_share(other) - lost_share(rates)


def confusion_matrix(
    labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Counts of shape (7, 7): row = true label, column = predicted label."""
    matrix = np.zeros((len(EMOTIONS), len(EMOTIONS)), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def confusions(matrix: npt.NDArray[np.int64]) -> list[Confusion]:
    """All ways to be wrong that occur, the largest share of a true class first."""
    found = [confusion_of(matrix, int(i), int(j)) for i, j in zip(*np.nonzero(matrix), strict=True) if i != j]
    return sorted(found, key=lambda c: (-c.share, c.true, c.predicted))


def confusion_of(matrix: npt.NDArray[np.int64], true: int, predicted: int) -> Confusion:
    """How many faces of one class were taken for another, of counts (7, 7) with rows = true."""
    count, faces = int(matrix[true, predicted]), int(matrix[true].sum())
    return Confusion(true, predicted, count, count / max(1, faces), *wilson_interval(count, faces))


def class_scores(matrix: npt.NDArray[np.int64]) -> ClassScores:
    """Precision, recall and F1 of each class, of counts (7, 7) with rows = true."""
    right, faces, answers = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return ClassScores(right / answers, right / faces, 2 * right / (faces + answers), faces)


def mutual_confusion(matrix: npt.NDArray[np.int64]) -> list[tuple[int, int, float]]:
    """Unordered pairs of classes (a < b) and the share of their faces taken for the other one, largest first."""
    totals = matrix.sum(axis=1)
    pairs = [
        (a, b, float(matrix[a, b] + matrix[b, a]) / max(1, int(totals[a] + totals[b])))
        for a in range(len(matrix))
        for b in range(a + 1, len(matrix))
    ]
    return sorted(pairs, key=lambda pair: -pair[2])


def confused_pairs(matrix: npt.NDArray[np.int64]) -> list[ConfusedPair]:
    """The pairs of classes that are confused at all, in the order of `mutual_confusion`; counts (7, 7), rows = true."""
    pairs = []
    for a, b, share in mutual_confusion(matrix):
        forward, backward = confusion_of(matrix, a, b), confusion_of(matrix, b, a)
        if forward.share < backward.share:
            forward, backward = backward, forward
        pairs.append(ConfusedPair(forward, backward, share))
    return [pair for pair in pairs if pair.count]


def mean_probabilities(
    probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The mean probabilities of the faces of each class, (7, 7): row = true label; rows without faces are 0."""
    sums = np.zeros((len(EMOTIONS), len(EMOTIONS)))
    np.add.at(sums, labels, probabilities)
    counts = np.bincount(labels, minlength=len(EMOTIONS))[:, np.newaxis]
    return np.divide(sums, counts, out=sums, where=counts > 0)


def when_wrong(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> dict[str, float]:
    """What the model thinks when it is wrong.

    Returns:
        Means over the wrong answers: `predicted` and `true`, the probabilities of the answer given and of the
        right one; `second`, the share in which the right one is the second most probable, and `low`, the lower end of
        its 95% interval; what it would be for a guess among the other classes, `chance`, and for naming the most
        frequent of them always, `common`.
    """
    ranked = np.argsort(-probabilities, axis=1, kind="stable")
    wrong = np.flatnonzero(ranked[:, 0] != labels)
    true, given = labels[wrong], ranked[wrong, 0]
    first, next_one = np.argsort(-np.bincount(labels, minlength=len(EMOTIONS)), kind="stable")[:2]
    second = ranked[wrong, 1] == true
    return {
        "predicted": float(probabilities[wrong, given].mean()),
        "true": float(probabilities[wrong, true].mean()),
        "second": float(second.mean()),
        "low": wilson_interval(int(second.sum()), len(second))[0],
        "chance": 1 / (len(EMOTIONS) - 1),
        "common": float(np.mean(np.where(given == first, next_one, first) == true)),
    }


def typical_face(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], label: int) -> int:
    """The position of a face of one class: of those rightly answered, the one with the median probability.

    Neither the easiest nor the hardest. Of a class that is never classified correctly, the face to which the model
    gives the class its highest probability.

    Raises:
        InputError: There is no face of this class.
    """
    of_class = np.flatnonzero(labels == label)
    if not len(of_class):
        present = ", ".join(map(str, np.unique(labels)))
        raise InputError(f"No validation face has the label {label}; choose one of {present} (FACE_LABEL).")
    right = of_class[probabilities[of_class].argmax(axis=1) == label]
    candidates = right if len(right) else of_class
    by_probability = candidates[np.argsort(probabilities[candidates, label], kind="stable")]
    return int(by_probability[len(right) // 2 if len(right) else -1])


def mcnemar(right: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Whether two models that answered the same faces differ: the exact test of McNemar (1947).

    Args:
        right: Which faces the first model classified correctly, bool (n,).
        other: The same of the second model.

    Returns:
        `only_first` and `only_second`, the numbers of faces that one model alone classified correctly, and `p`, the
        two-sided probability of a split at least as uneven if both models were equally good.
    """
    first, second = int(np.sum(right & ~other)), int(np.sum(~right & other))
    n = first + second
    tail = sum(math.comb(n, k) for k in range(min(first, second) + 1))
    return {"only_first": first, "only_second": second, "p": min(1.0, 2 * tail / 2**n)}


def spread(values: Sequence[float]) -> dict[str, float]:
    """What repeated measurements say: `count`, `mean`, `deviation` (of a sample; NaN for one), `low` and `high`."""
    found = np.asarray(values, np.float64)
    return {
        "count": len(found),
        "mean": float(found.mean()),
        "deviation": float(found.std(ddof=1)) if len(found) > 1 else math.nan,
        "low": float(found.min()),
        "high": float(found.max()),
    }


def p_value(p: float) -> str:
    """A probability as statistics write it: "p = 0.0234", or "p < 0.001" for all that is smaller."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3g}"


def compare(first: float, second: float, p: float) -> str:
    """Whether the first accuracy is "better" or "worse" than the second, or "similar": p is not below 0.05."""
    if p >= SIGNIFICANT:
        return "similar"
    return "better" if first > second else "worse"


def overfitting(train: float, validation: float) -> str:
    """Overfitting as "strong", "slight" or "none": how far training accuracy stands above validation accuracy."""
    gap = train - validation
    if gap > 0.1:
        return "strong"
    return "slight" if gap > 0.02 else "none"


@dataclass(frozen=True)
class Calibration:
    """How sure a model is of its answers, and how often they are right.

    Attributes:
        edges: Of the bins of confidence, float64 (bins + 1,), from 0 to 1.
        counts: Answers in each bin, int64 (bins,).
        confidence: Mean probability of the answers in each bin, float64 (bins,); NaN in an empty one.
        accuracy: Share of right answers, float64 (bins,); NaN in an empty bin.
        low: Lower end of its 95% Wilson interval.
        high: Upper end.
        error: Expected calibration error: the mean distance of the two over all answers, 0..1.
        overconfidence: Mean probability less accuracy over all answers; below 0 the model is underconfident.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    error: float
    overconfidence: float


@dataclass(frozen=True)
class Agreement:
    """Answers against the votes of several people for each face (FER+).

    Attributes:
        faces: How many faces have votes.
        wrong: How many of their answers differ from the label.
        answer: Mean share of the votes for the model's answer where it differs from the label; NaN if it never does.
        label: Mean share of the votes for the label there.
        sided: Share of those wrong answers that got more votes than the label.
        majority: Accuracy against the emotion with most votes, over all faces.
        label_majority: How often the label itself is the emotion with most votes.
    """

    faces: int
    wrong: int
    answer: float
    label: float
    sided: float
    majority: float
    label_majority: float


def calibration(
    probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], *, bins: int = 10
) -> Calibration:
    """How often a model is right, by how sure it is.

    Guo et al., "On Calibration of Modern Neural Networks" (2017).

    Args:
        probabilities: Array of shape (n, classes).
        labels: True classes, (n,).
        bins: Equal parts of 0..1.
    """
    sure = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    hits = np.bincount(place, right, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, sure, minlength=bins) / counts
        accuracy = hits / counts
    low, high = np.transpose([wilson_interval(int(k), int(n)) for k, n in zip(hits, counts, strict=True)])
    error = float(np.nansum(counts * np.abs(confidence - accuracy)) / len(labels))
    return Calibration(
        edges, counts, confidence, accuracy, low, high, error, float(sure.mean() - right.mean())
    )


def agreement(
    probabilities: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    votes: npt.NDArray[np.float32],
) -> Agreement:
    """Whether people side with the model where it contradicts the label.

    Args:
        probabilities: Array of shape (n, classes).
        labels: True classes, (n,).
        votes: Share of the votes for each class, (n, classes): `Faces.soft_labels` of faces with votes.
    """
    index, answers = np.arange(len(labels)), probabilities.argmax(axis=1)
    wrong = answers != labels
    for_answer, for_label = votes[index, answers][wrong], votes[index, labels][wrong]
    most = votes.argmax(axis=1)
    some = bool(wrong.any())
    return Agreement(
        faces=len(labels),
        wrong=int(wrong.sum()),
        answer=float(for_answer.mean()) if some else np.nan,
        label=float(for_label.mean()) if some else np.nan,
        sided=float(np.mean(for_answer > for_label)) if some else np.nan,
        majority=float(np.mean(answers == most)),
        label_majority=float(np.mean(labels == most)),
    )
