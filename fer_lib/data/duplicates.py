"""Faces that show the same photograph in other pixels: cropped, lit or stored otherwise, or mirrored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fer_lib.emotions import FACE_SIZE

NEAR_BITS = 10
"""Hashes of copies differ in at most so many of 63 bits."""

NEAR_CORRELATION = 0.93
"""Pixels of copies correlate at least so much; in FER2013 pairs above it are the same photograph, by eye."""

MAX_CANDIDATES = 1_000_000
"""Pairs with close hashes that are looked at; FER2013 has 54,000, faces that are all alike have no end of them."""

_FREQUENCIES = 8
_FACES_AT_ONCE = 1024
_HASHES_AT_ONCE = 128

Floats = npt.NDArray[np.float32]


def near_copies(pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], bool]:
    """Find pairs of faces that show the same photograph.

    Pairs whose perceptual hashes are close, also with one of them mirrored, are verified by the correlation of their
    pixels, which neither brightness nor contrast changes. The hash has a bit for each low frequency of the cosine
    transform: whether it is above the median (Zauner, "Implementation and benchmarking of perceptual image hash
    functions", 2010).

    Args:
        pixels: uint8 array (n, 48, 48), no two faces the same; faces of one grey are near to none.

    Returns:
        int64 array (k, 2): positions, the smaller one first; and whether these are all, for the search ends after
        `MAX_CANDIDATES`.
    """
    varied = np.flatnonzero(pixels.min(axis=(1, 2), initial=255) < pixels.max(axis=(1, 2), initial=0))
    faces = pixels[varied]
    spectra = _spectra(faces)
    hashes = _hashes(spectra)
    # Mirroring changes the sign of the frequencies that are odd from left to right.
    mirrored = _hashes(spectra * (-1) ** np.arange(_FREQUENCIES))
    pairs = [np.empty((0, 2), np.int64)]
    left = MAX_CANDIDATES
    for others, flip in ((hashes, False), (mirrored, True)):
        for candidates in _close(hashes, others):
            looked_at = candidates[: max(left, 0)]
            pairs.append(looked_at[_correlations(faces, looked_at, flip=flip) >= NEAR_CORRELATION])
            left -= len(candidates)
            if left < 0:
                break
    return varied[np.unique(np.concatenate(pairs), axis=0)], left >= 0


def _spectra(faces: npt.NDArray[np.uint8]) -> Floats:
    """Low frequencies of each face: float32 (n, 8, 8), the second axis from left to right."""
    places = 2 * np.arange(FACE_SIZE) + 1
    waves = np.cos(np.pi * np.outer(np.arange(_FREQUENCIES), places) / (2 * FACE_SIZE)).astype(np.float32)
    parts = [
        waves @ faces[i : i + _FACES_AT_ONCE].astype(np.float32) @ waves.T
        for i in range(0, len(faces), _FACES_AT_ONCE)
    ]
    return np.concatenate([np.empty((0, _FREQUENCIES, _FREQUENCIES), np.float32), *parts])


def _hashes(spectra: npt.NDArray[np.floating]) -> npt.NDArray[np.uint64]:
    flat = spectra.reshape(len(spectra), _FREQUENCIES**2)[:, 1:]  # without the brightness
    bits = np.pad(flat > np.median(flat, axis=1, keepdims=True), ((0, 0), (0, 1)))
    return np.packbits(bits, axis=1).view(np.uint64).reshape(-1)


def _close(hashes: npt.NDArray[np.uint64], others: npt.NDArray[np.uint64]) -> Iterator[npt.NDArray[np.int64]]:
    """Pairs (i, j), i < j, where hash i is close to other hash j, block by block."""
    for start in range(0, len(hashes), _HASHES_AT_ONCE):
        differing = np.bitwise_count(hashes[start : start + _HASHES_AT_ONCE, np.newaxis] ^ others[start:])
        first, second = np.nonzero(differing <= NEAR_BITS)
        ahead = second > first
        yield np.stack([first[ahead], second[ahead]], axis=1) + start


def _correlations(faces: npt.NDArray[np.uint8], pairs: npt.NDArray[np.int64], *, flip: bool) -> Floats:
    parts = [np.empty(0, np.float32)]
    for start in range(0, len(pairs), _FACES_AT_ONCE):
        first, second = pairs[start : start + _FACES_AT_ONCE].T
        others = faces[second][:, :, ::-1] if flip else faces[second]
        parts.append((_standardized(faces[first]) * _standardized(others)).sum(axis=1))
    return np.concatenate(parts)


def _standardized(faces: npt.NDArray[np.uint8]) -> Floats:
    """Pixels with mean 0 and length 1: float32 (n, 2304)."""
    flat = faces.reshape(len(faces), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True))
