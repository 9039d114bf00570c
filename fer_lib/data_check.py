"""What a data set is and what is odd about it, for `fer-lib data check`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_lib.data import DRAWN, load, read_tables
from fer_lib.emotions import EMOTIONS
from fer_lib.faces import Faces

_UNKNOWN = -1
_NAMED = 5


class _Part(NamedTuple):
    faces: Faces
    splits: Sequence[str] | npt.NDArray[np.str_]
    places: Sequence[str]


@dataclass(frozen=True)
class DataSummary:
    """What a data set is.

    A place says where a face stands: "line 7", "train.csv line 7" or, of drawn faces, "train face 7".

    Attributes:
        kinds: What each file is.
        faces: Usable faces by split.
        class_counts: How many faces each emotion has, by split; splits without labels are left out.
        copies: How many faces repeat an earlier one exactly, over all splits.
        copies_within: The same within each split.
        leaked: By test split, how many of its faces also stand in the training split.
        conflicts: For each face whose exact copies have different labels, "place (emotion)" of all of them.
        constant: Places of faces that are one grey all over.
        problems: What keeps the data set from being loaded, one phrase a line; empty if nothing does.
    """

    kinds: Mapping[str, str]
    faces: Mapping[str, int]
    class_counts: Mapping[str, tuple[int, ...]]
    copies: int
    copies_within: Mapping[str, int]
    leaked: Mapping[str, int]
    conflicts: tuple[tuple[str, ...], ...]
    constant: tuple[str, ...]
    problems: tuple[str, ...]


def check(path: str | Path, *, cache: Path | None = None) -> DataSummary:
    """Look at everything that `data.load` would read; a file of test faces alone is fine too.

    Args:
        path: As for `data.load`.
        cache: As for `data.load`.

    Raises:
        InputError: There is nothing to look at: no such file or folder, or none of a known format.
    """
    if path == DRAWN:
        splits = load(path, cache=cache)
        drawn = {"train": splits.train, **splits.tests}
        parts = [
            _Part(part, [split] * len(part), [f"{split} face {face_id}" for face_id in part.ids.tolist()])
            for split, part in drawn.items()
        ]
        return _summary({splits.source: "seven emotions, drawn by this program"}, parts, [])
    tables = read_tables(path)
    where = {table.path: "" if len(tables) == 1 else f"{table.path.name} " for table in tables}
    return _summary(
        {table.path.name: table.kind for table in tables},
        [
            _Part(table.faces, table.splits, [f"{where[table.path]}{place}" for place in table.places])
            for table in tables
        ],
        [f"{where[table.path]}{place} has {what}" for table in tables for place, what in table.problems],
    )


def describe(summary: DataSummary) -> str:
    """The summary as a person reads it: what it is, a table of counts, and what is odd."""
    counts = {
        split: [count, *summary.class_counts.get(split, [""] * len(EMOTIONS))]
        for split, count in summary.faces.items()
    }
    table = pd.DataFrame.from_dict(counts, orient="index", columns=["faces", *EMOTIONS], dtype=object)
    repeats = [f"{count:,} within {split}" for split, count in summary.copies_within.items() if count]
    repeats += [
        f"{count:,} of the {summary.faces[split]:,} {split} faces also stand in train"
        for split, count in summary.leaked.items()
        if count
    ]
    conflicts = [" = ".join(places) for places in summary.conflicts]
    return "\n".join(
        [
            *(f"{name}: {kind}" for name, kind in summary.kinds.items()),
            "",
            table.map(lambda count: f"{count:,}" if count != "" else "-").to_string()
            if counts
            else "no faces",
            "",
            *_found("Faces that repeat an earlier one exactly", summary.copies, repeats),
            *_found("Groups of copies with different labels", len(conflicts), conflicts),
            *_found("Faces of one grey all over", len(summary.constant), summary.constant),
            *_found("Lines that cannot be used", len(summary.problems), summary.problems),
        ]
    )


def _summary(kinds: Mapping[str, str], parts: Sequence[_Part], problems: Sequence[str]) -> DataSummary:
    pixels = np.concatenate([part.faces.pixels for part in parts])
    lowest, highest = pixels.min(axis=(1, 2)), pixels.max(axis=(1, 2))
    faces = pd.DataFrame(
        {
            "split": np.concatenate([part.splits for part in parts]),
            "place": [place for part in parts for place in part.places],
            "label": np.concatenate([_labels(part.faces) for part in parts]),
            "group": Faces(pixels, None, np.arange(len(pixels))).copy_groups(),
        }
    )
    by_split = {str(split): part for split, part in faces.groupby("split", sort=False)}
    train = by_split.get("train")
    return DataSummary(
        kinds=kinds,
        faces={split: len(part) for split, part in by_split.items()},
        class_counts={
            split: tuple(np.bincount(part.label, minlength=len(EMOTIONS)).tolist())
            for split, part in by_split.items()
            if _UNKNOWN not in part.label.values
        },
        copies=int(faces.group.duplicated().sum()),
        copies_within={split: int(part.group.duplicated().sum()) for split, part in by_split.items()},
        leaked={
            split: int(part.group.isin(train.group).sum())
            for split, part in by_split.items()
            if train is not None and split != "train"
        },
        conflicts=_conflicts(faces[faces.label != _UNKNOWN]),
        constant=tuple(faces.place[lowest == highest]),
        problems=tuple(problems),
    )


def _labels(faces: Faces) -> npt.NDArray[np.int64]:
    return np.full(len(faces), _UNKNOWN) if faces.labels is None else faces.labels


def _conflicts(faces: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Labelled faces whose copies disagree, in the order in which they first appear."""
    disagree = faces[faces.groupby("group").label.transform("nunique") > 1]
    return tuple(
        tuple(f"{place} ({EMOTIONS[label]})" for place, label in zip(copies.place, copies.label, strict=True))
        for _, copies in disagree.groupby("group", sort=False)
    )


def _found(what: str, count: int, details: Sequence[str]) -> list[str]:
    """A line that counts something, and a few lines of what it is."""
    more = [f"... and {len(details) - _NAMED:,} more"] if len(details) > _NAMED else []
    return [
        f"{what}: {count:,}" if count else f"{what}: none",
        *(f"  {line}" for line in [*details[:_NAMED], *more]),
    ]
