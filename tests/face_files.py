"""Small files of random faces in the formats that users have."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_lib.data.faces import Faces


def random_faces(n: int, *, seed: int = 0, labels: Sequence[int] | None = None) -> Faces:
    """n different faces; without `labels` the emotions take turns."""
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 48, 48), dtype=np.uint8)
    return Faces(pixels, np.array(labels if labels is not None else np.arange(n) % 7, np.int64), np.arange(n))


def pixel_text(face: npt.NDArray[np.uint8]) -> str:
    return " ".join(map(str, face.ravel().tolist()))


def course_text(faces: Faces) -> str:
    """The course's train.csv, or its test.csv for faces without labels."""
    name, numbers = ("id", faces.ids) if faces.labels is None else ("label", faces.labels)
    rows = [f"{number},{pixel_text(face)}\n" for number, face in zip(numbers, faces.pixels, strict=True)]
    return "".join([f"{name},feature\n", *rows])


def fer2013_text(faces: Faces, usages: Sequence[str]) -> str:
    """Kaggle's fer2013.csv."""
    rows = [
        f"{label},{pixel_text(face)},{usage}\n"
        for label, face, usage in zip(faces.known_labels, faces.pixels, usages, strict=True)
    ]
    return "".join(["emotion,pixels,Usage\n", *rows])


def write(path: Path, content: str | bytes, *, zipped: bool = False) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, 1) if zipped else data)
    return path
