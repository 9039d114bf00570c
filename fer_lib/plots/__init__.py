"""Arrays to figures, at most `WIDTH` wide: a block of text on A4, or the column of a web page.

Functions give a `Figure` that pyplot does not know of: a notebook shows it where it is the value of a cell
(after `%matplotlib inline`), nothing shows or saves it by itself, and it is gone when nobody holds it.
"""

from fer_lib.plots.ascent import filter_grid, layer_output_grid, picture_rows
from fer_lib.plots.classes import class_shares
from fer_lib.plots.curves import compare_curves, training_curves
from fer_lib.plots.heat import (
    mean_saliency,
    saliency_evidence,
    saliency_methods,
    saliency_triptychs,
    two_readings,
)
from fer_lib.plots.intervals import accuracy_by_shift, control_intervals
from fer_lib.plots.matrices import confusion_matrix, probability_matrix
from fer_lib.plots.network import network_diagram
from fer_lib.plots.pictures import face_grid
from fer_lib.plots.reliability import reliability_diagram
from fer_lib.plots.scale import accuracy_scale
from fer_lib.plots.style import PALETTE, SMALL, TEXT, WIDTH, use_style
from fer_lib.plots.sweeps import cost_and_accuracy, parallel_coordinates, parameter_effects

__all__ = [
    "PALETTE",
    "SMALL",
    "TEXT",
    "WIDTH",
    "accuracy_by_shift",
    "accuracy_scale",
    "class_shares",
    "compare_curves",
    "confusion_matrix",
    "control_intervals",
    "cost_and_accuracy",
    "face_grid",
    "filter_grid",
    "layer_output_grid",
    "mean_saliency",
    "network_diagram",
    "parallel_coordinates",
    "parameter_effects",
    "picture_rows",
    "probability_matrix",
    "reliability_diagram",
    "saliency_evidence",
    "saliency_methods",
    "saliency_triptychs",
    "training_curves",
    "two_readings",
    "use_style",
]
