"""Figures that readers can look into, as HTML fragments that stand alone: in a notebook, on a page, offline.

`Cells` is a matrix that opens its faces, `Frames` are pictures that a slider or a switch changes; what they look like
stands in `report/templates/outputs`. `curves` finds what there is to read off in any line chart, for the report's page.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import numpy.typing as npt

from fer_lib.errors import InputError
from fer_lib.files import REPORT

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.transforms import Bbox
    from PIL.Image import Image

Array = npt.NDArray[Any]

_POINTS = 400  # of a curve: more are closer together than a pixel
# Colors of a share of 0, 0.5 and 1, red, green and blue of each apart; and on a dark page.
_RAMP = {
    "": ((244, 75, 28), (250, 163, 43), (246, 176, 74)),
    "dark_": ((36, 38, 160), (39, 104, 222), (40, 118, 224)),
}


@dataclass(frozen=True)
class Cells:
    """A matrix of shares; a cell opens the faces that it counts, each with its probabilities.

    Attributes:
        names: The n classes.
        matrix: Counts, int (n, n); rows are the true classes, columns the predicted ones.
        pictures: Grey faces, uint8 (k, h, w).
        labels: True class of each, int (k,).
        probabilities: What the model says of each, (k, n); it predicts the largest.
        most: At most so many faces of a cell, the surest first.
    """

    names: Sequence[str]
    matrix: Array
    pictures: Array
    labels: Array
    probabilities: Array
    most: int = 8

    template = "cells.html.j2"

    def counts(self) -> dict[str, int]:
        """The numbers in it by true and predicted class, for `fer-lib verify`."""
        pairs = np.ndindex(self.matrix.shape)
        return {f"{self.names[a]}.{self.names[b]}": int(self.matrix[a, b]) for a, b in pairs}

    def data(self) -> dict[str, Any]:
        """What its template shows: rows of cells, each with its share, colors and faces, and one sheet of all faces."""
        predicted = self.probabilities.argmax(axis=1)
        sure = np.argsort(-self.probabilities.max(axis=1), kind="stable")
        shares = self.matrix / np.maximum(self.matrix.sum(axis=1, keepdims=True), 1)
        percent = np.rint(100 * self.probabilities).astype(int).tolist()
        shown: list[int] = []

        def cell(row: int, column: int) -> dict[str, Any]:
            found = [i for i in sure if self.labels[i] == row and predicted[i] == column][: self.most]
            faces = [{"at": at, "percent": percent[i]} for at, i in enumerate(found, start=len(shown))]
            shown.extend(found)
            share = shares[row, column]
            return {
                "share": f"{share:.0%}", "count": int(self.matrix[row, column]), "faces": faces, **_colors(share)
            }  # fmt: skip

        classes = range(len(self.names))
        rows = [[cell(row, column) for column in classes] for row in classes]
        across = min(len(shown), 32) or 1
        return {
            "names": self.names, "rows": rows, "across": across, "down": math.ceil(len(shown) / across),
            "sheet": _side_by_side(self.pictures[shown], across),
        }  # fmt: skip


@dataclass(frozen=True)
class Frames:
    """Small pictures that change together: by a slider (steps) or by a switch (methods).

    Attributes:
        names: What each of the f frames is called: a step, a method.
        pictures: (f, n, h, w) or (f, n, h, w, 3), uint8; float (f, n, h, w) in 0..1 is heat and gets colors.
        control: "slider" or "switch".
        label: What the names are names of.
        captions: A short text under each picture, f lists of n; or none.
        columns: Pictures side by side, where there is room.
        start: The frame that is seen first.
    """

    names: Sequence[str]
    pictures: Array
    control: str
    label: str
    captions: Sequence[Sequence[str]] = ()
    columns: int = 8
    start: int = 0

    template = "frames.html.j2"

    def __post_init__(self) -> None:
        if self.control not in ("slider", "switch"):
            raise InputError(f"a control is 'slider' or 'switch', but was {self.control!r}.")
        if self.pictures.ndim not in (4, 5) or len(self.pictures) != len(self.names):
            raise InputError(
                f"the pictures of {len(self.names)} frames must have the shape (frames, n, h, w) or "
                f"(frames, n, h, w, 3), but have {self.pictures.shape}."
            )

    def data(self) -> dict[str, Any]:
        """What its template shows: names and captions, with one sheet of all pictures, a row for each frame."""
        frames, count, *size = self.pictures.shape
        return {
            **vars(self), "count": count, "columns": min(self.columns, count), "start": self.start % frames,
            "sheet": _side_by_side(self.pictures.reshape(frames * count, *size), count),
        }  # fmt: skip


Interactive = Cells | Frames
"""What may stand in the place of a figure on screens."""


def fragment(part: Interactive, name: str, labels: Mapping[str, str], alt: str) -> str:
    """An interactive part as HTML.

    Args:
        part: The part.
        name: No other part on a page has it.
        labels: The words of the page.
        alt: The description for those who cannot see it.
    """
    data = part.data()
    sheet = webp(data.pop("sheet"))
    sheet_class = f"sheet-{hashlib.sha256(sheet.encode()).hexdigest()[:10]}"  # in all languages the same
    return render(
        part.template, **data, sheet=sheet, sheet_class=sheet_class, name=name, labels=labels, alt=alt
    )


def render(template: str, **data: Any) -> str:
    """A file of `report/templates/outputs`, filled; what is text stays text."""
    return _templates().get_template(template).render(data)


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(REPORT / "templates" / "outputs")
    return jinja2.Environment(loader=loader, autoescape=True)


def webp(pixels: Array | Image) -> str:
    """A picture as an address that holds all of it, lossless."""
    from PIL import Image

    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, quality=50, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def faces_and_heat(faces: Array, heats: Array) -> Array:
    """Pictures for `Frames`: a row of faces, the same in every frame, then a row of their heat maps.

    Args:
        faces: Grey faces, uint8 (n, h, w).
        heats: Heat maps, (f, n, h, w); brightest is what the hottest 1% of the pixels of a map reach.

    Returns:
        uint8 array of shape (f, 2 n, h, w, 3).
    """
    top = np.quantile(heats, 0.99, axis=(2, 3), keepdims=True)
    heat = _in_colors(heats / np.where(top > 0, top, 1))
    grey = np.broadcast_to(faces[None, ..., None], heat.shape)
    return np.concatenate([grey, heat], axis=1)


def curves(figure: Figure, box: Bbox) -> list[dict[str, Any]]:
    """What can be read off the named curves of a figure, by axes.

    Args:
        figure: The figure, laid out.
        box: The part of it that is shown, in inches.

    Returns:
        For each axes with curves: `box` (left, top, width, height as parts of what is shown), `limits` of x and y,
        `label` of x, `percent` (what x is multiplied by where it is in percent, else 0), and `series` with name, color,
        x, y and y's text.
    """
    found = []
    for ax in figure.axes:
        series = [each for line in ax.get_lines() if (each := _series(line, _percent(ax.yaxis)))]
        if series and ax.get_xscale() == ax.get_yscale() == "linear":
            place = ax.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
            left, top = (place.x0 - box.x0) / box.width, (box.y1 - place.y1) / box.height
            part = (left, top, place.width / box.width, place.height / box.height)
            found.append(
                {
                    "box": [round(float(x), 5) for x in part],
                    "limits": [float(x) for x in (*ax.get_xlim(), *ax.get_ylim())],
                    "label": ax.get_xlabel(),
                    "percent": _percent(ax.xaxis),
                    "series": series,
                }
            )
    return found


def _percent(axis: Axis) -> float:
    """What values of an axis are multiplied by to be percentages; 0 where they are none."""
    from matplotlib.ticker import PercentFormatter

    formatter = axis.get_major_formatter()
    return 100 / formatter.xmax if isinstance(formatter, PercentFormatter) else 0


def _series(line: Line2D, percent: float) -> dict[str, Any] | None:
    """What can be read off a line, if it has a name; its gaps are left out."""
    from matplotlib.colors import to_hex

    points = np.asarray(line.get_xydata(), float)
    if str(line.get_label()).startswith("_") or not 2 <= len(points) <= _POINTS:
        return None
    x, y = points[np.isfinite(points).all(axis=1)].T
    return {
        "name": line.get_label(),
        "color": to_hex(line.get_color()),
        "x": [float(f"{value:.6g}") for value in x],
        "y": [float(f"{value:.6g}") for value in y],
        "text": [f"{percent * value:.1f}%" if percent else f"{value:.4g}" for value in y],
    }


def _side_by_side(pictures: Array, across: int) -> Array:
    """Pictures (k, h, w[, 3]) as one, in rows of `across`."""
    if pictures.dtype.kind == "f":
        pictures = _in_colors(pictures)
    count, height, width, *channels = pictures.shape
    down = math.ceil(count / across) or 1
    padded = np.zeros((down * across, height, width, *channels), np.uint8)
    padded[:count] = pictures
    grid = padded.reshape(down, across, height, width, *channels).swapaxes(1, 2)
    return grid.reshape(down * height, across * width, *channels)


def _in_colors(heat: Array) -> Array:
    """Heat in 0..1 as uint8 colors, with one more axis."""
    import matplotlib as mpl

    return np.asarray(mpl.colormaps["magma"](np.clip(heat, 0, 1), bytes=True))[..., :3]


def _colors(share: float) -> dict[str, str]:
    """Background and text of a cell, on a light and a dark page."""
    from matplotlib.colors import to_hex

    from fer_lib.plots.style import readable_on

    colors: dict[str, str] = {}
    for page, ramp in _RAMP.items():
        red, green, blue = (round(np.interp(share, (0, 0.5, 1), channel)) / 255 for channel in ramp)
        mixed = red, green, blue
        colors |= {f"{page}color": to_hex(mixed), f"{page}ink": to_hex(readable_on(mixed))}
    return colors
