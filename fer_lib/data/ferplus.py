"""FER+: what ten people saw in each face of FER2013 (fer2013new.csv).

Barsoum et al., "Training deep networks for facial expression recognition with crowd-sourced label distribution" (2016).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_lib.data.archives import Entry
from fer_lib.data.faces import VOTED, VOTES
from fer_lib.data.tables import MAX_FACES, FaceTable
from fer_lib.errors import InputError

FERPLUS = "fer2013new"
"""The name of its file, without suffixes."""

MIN_AGREEMENT = 0.45
"""Where fewer labels are those that most people voted for, the votes belong to other faces; of FER2013 65% are."""

_COLUMNS = ["usage", "image name", *(name.lower() for name in VOTES)]
_USAGES = {"Training": "train", "PublicTest": "public", "PrivateTest": "private"}
_MIN_VOTED = 50


@dataclass(frozen=True)
class VoteTable:
    """What fer2013new.csv holds.

    Attributes:
        path: The file.
        splits: str array (n,): "train", "public" or "private".
        votes: uint8 array (n, 10) in the order of `faces.VOTES`.
        named: bool array (n,): whether the row names an image; those that show no face do not.
    """

    path: Path
    splits: npt.NDArray[np.str_]
    votes: npt.NDArray[np.uint8]
    named: npt.NDArray[np.bool_]


def is_ferplus(entry: Entry) -> bool:
    """Whether a file begins with FER+'s columns, or has the name of its file, damaged or not."""
    if entry.parts[-1].lower().partition(".")[0] == FERPLUS:
        return True
    return _is_header(entry.head(400).decode("utf-8-sig", "replace").partition("\n")[0].split(","))


def read_votes(entry: Entry) -> VoteTable:
    """Read fer2013new.csv.

    Raises:
        InputError: It is damaged, or a row is not one of FER+.
    """
    splits: list[str] = []
    votes: list[list[int]] = []
    named: list[bool] = []
    with entry.opened() as file:
        rows = csv.reader(io.TextIOWrapper(file, "utf-8-sig", "replace", newline=""))
        try:
            if not _is_header(next(rows)):  # a lone quotation mark takes in what follows
                raise ValueError
            for usage, name, *counts in filter(any, rows):
                row = np.array(list(map(int, counts)))
                if len(row) != len(VOTES) or row.min() < 0 or row.max() > 255 or len(votes) == MAX_FACES:
                    raise ValueError
                splits.append(_USAGES[usage.strip()])
                votes.append(row.tolist())
                named.append(bool(name.strip()))
        except (ValueError, KeyError, csv.Error, StopIteration):
            raise InputError(
                f"{entry.path} line {rows.line_num} is no row of FER+ (Usage, image name, ten numbers of votes); "
                "download the file again."
            ) from None
    return VoteTable(
        entry.path,
        np.array(splits, np.str_),
        np.array(votes, np.uint8).reshape(-1, len(VOTES)),
        np.array(named, np.bool_),
    )


def _is_header(names: Sequence[str]) -> bool:
    return [name.strip(' \t\r"').lower() for name in names] == _COLUMNS


def with_votes(tables: Sequence[FaceTable], voted: VoteTable) -> list[FaceTable]:
    """Give tables FER+'s votes, which are in the order of the faces of each split.

    Faces of splits that FER+ does not have get no votes. Tables with lines that cannot be used stay as they are.

    Raises:
        InputError: FER+ has another number of faces in a split, or votes that do not fit the labels.
    """
    return [table if table.problems else _with_votes(table, voted) for table in tables]


def _with_votes(table: FaceTable, voted: VoteTable) -> FaceTable:
    votes = np.zeros((len(table.faces), len(VOTES)), np.uint8)
    rejected = np.zeros(len(table.faces), np.bool_)
    for split in np.unique(table.splits):
        here, there = table.splits == split, voted.splits == split
        if not there.any():
            continue
        if here.sum() != there.sum():
            raise InputError(
                f"{voted.path} has {there.sum():,} {split} faces, but {table.path} {here.sum():,}; FER+ goes with the "
                "whole of FER2013 in its own order: move it away, or name the whole file."
            )
        votes[here], rejected[here] = voted.votes[there], ~voted.named[there]
    faces = replace(table.faces, votes=votes)
    _require_agreement(table, voted.path, votes)
    return replace(table, faces=faces, rejected=rejected)


def _require_agreement(table: FaceTable, path: Path, votes: npt.NDArray[np.uint8]) -> None:
    counts = votes[:, VOTED]
    clear = counts.max(axis=1, initial=0) > 0
    if table.faces.labels is None or clear.sum() < _MIN_VOTED:
        return
    share = float((counts.argmax(axis=1) == table.faces.labels)[clear].mean())
    if share < MIN_AGREEMENT:
        raise InputError(
            f"{path} does not go with {table.path}: only {share:.0%} of the labels are what most people voted for "
            f"(in FER2013 65%), so the faces stand in another order; move one of the two away."
        )
