"""Faces changed at random in ways that leave their emotion as it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_lib.emotions import FACE_SIZE
from fer_lib.errors import InputError

LIGHT_OFFSET = 64
"""Grey levels that a `light` of 1 brightens or darkens a face by at the most."""

ERASED = (1 / 8, 1 / 2)
"""Shortest and longest side of an erased rectangle, as shares of the face's."""

_CHUNK = 1024


@dataclass(frozen=True)
class Augmentation:
    """How far faces are changed. Everything is drawn anew for each face and each epoch, uniformly up to the limit.

    Attributes:
        mirror: Whether half of the faces are mirrored.
        shift: Pixels of movement, up, down and sideways.
        rotate: Degrees of rotation, either way.
        zoom: Logarithm of the enlargement or reduction; 0.1 is about 10%.
        light: Logarithm of the factor on the contrast, and share of `LIGHT_OFFSET` on the brightness.
        erase: Share of the faces that lose a rectangle to an even grey ("Random Erasing", Zhong et al. 2017).
    """

    mirror: bool = True
    shift: float = 4.0
    rotate: float = 0.0
    zoom: float = 0.0
    light: float = 0.0
    erase: float = 0.0

    def __post_init__(self) -> None:
        limits = {"shift": FACE_SIZE / 4, "rotate": 45, "zoom": 0.5, "light": 1, "erase": 1}
        for name, limit in limits.items():
            if not 0 <= getattr(self, name) <= limit:
                raise InputError(f"{name} must lie between 0 and {limit:g}, but was {getattr(self, name)}.")


UNCHANGED = Augmentation(mirror=False, shift=0.0)
"""Faces as they are."""


def augmented(
    pixels: npt.NDArray[np.uint8],
    how: Augmentation,
    rng: np.random.Generator,
    *,
    size: int = FACE_SIZE,
) -> npt.NDArray[np.uint8]:
    """Faces changed at random: uint8 (n, size, size), a new array.

    One bilinear look-up does movement, rotation, zoom, mirror and resizing together; edges repeat. Pillow does
    it outside Python's lock, so that it costs a training step nothing on another core.

    Args:
        pixels: uint8 array of shape (n, 48, 48).
        how: What may change, and how far.
        rng: Draws what does; the same generator gives the same faces.
        size: Height and width of the result.
    """
    edge = _edge(how)
    moved = _moved(pixels, _affine(len(pixels), how, rng, size, edge), size, edge)
    if how.light:
        _relight(moved, how.light, rng)
    if how.erase:
        _erase(moved, how.erase, rng)
    return moved


def _edge(how: Augmentation) -> int:
    """Pixels to repeat on each side, so that no corner comes from outside: a third of the face, or what it takes."""
    turn = math.radians(how.rotate)
    reach = FACE_SIZE / 2 * math.exp(how.zoom) * (math.cos(turn) + math.sin(turn)) + how.shift
    return max(FACE_SIZE // 3, math.ceil(reach - FACE_SIZE / 2) + 1)


def _affine(
    n: int, how: Augmentation, rng: np.random.Generator, size: int, edge: int
) -> npt.NDArray[np.floating[Any]]:
    """Where each pixel of the result comes from: six numbers a face, (n, 6), as Pillow takes them."""
    flip = np.where(rng.random(n) < 0.5, -1.0, 1.0) if how.mirror else np.ones(n)
    angle = np.deg2rad(rng.uniform(-how.rotate, how.rotate, n))
    scale = np.exp(rng.uniform(-how.zoom, how.zoom, n)) * FACE_SIZE / size
    right, down = rng.uniform(-how.shift, how.shift, (2, n))
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    centre, middle = edge + FACE_SIZE / 2, size / 2
    x = centre + right - middle * (cos * flip - sin)
    y = centre + down - middle * (sin * flip + cos)
    return np.stack([cos * flip, -sin, x, sin * flip, cos, y], axis=1)


def _moved(
    pixels: npt.NDArray[np.uint8], affine: npt.NDArray[np.floating[Any]], size: int, edge: int
) -> npt.NDArray[np.uint8]:
    moved = np.empty((len(pixels), size, size), np.uint8)
    for start in range(0, len(pixels), _CHUNK):
        chunk = pixels[start : start + _CHUNK]
        padded = np.pad(chunk, ((0, 0), (edge, edge), (edge, edge)), mode="edge")
        for i, face in enumerate(padded, start):
            image = Image.fromarray(face).transform(
                (size, size), Image.Transform.AFFINE, affine[i].tolist(), Image.Resampling.BILINEAR
            )
            moved[i] = np.asarray(image)
    return moved


def _relight(pixels: npt.NDArray[np.uint8], light: float, rng: np.random.Generator) -> None:
    contrast = np.exp(rng.uniform(-light, light, len(pixels))).astype(np.float32)
    offset = (LIGHT_OFFSET * rng.uniform(-light, light, len(pixels))).astype(np.float32)
    for start in range(0, len(pixels), _CHUNK):
        chunk = pixels[start : start + _CHUNK]
        part = slice(start, start + len(chunk))
        mean = chunk.mean(axis=(1, 2), dtype=np.float32)
        shift = mean * (1 - contrast[part]) + offset[part]
        chunk[:] = (chunk * contrast[part, None, None] + shift[:, None, None]).clip(0, 255)


def _erase(pixels: npt.NDArray[np.uint8], share: float, rng: np.random.Generator) -> None:
    size = pixels.shape[1]
    low, high = (round(size * side) for side in ERASED)
    for i in np.flatnonzero(rng.random(len(pixels)) < share):
        height, width = rng.integers(low, high + 1, 2)
        top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
        pixels[i, top : top + height, left : left + width] = rng.integers(256)
