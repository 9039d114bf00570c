"""Pictures as faces: in folders named after emotions (train/happy/3.png), and a face of one's own in a photograph."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from fer_lib.data.archives import PICTURES, Entry
from fer_lib.data.faces import Faces
from fer_lib.data.tables import MAX_FACES, ORDER, FaceTable, Problem, label_of, split_of, too_many_faces
from fer_lib.emotions import EMOTIONS, FACE_SIZE
from fer_lib.errors import InputError

MAX_PIXELS = 1 << 26
"""No larger picture is decoded: 67 million pixels, more than cameras have."""

UNLABELLED = "pictures without labels"
"""The kind of a table of pictures that are in no folder of an emotion."""

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
_MAX_BYTES = 1 << 27
_OTHERS = (".csv", ".gz", ".bz2", ".xz", ".npz", ".txt", ".md", ".json", ".zip", ".tar", ".tgz")


class _Place(NamedTuple):
    """What the folders above a picture say: what is above them, the split ("" if none), the label."""

    root: tuple[str, ...]
    split: str
    label: int | None


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
    """A picture as a face: uint8 (48, 48).

    Grey pictures of 48x48 keep their pixels. Of others the middle square is scaled (bicubic, anti-aliased); colors
    become grey by ITU-R BT.601, and what is transparent becomes white. Of several frames the first is taken.

    Raises:
        ValueError: It is none, is damaged or too large; says what it is instead.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height <= MAX_PIXELS:
                    return _face(image)
    except UnidentifiedImageError:
        raise ValueError("no picture in it (PNG, JPEG, BMP, GIF, TIFF or WebP)") from None
    except Image.DecompressionBombError:
        pass
    # A damaged picture can raise almost anything.
    except Exception:
        raise ValueError("a damaged picture in it") from None
    raise ValueError(f"a picture of more than {MAX_PIXELS:,} pixels")


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
    at = max((i for i, name in enumerate(above) if split_of(name)), default=None)
    if at is None:
        return _Place(tuple(above), "", label)
    split = split_of(above[at])
    if split == "test":  # Kaggle's names say it better
        split = split_of(
            next((usage for usage in ("PublicTest", "PrivateTest") if file.startswith(usage)), "test")
        )
    return _Place(tuple(above[:at]), split, label)


def _table(folder: Path, split: str, files: Sequence[tuple[Entry, int | None]]) -> FaceTable:
    if len(files) > MAX_FACES:
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
                content = file.read(_MAX_BYTES)
            pixels[ranks[i]] = read_picture(content)
        except ValueError as error:
            problems[ranks[i]] = Problem(entry.name, str(error))
    good = np.array([rank not in problems for rank in range(len(files))], np.bool_)
    labels = np.array([files[i][1] or 0 for _, _, i in numbered], np.int64)
    numbers = np.array([number for number, _, _ in numbered], np.int64)
    distinct = len(np.unique(numbers)) == len(numbers) and numbers.min(initial=0) >= 0
    ids = numbers if distinct else np.arange(len(files))
    faces = Faces(pixels, None if unlabelled else labels, ids)[good]
    kind = UNLABELLED if unlabelled else "pictures in folders of emotions"
    places = [name for (_, name, _), ok in zip(numbered, good, strict=True) if ok]
    listed = tuple(problems[rank] for rank in sorted(problems))
    return FaceTable(folder, kind, faces, np.full(len(faces), split), places, listed)


def _number(entry: Entry) -> int:
    """The last number in a picture's name, -1 where there is none."""
    number = re.search(r"([0-9]{1,18})[^0-9]*$", entry.parts[-1].rpartition(".")[0])
    return int(number[1]) if number else -1


# --- A face in a photograph

_AT_ONCE = 1 << 18
"""Pixels that are made grey at a time."""


class Portrait(NamedTuple):
    """A face cut out of a photograph.

    Attributes:
        pixels: Grey values, uint8 (48, 48).
        found: Whether a face was detected; if not, it is the middle of the photograph.
        searched: Whether a face was looked for; if not, no detector is installed.
    """

    pixels: npt.NDArray[np.uint8]
    found: bool
    searched: bool


def grey(image: Image.Image) -> Image.Image:
    """A picture upright and in grey (mode L), a few rows at a time: of an enormous one there is no second copy.

    Colours become grey by ITU-R BT.601, what is transparent becomes white, and of 16 bits a pixel 8 are left.
    """
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "L" and "transparency" not in image.info:
        return image
    width, height = image.size
    whole, rows = Image.new("L", image.size), max(1, _AT_ONCE // width)
    for top in range(0, height, rows):
        whole.paste(_grey(image.crop((0, top, width, min(top + rows, height)))), (0, top))
    return whole


def _grey(strip: Image.Image) -> Image.Image:
    if strip.mode.startswith("I"):  # 16 bits a pixel, which convert("L") would cut off at 255
        return Image.fromarray(np.rint(np.asarray(strip) / 257).clip(0, 255).astype(np.uint8))
    if "transparency" in strip.info or strip.mode in ("LA", "PA", "RGBA"):
        seen = strip.convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    return strip.convert("L")


def portrait(photo: Path | BinaryIO, *, name: str = "") -> Portrait:
    """The largest face in a photograph, cut out and made grey; without a detector or a face, the middle.

    Faces are detected by OpenCV's Haar cascade (Viola and Jones, 2001) where `opencv-python-headless` is installed
    (`pip install 'fer-lib[photo]'`).

    Args:
        photo: The photograph.
        name: What to call it, where it is no path.

    Raises:
        InputError: The file is no picture that can be read.
    """
    try:
        with Image.open(photo) as opened:
            opened.load()
            shown = grey(opened)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        why = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise InputError(
            f"{name or photo} cannot be read as a picture{why}; give a PNG or JPEG file."
        ) from None
    detector = _detector()
    box = None if detector is None else _largest_face(detector, np.asarray(shown))
    left, top, size = box or _middle(*shown.size)
    cut = shown.crop((left, top, left + size, top + size))
    small = cut.resize((FACE_SIZE, FACE_SIZE), Image.Resampling.LANCZOS)
    return Portrait(np.asarray(small, np.uint8), box is not None, detector is not None)


def _middle(width: int, height: int) -> tuple[int, int, int]:
    size = min(width, height)
    return (width - size) // 2, (height - size) // 2, size


def _detector() -> Any | None:
    """OpenCV's detector of frontal faces, or None where it is not installed."""
    try:
        import cv2
    except ImportError:
        return None
    if not hasattr(cv2, "CascadeClassifier"):  # OpenCV 5 has it no more
        return None
    return cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_default.xml")


def _largest_face(detector: Any, shown: npt.NDArray[np.uint8]) -> tuple[int, int, int] | None:
    """Left, top and size of the largest face, or None."""
    found = detector.detectMultiScale(shown, 1.1, 5)
    if not len(found):
        return None
    left, top, size, _ = max(found.tolist(), key=lambda face: face[2])
    return int(left), int(top), int(size)
