"""Faces as arrays, in NumPy's .npz or in HDF5 files: pixels and labels under the names that people give them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from fer_lib.data.archives import Entry
from fer_lib.data.faces import VOTES, Faces
from fer_lib.data.tables import MAX_FACES, SPLITS, FaceTable, Problem, label_of, label_problem, too_many_faces
from fer_lib.emotions import EMOTIONS, FACE_SIZE
from fer_lib.errors import InputError, printable
from fer_lib.files import atomic_write

PIXEL_NAMES = ("pixels", "pixel", "images", "faces", "x", "data")
LABEL_NAMES = ("labels", "label", "emotions", "emotion", "y", "targets")
"""What arrays may be called, for themselves or with a split: "pixels", "x_train", "train_labels", "train.pixels"."""

_ARRAYS = {
    **dict.fromkeys(PIXEL_NAMES, "pixels"),
    **dict.fromkeys(LABEL_NAMES, "label"),
    "votes": "votes",
    "ids": "id",
}
_HDF5 = b"\x89HDF"
_SHAPES = {(FACE_SIZE, FACE_SIZE), (FACE_SIZE, FACE_SIZE, 1), (FACE_SIZE**2,)}
_MAX_ARRAY = 8 * MAX_FACES * FACE_SIZE**2


def is_arrays(entry: Entry) -> bool:
    """Whether an entry is an .npz or an HDF5 file."""
    return entry.name.lower().endswith(".npz") or entry.head(4) in (b"PK\x03\x04", _HDF5)


def arrays_hold(entry: Entry) -> frozenset[str]:
    """What the arrays of a file are: "pixels", "label", "id", "votes", and "usage" where a name says a split."""
    try:
        with _opened(entry) as arrays:
            meanings = [_meaning(name) for name in arrays]
    except InputError:
        return frozenset()
    roles = {role for role, _ in meanings if role}
    return frozenset(roles | {"usage"} if any(role and split for role, split in meanings) else roles)


def read_arrays(entry: Entry, *, split: str | None = None) -> list[FaceTable]:
    """Read the arrays of one .npz or HDF5 file.

    Pixels have the shape (n, 48, 48), (n, 48, 48, 1), (n, 2304), or (n, 48, 48, 3) with one grey three times, in whole
    numbers from 0 to 255 of any type; labels are n numbers from 0 to 6 or names, or (n, 7) one-hot; votes (n, 10) as
    FER+ counts them, and ids n whole numbers. Pickled objects are never loaded.

    Args:
        entry: The file.
        split: The split of arrays whose names say none; by default "train" where labelled, "test" where not.

    Returns:
        A table for each split.

    Raises:
        InputError: There are no pixels among the arrays, or an array is damaged, of another shape or too large.
    """
    found: dict[str, dict[str, npt.NDArray[Any]]] = {}
    with _opened(entry) as arrays:
        for name, stored in arrays.items():
            role, part = _meaning(name)
            if role and role in found.setdefault(part, {}):
                raise InputError(
                    f"{entry.path} has two arrays of {role} for the same faces; keep one of them."
                )
            if role:
                found[part][role] = _array(entry.path / name, role, stored)
        held = ", ".join(printable(name) for name in list(arrays)[:8])
    tables = [_table(entry.path, part, roles, split) for part, roles in found.items() if "pixels" in roles]
    if not tables:
        raise InputError(
            f"{entry.path} holds the arrays {held}, but none is called pixels, images, faces or x; save it by "
            "np.savez(file, pixels=..., labels=...)."
        )
    return tables


def write_npz(path: Path, parts: Mapping[str, Faces]) -> None:
    """Write faces so that `read_arrays` gives them back, compressed: what is known of each split, by its name."""
    arrays = {
        f"{split}_{role}": getattr(faces, role)
        for split, faces in parts.items()
        for role in ("pixels", "labels", "ids", "votes")
        if getattr(faces, role) is not None
    }
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


@dataclass(frozen=True)
class _Stored:
    """An array in a file: its bytes and what reads it."""

    size: int
    read: Callable[[], Any]


@contextmanager
def _opened(entry: Entry) -> Iterator[dict[str, _Stored]]:
    """The arrays of a file by name, to be read one by one."""
    is_hdf5 = entry.head(4) == _HDF5
    with entry.opened() as file, ExitStack() as stack:
        try:
            found = _hdf5(file, stack) if is_hdf5 else _npz(file, stack)
        except (InputError, OSError) as error:
            if not is_hdf5 or isinstance(error, InputError):
                raise
            found = None
        # NumPy evaluates headers as Python, which fails in many ways.
        except Exception:
            found = None
        if found is None:
            kind = "HDF5 file; write it" if is_hdf5 else ".npz file that NumPy saved; save it"
            raise InputError(f"{entry.path} is no {kind} again.")
        yield found


def _npz(file: IO[bytes], stack: ExitStack) -> dict[str, _Stored]:
    arrays = stack.enter_context(np.load(file, allow_pickle=False))
    sizes = {info.filename.removesuffix(".npy"): info.file_size for info in arrays.zip.infolist()}
    return {name: _Stored(sizes.get(name, 0), partial(arrays.__getitem__, name)) for name in arrays.files}


def _hdf5(file: IO[bytes], stack: ExitStack) -> dict[str, _Stored]:
    import h5py

    found: dict[str, _Stored] = {}

    def visit(name: str | bytes, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and isinstance(name, str):  # bytes are no name
            found[name] = _Stored(item.size * item.dtype.itemsize, partial(item.__getitem__, ()))

    stack.enter_context(h5py.File(file, "r")).visititems(visit)
    return found


def _array(path: Path, role: str, stored: _Stored) -> npt.NDArray[Any]:
    if stored.size > _MAX_ARRAY:
        raise too_many_faces(path)
    try:
        array: npt.NDArray[Any] = stored.read()
    except RuntimeError:  # encrypted
        raise
    except Exception:
        raise InputError(f"{path} is damaged or holds objects; save numbers.") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iufb" + "SU" * (role == "label"):
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
    if pixels.shape[1:] == (FACE_SIZE, FACE_SIZE, 3) and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]  # grey as a color
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
    votes = None
    labels, names = _labels(path, arrays["label"], n) if "label" in arrays else (None, [])
    if "votes" in arrays:
        votes = _whole(path, "votes", arrays["votes"], (n, len(VOTES)), 255).astype(np.uint8)
    ids = _whole(path, "ids", arrays["id"], (n,)) if "id" in arrays else np.arange(n)
    pixels = np.ascontiguousarray(pixels.reshape(-1, FACE_SIZE, FACE_SIZE))
    faces = Faces(pixels, labels, ids, votes=votes)
    good = np.ones(n, np.bool_) if labels is None else (labels >= 0) & (labels < len(EMOTIONS))
    where = f"{name} face" if name else "face"
    problems = [
        Problem(f"{where} {i}", label_problem(names[i] if names else int(faces.known_labels[i])))
        for i in np.flatnonzero(~good).tolist()
    ]
    kept = faces if good.all() else faces[good]
    kind = f"{'faces without labels' if labels is None else 'labelled faces'} (arrays)"
    splits = np.full(len(kept), name or split or ("test" if labels is None else "train"))
    places = [f"{where} {i}" for i in np.flatnonzero(good).tolist()]
    return FaceTable(path, kind, kept, splits, places, tuple(problems))


def _labels(path: Path, given: npt.NDArray[Any], n: int) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Labels of n faces from numbers, one-hot rows or names; the names, and -1 for one that is no emotion's."""
    if given.dtype.kind in "SU":
        names = [
            name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in given.flat
        ]
        meant = {name: label_of(name) for name in set(names)}
        known = np.array([-1 if meant[name] is None else meant[name] for name in names])
        return _whole(path, "labels", known, (n,)), names
    if (
        given.shape == (n, len(EMOTIONS))
        and ((given == 0) | (given == 1)).all()
        and (given.sum(axis=1) == 1).all()
    ):
        given = given.argmax(axis=1)
    return _whole(path, "labels", given[:, 0] if given.shape == (n, 1) else given, (n,)), []


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
