"""What a model's probabilities are worth: against how often it is right, and against what people say. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_lib.evaluation import wilson_interval


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
