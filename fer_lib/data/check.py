"""What a data set is and what is odd about it, for `fer-lib data check`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_lib.data import is_drawn, joined, load, read_tables
from fer_lib.emotions import EMOTIONS
from fer_lib.errors import InputError, printable
from fer_lib.faces import VOTED, Faces
from fer_lib.near_copies import MOST_CANDIDATES, near_copies
from fer_lib.tables import ORDER, FaceTable, names_of

FLAT = 6.0
"""Faces whose pixels deviate less than this from their mean show nothing (FER2013's others deviate at least 9)."""

_UNKNOWN = -1
_NAMED = 5


class _Part(NamedTuple):
    faces: Faces
    splits: Sequence[str] | npt.NDArray[np.str_]
    places: Sequence[str]
    rejected: npt.NDArray[np.bool_] | None


@dataclass(frozen=True)
class Survey:
    """Every usable face of a data set and what was found out about it.

    Attributes:
        kinds: What each file is.
        pixels: uint8 array (n, 48, 48).
        faces: A row for each face: `split`, `place`, `label` (-1 unknown), `group` (exact copies share one), `flat`,
            `voted` (whether FER+ has votes for one of the seven emotions), `agrees` (its label is among those most
            voted for), `wanted` (the emotion most voted for), `support` (its share of the votes for the seven),
            `unseen` (nobody voted for its label, and at least half did for another), `rejected` (FER+ says it is no
            face).
        near: int64 (k, 2): rows of faces that are near copies, the first ones of their groups.
        near_all: Whether these are all, see `near_copies`.
        problems: What keeps the data set from being loaded.

    Names and places are `printable`.
    """

    kinds: Mapping[str, str]
    pixels: npt.NDArray[np.uint8]
    faces: pd.DataFrame
    near: npt.NDArray[np.int64]
    near_all: bool
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Votes:
    """What FER+ says of the labels.

    Attributes:
        faces: Faces that people voted on.
        rejected: Those that FER+ names no image for, since they show no face; only its own file says so.
        agree: By split, the share of labels that most people voted for, among faces with votes for the seven emotions.
        unseen: Places of faces whose label nobody voted for.
    """

    faces: int
    rejected: int
    agree: Mapping[str, float]
    unseen: tuple[str, ...]


@dataclass(frozen=True)
class DataSummary:
    """What a data set is.

    A place says where a face stands: "line 7", "train.csv line 7", "train/happy/3.png" or, of drawn faces, "train
    face 7".

    Attributes:
        kinds: What each file is.
        faces: Usable faces by split.
        class_counts: How many faces each emotion has, by split; splits without labels are left out.
        copies: How many faces repeat an earlier one exactly, over all splits.
        copies_within: The same within each split.
        copies_across: By split, how many of its faces also stand in each of the splits before it.
        copy_groups: "place (split)" of all faces that are the same, group by group.
        conflicts: For each face whose exact copies have different labels, "place (emotion)" of all of them.
        near: Pairs of places of faces that show the same photograph in other pixels.
        near_all: Whether these are all; the search ends early where far too many faces are alike.
        near_leaked: By test split, how many faces are no exact but near copies of training faces.
        flat: Places of faces that are one grey all over, or almost.
        votes: What FER+ says, where it is given.
        problems: What keeps the data set from being loaded, one phrase for each place or, where every place can be
            used, for the whole; empty if nothing does. Test faces alone are fine.
    """

    kinds: Mapping[str, str]
    faces: Mapping[str, int]
    class_counts: Mapping[str, tuple[int, ...]]
    copies: int
    copies_within: Mapping[str, int]
    copies_across: Mapping[str, Mapping[str, int]]
    copy_groups: tuple[tuple[str, ...], ...]
    conflicts: tuple[tuple[str, ...], ...]
    near: tuple[tuple[str, str], ...]
    near_all: bool
    near_leaked: Mapping[str, int]
    flat: tuple[str, ...]
    votes: Votes | None
    problems: tuple[str, ...]

    @property
    def leaked(self) -> Mapping[str, int]:
        """By test split, how many of its faces also stand in the training split."""
        return {split: before["train"] for split, before in self.copies_across.items() if "train" in before}


def survey(path: str | Path, *, cache: Path | None = None) -> Survey:
    """Look at everything that `data.load` would read; a file of test faces alone is fine too.

    Args:
        path: As for `data.load`.
        cache: As for `data.load`.

    Raises:
        InputError: There is nothing to look at: no such file or folder, or none of a known format.
    """
    if is_drawn(path):
        splits = load(path, cache=cache)
        drawn = {"train": splits.train, **splits.tests}
        parts = [
            _Part(part, [split] * len(part), [f"{split} face {i}" for i in part.ids.tolist()], None)
            for split, part in drawn.items()
        ]
        return _survey({splits.source: "seven emotions, drawn by this program"}, parts, [])
    tables = read_tables(path)
    names = names_of(tables)
    where = {path: f"{name} " if len(names) > 1 else "" for path, name in names.items()}
    problems = [
        f"{where[table.path]}{place} has {what}" for table in tables for place, what in table.problems
    ]
    return _survey(
        {printable(names[table.path]): table.kind for table in tables},
        [
            _Part(
                table.faces,
                table.splits,
                [printable(f"{where[table.path]}{place}") for place in table.places],
                table.rejected,
            )
            for table in tables
        ],
        [printable(problem) for problem in problems or _refusal(tables)],
    )


def check(path: str | Path, *, cache: Path | None = None) -> DataSummary:
    """The summary of a `survey`."""
    return summarise(survey(path, cache=cache))


def summarise(found: Survey) -> DataSummary:
    """Count what a survey found."""
    faces = found.faces
    parts = {str(split): part for split, part in faces.groupby("split")}
    by_split = {split: parts[split] for split in ORDER if split in parts}
    train = by_split.get("train")
    tests = {split: part for split, part in by_split.items() if train is not None and split != "train"}
    own = set() if train is None else set(train.group)
    near = _neighbours(own, found)
    return DataSummary(
        kinds=found.kinds,
        faces={split: len(part) for split, part in by_split.items()},
        class_counts={
            split: tuple(np.bincount(part.label, minlength=len(EMOTIONS)).tolist())
            for split, part in by_split.items()
            if _UNKNOWN not in part.label.values
        },
        copies=int(faces.group.duplicated().sum()),
        copies_within={split: int(part.group.duplicated().sum()) for split, part in by_split.items()},
        copies_across={
            split: {
                before: int(part.group.isin(by_split[before].group).sum())
                for before in list(by_split)[: list(by_split).index(split)]
            }
            for split, part in by_split.items()
        },
        copy_groups=tuple(
            tuple(f"{faces.place[i]} ({faces.split[i]})" for i in rows) for rows in copies(faces)
        ),
        conflicts=tuple(
            tuple(f"{faces.place[i]} ({EMOTIONS[faces.label[i]]})" for i in rows) for rows in conflicts(faces)
        ),
        near=tuple((faces.place[i], faces.place[j]) for i, j in found.near.tolist()),
        near_all=found.near_all,
        near_leaked={
            split: int((part.group.isin(near) & ~part.group.isin(own)).sum()) for split, part in tests.items()
        },
        flat=tuple(faces.place[faces.flat]),
        votes=_votes(faces),
        problems=found.problems,
    )


def conflicts(faces: pd.DataFrame) -> list[list[int]]:
    """Rows of labelled faces whose exact copies disagree, together, in the order in which they first appear."""
    labelled = faces[faces.label != _UNKNOWN]
    return _grouped(labelled[labelled.groupby("group").label.transform("nunique") > 1])


def copies(faces: pd.DataFrame) -> list[list[int]]:
    """Rows of faces that are the same, together, in the order in which they first appear."""
    return _grouped(faces[faces.group.duplicated(keep=False)])


def odd_faces(faces: pd.DataFrame, per_kind: int) -> list[tuple[str, int, tuple[int, ...]]]:
    """The first few faces of each kind of oddness.

    Args:
        faces: Those of a `Survey`.
        per_kind: At most so many of each kind.

    Returns:
        For each of them its kind, its row and the labels that it has, none where they are unknown. The kinds are
        "conflict" (the first of some exact copies with different labels), "flat" (one grey, or almost) and "rejected"
        (no face, by FER+).
    """
    odd = [("conflict", rows) for rows in conflicts(faces)[:per_kind]]
    for kind in ("flat", "rejected"):
        odd += [(kind, [row]) for row in faces.index[faces[kind]][:per_kind]]
    labels = [tuple(sorted(set(faces.label[rows]) - {_UNKNOWN})) for _, rows in odd]
    return [(kind, rows[0], known) for (kind, rows), known in zip(odd, labels, strict=True)]


def _grouped(faces: pd.DataFrame) -> list[list[int]]:
    return [group.index.tolist() for _, group in faces.groupby("group", sort=False)]


def describe(summary: DataSummary) -> str:
    """The summary as a person reads it: what it is, a table of counts, and what is odd."""
    counts = {
        split: [count, *summary.class_counts.get(split, [""] * len(EMOTIONS))]
        for split, count in summary.faces.items()
    }
    table = pd.DataFrame.from_dict(counts, orient="index", columns=["faces", *EMOTIONS], dtype=object)
    repeats = [f"{count:,} within {split}" for split, count in summary.copies_within.items() if count]
    for split, counted in summary.copies_across.items():
        for before, count in counted.items():
            repeats += _shared(summary, {split: count}, f"also stand in {before}")
    near = _shared(summary, summary.near_leaked, "are near copies of train faces")
    if not summary.near_all:
        near.insert(0, f"too many faces are alike: the search ended after {MOST_CANDIDATES:,} pairs")
    lines = [
        *(f"{name}: {kind}" for name, kind in summary.kinds.items()),
        "",
        table.map(lambda count: f"{count:,}" if count != "" else "-").to_string() if counts else "no faces",
        "",
        *_found(
            "Faces that repeat an earlier one exactly", summary.copies, repeats, _equal(summary.copy_groups)
        ),
        *_found(
            "Groups of copies with different labels", len(summary.conflicts), [], _equal(summary.conflicts)
        ),
        *_found(
            "Pairs of near copies (cropped, lit or stored otherwise, or mirrored)",
            len(summary.near),
            near,
            [f"{one} ~ {other}" for one, other in summary.near],
        ),
        *_found("Faces of one grey all over, or almost", len(summary.flat), [], summary.flat),
        *_described(summary.votes),
        *_found("What keeps it from being loaded", len(summary.problems), [], summary.problems),
    ]
    return "\n".join(lines)


def as_json(summary: DataSummary) -> str:
    """The summary for machines, nothing left out."""
    return json.dumps(asdict(summary), ensure_ascii=False, indent=2)


def _survey(kinds: Mapping[str, str], parts: Sequence[_Part], problems: Sequence[str]) -> Survey:
    pixels = np.concatenate([part.faces.pixels for part in parts])
    groups = Faces(pixels, None, np.arange(len(pixels))).copy_groups()
    first = np.unique(groups, return_index=True)[1]
    first.sort()
    faces = pd.DataFrame(
        {
            "split": np.concatenate([part.splits for part in parts]),
            "place": [place for part in parts for place in part.places],
            "label": np.concatenate([_labels(part.faces) for part in parts]),
            "group": groups,
            "flat": _deviations(pixels) < FLAT,
        }
    )
    opinions = pd.concat([_opinions(part) for part in parts], ignore_index=True)
    near, near_all = near_copies(pixels[first])
    return Survey(kinds, pixels, faces.join(opinions), first[near], near_all, tuple(problems))


def _refusal(tables: Sequence[FaceTable]) -> list[str]:
    """Why `data.load` refuses tables whose every place can be used; one of test faces alone is fine."""
    if len(tables) == 1 and (tables[0].splits == "test").all():
        return []
    try:
        joined(tables)
    except InputError as error:
        return [str(error)]
    return []


def _deviations(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The standard deviation of each face's pixels."""
    chunks = np.array_split(pixels, max(1, len(pixels) // 1024))
    return np.concatenate([chunk.std(axis=(1, 2)) for chunk in chunks])


def _opinions(part: _Part) -> pd.DataFrame:
    """What FER+ says of each face."""
    n = len(part.faces)
    votes = np.zeros((n, len(EMOTIONS)), np.uint8) if part.faces.votes is None else part.faces.votes[:, VOTED]
    labels = _labels(part.faces)
    known = labels != _UNKNOWN
    own = votes[np.arange(n), np.maximum(labels, 0)]
    most = votes.max(axis=1, initial=0)
    voted = (most > 0) & known
    asked = np.zeros(n, np.bool_) if part.faces.votes is None else part.faces.votes.any(axis=1)
    return pd.DataFrame(
        {
            "asked": asked,
            "voted": voted,
            "agrees": voted & (own == most),
            "wanted": votes.argmax(axis=1),
            "support": most / np.maximum(votes.sum(axis=1), 1),
            "unseen": voted & (own == 0) & (most >= votes.sum(axis=1) * 0.5),
            "rejected": np.zeros(n, np.bool_) if part.rejected is None else part.rejected,
        }
    )


def _votes(faces: pd.DataFrame) -> Votes | None:
    if not faces.asked.any():
        return None
    voted = faces[faces.voted]
    unseen = faces[faces.unseen]
    places = [
        f"{place} ({EMOTIONS[label]}, but most see {EMOTIONS[wanted]})"
        for place, label, wanted in zip(unseen.place, unseen.label, unseen.wanted, strict=True)
    ]
    return Votes(
        faces=int(faces.asked.sum()),
        rejected=int(faces.rejected.sum()),
        agree={
            str(split): float(share)
            for split, share in voted.groupby("split", sort=False).agrees.mean().items()
        },
        unseen=tuple(places),
    )


def _neighbours(groups: set[int], found: Survey) -> set[int]:
    """The groups of copies that are near to one of these."""
    pairs = found.faces.group.to_numpy()[found.near].tolist()
    return {one for pair in pairs for one, other in (pair, pair[::-1]) if other in groups}


def _labels(faces: Faces) -> npt.NDArray[np.int64]:
    return np.full(len(faces), _UNKNOWN) if faces.labels is None else faces.labels


def _shared(summary: DataSummary, counts: Mapping[str, int], what: str) -> list[str]:
    return [
        f"{count:,} of the {summary.faces[split]:,} {split} faces {what}"
        for split, count in counts.items()
        if count
    ]


def _described(votes: Votes | None) -> list[str]:
    if votes is None:
        return []
    shares = [
        f"{share:.1%} of the {split} labels are what most voted for" for split, share in votes.agree.items()
    ]
    return [
        *_found("Faces with FER+ votes", votes.faces, shares),
        *(
            _found("Faces that are none by FER+ (it names no image)", votes.rejected)
            if votes.rejected
            else []
        ),
        *_found(
            "Labels that nobody voted for while most agree on another", len(votes.unseen), [], votes.unseen
        ),
    ]


def _equal(groups: Sequence[Sequence[str]]) -> list[str]:
    """Places of a few faces of each group."""
    return [
        " = ".join(group[:_NAMED]) + (f" = ... ({len(group):,} in all)" if len(group) > _NAMED else "")
        for group in groups
    ]


def _found(what: str, count: int, facts: Sequence[str] = (), places: Sequence[str] = ()) -> list[str]:
    """A line that counts something, lines that say more of it, and the first few places."""
    more = [f"... and {len(places) - _NAMED:,} more"] if len(places) > _NAMED else []
    lines = [*facts, *places[:_NAMED], *more]
    return [f"{what}: {count:,}" if count else f"{what}: none", *(f"  {line}" for line in lines)]
