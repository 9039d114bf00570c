"""Heat maps as arrays: scaled, and laid over their images as masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fer_lib.errors import InputError
from fer_lib.explain.layers import Images

Attributions = npt.NDArray[np.float32]
"""What a method says of each pixel, (n, h, w): above 0 where it speaks for the class, below where against."""

Heat = npt.NDArray[np.float32]
"""Heat maps, (n, h, w), never negative."""


def scale_to_unit(heat: Heat) -> Heat:
    """Each map divided by its maximum, so that 1 is its hottest pixel; a map of zeros stays zero."""
    hottest = heat.max(axis=(1, 2), keepdims=True)
    return np.asarray(heat / np.where(hottest > 0, hottest, 1), np.float32)


def mask_low_heat(
    images: Images, heat: Heat, *, keep: float = 0.2, threshold: float | None = None
) -> tuple[Images, npt.NDArray[np.bool_]]:
    """Show only what is hot: paint all other pixels in the mean colour of their image.

    Args:
        images: Array of shape (n, h, w) or (n, h, w, c).
        heat: Heat maps, (n, h, w).
        keep: Share of the pixels to keep, the hottest; pixels without any heat are never kept.
        threshold: Keep the pixels above this heat instead, however many they are.

    Returns:
        The masked images, dtype and shape of `images`, and what was kept, bool (n, h, w).

    Raises:
        ValueError: `heat` does not fit the images.
        InputError: `keep` is not above 0 and at most 1.
    """
    if images.shape[:3] != heat.shape:
        raise ValueError(f"heat must be {images.shape[:3]} as the images, but was {heat.shape}")
    if not 0 < keep <= 1:
        raise InputError(f"The share of pixels to keep must be above 0 and at most 1, but was {keep}.")
    if threshold is None:
        kept = (heat >= np.quantile(heat, 1 - keep, axis=(1, 2), keepdims=True)) & (heat > 0)
    else:
        kept = heat > threshold
    mean = images.mean(axis=(1, 2), keepdims=True)
    shown = kept.reshape(kept.shape + (1,) * (images.ndim - kept.ndim))
    return np.where(shown, images, mean.astype(images.dtype)), kept
