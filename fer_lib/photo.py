"""Pictures in grey, and a face of one's own: from a photograph to what the models take."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from fer_lib.emotions import FACE_SIZE
from fer_lib.errors import InputError

_AT_ONCE = 1 << 18
"""Pixels that are made grey at a time."""


class Portrait(NamedTuple):
    """A face cut out of a photograph.

    Attributes:
        pixels: Grey values, uint8 (48, 48).
        found: Whether a face was detected; if not, it is the middle of the photograph.
        searched: Whether a face was looked for; if not, no detector is installed.
    """

    pixels: npt.NDArray[np.uint8]
    found: bool
    searched: bool


def grey(image: Image.Image) -> Image.Image:
    """A picture upright and in grey (mode L), a few rows at a time: of an enormous one there is no second copy.

    Colours become grey by ITU-R BT.601, what is transparent becomes white, and of 16 bits a pixel 8 are left.
    """
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "L" and "transparency" not in image.info:
        return image
    width, height = image.size
    whole, rows = Image.new("L", image.size), max(1, _AT_ONCE // width)
    for top in range(0, height, rows):
        whole.paste(_grey(image.crop((0, top, width, min(top + rows, height)))), (0, top))
    return whole


def _grey(strip: Image.Image) -> Image.Image:
    if strip.mode.startswith("I"):  # 16 bits a pixel, which convert("L") would cut off at 255
        return Image.fromarray(np.rint(np.asarray(strip) / 257).clip(0, 255).astype(np.uint8))
    if "transparency" in strip.info or strip.mode in ("LA", "PA", "RGBA"):
        seen = strip.convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    return strip.convert("L")


def portrait(photo: Path | BinaryIO, *, name: str = "") -> Portrait:
    """The largest face in a photograph, cut out and made grey; without a detector or a face, the middle.

    Faces are detected by OpenCV's Haar cascade (Viola and Jones, 2001) where `opencv-python-headless` is installed
    (`pip install 'fer-lib[photo]'`).

    Args:
        photo: The photograph.
        name: What to call it, where it is no path.

    Raises:
        InputError: The file is no picture that can be read.
    """
    try:
        with Image.open(photo) as opened:
            opened.load()
            shown = grey(opened)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        why = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise InputError(
            f"{name or photo} cannot be read as a picture{why}; give a PNG or JPEG file."
        ) from None
    detector = _detector()
    box = None if detector is None else _largest_face(detector, np.asarray(shown))
    left, top, size = box or _middle(*shown.size)
    cut = shown.crop((left, top, left + size, top + size))
    small = cut.resize((FACE_SIZE, FACE_SIZE), Image.Resampling.LANCZOS)
    return Portrait(np.asarray(small, np.uint8), box is not None, detector is not None)


def _middle(width: int, height: int) -> tuple[int, int, int]:
    size = min(width, height)
    return (width - size) // 2, (height - size) // 2, size


def _detector() -> Any | None:
    """OpenCV's detector of frontal faces, or None where it is not installed."""
    try:
        import cv2
    except ImportError:
        return None
    if not hasattr(cv2, "CascadeClassifier"):  # OpenCV 5 has it no more
        return None
    return cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_default.xml")


def _largest_face(detector: Any, shown: npt.NDArray[np.uint8]) -> tuple[int, int, int] | None:
    """Left, top and size of the largest face, or None."""
    found = detector.detectMultiScale(shown, 1.1, 5)
    if not len(found):
        return None
    left, top, size, _ = max(found.tolist(), key=lambda face: face[2])
    return int(left), int(top), int(size)
