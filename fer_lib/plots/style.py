"""The house style of figures: sizes, colours, fonts, and a page to draw on."""

from __future__ import annotations

import math
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_lib.labels import format_number, labels

Array = npt.NDArray[Any]

WIDTH = 6.5
"""Width of every figure in inches."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours for categories that any colour vision tells apart (Okabe and Ito, 2008)."""

TEXT = 9
SMALL = 7.5
"""Font sizes in points at print size: headings and axes; captions in grids."""

LINE = 1.25 / 72
"""Height of a line of text in inches for each point of its font size."""

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "0.3",
    "axes.grid": True,
    "axes.labelsize": TEXT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": TEXT,
    "axes.unicode_minus": True,
    "figure.dpi": 200,
    "font.family": ["DejaVu Sans"],
    "font.size": TEXT,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "image.interpolation": "none",  # pixels stay squares; in SVG they stay the image's own
    "legend.fontsize": SMALL + 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "fer-lib",
    "xtick.color": "0.3",
    "xtick.labelsize": SMALL + 0.5,
    "xtick.labelcolor": "black",
    "ytick.color": "0.3",
    "ytick.labelsize": SMALL + 0.5,
    "ytick.labelcolor": "black",
}


def use_style(language: str = "en") -> None:
    """Set Matplotlib's defaults to the house style, with a font that has the language's characters.

    Raises:
        InputError: There is no such language.
    """
    labels(language)
    mpl.rcdefaults()  # not what the user's matplotlibrc says
    mpl.rcParams.update(_STYLE)
    mpl.rcParams["axes.prop_cycle"] = cycler(color=PALETTE)
    if language == "zh-TW":
        from fer_lib.fonts import use_in_matplotlib

        use_in_matplotlib()


def new_axes(height: float) -> Axes:
    """The axes of a new figure of full width."""
    return Figure(figsize=(WIDTH, height), layout="constrained").add_subplot()


def figure_of(ax: Axes) -> Figure:
    """The figure that the axes belong to."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def colors(count: int) -> list[str]:
    """So many colours of `PALETTE`, from its start."""
    return [PALETTE[number % len(PALETTE)] for number in range(count)]


def readable_on(color: tuple[float, ...]) -> str:
    """Black or white, whichever stands out more from a colour, at least 4.5:1 (WCAG 2.2, contrast ratio)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
    luminance = np.dot([0.2126, 0.7152, 0.0722], linear)
    return "black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white"


def short_number(value: float) -> str:
    """Three digits, or all before the point."""
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return format_number(value, f",.{min(max(digits, 0), 2)}f")
