"""Faces as a source writes them down: each with its split and place, and the places that hold none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_lib.errors import InputError
from fer_lib.faces import Faces

MOST_FACES = 300_000
"""No source has more: 8 times FER2013, 0.7 GB of pixels."""

MOST_PROBLEMS = 100_000
"""A source with more places that hold no face is something else."""

ORDER = ("train", "public", "private", "test")
"""All splits, in the order in which they are listed."""

SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "public",
    "valid": "public",
    "validation": "public",
    "public": "public",
    "publictest": "public",
    "private": "private",
    "privatetest": "private",
    "test": "test",
    "testing": "test",
}
"""The split that a name means; a validation set that comes with the data is FER2013's public one."""

USAGES: Mapping[str, str] = {"Training": "train", "PublicTest": "public", "PrivateTest": "private"}
"""The split of each Usage of FER2013 and FER+."""

_NAMED = 5


class Problem(NamedTuple):
    """A place that holds no usable face, and what it has instead: ("line 7", "the label '9' instead of 0 to 6")."""

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
        """Do nothing if every place holds a face.

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


def names_of(tables: Sequence[FaceTable]) -> dict[Path, str]:
    """What to call each table's file: its name, with its folder where two have the same."""
    paths = list(dict.fromkeys(table.path for table in tables))
    names = [path.name for path in paths]
    return {path: path.name if names.count(path.name) == 1 else "/".join(path.parts[-2:]) for path in paths}


def too_many_faces(path: Path) -> InputError:
    """What to say of more than `MOST_FACES`."""
    return InputError(f"{path} has more than {MOST_FACES:,} faces; FER2013 has 35,887: name another file.")


def too_many_problems(path: Path, first: Problem) -> InputError:
    """What to say of more than `MOST_PROBLEMS`."""
    return InputError(
        f"{path} is no file of faces: {first.place} has {first.what}, and more than {MOST_PROBLEMS:,} others hold none."
    )
