"""Faces as pictures in folders named after emotions: train/happy/3.png."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from fer_lib.emotions import EMOTION_NAMES, EMOTIONS, FACE_SIZE
from fer_lib.errors import InputError
from fer_lib.faces import Faces
from fer_lib.packed import PICTURES, Entry
from fer_lib.photo import grey
from fer_lib.tables import (
    MOST_FACES,
    MOST_PROBLEMS,
    ORDER,
    SPLITS,
    FaceTable,
    Problem,
    too_many_faces,
    too_many_problems,
)

MOST_PIXELS = 1 << 26
"""No larger picture is decoded: 67 million pixels, more than cameras have."""

UNLABELLED_PICTURES = "pictures without labels"
"""What a table of pictures is that stand in no folder of an emotion."""

_MOST_BYTES = 1 << 27
_FOLDERS = {
    **{name.lower(): label for names in EMOTION_NAMES.values() for label, name in enumerate(names)},
    **{str(label): label for label in range(len(EMOTIONS))},
    "anger": 0,
    "disgusted": 1,
    "fearful": 2,
    "happiness": 3,
    "sadness": 4,
    "surprised": 5,
}
_OTHERS = (".csv", ".csv.gz", ".npz", ".txt", ".md", ".json")
_USAGES = (("publictest_", "public"), ("privatetest_", "private"))
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8")


class _Place(NamedTuple):
    """What the folders above a picture say: what is above them, the split ("" if none), the label."""

    root: tuple[str, ...]
    split: str
    label: int | None


def label_of(folder: str) -> int | None:
    """The label of the pictures in a folder of this name, or None if it is named after no emotion."""
    return _FOLDERS.get(folder.strip().lower())


def is_picture(entry: Entry) -> bool:
    """Whether a file has a picture's suffix, or is in a folder of an emotion and has none of tables and texts."""
    name = entry.parts[-1].lower()
    return name.endswith(PICTURES) or (
        len(entry.parts) > 1 and label_of(entry.parts[-2]) is not None and not name.endswith(_OTHERS)
    )


def read_pictures(folder: Path, entries: Iterable[Entry]) -> list[FaceTable]:
    """Read pictures that stand in folders.

    A picture's folder says its emotion, and one above it the split (train, test, validation, PublicTest, PrivateTest;
    none means train). In a test folder, names that begin with PublicTest_ or PrivateTest_ say it better. The
    order is that of the numbers in the names, which become the ids where all in a split differ: pictures that
    were written from fer2013.csv come back in its order.

    Args:
        folder: What the pictures are in, for messages.
        entries: The pictures, whatever else they may turn out to be.

    Returns:
        A table for each split; labels are None where no picture of a split stands in a folder of an emotion.

    Raises:
        InputError: The folders do not say what is what. A file that is no picture does not raise, see
            `FaceTable.problems`.
    """
    placed = _placed(entries)
    splits: dict[str, list[tuple[_Place, Entry]]] = {split: [] for split in ORDER}
    for place, entry in placed:
        splits[place.split or "train"].append((place, entry))
    for split, members in splits.items():
        roots = sorted({"/".join(place.root) or "." for place, _ in members if place.label is not None})
        if len(roots) > 1:
            raise InputError(
                f"{folder} holds {split} pictures in {roots[0]} and in {roots[1]}; name one of these folders."
            )
    return [
        _table(folder, split, [(entry, place.label) for place, entry in members])
        for split, members in splits.items()
        if members
    ]


def read_unlabelled_pictures(folder: Path, entries: Iterable[Entry]) -> FaceTable:
    """Read pictures as faces to predict: those in no training folder, or else all.

    Ids and order are those of `read_pictures`, and so is what is left out.
    """
    placed = _placed(entries)
    tests = [entry for place, entry in placed if place.split != "train"]
    return _table(folder, "test", [(entry, None) for entry in tests or [entry for _, entry in placed]])


def read_picture(data: bytes) -> npt.NDArray[np.uint8]:
    """A PNG or JPEG picture as a face: uint8 (48, 48).

    Grey pictures of 48x48 keep their pixels. Of others the middle square is scaled (bicubic, anti-aliased); colours
    become grey by ITU-R BT.601, and what is transparent becomes white.

    Raises:
        ValueError: It is neither, is damaged or too large; says what it is instead.
    """
    if not data.startswith(_MAGIC):
        raise ValueError("no PNG or JPEG picture in it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
                if image.width * image.height <= MOST_PIXELS:
                    return _face(image)
    except Image.DecompressionBombError:
        pass
    # A damaged picture can raise almost anything.
    except Exception:
        raise ValueError("a damaged picture in it") from None
    raise ValueError(f"a picture of more than {MOST_PIXELS:,} pixels")


def _face(image: Image.Image) -> npt.NDArray[np.uint8]:
    image.load()
    plain = image.mode == "L" and "transparency" not in image.info
    if plain and image.size == (FACE_SIZE, FACE_SIZE) and image.format == "PNG":
        return np.asarray(image)
    upright = grey(image)
    if upright.size != (FACE_SIZE, FACE_SIZE):
        upright = ImageOps.fit(upright, (FACE_SIZE, FACE_SIZE), Image.Resampling.BICUBIC)
    return np.asarray(upright)


def _placed(entries: Iterable[Entry]) -> list[tuple[_Place, Entry]]:
    """The pictures that are faces: where some are in folders of emotions, one outside of all folders only decorates."""
    placed = [(_place(entry), entry) for entry in entries]
    if any(place.label is not None for place, _ in placed):
        return [(place, entry) for place, entry in placed if len(entry.parts) > 1]
    return placed


def _place(entry: Entry) -> _Place:
    *folders, file = entry.parts
    label = label_of(folders[-1]) if folders else None
    above = folders if label is None else folders[:-1]
    at = max((i for i, name in enumerate(above) if name.lower() in SPLITS), default=None)
    if at is None:
        return _Place(tuple(above), "", label)
    split = SPLITS[above[at].lower()]
    if split == "test":
        split = next((usage for prefix, usage in _USAGES if file.lower().startswith(prefix)), split)
    return _Place(tuple(above[:at]), split, label)


def _table(folder: Path, split: str, files: Sequence[tuple[Entry, int | None]]) -> FaceTable:
    if len(files) > MOST_FACES:
        raise too_many_faces(folder)
    unlabelled = all(label is None for _, label in files)
    numbered = sorted((_number(entry), entry.name, i) for i, (entry, _) in enumerate(files))
    ranks = {i: rank for rank, (_, _, i) in enumerate(numbered)}
    pixels = np.zeros((len(files), FACE_SIZE, FACE_SIZE), np.uint8)
    problems: dict[int, Problem] = {}
    for i, (entry, label) in enumerate(files):  # in the order in which an archive is read fastest
        try:
            if label is None and not unlabelled:
                raise ValueError(f"a folder that is none of {', '.join(EMOTIONS)}")
            with entry.opened() as file:
                pixels[ranks[i]] = read_picture(file.read(_MOST_BYTES))
        except ValueError as error:
            problems[ranks[i]] = Problem(entry.name, str(error))
        if len(problems) > MOST_PROBLEMS:
            raise too_many_problems(folder, next(iter(problems.values())))
    good = np.array([rank not in problems for rank in range(len(files))], np.bool_)
    labels = np.array([files[i][1] or 0 for _, _, i in numbered], np.int64)
    numbers = np.array([number for number, _, _ in numbered], np.int64)
    distinct = len(np.unique(numbers)) == len(numbers) and numbers.min(initial=0) >= 0
    ids = numbers if distinct else np.arange(len(files))
    faces = Faces(pixels, None if unlabelled else labels, ids)[good]
    kind = UNLABELLED_PICTURES if unlabelled else "pictures in folders of emotions"
    places = [name for (_, name, _), ok in zip(numbered, good, strict=True) if ok]
    listed = tuple(problems[rank] for rank in sorted(problems))
    return FaceTable(folder, kind, faces, np.full(len(faces), split), places, listed)


def _number(entry: Entry) -> int:
    """The last number in a picture's name, -1 where there is none."""
    number = re.search(r"([0-9]{1,18})[^0-9]*$", entry.parts[-1].rpartition(".")[0])
    return int(number[1]) if number else -1
