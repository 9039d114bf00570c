"""A face of one's own: from a photograph to what the models take."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from fer_lib.emotions import FACE_SIZE
from fer_lib.errors import InputError


class Portrait(NamedTuple):
    """A face cut out of a photograph.

    Attributes:
        pixels: Grey values, uint8 (48, 48).
        found: Whether a face was detected; if not, it is the middle of the photograph.
    """

    pixels: npt.NDArray[np.uint8]
    found: bool


def portrait(photo: Path | BinaryIO) -> Portrait:
    """The largest face in a photograph, cut out and made grey; without a detector or a face, the middle.

    Faces are detected by OpenCV's Haar cascade (Viola and Jones, 2001) where `opencv-python-headless` is installed
    (`pip install 'fer-lib[photo]'`).

    Raises:
        InputError: The file is no picture that can be read.
    """
    try:
        with Image.open(photo) as opened:
            grey = ImageOps.exif_transpose(opened).convert("L")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        raise InputError(f"{photo} cannot be read as a picture ({error}); give a PNG or JPEG file.") from None
    box = _face_box(np.asarray(grey))
    left, top, size = box or _middle(*grey.size)
    cut = grey.crop((left, top, left + size, top + size))
    small = cut.resize((FACE_SIZE, FACE_SIZE), Image.Resampling.LANCZOS)
    return Portrait(np.asarray(small, np.uint8), box is not None)


def _middle(width: int, height: int) -> tuple[int, int, int]:
    size = min(width, height)
    return (width - size) // 2, (height - size) // 2, size


def _face_box(grey: npt.NDArray[np.uint8]) -> tuple[int, int, int] | None:
    """Left, top and size of the largest face, or None."""
    try:
        import cv2
    except ImportError:
        return None
    if not hasattr(cv2, "CascadeClassifier"):  # OpenCV 5 has it no more
        return None
    cascade: Any = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_default.xml")
    found = cascade.detectMultiScale(grey, 1.1, 5)
    if not len(found):
        return None
    left, top, size, _ = max(found.tolist(), key=lambda face: face[2])
    return int(left), int(top), int(size)
