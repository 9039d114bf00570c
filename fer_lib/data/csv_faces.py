"""Faces in CSV files, one a line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_lib.data.archives import MAX_BYTES, Entry
from fer_lib.data.faces import Faces
from fer_lib.data.tables import (
    MAX_FACES,
    SPLITS,
    FaceTable,
    Problem,
    label_of,
    label_problem,
    too_many_faces,
)
from fer_lib.emotions import EMOTIONS, FACE_SIZE
from fer_lib.errors import InputError

PIXELS = FACE_SIZE**2
MAX_LINE = 1 << 20
"""The longest line of a CSV file in characters; a face needs at most 10,000."""

_BLANK = ' \t\n",;|'
_ROLES = {
    **dict.fromkeys(("emotion", "emotions", "label", "labels", "target", "class"), "label"),
    **dict.fromkeys(("pixels", "pixel", "feature", "features"), "pixels"),
    **dict.fromkeys(("usage", "split"), "usage"),
    "id": "id",
}
_KINDS = {
    frozenset({"label", "pixels", "usage"}): "FER2013 with its three splits (emotion,pixels,Usage)",
    frozenset({"label", "pixels"}): "labelled faces (label,feature or emotion,pixels)",
    frozenset({"id", "pixels"}): "faces without labels (id,feature)",
}
_INDEX = ("", "index", "unnamed: 0")
_WANTED = (
    "emotion,pixels,Usage (fer2013.csv), label,feature (the course's train.csv) or id,feature (its test.csv)"
)
_OTHER_FORMS = {b"PAR1": "a Parquet file", b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive",
                b"\x93NUM": "a single NumPy array", b"MATL": "a MATLAB file", b"\x80\x04\x95": "a pickle",
                b"\x28\xb5\x2f\xfd": "compressed by zstd"}  # fmt: skip


class Header(NamedTuple):
    """The first line of a CSV file of faces.

    Attributes:
        names: The columns.
        delimiter: What separates them.
        at: Where "label", "usage", "id" and "pixels" stand; from "pixels" on there may be a column for each pixel.
        wide: Whether there is.
        others: Where the columns stand that are ignored.
    """

    names: list[str]
    delimiter: str
    at: Mapping[str, int]
    wide: bool
    others: list[int]

    @property
    def holds(self) -> frozenset[str]:
        """What there is: "label", "pixels", "usage", "id"."""
        return frozenset(self.at)


def csv_header(line: str) -> Header | None:
    """Find the columns of faces in the first line of a file.

    None if it has none, or no column of labels but others, of which one may hold them.
    """
    for delimiter in ",;\t|":
        names = [name.strip(' \t"').lower() for name in line.rstrip("\n").split(delimiter)]
        roles = [_ROLES.get(name, "") for name in names]
        numbered = [i for i, name in enumerate(names) if re.fullmatch(r"(pixels?|px|p|x)?[ _.-]?\d+", name)]
        wide = numbered[-PIXELS:]
        if "pixels" in roles or len(wide) < PIXELS or wide[-1] - wide[0] + 1 != PIXELS:
            wide = []
        else:
            roles[wide[0]] = "pixels"
        at = {role: i for i, role in enumerate(roles) if role}
        others = [i for i, role in enumerate(roles) if not role and names[i] not in _INDEX and i not in wide]
        if "pixels" in at and len(at) == sum(map(bool, roles)) and ("label" in at or not others):
            return Header(names, delimiter, at, bool(wide), others)
    return None


def csv_head(entry: Entry) -> Header | None:
    """The columns of a CSV file of faces; None of any other file."""
    head = entry.head(MAX_LINE >> 4)
    return csv_header(re.split(r"[\r\n]", head.decode(_encoding(head), "replace"), maxsplit=1)[0])


def read_csv(entry: Entry, *, split: str | None = None) -> FaceTable:
    """Read a CSV file of faces, whatever its name.

    Columns may stand in any order, with others between them; commas, semicolons, tabs or bars, quotes, blanks around a
    field, blank lines, line ends and the Unicode encoding make no difference. Pixels are numbers with blanks or commas
    between them in one column, or stand in a column each.

    Args:
        entry: A file with a column of pixels and perhaps of labels, Usage and ids.
        split: The split of faces without Usage; by default "train" where labelled, "test" where not.

    Raises:
        InputError: The file is empty, damaged or no such CSV. Single bad lines do not raise, see
            `FaceTable.problems`.
    """
    rows: list[tuple[int, _Row]] = []
    problems: list[Problem] = []
    with entry.opened() as raw:
        encoding = _encoding(raw.read(2))
        raw.seek(0)
        file = io.TextIOWrapper(raw, encoding, "replace")
        header = _require_header(entry, file.readline(MAX_LINE))
        default = split or ("train" if "label" in header.at else "test")
        for number, line in _lines(entry.path, file):
            try:
                rows.append((number, _row(line, header, default)))
            except ValueError as error:
                broken = "" if line.endswith("\n") else ", and there the file breaks off"
                problems.append(Problem(f"line {number}", f"{error}{broken}"))
            if len(rows) > MAX_FACES or len(problems) > MAX_FACES:
                raise too_many_faces(entry.path)
    if not rows and not problems:
        raise InputError(f"{entry.path} has a header but no faces; download it again.")
    pixels = np.frombuffer(bytearray().join(row.pixels for _, row in rows), np.uint8)
    faces = Faces(
        pixels.reshape(-1, FACE_SIZE, FACE_SIZE),
        np.array([row.label for _, row in rows], np.int64) if "label" in header.at else None,
        np.array([row.id for _, row in rows] if "id" in header.at else range(len(rows)), np.int64),
    )
    kind = _KINDS.get(
        header.holds, "labelled faces" if "label" in header.at else "faces without labels (pixels)"
    )
    splits = np.array([row.split for _, row in rows], np.str_)
    return FaceTable(entry.path, kind, faces, splits, [f"line {i}" for i, _ in rows], tuple(problems))


class _Row(NamedTuple):
    pixels: bytes
    label: int | None
    split: str
    id: int


def _encoding(start: bytes) -> str:
    return "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _require_header(entry: Entry, line: str) -> Header:
    path = entry.path
    if not line:
        raise InputError(f"{path} is empty; download it again.")
    start = entry.head(8)
    form = next((form for magic, form in _OTHER_FORMS.items() if start.startswith(magic)), "")
    if form:
        raise InputError(
            f"{path} is {form}, which is not read; convert it to CSV, or to an .npz file with arrays called pixels and "
            "labels."
        )
    if "\0" in line or "\ufffd" in line:
        raise InputError(f"{path} is not a CSV file: it does not begin with a line of Unicode text.")
    header = csv_header(line)
    if header is None:
        names = line.strip()
        hint = "; add a first line with the names of its columns" if re.match(r"\W*\d", names) else ""
        if all(emotion in names.lower() for emotion in EMOTIONS):
            hint = "; put the number of the emotion (0 to 6) into one column"
        shown = repr(names[:80] + "..." * (len(names) > 80))
        raise InputError(f"{path} has the columns {shown}, but a file of faces has {_WANTED}{hint}.")
    return header


def _lines(path: Path, file: io.TextIOWrapper) -> Iterator[tuple[int, str]]:
    """The lines after the header that are not blank, with their numbers in an editor."""
    size = 0
    for number, line in enumerate(iter(partial(file.readline, MAX_LINE), ""), start=2):
        if len(line) == MAX_LINE:
            raise InputError(f"{path} line {number} is longer than any face; download the file again.")
        size += len(line)
        if size > MAX_BYTES or number > 2 * MAX_FACES:
            raise InputError(f"{path} is longer than any file of faces; name another file.")
        if line[:99].strip(_BLANK) or line.strip(_BLANK):
            yield number, line


def _row(line: str, header: Header, split: str) -> _Row:
    """A line of a file; `ValueError` says what cannot be used."""
    line = line.rstrip("\n")
    values = line.split(header.delimiter)
    if '"' in line:
        try:
            values = next(csv.reader([line], delimiter=header.delimiter, skipinitialspace=True, strict=True))
        except csv.Error:
            raise ValueError("a quotation mark that is not closed") from None
    count = len(header.names)
    if len(values) == count + 1 and not values[-1].strip():  # a separator at the end of the line
        values.pop()
    if len(values) != count:
        raise ValueError(f"{len(values)} column{'s' * (len(values) != 1)} instead of {count}")
    if any(values[at].strip().lower() in SPLITS for at in header.others):
        raise ValueError("a split in a column that is not called Usage")
    fields = {role: values[at].strip() for role, at in header.at.items()}
    label, face_id = None, 0
    if "label" in fields and (label := label_of(fields["label"])) is None:
        raise ValueError(label_problem(_shown(fields["label"])))
    if "usage" in fields and not (split := SPLITS.get(fields["usage"].lower(), "")):
        raise ValueError(
            f"the Usage {_shown(fields['usage'])!r} instead of Training, PublicTest or PrivateTest"
        )
    if "id" in fields:
        if not re.fullmatch(r"[0-9]{1,18}", fields["id"]):
            raise ValueError(f"the id {_shown(fields['id'])!r} instead of a whole number")
        face_id = int(fields["id"])
    text = fields["pixels"]
    if header.wide:
        start = header.at["pixels"]
        text = " ".join(values[start : start + PIXELS])
    return _Row(_pixels_of(text), label, split, face_id)


def _pixels_of(text: str) -> bytes:
    """The 2,304 pixels of a face; `ValueError` says what is wrong with them."""
    try:
        # NumPy takes a sign that stands alone for a number or a part of the next one.
        signed = "-" in text or "+" in text or not text[-1:].isdigit()
        numbers = _numbers_of(text) if signed else np.fromstring(text, np.int64, sep=" ")
    except ValueError:
        numbers = _numbers_of(text)
    if len(numbers) == PIXELS and numbers.view(np.uint64).max() <= 255:  # a negative number is huge there
        return numbers.astype(np.uint8).tobytes()
    wrong = np.flatnonzero((numbers < 0) | (numbers > 255))
    if len(wrong):
        raise ValueError(_pixel_problem(str(numbers[wrong[0]]), int(wrong[0]) + 1))
    count = len(numbers) if text.strip() else 0
    raise ValueError(f"{count} pixel{'s' * (count != 1)} instead of {PIXELS}")


def _numbers_of(text: str) -> npt.NDArray[np.int64]:
    """Whole numbers that are written as "[1, 2]" or "1.0 2.0"."""
    words = text.strip("[]() ").replace(",", " ").split()
    numbers = np.zeros(len(words), np.int64)
    for i, word in enumerate(words):
        if not re.fullmatch(r"[+-]?[0-9]{1,9}(\.0*)?", word):
            small = re.fullmatch(r"[01]?\.[0-9]+(e-?[0-9]+)?", word)
            hint = "; multiply pixels from 0 to 1 by 255" if small else ""
            raise ValueError(_pixel_problem(_shown(word), i + 1) + hint)
        numbers[i] = float(word)
    return numbers


def _pixel_problem(shown: str, position: int) -> str:
    return f"{shown!r} as pixel {position} instead of a whole number from 0 to 255"


def _shown(text: str) -> str:
    """The beginning of a text."""
    return f"{text[:20]}..." if len(text) > 20 else text
