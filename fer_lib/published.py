"""Accuracies on FER2013 that a result is measured against, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fer_lib.emotions import EMOTIONS


@dataclass(frozen=True)
class Published:
    """An accuracy on FER2013.

    Attributes:
        key: Of its name in `report/labels`, under `words`.
        split: The faces that it was measured on: "public", "private", or "" for a mixed sample.
        accuracy: From 0 to 1.
        margin: Half of an interval around it, 0 where none was given.
        source: A key of `report/references.bib`; "" for this package's own (docs/results.md).
    """

    key: str
    split: str
    accuracy: float
    margin: float = 0.0
    source: str = ""


PEOPLE = Published("scale_people", "", 0.65, 0.05, source="goodfellow2013")
"""People who labelled some of the faces anew."""

PUBLISHED = (
    PEOPLE,
    # Won the contest, whose private half nobody had labels of: a network with a linear SVM's loss.
    Published("scale_winner", "private", 0.7116, source="tang2013"),
    # An ensemble of CNNs without other training images and, as far as the paper tells, not chosen by these images.
    # Higher published numbers learned from other images too, or choose their checkpoint on the private half itself.
    Published("scale_best", "private", 0.752, source="pramerdorfer2016"),
    # The course report of 2017 that this package rebuilds.
    Published("scale_original_dnn", "public", 0.4316),
    Published("scale_original_dnn", "private", 0.4335),
    Published("scale_original_cnn", "public", 0.6598),
    Published("scale_original_cnn", "private", 0.6651),
    # The five networks that come with the package, on all public faces, and without those that training faces repeat.
    Published("scale_package", "public", 0.7211, 0.0147),
    Published("scale_package_clean", "public", 0.7026, 0.0156),
)
"""Literature and earlier results on FER2013, by which no other data can be judged."""


def scale(
    own: Mapping[str, Mapping[str, Mapping[str, Any]]],
    majority: Mapping[str, float],
    *,
    fer2013: bool,
) -> pd.DataFrame:
    """Everything that places accuracies of this report between guessing and the best that is known.

    Args:
        own: For each model of the report ("cnn", "dnn") its accuracies by split, as `Run.facts` has them.
        majority: The accuracy of always answering the most frequent class, by split.
        fer2013: Whether the faces are FER2013's, so that published results compare.

    Returns:
        Columns key (of the name), split ("" if none), accuracy, low, high (NaN if no interval is known) and own,
        whether it is of this report; the names in order of their best accuracy, the lowest first.
    """
    judged = [split for split in ("validation", "public", "private", "test") if split in majority]
    rows = [("scale_chance", "", 1 / len(EMOTIONS), None, None, False)]
    rows += [("scale_majority", split, majority[split], None, None, False) for split in judged]
    for model, by_split in own.items():
        for split in (split for split in judged if split in by_split):
            found = by_split[split]
            rows.append((f"scale_{model}", split, found["value"], found["low"], found["high"], True))
    for one in PUBLISHED if fer2013 else ():
        ends = (one.accuracy - one.margin, one.accuracy + one.margin) if one.margin else (None, None)
        rows.append((one.key, one.split, one.accuracy, *ends, False))
    frame = pd.DataFrame(rows, columns=["key", "split", "accuracy", "low", "high", "own"])
    frame = frame.astype({"low": float, "high": float})
    best = frame.groupby("key")["accuracy"].transform("max")
    return (
        frame.assign(best=best)
        .sort_values(["best", "key"], kind="stable")
        .drop(columns="best")
        .reset_index(drop=True)
    )
