"""Faces in CSV files, one a line: Kaggle's fer2013.csv, the course's train.csv and test.csv."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_lib.emotions import EMOTIONS, FACE_SIZE
from fer_lib.errors import InputError
from fer_lib.faces import Faces
from fer_lib.packed import Entry
from fer_lib.tables import (
    MOST_FACES,
    MOST_PROBLEMS,
    USAGES,
    FaceTable,
    Problem,
    too_many_faces,
    too_many_problems,
)

KINDS: Mapping[frozenset[str], str] = {
    frozenset({"label", "pixels", "usage"}): "FER2013 with its three splits (emotion,pixels,Usage)",
    frozenset({"label", "pixels"}): "labelled faces (label,feature or emotion,pixels)",
    frozenset({"id", "pixels"}): "faces without labels (id,feature)",
    frozenset({"pixels"}): "faces without labels (pixels)",
}
"""What a file is, by what its columns hold."""

PIXELS = FACE_SIZE * FACE_SIZE
_HOLDS = {
    "emotion": "label",
    "label": "label",
    "pixels": "pixels",
    "feature": "pixels",
    "usage": "usage",
    "id": "id",
}
_LABELS = {str(label).encode(): label for label in range(len(EMOTIONS))}
_SPLITS = {usage.encode(): split for usage, split in USAGES.items()}
_AROUND = b' \t\r\n"'  # quotes only ever surround a whole field: none of ours holds a comma
_HEADER_BYTES = 4096
_LINES_AT_ONCE = 64  # half a megabyte of text, which stays in the processor's cache
_LONGEST_LINE = 1 << 20  # a face needs at most 10 kB


class _Row(NamedTuple):
    line: int
    label: int | None
    split: str
    id: int | None


def columns_of(entry: Entry) -> list[str] | None:
    """What the columns of a CSV file of faces hold, "label", "pixels", "usage" or "id"; None of any other file."""
    names = _names(entry.head(_HEADER_BYTES).partition(b"\n")[0])
    return None if names is None else _held(names)


def read_csv(entry: Entry, *, split: str | None = None) -> FaceTable:
    """Read a CSV file of faces, whatever its name.

    Columns may stand in any order; quotes, blanks around a field, blank lines, Windows line ends and a byte
    order mark make no difference.

    Args:
        entry: A file with one of the column sets of `KINDS`.
        split: The split of faces without Usage; by default "train" where labelled, "test" where not.

    Raises:
        InputError: The file is missing, empty, damaged or no such CSV. Single bad lines do not raise, see
            `FaceTable.problems`.
    """
    rows: list[_Row] = []
    pixels = [np.empty((0, FACE_SIZE, FACE_SIZE), np.uint8)]
    problems: list[Problem] = []
    with entry.opened() as file:
        columns = _columns(entry.path, file.readline(_HEADER_BYTES))
        default = split or ("train" if "label" in columns else "test")
        lines = _lines(entry.path, file)
        while chunk := list(islice(lines, _LINES_AT_ONCE)):
            chunk_rows, chunk_pixels, chunk_problems = _read_lines(chunk, columns, default)
            rows += chunk_rows
            pixels.append(chunk_pixels)
            problems += chunk_problems
            if len(rows) > MOST_FACES:
                raise too_many_faces(entry.path)
            if len(problems) > MOST_PROBLEMS:
                raise too_many_problems(entry.path, problems[0])
    if not rows and not problems:
        raise InputError(f"{entry.path} has a header but no faces; download it again.")
    faces = Faces(
        np.concatenate(pixels),
        np.array([row.label for row in rows], np.int64) if "label" in columns else None,
        np.array([row.id for row in rows] if "id" in columns else range(len(rows)), np.int64),
    )
    splits = np.array([row.split for row in rows], np.str_)
    places = [f"line {row.line}" for row in rows]
    return FaceTable(entry.path, KINDS[frozenset(columns)], faces, splits, places, tuple(problems))


def _lines(path: Path, file: BufferedReader) -> Iterator[tuple[int, bytes]]:
    """The lines after the header that are not blank, with their numbers in an editor."""
    blank = 0
    number = 1
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise InputError(f"{path} line {number} is longer than any face; download the file again.")
        if line.strip(_AROUND + b","):
            yield number, line
        else:
            blank += 1
        if blank > MOST_PROBLEMS:
            raise InputError(f"{path} has more than {MOST_PROBLEMS:,} blank lines; download it again.")


def _columns(path: Path, header: bytes) -> list[str]:
    """What each column holds, by the first line of a file."""
    if not header:
        raise InputError(f"{path} is empty; download it again.")
    names = _names(header)
    if names is None:
        raise InputError(f"{path} is not a CSV file: it does not begin with a line of UTF-8 text.")
    columns = _held(names)
    if columns is None:
        found = _shown(",".join(names).encode(), 80)
        raise InputError(
            f"{path} has the columns {found}, but a file of faces has emotion,pixels,Usage (fer2013.csv), "
            "label,feature (the course's train.csv) or id,feature (its test.csv)."
        )
    return columns


def _names(header: bytes) -> list[str] | None:
    """The names of the columns, or None of something that is no text."""
    try:
        text = header.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else [name.strip(_AROUND.decode()) for name in text.split(",")]


def _held(names: Sequence[str]) -> list[str] | None:
    """What the columns with these names hold, or None if they are not those of faces."""
    holds = [_HOLDS.get(name.lower(), "") for name in names]
    return holds if frozenset(holds) in KINDS and len(set(holds)) == len(holds) else None


def _read_lines(
    lines: Sequence[tuple[int, bytes]], columns: Sequence[str], split: str
) -> tuple[list[_Row], npt.NDArray[np.uint8], list[Problem]]:
    """The faces of some numbered lines, and what is wrong with the lines that hold none."""
    rows: list[_Row] = []
    texts: list[bytes] = []
    problems: list[tuple[int, str]] = []
    for number, line in lines:
        values = [value.strip(_AROUND) for value in line.split(b",")]
        try:
            fields = _fields(values, columns)
            rows.append(_row(number, fields, split))
            texts.append(fields["pixels"])
        except ValueError as error:
            problems.append((number, str(error)))
    pixels, good = _parse_pixels(texts)
    problems += [(rows[i].line, _pixel_problem(texts[i])) for i in np.flatnonzero(~good)]
    last_number, last_line = lines[-1]
    broken = "" if last_line.endswith(b"\n") else ", and there the file breaks off"
    named = [
        Problem(f"line {line}", what + broken * (line == last_number)) for line, what in sorted(problems)
    ]
    return [row for row, ok in zip(rows, good, strict=True) if ok], pixels, named


def _fields(values: Sequence[bytes], columns: Sequence[str]) -> dict[str, bytes]:
    if len(values) != len(columns):
        raise ValueError(f"{len(values)} {_plural('column', len(values))} instead of {len(columns)}")
    return dict(zip(columns, values, strict=True))


def _row(line: int, fields: Mapping[str, bytes], split: str) -> _Row:
    """A line without its pixels; `ValueError` says what cannot be used."""
    label = face_id = None
    if (text := fields.get("label")) is not None and (label := _LABELS.get(text)) is None:
        raise ValueError(f"the label {_shown(text)} instead of 0 to {len(EMOTIONS) - 1}")
    if (text := fields.get("usage")) is not None and (split := _SPLITS.get(text, "")) == "":
        raise ValueError(f"the Usage {_shown(text)} instead of Training, PublicTest or PrivateTest")
    if (text := fields.get("id")) is not None:
        if not text.isdigit() or len(text) > 18:
            raise ValueError(f"the id {_shown(text)} instead of a whole number")
        face_id = int(text)
    return _Row(line, label, split, face_id)


def _parse_pixels(texts: Sequence[bytes]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """The faces written in `texts`, and which texts hold one.

    Args:
        texts: Numbers with blanks between them, for n faces.

    Returns:
        uint8 array (number of good texts, 48, 48), and a bool array (n,).
    """
    # A blank after every text keeps its last number apart from the first of the next.
    text = np.frombuffer(b" ".join([*texts, b""]), np.uint8)
    bounds = np.cumsum([0, *(len(text) + 1 for text in texts)])
    values, ends, wrong = _parse_numbers(text)
    counts = np.diff(np.searchsorted(ends, bounds))
    good = counts == PIXELS
    good[np.searchsorted(bounds, wrong, side="right") - 1] = False
    if not good.all():
        values = values[np.repeat(good, counts)]
    return values.reshape(-1, FACE_SIZE, FACE_SIZE), good


def _parse_numbers(
    text: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Every number in ASCII text that ends in a blank, all at once.

    Returns:
        The numbers (uint8), the positions of their last digits, and the positions of what no list of numbers
        from 0 to 255 holds.
    """
    digits = text - np.uint8(ord("0"))  # every other character wraps round to 10 and more
    is_digit = digits < 10
    digits *= is_digit
    # A value is right only where its number ends; computing it everywhere beats gathering the ends first.
    values = digits.copy()
    values[1:] += digits[:-1] * np.uint8(10)
    third = is_digit[2:] & is_digit[1:-1] & is_digit[:-2]
    hundreds = digits[:-2] * third
    values[2:] += hundreds * np.uint8(100)
    wrong = ~is_digit & (text != ord(" "))
    wrong[2:] |= (hundreds > 2) | (values[2:] < hundreds * np.uint8(100))  # 256 to 299 wrap round to 0 to 43
    wrong[3:] |= third[1:] & third[:-1]
    ends = np.flatnonzero(is_digit[:-1] > is_digit[1:])
    return values[ends], ends, np.flatnonzero(wrong)


def _pixel_problem(text: bytes) -> str:
    """What a person would find wrong with the pixels of a face."""
    numbers = [number for number in text.split(b" ") if number]
    for position, number in enumerate(numbers, start=1):
        if not number.isdigit() or len(number) > 3 or int(number) > 255:
            return f"{_shown(number)} as pixel {position} instead of a whole number from 0 to 255"
    return f"{len(numbers)} {_plural('pixel', len(numbers))} instead of {PIXELS}"


def _shown(text: bytes, limit: int = 20) -> str:
    """The beginning of a text from the file, quoted, so that nothing in it can disturb a message."""
    shown = text[:limit].decode("utf-8", "backslashreplace")
    return repr(f"{shown}..." if len(text) > limit else shown)


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"
