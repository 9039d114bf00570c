"""The arrays that everything passes around."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from fer_lib.emotions import EMOTIONS, FACE_SIZE

REGIONS: tuple[str, ...] = ("brows", "eyes", "nose", "mouth")
"""Landmark regions of a drawn face, in the order of `Faces.regions`."""

VOTES: tuple[str, ...] = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip
"""What people could vote for in FER+, in the order of `Faces.votes`; NF means that it shows no face."""

VOTED = tuple(
    VOTES.index(name) for name in ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
)
"""Where `VOTES` has each of `emotions.EMOTIONS`."""


@dataclass(frozen=True)
class Faces:
    """Faces with what is known of them.

    Attributes:
        pixels: uint8 array of shape (n, 48, 48), 0 = black.
        labels: int64 array of shape (n,) with values 0-6 (`emotions.EMOTIONS`), or None where unknown.
        ids: int64 array of shape (n,): the id or row that the source gives each face.
        regions: bool array of shape (n, 4, 48, 48), masks in the order of `REGIONS`, or None (real faces).
        votes: uint8 array of shape (n, 10): how many people voted for each of `VOTES` (FER+), all 0 where nobody
            was asked. None where no votes were given.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None
    ids: npt.NDArray[np.int64]
    regions: npt.NDArray[np.bool_] | None = None
    votes: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        n = len(self.pixels)
        if self.pixels.dtype != np.uint8 or self.pixels.shape != (n, FACE_SIZE, FACE_SIZE):
            raise ValueError(
                f"pixels must be uint8 (n, 48, 48), but were {self.pixels.dtype} {self.pixels.shape}"
            )
        for name in ("labels", "ids", "regions", "votes"):
            array = getattr(self, name)
            if array is not None and len(array) != n:
                raise ValueError(
                    f"{name} must have one entry for each of the {n} faces, but had {len(array)}"
                )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice) -> Faces:
        """The faces that `index` (slice, mask or positions) selects."""
        return Faces(
            self.pixels[index],
            None if self.labels is None else self.labels[index],
            self.ids[index],
            None if self.regions is None else self.regions[index],
            None if self.votes is None else self.votes[index],
        )

    @property
    def images(self) -> npt.NDArray[np.uint8]:
        """The pixels as models take them: uint8 (n, 48, 48, 1)."""
        return self.pixels[..., np.newaxis]

    @property
    def known_labels(self) -> npt.NDArray[np.int64]:
        """The labels, for faces that must have them.

        Raises:
            ValueError: The faces have no labels.
        """
        if self.labels is None:
            raise ValueError("these faces have no labels")
        return self.labels

    def class_counts(self) -> npt.NDArray[np.int64]:
        """How many faces each emotion has: int64 (7,)."""
        return np.bincount(self.known_labels, minlength=len(EMOTIONS))

    def soft_labels(self) -> npt.NDArray[np.float32]:
        """The share of each emotion among the FER+ votes for the seven: float32 (n, 7), rows sum to 1.

        Where nobody voted for one of the seven, the label has it all. Barsoum et al., "Training deep networks for
        facial expression recognition with crowd-sourced label distribution" (2016).

        Raises:
            ValueError: The faces have neither votes nor labels.
        """
        sure = np.eye(len(EMOTIONS), dtype=np.float32)
        if self.votes is None:
            return sure[self.known_labels]
        counts = self.votes[:, VOTED].astype(np.float32)
        total = counts.sum(axis=1, keepdims=True)
        if total.all():
            return np.asarray(counts / total)
        return np.where(total > 0, counts / np.maximum(total, 1), sure[self.known_labels])

    def copy_groups(self) -> npt.NDArray[np.int64]:
        """A group number for each face, int64 (n,); exact copies of a face share one."""
        return np.unique(_digests(self.pixels), return_inverse=True)[1].astype(np.int64)

    def fingerprint(self) -> str:
        """A short hash of pixels and labels, equal exactly when they are."""
        digest = hashlib.sha256(self.pixels.tobytes())
        if self.labels is not None:
            digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class FaceSplits:
    """A data set as its source divides it.

    Attributes:
        train: Labelled faces to learn from (validation faces are split off later, by seed).
        tests: Held-out faces by name: "public" and "private" (labelled), or "test" (the course's, unlabelled).
        source: What was read, as a person would name it: "train.csv + test.csv", "fer2013.csv", "drawn faces".
        drawn: True where the faces are drawings, not photographs.
    """

    train: Faces
    tests: Mapping[str, Faces] = field(default_factory=dict)
    source: str = ""
    drawn: bool = False

    def leaked(self, name: str) -> npt.NDArray[np.bool_]:
        """Which faces of the test `name` are exact copies of training faces: bool (n,)."""
        return np.isin(_digests(self.tests[name].pixels), _digests(self.train.pixels))

    def without_leaked(self) -> FaceSplits:
        """The same data set without the test faces that are `leaked`; tests that lose all their faces go too."""
        kept = {name: faces[~self.leaked(name)] for name, faces in self.tests.items()}
        return replace(self, tests={name: faces for name, faces in kept.items() if len(faces)})

    def fingerprint(self) -> str:
        """A short hash of the training faces: what a trained model depends on."""
        return self.train.fingerprint()


def _digests(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bytes_]:
    """A hash of each face, equal exactly where the pixels are."""
    rows = np.ascontiguousarray(pixels).reshape(len(pixels), FACE_SIZE**2)
    return np.array([hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows], dtype="S16")
