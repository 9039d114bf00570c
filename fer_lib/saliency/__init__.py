"""Question 4: which pixels a model's decision hangs on, and how far such maps can be trusted.

Works on any functional or Sequential Keras classifier with one image input, of 1 or 3 channels, nested or not,
ending in a softmax or in scores:

    from fer_lib import saliency

    heat = saliency.saliency_maps(model, images, method="integrated_gradients")
    masked, kept = saliency.mask_low_heat(images, heat, keep=0.2)
    saliency.deletion(model, images, heat).area
"""

from __future__ import annotations

from fer_lib.saliency.by_gradient import gradient, gradient_input, integrated_gradients, smoothgrad
from fer_lib.saliency.by_masking import occlusion, rise
from fer_lib.saliency.comparison import Comparison, compare_methods
from fer_lib.saliency.evidence import (
    UNCHANGED,
    Curve,
    Randomisation,
    completeness,
    deletion,
    insertion,
    randomisation,
    rank_correlation,
)
from fer_lib.saliency.grad_cam import grad_cam
from fer_lib.saliency.heat import Attributions, Heat, mask_low_heat, normalised
from fer_lib.saliency.methods import (
    METHODS,
    Method,
    attributions,
    maps_by_method,
    require_method,
    saliency_maps,
)
from fer_lib.saliency.regions import MEAN_FACE_BOXES, RegionShares, mean_face_regions, region_share

__all__ = [
    "MEAN_FACE_BOXES",
    "METHODS",
    "UNCHANGED",
    "Attributions",
    "Comparison",
    "Curve",
    "Heat",
    "Method",
    "Randomisation",
    "RegionShares",
    "attributions",
    "compare_methods",
    "completeness",
    "deletion",
    "grad_cam",
    "gradient",
    "gradient_input",
    "insertion",
    "integrated_gradients",
    "maps_by_method",
    "mask_low_heat",
    "mean_face_regions",
    "normalised",
    "occlusion",
    "randomisation",
    "rank_correlation",
    "region_share",
    "require_method",
    "rise",
    "saliency_maps",
    "smoothgrad",
]
