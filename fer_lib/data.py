"""Files to faces: what `DATA` may name, the cache of drawn faces, and the validation split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_lib import synthetic
from fer_lib.csv_faces import FaceTable, read_csv
from fer_lib.emotions import EMOTIONS, FACE_SIZE
from fer_lib.errors import InputError
from fer_lib.faces import Faces, FaceSplits
from fer_lib.files import replacing

DRAWN = ""
"""The `DATA` that means drawn faces."""

DRAWING_CODE = ("synthetic", "drawing", "anatomy", "faces", "emotions")
"""The modules that decide what is drawn."""

_TRAIN, _TEST = "train.csv", "test.csv"
_IN_FOLDERS = (_TRAIN, "fer2013.csv", "icml_face_data.csv")
_LISTED = 8


def load(path: str | Path, *, seed: int = 0, cache: Path | None = None) -> FaceSplits:
    """Load a data set, as its source divides it.

    Args:
        path: `fer2013.csv` or `icml_face_data.csv` (train, public and private faces), the course's
            `train.csv` (and the `test.csv` beside it, where there is one), any of them gzipped, or a folder
            that holds them; the course's come first in a folder with both. "" draws faces.
        seed: Which faces to draw; files know no seed.
        cache: Folder for drawn faces; by default `data/` in the project around the working directory.

    Raises:
        InputError: There is no such file, it is of an unknown format, or a line of it cannot be used.
    """
    if path == DRAWN:
        folder = _project_root() / "data" if cache is None else cache
        draw = partial(synthetic.drawn_splits, seed=seed)
        return cached(folder / f"drawn-{seed}.npz", source_fingerprint(DRAWN), draw)
    tables = read_tables(path)
    parts: dict[str, Faces] = {}
    for table in tables:
        table.require_usable()
        for split in dict.fromkeys(table.splits.tolist()):
            if split in parts:
                raise InputError(
                    f"{tables[0].path} and {table.path} both hold {split} faces; keep one of them."
                )
            parts[split] = table.faces[table.splits == split]
    train = parts.pop("train", None)
    if train is None or train.labels is None:
        raise InputError(
            f"{tables[0].path} holds no labelled training faces; name a train.csv or a fer2013.csv."
        )
    return FaceSplits(train, parts, source=" + ".join(table.path.name for table in tables))


def load_unlabelled(path: str | Path) -> Faces:
    """Load faces to predict.

    Args:
        path: A CSV file of faces: all of them, in file order, whether labelled or not. Or a folder: its
            `test.csv`, or else the file that `load` would read.

    Returns:
        Faces without labels; `ids` from the file's id column, else their position: 0, 1, 2, ...

    Raises:
        InputError: The same as `load`, and for "".
    """
    if path == DRAWN:
        raise InputError("There are no faces to predict; name a file such as test.csv (id,feature).")
    path = Path(path)
    file = (_find(path, (_TEST,)) if path.is_dir() else None) or source_files(path)[0]
    table = read_csv(file)
    table.require_usable()
    return Faces(table.faces.pixels, None, table.faces.ids)


def read_tables(path: str | Path) -> list[FaceTable]:
    """Read the files that `load` reads, with the lines that cannot be used."""
    first, *tests = source_files(path)
    return [read_csv(first), *(read_csv(test, split="test") for test in tests)]


def source_files(path: str | Path) -> list[Path]:
    """The files that `load` reads: one, or the course's `train.csv` and `test.csv`.

    Raises:
        InputError: There is no such file or folder, or nothing in the folder that could be read.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            f"There is no file or folder {path}; check the spelling, or leave DATA empty for drawn faces."
        )
    file = _find(path, _IN_FOLDERS) if path.is_dir() else path
    if file is None:
        names = sorted(entry.name for entry in path.iterdir())
        found = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
        raise InputError(
            f"The folder {path} holds {found or 'nothing'}, but none of {', '.join(_IN_FOLDERS)}."
        )
    test = _find(file.parent, (_TEST,)) if file.name.removesuffix(".gz") == _TRAIN else None
    return [file] if test is None else [file, test]


def source_fingerprint(path: str | Path) -> str:
    """A short hash of the files that `load` reads, or of the code that draws faces: it changes when they do.

    Raises:
        InputError: There is no such file or folder, or nothing in the folder that could be read.
    """
    code = [Path(__file__).with_name(f"{name}.py") for name in DRAWING_CODE]
    digest = hashlib.sha256()
    for file in code if path == DRAWN else source_files(path):
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:16]


def split_validation(faces: Faces, *, fraction: float = 0.15, seed: int) -> tuple[Faces, Faces]:
    """Split labelled faces into training and validation faces, both in their old order.

    Every emotion keeps its share, to a face, and exact copies of a face stay on one side; where groups of
    copies make both impossible, fewer faces are held out.

    Args:
        faces: Labelled faces.
        fraction: The share to hold out, above 0 and below 1.
        seed: Which faces are drawn.

    Returns:
        Training faces and validation faces.

    Raises:
        InputError: `fraction` is out of range, or leaves one side without faces.
    """
    if not 0 < fraction < 1:
        raise InputError(f"The validation fraction is {fraction}; it must lie between 0 and 1.")
    labels = faces.known_labels
    wanted = _shares(faces.class_counts(), fraction)
    held_out = np.zeros(len(faces), np.bool_)
    groups = faces.copy_groups()
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    for group in np.random.default_rng(seed).permutation(len(members)):
        counts = np.bincount(labels[members[group]], minlength=len(EMOTIONS))
        if (counts <= wanted).all():
            wanted -= counts
            held_out[members[group]] = True
    if held_out.all() or not held_out.any():
        raise InputError(f"{len(faces)} faces are too few to hold out {fraction:.0%} of them for validation.")
    return faces[~held_out], faces[held_out]


def cached(file: Path, key: str, make: Callable[[], FaceSplits]) -> FaceSplits:
    """Read faces from an .npz file, or make them and write it.

    Several processes may do so at once: a file is replaced only by a whole one.

    Args:
        file: Where the faces are kept.
        key: What they depend on; a file with another key is made anew, and so is a damaged one.
        make: Makes the faces.
    """
    # Reading damaged bytes can raise almost anything, and whatever it is, the answer is the same.
    with suppress(Exception):
        return _read_cache(file, key)
    splits = make()
    # In a place that cannot be written to, all that is lost is time.
    with suppress(OSError), replacing(file) as temporary:
        np.savez(temporary, **_pack(splits, key))
    return splits


def _pack(splits: FaceSplits, key: str) -> dict[str, Any]:
    arrays: dict[str, Any] = {
        "key": np.array(key),
        "source": np.array(splits.source),
        "drawn": np.array(splits.drawn),
        "splits": np.array(["train", *splits.tests]),
    }
    for name, faces in {"train": splits.train, **splits.tests}.items():
        arrays |= {f"{name}.pixels": faces.pixels, f"{name}.ids": faces.ids}
        if faces.labels is not None:
            arrays[f"{name}.labels"] = faces.labels
        if faces.regions is not None:
            arrays[f"{name}.regions"] = np.packbits(faces.regions, axis=-1)
    return arrays


def _read_cache(file: Path, key: str) -> FaceSplits:
    with np.load(file) as arrays:
        if arrays["key"] != key:
            raise ValueError(f"{file} was made with another key")
        parts = {name: _unpack(arrays, name) for name in arrays["splits"].tolist()}
        return FaceSplits(parts.pop("train"), parts, str(arrays["source"]), bool(arrays["drawn"]))


def _unpack(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> Faces:
    labels, regions = arrays.get(f"{name}.labels"), arrays.get(f"{name}.regions")
    return Faces(
        arrays[f"{name}.pixels"],
        labels,
        arrays[f"{name}.ids"],
        None if regions is None else np.unpackbits(regions, axis=-1, count=FACE_SIZE).astype(np.bool_),
    )


def _find(folder: Path, names: Sequence[str]) -> Path | None:
    """The first of some files, plain or gzipped, that a folder has."""
    candidates = (folder / f"{name}{suffix}" for name in names for suffix in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def _project_root() -> Path:
    """The nearest folder with a pyproject.toml, from the working directory up; else the working directory."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "pyproject.toml").is_file()), here)


def _shares(counts: npt.NDArray[np.int64], fraction: float) -> npt.NDArray[np.int64]:
    """`fraction` of each count in whole numbers that sum to `fraction` of the whole (largest remainders)."""
    exact: npt.NDArray[np.floating] = counts * fraction
    shares: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    missing = round(exact.sum()) - shares.sum()
    shares[np.argsort(shares - exact, kind="stable")[:missing]] += 1
    return shares
