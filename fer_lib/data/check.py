"""What a data set is and what is odd about it, for `fer-lib data check` and the notebook `q0_data`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_lib.data import sources
from fer_lib.data.duplicates import MAX_CANDIDATES, near_copies
from fer_lib.data.faces import VOTED, Faces, FaceSplits
from fer_lib.data.loading import is_drawn, joined, load
from fer_lib.data.tables import ORDER, FaceTable, names_of
from fer_lib.emotions import EMOTIONS
from fer_lib.errors import InputError, printable

FLAT = 6.0
"""Faces whose pixels deviate less than this from their mean show nothing (FER2013's others deviate at least 9)."""

_UNKNOWN = -1
_NAMED = 5


@dataclass(frozen=True)
class Survey:
    """Every usable face of a data set and what was found out about it.

    Attributes:
        kinds: What each file is.
        left_out: Files of faces that are not read, since others are worth more.
        pixels: uint8 array (n, 48, 48).
        faces: A row for each face: `split`, `place`, `label` (-1 unknown), `group` (exact copies share one), `flat`,
            `asked` (FER+ has votes), `voted` (some for one of the seven emotions), `agrees` (its label is among those
            most voted for), `wanted` (the emotion most voted for), `support` (its share of the votes for the seven),
            `unseen` (nobody voted for its label, and at least half did for another), `rejected` (FER+ says it is no
            face).
        near: int64 (k, 2): rows of faces that are near copies, the first ones of their groups.
        near_all: Whether these are all, see `near_copies`.
        problems: What keeps the data set from being loaded.

    Names and places are `printable`.
    """

    kinds: Mapping[str, str]
    left_out: tuple[str, ...]
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
        left_out: Files of faces that are not read, since others are worth more.
        faces: Usable faces by split.
        class_counts: How many faces each emotion has, by split; splits without labels are left out.
        fingerprint: Of the training faces, as runs and reports name it; "" where there are none or something is wrong.
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
    left_out: tuple[str, ...]
    faces: Mapping[str, int]
    class_counts: Mapping[str, tuple[int, ...]]
    fingerprint: str
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
        tables, left_out = _drawn(load(path, cache=cache)), tuple[str, ...]()
    else:
        with sources.found(path) as source:
            tables, left_out = source.tables(), source.left_out
    names = names_of(tables)
    where = {path: f"{name} " if len(names) > 1 else "" for path, name in names.items()}
    problems = [f"{where[each.path]}{place} has {what}" for each in tables for place, what in each.problems]
    pixels = np.concatenate([table.faces.pixels for table in tables])
    faces = pd.concat([_frame(table, where[table.path]) for table in tables], ignore_index=True)
    faces["group"] = Faces(pixels, None, np.arange(len(pixels))).copy_groups()
    first = faces.index[~faces.group.duplicated()].to_numpy()
    near, near_all = near_copies(pixels[first])
    return Survey(
        {printable(names[table.path]): table.kind for table in tables},
        tuple(map(printable, left_out)),
        pixels,
        faces,
        first[near],
        near_all,
        tuple(map(printable, problems or _refusal(tables))),
    )


def summarize(found: Survey) -> DataSummary:
    """Count what a survey found."""
    faces = found.faces
    parts = {str(split): part for split, part in faces.groupby("split")}
    by_split = {split: parts[split] for split in ORDER if split in parts}
    own = set(by_split["train"].group) if "train" in by_split else set()
    pairs = faces.group.to_numpy()[found.near].tolist()
    near = {one for pair in pairs for one, other in (pair, pair[::-1]) if other in own}
    return DataSummary(
        kinds=found.kinds,
        left_out=found.left_out,
        faces={split: len(part) for split, part in by_split.items()},
        class_counts={
            split: tuple(np.bincount(part.label, minlength=len(EMOTIONS)).tolist())
            for split, part in by_split.items()
            if _UNKNOWN not in part.label.values
        },
        fingerprint=_fingerprint(found),
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
            tuple(f"{faces.place[i]} ({faces.split[i]})" for i in rows)
            for rows in _grouped(faces[faces.group.duplicated(keep=False)])
        ),
        conflicts=tuple(
            tuple(f"{faces.place[i]} ({EMOTIONS[faces.label[i]]})" for i in rows)
            for rows in _conflicts(faces)
        ),
        near=tuple((faces.place[i], faces.place[j]) for i, j in found.near.tolist()),
        near_all=found.near_all,
        near_leaked={
            split: int((part.group.isin(near) & ~part.group.isin(own)).sum())
            for split, part in by_split.items()
            if own and split != "train"
        },
        flat=tuple(faces.place[faces.flat]),
        votes=_votes(faces),
        problems=found.problems,
    )


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
    odd = [("conflict", rows) for rows in _conflicts(faces)[:per_kind]]
    for kind in ("flat", "rejected"):
        odd += [(kind, [row]) for row in faces.index[faces[kind]][:per_kind]]
    labels = [tuple(sorted(set(faces.label[rows]) - {_UNKNOWN})) for _, rows in odd]
    return [(kind, rows[0], known) for (kind, rows), known in zip(odd, labels, strict=True)]


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
            repeats += _shared(summary, {split: count}, f"are in {before} too")
    near = _shared(summary, summary.near_leaked, "are near copies of train faces")
    if not summary.near_all:
        near.insert(0, f"too many faces are alike: the search ended after {MAX_CANDIDATES:,} pairs")
    pairs = [f"{one} ~ {other}" for one, other in summary.near]
    lines = [
        *(f"{name}: {kind}" for name, kind in summary.kinds.items()),
        *(f"{name}: not read, since the others are worth more" for name in summary.left_out),
        "",
        table.map(lambda count: f"{count:,}" if count != "" else "-").to_string() if counts else "no faces",
        "",
        *([f"Fingerprint of the training faces: {summary.fingerprint}"] if summary.fingerprint else []),
        *_found("Exact copies of an earlier face", summary.copies, repeats, _equal(summary.copy_groups)),
        *_found(
            "Groups of copies with different labels", len(summary.conflicts), [], _equal(summary.conflicts)
        ),
        *_found(
            "Pairs of near copies (cropped, lit or compressed differently, or mirrored)",
            len(pairs),
            near,
            pairs,
        ),
        *_found("Faces of one grey, or almost", len(summary.flat), [], summary.flat),
        *_described(summary.votes),
        *_found("What keeps it from being loaded", len(summary.problems), [], summary.problems),
    ]
    return "\n".join(lines)


def as_json(summary: DataSummary) -> str:
    """The summary for machines, nothing left out."""
    return json.dumps(asdict(summary), ensure_ascii=False, indent=2)


def _drawn(splits: FaceSplits) -> list[FaceTable]:
    kind = "seven emotions, drawn by this program"
    return [
        FaceTable(
            Path(splits.source),
            kind,
            faces,
            np.full(len(faces), split),
            [f"{split} face {i}" for i in faces.ids],
        )
        for split, faces in {"train": splits.train, **splits.tests}.items()
    ]


def _frame(table: FaceTable, where: str) -> pd.DataFrame:
    """A row for each face, as `Survey.faces` has them but for `group`."""
    faces, n = table.faces, len(table.faces)
    labels = np.full(n, _UNKNOWN) if faces.labels is None else faces.labels
    all_votes = np.zeros((n, 10), np.uint8) if faces.votes is None else faces.votes
    votes = all_votes[:, VOTED]
    own, most, total = (
        votes[np.arange(n), np.maximum(labels, 0)],
        votes.max(axis=1, initial=0),
        votes.sum(axis=1),
    )
    voted = (most > 0) & (labels != _UNKNOWN)
    chunks = np.array_split(faces.pixels, max(1, n // 1024))
    return pd.DataFrame(
        {
            "split": table.splits.astype(object),
            "place": np.array([printable(f"{where}{place}") for place in table.places], object),
            "label": labels,
            "flat": np.concatenate([chunk.std(axis=(1, 2)) for chunk in chunks]) < FLAT,
            "asked": all_votes.any(axis=1),
            "voted": voted,
            "agrees": voted & (own == most),
            "wanted": votes.argmax(axis=1),
            "support": most / np.maximum(total, 1),
            "unseen": voted & (own == 0) & (most >= total * 0.5),
            "rejected": np.zeros(n, np.bool_) if table.rejected is None else table.rejected,
        }
    )


def _fingerprint(found: Survey) -> str:
    train = (found.faces.split == "train").to_numpy()
    if found.problems or not train.any():
        return ""
    labels = found.faces.label.to_numpy()[train].astype(np.int64)
    return Faces(found.pixels[train], labels, np.flatnonzero(train)).fingerprint()


def _refusal(tables: Sequence[FaceTable]) -> list[str]:
    """Why `data.load` refuses tables whose every place can be used; one of test faces alone is fine."""
    if len(tables) == 1 and (tables[0].splits == "test").all():
        return []
    try:
        joined(tables)
    except InputError as error:
        return [str(error)]
    return []


def _conflicts(faces: pd.DataFrame) -> list[list[int]]:
    """Rows of labelled faces whose exact copies disagree, together, in the order in which they first appear."""
    labelled = faces[faces.label != _UNKNOWN]
    return _grouped(labelled[labelled.groupby("group").label.transform("nunique") > 1])


def _grouped(faces: pd.DataFrame) -> list[list[int]]:
    return [group.index.tolist() for _, group in faces.groupby("group", sort=False)]


def _votes(faces: pd.DataFrame) -> Votes | None:
    if not faces.asked.any():
        return None
    unseen = faces[faces.unseen]
    agree = faces[faces.voted].groupby("split", sort=False).agrees.mean()
    return Votes(
        faces=int(faces.asked.sum()),
        rejected=int(faces.rejected.sum()),
        agree={str(split): float(share) for split, share in agree.items()},
        unseen=tuple(
            f"{place} ({EMOTIONS[label]}, but most see {EMOTIONS[wanted]})"
            for place, label, wanted in zip(unseen.place, unseen.label, unseen.wanted, strict=True)
        ),
    )


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
    disputed = "Labels that nobody voted for while most agree on another"
    return [
        *_found("Faces with FER+ votes", votes.faces, shares),
        *_found("Faces that are none by FER+ (it names no image)", votes.rejected),
        *_found(disputed, len(votes.unseen), [], votes.unseen),
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
