"""Faces kept on disk, ready for the next time: read back whole or not at all."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_lib.emotions import FACE_SIZE
from fer_lib.faces import Faces, FaceSplits
from fer_lib.files import replacing

SUFFIX = ".faces"
"""A line with a checksum and the facts as JSON, then the arrays one after the other as `numpy.save` writes them."""

MOST_KEPT = 4
"""Files of one prefix in a folder; FER2013 takes 83 MB."""


def cached(file: Path, key: str, make: Callable[[], FaceSplits]) -> FaceSplits:
    """Read faces from a file, or make them and write it.

    Several processes may do so at once: a file is replaced only by a whole one.

    Args:
        file: Where the faces are kept.
        key: What they depend on; a file with another key is made anew, and so is a damaged one.
        make: Makes the faces.
    """
    # Reading damaged bytes can raise almost anything, and whatever it is, the answer is the same.
    with suppress(Exception):
        return _read(file, key)
    splits = make()
    # In a place that cannot be written to, all that is lost is time.
    with suppress(OSError):
        _write(file, key, splits)
    return splits


def prune(folder: Path, prefix: str) -> None:
    """Delete all but the newest `MOST_KEPT` files whose names begin with `prefix`."""
    with suppress(OSError):
        files = sorted(folder.glob(f"{prefix}*{SUFFIX}"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[MOST_KEPT:]:
            file.unlink(missing_ok=True)


def _write(file: Path, key: str, splits: FaceSplits) -> None:
    arrays = _pack(splits)
    facts = {
        "key": key,
        "source": splits.source,
        "drawn": splits.drawn,
        "splits": ["train", *splits.tests],
        "arrays": {name: _described(array) for name, array in arrays.items()},
    }
    text = json.dumps(facts).encode()
    with replacing(file) as temporary, temporary.open("wb") as opened:
        opened.write(b"%d %s\n" % (zlib.crc32(text), text))
        for array in arrays.values():
            np.save(opened, array, allow_pickle=False)


def _read(file: Path, key: str) -> FaceSplits:
    with file.open("rb") as opened:
        total, _, text = opened.readline().rstrip(b"\n").partition(b" ")
        facts = json.loads(text)
        if int(total) != zlib.crc32(text) or facts["key"] != key:
            raise ValueError(f"{file} is damaged or was made with another key")
        arrays = {name: np.load(opened, allow_pickle=False) for name in facts["arrays"]}
    if any(_described(array) != facts["arrays"][name] for name, array in arrays.items()):
        raise ValueError(f"{file} is damaged")
    parts = {name: _unpack(arrays, name) for name in facts["splits"]}
    return FaceSplits(parts.pop("train"), parts, facts["source"], facts["drawn"])


def _described(array: npt.NDArray[Any]) -> list[Any]:
    """What an array that is read back must have: its type, its shape and a checksum of its numbers."""
    return [array.dtype.str, list(array.shape), zlib.crc32(array.data)]


def _pack(splits: FaceSplits) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for split, faces in {"train": splits.train, **splits.tests}.items():
        regions = None if faces.regions is None else np.packbits(faces.regions, axis=-1)
        parts = {
            "pixels": faces.pixels, "ids": faces.ids, "labels": faces.labels, "regions": regions, "votes": faces.votes
        }  # fmt: skip
        arrays |= {
            f"{split}.{name}": np.ascontiguousarray(array)
            for name, array in parts.items()
            if array is not None
        }
    return arrays


def _unpack(arrays: Mapping[str, npt.NDArray[Any]], split: str) -> Faces:
    regions = arrays.get(f"{split}.regions")
    return Faces(
        arrays[f"{split}.pixels"],
        arrays.get(f"{split}.labels"),
        arrays[f"{split}.ids"],
        None if regions is None else np.unpackbits(regions, axis=-1, count=FACE_SIZE).astype(np.bool_),
        arrays.get(f"{split}.votes"),
    )
