"""Faces changed at random in ways that leave their emotion as it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_lib.emotions import FACE_SIZE

LIGHT_OFFSET = 64
"""Grey levels that a `light` of 1 brightens or darkens a face by at the most."""

ERASED = (1 / 8, 1 / 2)
"""Shortest and longest side of an erased rectangle, as shares of the face's."""

_CHUNK = 1024

_Numbers = npt.NDArray[np.floating[Any]]


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


UNCHANGED = Augmentation(mirror=False, shift=0.0)
"""Faces as they are."""


@dataclass(frozen=True)
class View:
    """One way to look at all faces: mirrored or not, moved by pixels, turned by degrees, log of the enlargement."""

    mirror: bool = False
    right: float = 0.0
    down: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0


def views(how: Augmentation) -> tuple[View, ...]:
    """Test-time augmentation: the ways to show a face to a model that learned from faces changed like this.

    As it is; moved, turned and resized in four fixed ways, half as far as training did at the most; and the mirror
    image of each: one view for `UNCHANGED`, up to ten.
    """
    found = [View()]
    if how.shift or how.rotate or how.zoom:
        for right, down in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            turn = right * down / 2
            found.append(
                View(False, right * how.shift / 2, down * how.shift / 2, turn * how.rotate, turn * how.zoom)
            )
    found = list(dict.fromkeys(found))  # without shifts, they come in pairs
    return (*found, *(replace(view, mirror=True) for view in found if how.mirror))


def apply_view(pixels: npt.NDArray[np.uint8], view: View) -> npt.NDArray[np.uint8]:
    """Faces, uint8 (n, 48, 48), as a view shows them."""
    if replace(view, mirror=False) == View():
        return pixels[:, :, ::-1] if view.mirror else pixels
    flip = -1 if view.mirror else 1
    moves = np.array([flip, math.radians(view.rotate), math.exp(-view.zoom), view.right, view.down])
    edge = _edge(max(abs(view.right), abs(view.down)), abs(view.rotate), abs(view.zoom))
    affine = _affine(np.tile(moves[:, np.newaxis], len(pixels)), FACE_SIZE, edge)
    return _moved(pixels, affine, FACE_SIZE, edge)


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
    edge = _edge(how.shift, how.rotate, how.zoom)
    moved = _moved(pixels, _affine(_at_random(len(pixels), how, rng), size, edge), size, edge)
    if how.light:
        _relight(moved, how.light, rng)
    if how.erase:
        _erase(moved, how.erase, rng)
    return moved


def _edge(shift: float, rotate: float, zoom: float) -> int:
    """Pixels to repeat on each side, so that no corner comes from outside: a third of the face, or what it takes."""
    turn = math.radians(rotate)
    reach = FACE_SIZE / 2 * math.exp(zoom) * (math.cos(turn) + math.sin(turn)) + shift
    return max(FACE_SIZE // 3, math.ceil(reach - FACE_SIZE / 2) + 1)


def _at_random(n: int, how: Augmentation, rng: np.random.Generator) -> _Numbers:
    """Moves: -1 for mirrored or 1, radians, factor on lengths, pixels to the right and down; shape (5, n)."""
    flip = np.where(rng.random(n) < 0.5, -1.0, 1.0) if how.mirror else np.ones(n)
    angle = np.deg2rad(rng.uniform(-how.rotate, how.rotate, n))
    scale = np.exp(rng.uniform(-how.zoom, how.zoom, n))
    right, down = rng.uniform(-how.shift, how.shift, (2, n))
    return np.stack([flip, angle, scale, right, down])


def _affine(moves: _Numbers, size: int, edge: int) -> _Numbers:
    """Where each pixel of the result comes from: six numbers a face, (n, 6), as Pillow takes them."""
    flip, angle, scale, right, down = moves
    scale = scale * FACE_SIZE / size
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    centre, middle = edge + FACE_SIZE / 2, size / 2
    x = centre + right - middle * (cos * flip - sin)
    y = centre + down - middle * (sin * flip + cos)
    return np.stack([cos * flip, -sin, x, sin * flip, cos, y], axis=1)


def _moved(pixels: npt.NDArray[np.uint8], affine: _Numbers, size: int, edge: int) -> npt.NDArray[np.uint8]:
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
