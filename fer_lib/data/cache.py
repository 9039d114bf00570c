"""Faces kept on disk, ready for the next time."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_lib.data.archives import CACHE_SUFFIX
from fer_lib.data.faces import Faces, FaceSplits
from fer_lib.emotions import FACE_SIZE
from fer_lib.files import atomic_write

MAX_KEPT = 4
"""Files of one prefix in a folder; FER2013 takes 83 MB."""

_ARRAYS = ("pixels", "labels", "ids", "regions", "votes")


def cached(folder: Path, prefix: str, key: str, make: Callable[[], FaceSplits]) -> FaceSplits:
    """Read faces from a folder, or make them and keep them there, with the newest `MAX_KEPT` of their prefix.

    Several processes may do so at once: a file is replaced only by a whole one, and a damaged one, whose checksums
    do not fit, is made anew.

    Args:
        folder: Where faces are kept.
        prefix: What kind of faces it is.
        key: What they depend on.
        make: Makes the faces.
    """
    file = folder / f"{prefix}{key[:16]}{CACHE_SUFFIX}"
    # Reading damaged bytes can raise almost anything, and whatever it is, the answer is the same.
    with suppress(Exception):
        return _read(file)
    splits = make()
    # In a place that cannot be written to, all that is lost is time.
    with suppress(OSError):
        _write(file, splits)
        files = sorted(
            folder.glob(f"{prefix}*{CACHE_SUFFIX}"), key=lambda each: each.stat().st_mtime, reverse=True
        )
        for old in files[MAX_KEPT:]:
            old.unlink(missing_ok=True)
    return splits


def _write(file: Path, splits: FaceSplits) -> None:
    facts = {"source": splits.source, "drawn": splits.drawn, "splits": ["train", *splits.tests]}
    arrays: dict[str, npt.NDArray[Any]] = {"facts": np.array(json.dumps(facts))}
    for split, faces in {"train": splits.train, **splits.tests}.items():
        for name in _ARRAYS:
            if (array := getattr(faces, name)) is not None:
                arrays[f"{split}.{name}"] = np.packbits(array, axis=-1) if name == "regions" else array
    with atomic_write(file) as temporary, temporary.open("wb") as opened:
        np.savez(opened, allow_pickle=False, **arrays)


def _read(file: Path) -> FaceSplits:
    with np.load(file, allow_pickle=False) as arrays:
        facts = json.loads(str(arrays["facts"]))
        parts = {split: _faces(arrays, split) for split in facts["splits"]}
    return FaceSplits(parts.pop("train"), parts, facts["source"], facts["drawn"])


def _faces(arrays: Any, split: str) -> Faces:
    known = {name: arrays[f"{split}.{name}"] for name in _ARRAYS if f"{split}.{name}" in arrays}
    if "regions" in known:
        known["regions"] = np.unpackbits(known["regions"], axis=-1, count=FACE_SIZE).astype(np.bool_)
    return Faces(known["pixels"], known.get("labels"), known["ids"], known.get("regions"), known.get("votes"))
