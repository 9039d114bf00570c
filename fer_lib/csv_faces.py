"""Faces in CSV files, one a line: Kaggle's fer2013.csv, the course's train.csv and test.csv."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_lib.emotions import EMOTIONS, FACE_SIZE
from fer_lib.errors import InputError
from fer_lib.faces import Faces

KINDS: Mapping[frozenset[str], str] = {
    frozenset({"label", "pixels", "usage"}): "FER2013 with its three splits (emotion,pixels,Usage)",
    frozenset({"label", "pixels"}): "labelled faces (label,feature)",
    frozenset({"id", "pixels"}): "faces without labels (id,feature)",
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
_SPLITS = {b"Training": "train", b"PublicTest": "public", b"PrivateTest": "private"}
_AROUND = b' \t\r\n"'  # quotes only ever surround a whole field: none of ours holds a comma
_HEADER_BYTES = 4096
_BUFFER_BYTES = 1 << 18
_LINES_AT_ONCE = 64  # half a megabyte of text, which stays in the processor's cache
_LINES_NAMED = 5


class Problem(NamedTuple):
    """A line that cannot be used: its number in an editor (the header is line 1), and what it has."""

    line: int
    what: str


@dataclass(frozen=True)
class FaceTable:
    """What a CSV file holds.

    Attributes:
        path: The file.
        kind: What it is, one of the values of `KINDS`.
        faces: The usable faces in file order; `ids` from the id column, else 0, 1, 2, ...
        splits: str array (n,): "train", "public", "private" or "test".
        lines: int64 array (n,): the line of each face, where the header is line 1.
        problems: The lines that cannot be used, in file order.
    """

    path: Path
    kind: str
    faces: Faces
    splits: npt.NDArray[np.str_]
    lines: npt.NDArray[np.int64]
    problems: tuple[Problem, ...] = ()

    def require_usable(self) -> None:
        """Do nothing if every line holds a face.

        Raises:
            InputError: Some lines do not; says how many, which, and what is wrong with the first.
        """
        if not self.problems:
            return
        first, *others = self.problems
        message = f"{self.path} line {first.line} has {first.what}"
        if others:
            named = ", ".join(str(problem.line) for problem in others[:_LINES_NAMED])
            more = ", ..." if len(others) > _LINES_NAMED else ""
            lines = _plural("line", len(others))
            message += f", and {len(others)} more {lines} cannot be used ({lines} {named}{more})"
        raise InputError(f"{message}; correct or delete what is wrong, or download the file again.")


class _Row(NamedTuple):
    line: int
    label: int | None
    split: str
    id: int | None


def read_csv(path: Path, *, split: str | None = None) -> FaceTable:
    """Read a CSV file of faces, plain or gzipped, whatever its name.

    Columns may stand in any order; quotes, blanks around a field, blank lines, Windows line ends and a byte
    order mark make no difference.

    Args:
        path: A file with one of the column sets of `KINDS`.
        split: The split of faces without Usage; by default "train" where labelled, "test" where not.

    Raises:
        InputError: The file is missing, empty, damaged or no such CSV. Single bad lines do not raise, see
            `FaceTable.problems`.
    """
    rows: list[_Row] = []
    pixels = [np.empty((0, FACE_SIZE, FACE_SIZE), np.uint8)]
    problems: list[Problem] = []
    with _opened(path) as file:
        columns = _columns(path, file.readline(_HEADER_BYTES))
        default = split or ("train" if "label" in columns else "test")
        lines = enumerate(file, start=2)
        while chunk := list(islice(lines, _LINES_AT_ONCE)):
            chunk_rows, chunk_pixels, chunk_problems = _read_lines(chunk, columns, default)
            rows += chunk_rows
            pixels.append(chunk_pixels)
            problems += chunk_problems
    if not rows and not problems:
        raise InputError(f"{path} has a header but no faces; download it again.")
    faces = Faces(
        np.concatenate(pixels),
        np.array([row.label for row in rows], np.int64) if "label" in columns else None,
        np.array([row.id for row in rows] if "id" in columns else range(len(rows)), np.int64),
    )
    splits = np.array([row.split for row in rows], np.str_)
    line_numbers = np.array([row.line for row in rows], np.int64)
    return FaceTable(path, KINDS[frozenset(columns)], faces, splits, line_numbers, tuple(problems))


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    """The bytes of a file, unzipped where it is gzipped; reading raises `InputError`, not `OSError`."""
    try:
        with path.open("rb", buffering=0) as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            yield BufferedReader(gzip.GzipFile(fileobj=file) if zipped else file, _BUFFER_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(f"{path} is a damaged gzip file; download it again.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None


def _columns(path: Path, header: bytes) -> list[str]:
    """What each column holds, by the first line of a file."""
    if not header:
        raise InputError(f"{path} is empty; download it again.")
    try:
        text = header.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputError(f"{path} is not a CSV file: it does not begin with a line of UTF-8 text.")
    names = [name.strip(_AROUND.decode()) for name in text.split(",")]
    holds = [_HOLDS.get(name.lower(), "") for name in names]
    if frozenset(holds) not in KINDS or len(set(holds)) < len(holds):
        found = _shown(",".join(names).encode(), 80)
        raise InputError(
            f"{path} has the columns {found}, but a file of faces has emotion,pixels,Usage (fer2013.csv), "
            "label,feature (the course's train.csv) or id,feature (its test.csv)."
        )
    return holds


def _read_lines(
    lines: Sequence[tuple[int, bytes]], columns: Sequence[str], split: str
) -> tuple[list[_Row], npt.NDArray[np.uint8], list[Problem]]:
    """The faces of some numbered lines, and what is wrong with the lines that hold none."""
    rows: list[_Row] = []
    texts: list[bytes] = []
    problems: list[Problem] = []
    for number, line in lines:
        values = [value.strip(_AROUND) for value in line.split(b",")]
        if not any(values):
            continue
        try:
            fields = _fields(values, columns)
            rows.append(_row(number, fields, split))
            texts.append(fields["pixels"])
        except ValueError as error:
            problems.append(Problem(number, str(error)))
    pixels, good = _parse_pixels(texts)
    problems += [Problem(rows[i].line, _pixel_problem(texts[i])) for i in np.flatnonzero(~good)]
    problems.sort()
    last_number, last_line = lines[-1]
    if problems and problems[-1].line == last_number and not last_line.endswith(b"\n"):
        problems[-1] = Problem(last_number, f"{problems[-1].what}, and there the file breaks off")
    return [row for row, ok in zip(rows, good, strict=True) if ok], pixels, problems


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
