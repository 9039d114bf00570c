"""Explaining a model: saliency maps and how far to trust them, activation maximization, adversarial examples.

Works on any functional or Sequential Keras classifier with one image input, of 1 or 3 channels, nested or not,
ending in a softmax or in scores (logits):

    from fer_lib import explain

    heat = explain.saliency_maps(model, images, method="integrated_gradients")
    masked, kept = explain.mask_low_heat(images, heat, keep=0.2)
    explain.deletion(model, images, heat).area

    found = explain.gradient_ascent(model, "conv2d_1", **explain.preset("fourier", model))
"""

from __future__ import annotations

from fer_lib.explain.activation_maximization import (
    LEARNING_RATES,
    REGULARIZATIONS,
    AscentResult,
    displayable,
    evenly_spaced,
    filter_count,
    gradient_ascent,
    layer_outputs,
    mean_abs_correlation,
    mean_frequency,
    pink_noise,
    preset,
    white_noise,
)
from fer_lib.explain.adversarial import AdversarialExamples, adversarial_examples
from fer_lib.explain.attribution import (
    METHODS,
    Method,
    attributions,
    maps_by_method,
    require_method,
    saliency_maps,
)
from fer_lib.explain.comparison import Comparison, compare_methods
from fer_lib.explain.controls import (
    NARROW,
    centre_prior,
    compare_with_controls,
    width_like,
    with_shuffled_weights,
)
from fer_lib.explain.faithfulness import (
    UNCHANGED,
    Curve,
    Randomization,
    completeness,
    deletion,
    insertion,
    randomization,
    rank_correlation,
)
from fer_lib.explain.grad_cam import grad_cam
from fer_lib.explain.gradient_based import gradient, gradient_input, integrated_gradients, smoothgrad
from fer_lib.explain.gradients import input_gradients, layer_gradients, probabilities, scores
from fer_lib.explain.heat import Attributions, Heat, mask_low_heat, scale_to_unit
from fer_lib.explain.perturbation import occlusion, rise
from fer_lib.explain.regions import MEAN_FACE_BOXES, RegionShares, mean_face_regions, region_share

__all__ = [
    "LEARNING_RATES",
    "MEAN_FACE_BOXES",
    "METHODS",
    "NARROW",
    "REGULARIZATIONS",
    "UNCHANGED",
    "AdversarialExamples",
    "AscentResult",
    "Attributions",
    "Comparison",
    "Curve",
    "Heat",
    "Method",
    "Randomization",
    "RegionShares",
    "adversarial_examples",
    "attributions",
    "centre_prior",
    "compare_methods",
    "compare_with_controls",
    "completeness",
    "deletion",
    "displayable",
    "evenly_spaced",
    "filter_count",
    "grad_cam",
    "gradient",
    "gradient_ascent",
    "gradient_input",
    "input_gradients",
    "insertion",
    "integrated_gradients",
    "layer_gradients",
    "layer_outputs",
    "maps_by_method",
    "mask_low_heat",
    "mean_abs_correlation",
    "mean_face_regions",
    "mean_frequency",
    "occlusion",
    "pink_noise",
    "preset",
    "probabilities",
    "randomization",
    "rank_correlation",
    "region_share",
    "require_method",
    "rise",
    "saliency_maps",
    "scale_to_unit",
    "scores",
    "smoothgrad",
    "white_noise",
    "width_like",
    "with_shuffled_weights",
]
