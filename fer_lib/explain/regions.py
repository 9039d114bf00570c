"""Heat against the parts of a face: how much of it falls on brows, eyes, nose and mouth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_lib.data.faces import REGIONS
from fer_lib.emotions import FACE_SIZE
from fer_lib.explain.heat import Heat

MEAN_FACE_BOXES: Mapping[str, tuple[tuple[int, int, int, int], ...]] = {
    "brows": ((11, 15, 8, 21), (11, 15, 27, 40)),
    "eyes": ((15, 21, 9, 21), (15, 21, 27, 39)),
    "nose": ((21, 33, 19, 29),),
    "mouth": ((34, 43, 14, 34),),
}
"""Boxes (top, bottom, left, right) read off the mean of FER2013's 28,709 training faces."""


@dataclass(frozen=True)
class RegionShares:
    """How much of the heat falls on the regions of drawn faces.

    Attributes:
        share: Heat in a region as part of all heat, float64 (n, r) in 0..1; NaN where a map has no heat.
        ratio: Mean heat of a pixel in the region over that of a pixel outside, float64 (n, r): 1 for heat
            that knows nothing of the region; NaN where the region is empty or a map has no heat.
    """

    share: npt.NDArray[np.float64]
    ratio: npt.NDArray[np.float64]


def mean_face_regions(count: int) -> npt.NDArray[np.bool_]:
    """Where brows, eyes, nose and mouth stand on the mean face of FER2013, for faces without masks of their own.

    FER2013's faces are centred, so fixed boxes hold most features of most faces; turned or tilted heads miss them.

    Returns:
        The same masks for each of `count` faces, bool (count, 4, 48, 48), in the order of `faces.REGIONS`.
    """
    masks = np.zeros((len(REGIONS), FACE_SIZE, FACE_SIZE), bool)
    for mask, boxes in zip(masks, (MEAN_FACE_BOXES[name] for name in REGIONS), strict=True):
        for top, bottom, left, right in boxes:
            mask[top:bottom, left:right] = True
    return np.broadcast_to(masks, (count, *masks.shape))


def region_share(heat: Heat, regions: npt.NDArray[np.bool_]) -> RegionShares:
    """How much of the heat falls on each region, and how much hotter the region is than the rest.

    Args:
        heat: Heat maps, (n, h, w).
        regions: Masks of r regions, bool (n, r, h, w), as `Faces.regions`;
            `regions.any(axis=1, keepdims=True)` makes one region of all.

    Raises:
        ValueError: `regions` does not fit the heat.
    """
    if regions.ndim != 4 or (regions.shape[0], *regions.shape[2:]) != heat.shape:
        raise ValueError(f"regions must be (n, r, h, w) for heat {heat.shape}, but were {regions.shape}")
    inside = np.einsum("nhw,nrhw->nr", heat, regions, dtype=np.float64)
    whole = heat.sum(axis=(1, 2), dtype=np.float64)[:, np.newaxis]
    pixels = regions.sum(axis=(2, 3))
    others = regions.shape[2] * regions.shape[3] - pixels
    with np.errstate(divide="ignore", invalid="ignore"):
        return RegionShares(share=inside / whole, ratio=(inside / pixels) / ((whole - inside) / others))
