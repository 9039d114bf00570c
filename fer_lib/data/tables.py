"""Faces as a source writes them down: each with its split and place, and the places that hold none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_lib.data.faces import Faces
from fer_lib.emotions import EMOTION_NAMES, EMOTIONS
from fer_lib.errors import InputError

MAX_FACES = 300_000
"""No source has more: 8 times FER2013, 0.7 GB of pixels."""

ORDER = ("train", "public", "private", "test")
"""All splits, in the order in which they are listed."""

SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "public",
    "valid": "public",
    "validation": "public",
    "dev": "public",
    "public": "public",
    "publictest": "public",
    "private": "private",
    "privatetest": "private",
    "test": "test",
    "testing": "test",
}
"""The split that a word means; a validation set that comes with the data is FER2013's public one."""

_LABELS: Mapping[str, int] = {
    **{name.lower(): label for names in EMOTION_NAMES.values() for label, name in enumerate(names)},
    **dict.fromkeys(("anger", "憤怒", "愤怒", "生气"), 0),
    **dict.fromkeys(("disgusted", "厌恶"), 1),
    **dict.fromkeys(("fearful", "afraid", "害怕", "恐惧"), 2),
    **dict.fromkeys(("happiness", "joy", "開心", "开心", "快樂", "快乐", "高兴"), 3),
    **dict.fromkeys(("sadness", "悲傷", "悲伤", "傷心", "伤心", "难过"), 4),
    **dict.fromkeys(("surprised", "惊讶"), 5),
    **dict.fromkeys(("neutrality", "中性", "平靜", "平静"), 6),
}
_NAMED = 5


class Problem(NamedTuple):
    """A place that holds no usable face, and what it has instead: ("line 7", "2303 pixels instead of 2304")."""

    place: str
    what: str


@dataclass(frozen=True)
class FaceTable:
    """What a source of faces holds.

    Attributes:
        path: The file, or the folder of pictures; inside an archive no path of the file system.
        kind: What it is, in words.
        faces: The usable faces in the source's order.
        splits: str array (n,): "train", "public", "private" or "test".
        places: Where each face stands: "line 7" of a CSV file (the header is line 1), "train/happy/7.png", "face 7".
        problems: The places that cannot be used, in the source's order.
        rejected: bool array (n,): the faces that FER+ names no image for, since they show no face. None without FER+.
    """

    path: Path
    kind: str
    faces: Faces
    splits: npt.NDArray[np.str_]
    places: Sequence[str]
    problems: tuple[Problem, ...] = ()
    rejected: npt.NDArray[np.bool_] | None = None

    def require_usable(self) -> None:
        """Raise unless every place holds a face.

        Raises:
            InputError: Some do not; says how many, which, and what is wrong with the first.
        """
        if not self.problems:
            return
        first, *others = self.problems
        message = f"{self.path} {first.place} has {first.what}"
        if others:
            named = ", ".join(problem.place for problem in others[:_NAMED])
            more = ", ..." if len(others) > _NAMED else ""
            message += f", and {len(others):,} more cannot be used ({named}{more})"
        raise InputError(f"{message}; correct or delete what is wrong, or download it again.")


def label_of(text: str) -> int | None:
    """The label that a text means: "3", "3.0", "happy", "Happiness", "3_happy" or "高興"; None if it means none."""
    text = text.strip().lower()
    if re.fullmatch(r"[0-6](\.0+)?", text):
        return int(text[0])
    return _LABELS.get(re.sub(r"^[\d\W_]+|[\d\W_]+$", "", text))


def split_of(text: str) -> str:
    """The split that a name means ("test_with_emotions", "PublicTest", "val"), or "" if it means none or several."""
    words = re.findall(r"[a-z]+", text.lower())
    if "".join(words) in SPLITS:
        return SPLITS["".join(words)]
    found = {SPLITS[word] for word in words if word in SPLITS}
    if len(found) == 2 and "test" in found:  # the public test
        found -= {"test", "train"}
    return found.pop() if len(found) == 1 else ""


def names_of(tables: Sequence[FaceTable]) -> dict[Path, str]:
    """What to call each table's file: its name, with its folder where two have the same."""
    paths = list(dict.fromkeys(table.path for table in tables))
    names = [path.name for path in paths]
    return {path: path.name if names.count(path.name) == 1 else "/".join(path.parts[-2:]) for path in paths}


def label_problem(shown: object) -> str:
    """What to say of a label that is none."""
    last = len(EMOTIONS) - 1
    return (
        f"the label {shown!r} instead of 0 ({EMOTIONS[0]}) to {last} ({EMOTIONS[last]}) or an emotion's name"
    )


def too_many_faces(path: Path) -> InputError:
    """What to say of more than `MAX_FACES`."""
    return InputError(f"{path} has more than {MAX_FACES:,} faces; FER2013 has 35,887: name another file.")
