"""Faces in tables: CSV files, one face a line, and the arrays of NumPy's .npz files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fer_lib.data.archives import MAX_BYTES, Entry
from fer_lib.data.faces import VOTES, Faces
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
from fer_lib.errors import InputError, printable
from fer_lib.files import replacing

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
_OTHER_FORMS = {b"\x89HDF": "an HDF5 file", b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive",
                b"\x93NUM": "a single NumPy array", b"MATL": "a MATLAB file", b"\x80\x04\x95": "a pickle",
                b"\x28\xb5\x2f\xfd": "compressed by zstd"}  # fmt: skip


# --- CSV


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
        numbers = np.fromstring(text, np.int64, sep=" ")
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


# --- .npz

PIXEL_NAMES = ("pixels", "images", "faces", "x", "data")
LABEL_NAMES = ("labels", "label", "emotions", "emotion", "y", "targets")
"""What arrays may be called, for themselves or with a split: "pixels", "x_train", "train_labels", "train.pixels"."""

_ARRAYS = {
    **dict.fromkeys(PIXEL_NAMES, "pixels"),
    **dict.fromkeys(LABEL_NAMES, "label"),
    "votes": "votes",
    "ids": "id",
}
_SHAPES = {(FACE_SIZE, FACE_SIZE), (FACE_SIZE, FACE_SIZE, 1), (PIXELS,)}
_MAX_ARRAY = 8 * MAX_FACES * PIXELS


def is_npz(entry: Entry) -> bool:
    """Whether an entry is an .npz file."""
    return entry.name.lower().endswith(".npz")


def npz_holds(entry: Entry) -> frozenset[str]:
    """What the arrays of an .npz file are: "pixels", "label", "id", "votes", and "usage" where a name says a split."""
    try:
        with _npz(entry) as arrays:
            meanings = [_meaning(name) for name in arrays.files]
    except InputError:
        return frozenset()
    roles = {role for role, _ in meanings if role}
    return frozenset(roles | {"usage"} if any(role and split for role, split in meanings) else roles)


def read_npz(entry: Entry, *, split: str | None = None) -> list[FaceTable]:
    """Read the arrays of one .npz file.

    Pixels have the shape (n, 48, 48), (n, 48, 48, 1) or (n, 2304), in whole numbers from 0 to 255 of any type; labels
    are n numbers from 0 to 6, votes (n, 10) as FER+ counts them, and ids n whole numbers. Pickled objects are never
    loaded.

    Args:
        entry: The file.
        split: The split of arrays whose names say none; by default "train" where labelled, "test" where not.

    Returns:
        A table for each split.

    Raises:
        InputError: There are no pixels among the arrays, or an array is damaged, of another shape or too large.
    """
    found: dict[str, dict[str, npt.NDArray[Any]]] = {}
    with _npz(entry) as arrays:
        for name in arrays.files:
            role, part = _meaning(name)
            if role and role in found.setdefault(part, {}):
                raise InputError(
                    f"{entry.path} has two arrays of {role} for the same faces; keep one of them."
                )
            if role:
                found[part][role] = _array(entry.path / name, arrays, name)
        held = ", ".join(printable(name) for name in arrays.files[:8])
    tables = [_table(entry.path, part, roles, split) for part, roles in found.items() if "pixels" in roles]
    if not tables:
        raise InputError(
            f"{entry.path} holds the arrays {held}, but none is called pixels, images, faces or x; save it by "
            "np.savez(file, pixels=..., labels=...)."
        )
    return tables


def write_npz(path: Path, parts: Mapping[str, Faces]) -> None:
    """Write faces so that `read_npz` gives them back, compressed: what is known of each split, by its name."""
    arrays = {
        f"{split}_{role}": getattr(faces, role)
        for split, faces in parts.items()
        for role in ("pixels", "labels", "ids", "votes")
        if getattr(faces, role) is not None
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


@contextmanager
def _npz(entry: Entry) -> Iterator[Any]:
    """The arrays of a file, read one by one."""
    with entry.opened() as file:
        try:
            arrays = np.load(file, allow_pickle=False)
            names = arrays.files
        except (InputError, OSError):
            raise
        # NumPy evaluates headers as Python, which fails in many ways.
        except Exception:
            names = None
        if names is None:
            raise InputError(f"{entry.path} is no .npz file that NumPy saved; save it again.")
        with arrays:
            yield arrays


def _array(path: Path, arrays: Any, name: str) -> npt.NDArray[Any]:
    size = max(
        (info.file_size for info in arrays.zip.infolist() if info.filename.removesuffix(".npy") == name),
        default=0,
    )
    if size > _MAX_ARRAY:
        raise too_many_faces(path)
    try:
        array: npt.NDArray[Any] = arrays[name]
    except RuntimeError:  # encrypted
        raise
    except Exception:
        raise InputError(f"{path} is damaged or holds objects; save numbers.") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iufb":
        raise InputError(f"{path} holds no numbers; pixels, labels, ids and votes are arrays of numbers.")
    return array


def _meaning(name: str) -> tuple[str, str]:
    """ "pixels", "label", "votes", "id" or "" (none), and the split that a name says, or ""."""
    words = re.findall(r"[^\W_]+", name.lower())
    others = [word for word in words if word not in SPLITS]
    splits = [SPLITS[word] for word in words if word in SPLITS]
    if len(splits) > 1 or len(others) != 1:
        return "", ""
    return _ARRAYS.get(others[0], ""), "".join(splits)


def _table(path: Path, name: str, arrays: Mapping[str, npt.NDArray[Any]], split: str | None) -> FaceTable:
    pixels = arrays["pixels"]
    n = len(pixels) if pixels.ndim else 0
    if pixels.shape[1:] not in _SHAPES or not n:
        raise InputError(
            f"{path} has pixels of the shape {pixels.shape}, but faces have (n, 48, 48), (n, 48, 48, 1) or (n, 2304)."
        )
    if n > MAX_FACES:
        raise too_many_faces(path)
    if pixels.dtype.kind == "f" and 0 <= pixels.min() < pixels.max() <= 1:
        raise InputError(f"{path} has pixels from 0 to 1; multiply them by 255 and save whole numbers.")
    if pixels.dtype != np.uint8:
        pixels = _whole(path, "pixels", pixels, pixels.shape, 255).astype(np.uint8)
    labels = votes = None
    if "label" in arrays:
        given = arrays["label"]
        labels = _whole(path, "labels", given[:, 0] if given.shape == (n, 1) else given, (n,))
    if "votes" in arrays:
        votes = _whole(path, "votes", arrays["votes"], (n, len(VOTES)), 255).astype(np.uint8)
    ids = _whole(path, "ids", arrays["id"], (n,)) if "id" in arrays else np.arange(n)
    pixels = np.ascontiguousarray(pixels.reshape(-1, FACE_SIZE, FACE_SIZE))
    faces = Faces(pixels, labels, ids, votes=votes)
    good = np.ones(n, np.bool_) if labels is None else (labels >= 0) & (labels < len(EMOTIONS))
    where = f"{name} face" if name else "face"
    problems = [
        Problem(f"{where} {i}", label_problem(int(faces.known_labels[i])))
        for i in np.flatnonzero(~good).tolist()
    ]
    kept = faces if good.all() else faces[good]
    kind = f"{'faces without labels' if labels is None else 'labelled faces'} (arrays)"
    splits = np.full(len(kept), name or split or ("test" if labels is None else "train"))
    places = [f"{where} {i}" for i in np.flatnonzero(good).tolist()]
    return FaceTable(path, kind, kept, splits, places, tuple(problems))


def _whole(
    path: Path, role: str, array: npt.NDArray[Any], shape: tuple[int, ...], highest: int | None = None
) -> npt.NDArray[np.int64]:
    """An array in whole numbers, from 0 to `highest` where it is given.

    Raises:
        InputError: It has another shape or other numbers.
    """
    if array.shape != shape:
        raise InputError(
            f"{path} has {role} of the shape {array.shape}, but {shape} is needed for its faces."
        )
    low, high = (0, highest) if highest else (-(1 << 62), 1 << 62)
    whole = array.dtype.kind in "iub" or bool((array == np.rint(array)).all())
    if not whole or (array.size and not low <= array.min() <= array.max() <= high):
        wanted = f" from 0 to {highest}" if highest else ""
        raise InputError(
            f"{path} has {role} that are no whole numbers{wanted}; correct them and save it again."
        )
    return array.astype(np.int64)
