"""Faces in NumPy's .npz files: pixels and labels as arrays under the names that people give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from fer_lib.emotions import EMOTIONS, FACE_SIZE
from fer_lib.errors import InputError, printable
from fer_lib.faces import VOTES, Faces
from fer_lib.files import replacing
from fer_lib.packed import Entry
from fer_lib.tables import MOST_FACES, SPLITS, FaceTable, Problem, too_many_faces

PIXEL_NAMES = ("pixels", "images", "faces", "x", "data")
LABEL_NAMES = ("labels", "label", "emotions", "emotion", "y", "targets")
VOTE_NAMES, ID_NAMES = ("votes",), ("ids",)
"""What arrays may be called, for themselves or with a split: "pixels", "x_train", "train_labels", "train.pixels"."""

_MOST_BYTES = 8 * MOST_FACES * FACE_SIZE**2
_SUFFIX = ".npy"
_ROLES = {
    name: role
    for role, names in (
        ("pixels", PIXEL_NAMES), ("labels", LABEL_NAMES), ("votes", VOTE_NAMES), ("ids", ID_NAMES),
    )
    for name in names
}  # fmt: skip
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_SHAPES = {(FACE_SIZE, FACE_SIZE), (FACE_SIZE, FACE_SIZE, 1), (FACE_SIZE**2,)}


def is_array(entry: Entry) -> bool:
    """Whether an entry is an array of an .npz file."""
    return bool(entry.inside) and entry.name.lower().endswith(_SUFFIX)


def array_roles(entries: Sequence[Entry]) -> frozenset[str]:
    """What the arrays of one .npz file are: "pixels", "label", "id", "votes", and "usage" where a name says a split."""
    meanings = [_meaning(entry.inside) for entry in entries]
    roles = {{"labels": "label", "ids": "id"}.get(role, role) for role, _ in meanings if role}
    return frozenset(roles | ({"usage"} if any(role and split for role, split in meanings) else set()))


def read_npz(entries: Sequence[Entry], *, split: str | None = None) -> list[FaceTable]:
    """Read the arrays of one .npz file.

    Pixels have the shape (n, 48, 48), (n, 48, 48, 1) or (n, 2304), in whole numbers from 0 to 255 of any type; labels
    are n numbers from 0 to 6, votes (n, 10) as FER+ counts them, and ids n whole numbers. Pickled objects are never
    loaded.

    Args:
        entries: All arrays of the file.
        split: The split of arrays whose names say none; by default "train" where labelled, "test" where not.

    Returns:
        A table for each split.

    Raises:
        InputError: There are no pixels among the arrays, or an array is damaged, of another shape or too large.
    """
    path = entries[0].file
    found: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        role, name = _meaning(entry.inside)
        if role and role in found.setdefault(name, {}):
            raise InputError(f"{path} has two arrays of {role} for the same faces; keep one of them.")
        if role:
            found[name][role] = entry
    tables = [_table(path, name, arrays, split) for name, arrays in found.items() if "pixels" in arrays]
    if not tables:
        held = ", ".join(printable(entry.inside.removesuffix(_SUFFIX)) for entry in entries[:8])
        raise InputError(f"{path} holds the arrays {held}, but none is called pixels, images, faces or x.")
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


def _meaning(name: str) -> tuple[str, str]:
    """ "pixels", "labels", "votes", "ids" or "" (none), and the split that a name says, or ""."""
    words = name.lower().removesuffix(_SUFFIX).replace(".", "_").replace("-", "_").split("_")
    splits = [SPLITS[word] for word in words if word in SPLITS]
    others = [word for word in words if word not in SPLITS]
    if len(splits) > 1 or len(others) != 1:
        return "", ""
    return _ROLES.get(others[0], ""), "".join(splits)


def _table(path: Path, name: str, arrays: Mapping[str, Entry], split: str | None) -> FaceTable:
    pixels = _pixels(arrays["pixels"])
    n = len(pixels)
    labels = _labels(arrays["labels"], n) if "labels" in arrays else None
    votes = _votes(arrays["votes"], n) if "votes" in arrays else None
    ids = _ids(arrays["ids"], n) if "ids" in arrays else np.arange(n)
    label_of = np.zeros(n, np.int64) if labels is None else labels
    good = (label_of >= 0) & (label_of < len(EMOTIONS))
    where = f"{name} face" if name else "face"
    problems = [
        Problem(f"{where} {i}", f"the label {label_of[i]} instead of 0 to {len(EMOTIONS) - 1}")
        for i in np.flatnonzero(~good).tolist()
    ]
    faces = Faces(pixels, labels, ids, votes=votes)
    kept = faces[good] if problems else faces
    split = name or split or ("test" if labels is None else "train")
    kind = f"{'faces without labels' if labels is None else 'labelled faces'} (arrays)"
    places = [f"{where} {i}" for i in np.flatnonzero(good).tolist()]
    return FaceTable(path, kind, kept, np.full(len(kept), split), places, tuple(problems))


def _pixels(entry: Entry) -> npt.NDArray[np.uint8]:
    array = _read_array(entry)
    if array.shape[1:] not in _SHAPES or not len(array):
        raise InputError(
            f"{entry.path} has the shape {array.shape}, but faces have (n, 48, 48), (n, 48, 48, 1) or (n, 2304)."
        )
    if len(array) > MOST_FACES:
        raise too_many_faces(entry.path)
    if array.dtype != np.uint8:
        _require_whole(entry, array, 255)
        array = array.astype(np.uint8)
    return np.ascontiguousarray(array.reshape(-1, FACE_SIZE, FACE_SIZE))


def _labels(entry: Entry, n: int) -> npt.NDArray[np.int64]:
    array = _read_array(entry)
    if array.shape == (n, 1):
        array = array[:, 0]
    _require_shape(entry, array, "labels", (n,))
    _require_whole(entry, array, None)
    return array.astype(np.int64)


def _votes(entry: Entry, n: int) -> npt.NDArray[np.uint8]:
    array = _read_array(entry)
    _require_shape(entry, array, "votes", (n, len(VOTES)))
    _require_whole(entry, array, 255)
    return array.astype(np.uint8)


def _ids(entry: Entry, n: int) -> npt.NDArray[np.int64]:
    array = _read_array(entry)
    _require_shape(entry, array, "ids", (n,))
    if array.dtype.kind not in "iu" or array.max(initial=0) > np.iinfo(np.int64).max:
        raise InputError(f"{entry.path} has ids that are no whole numbers; save it without them.")
    return array.astype(np.int64)


def _require_shape(entry: Entry, array: npt.NDArray[Any], role: str, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise InputError(
            f"{entry.path} has the shape {array.shape}, but {role} of {shape[0]} faces have {shape}."
        )


def _require_whole(entry: Entry, array: npt.NDArray[Any], highest: int | None) -> None:
    """Refuse what would change by becoming whole numbers from 0 to `highest`."""
    if array.dtype.kind == "f" and highest and 0 < array.max(initial=0) <= 1 and array.min(initial=0) >= 0:
        raise InputError(f"{entry.path} has pixels from 0 to 1; multiply them by 255 and save whole numbers.")
    limit = highest or np.iinfo(np.int32).max
    whole = array.dtype.kind in "iub" or bool((array == np.rint(array)).all())
    if not whole or array.max(initial=0) > limit or (highest and array.min(initial=0) < 0):
        raise InputError(
            f"{entry.path} has numbers that are not whole or not from 0 to {highest or len(EMOTIONS) - 1}."
        )


def _read_array(entry: Entry) -> npt.NDArray[Any]:
    """An array of numbers, after a look at its size."""
    with entry.opened() as file:
        try:
            read_header = _HEADERS[npy.read_magic(file)]
            shape, fortran, dtype = read_header(file)
        except InputError:
            raise
        # NumPy's reader evaluates the header as Python, which fails in many ways.
        except Exception:
            raise InputError(f"{entry.path} is no array that NumPy saved; save it again.") from None
        size = prod(shape) * dtype.itemsize
        if dtype.kind not in "iufb" or not 0 <= size <= _MOST_BYTES or min(shape, default=-1) < 0:
            raise InputError(
                f"{entry.path} is an array of {dtype} with the shape {shape}; pixels, labels, ids and votes are "
                f"numbers, of at most {MOST_FACES:,} faces."
            )
        data = file.read(size)
    if len(data) < size:
        raise InputError(f"{entry.path} breaks off after {len(data):,} of {size:,} bytes; save it again.")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
