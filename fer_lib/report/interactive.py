"""Figures that readers can look into, as HTML fragments that stand alone: in a notebook, on a page, offline.

`Cells` is a matrix that opens its faces, `Frames` are pictures that a slider or a switch changes. `curves` finds what
there is to read off in any line chart, for the report's page.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import jinja2
import numpy as np
import numpy.typing as npt

from fer_lib.errors import InputError
from fer_lib.files import REPORT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

Array = npt.NDArray[Any]

TEMPLATES = REPORT / "templates" / "interactive"

_POINTS = 400  # of a curve: more are closer together than a pixel
_RAMP = (
    (244, 250, 246),
    (75, 163, 176),
    (28, 43, 74),
)  # colors of a share of 0, 0.5 and 1, and on a dark page
_DARK_RAMP = ((36, 39, 40), (38, 104, 118), (160, 222, 224))


class Interactive(Protocol):
    """What may stand in the place of a figure on screens."""

    def html(self, key: str, labels: Mapping[str, str], alt: str) -> str:
        """A fragment that stands alone; `key` is the figure's, `labels` the words of the page."""
        ...

    def counts(self) -> dict[str, int]:
        """The numbers in it, by name, for `fer-lib verify`."""
        ...


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

    def html(self, key: str, labels: Mapping[str, str], alt: str) -> str:
        """See `Interactive`."""
        return _fragment("cells", key, labels, alt, self._data())

    def counts(self) -> dict[str, int]:
        """See `Interactive`."""
        pairs = [(a, b) for a in range(len(self.names)) for b in range(len(self.names))]
        return {f"{self.names[a]}.{self.names[b]}": int(self.matrix[a, b]) for a, b in pairs}

    def _data(self) -> dict[str, Any]:
        """Rows of cells, each with its share, colors and faces, and one sheet of all faces."""
        predicted = self.probabilities.argmax(axis=1)
        sure = np.argsort(-self.probabilities.max(axis=1), kind="stable")
        shares = self.matrix / np.maximum(self.matrix.sum(axis=1, keepdims=True), 1)
        shown: list[int] = []

        def faces(row: int, column: int) -> list[dict[str, Any]]:
            found = [i for i in sure if self.labels[i] == row and predicted[i] == column][: self.most]
            shown.extend(found)
            first = len(shown) - len(found)
            return [
                {"at": first + k, "percent": np.rint(100 * self.probabilities[i]).astype(int).tolist()}
                for k, i in enumerate(found)
            ]

        rows = [
            [
                {"share": f"{share:.2f}", "count": int(self.matrix[r, c]), "faces": faces(r, c)}
                | dict(zip(("color", "ink"), _colors(float(share), _RAMP), strict=True))
                | dict(zip(("dark_color", "dark_ink"), _colors(float(share), _DARK_RAMP), strict=True))
                for c, share in enumerate(row)
            ]
            for r, row in enumerate(shares)
        ]
        across = min(len(shown), 32) or 1
        down = math.ceil(len(shown) / across)
        return {
            "names": list(self.names), "rows": rows, "across": across, "down": down,
            "sheet": _sheet(self.pictures[shown], across) if shown else "",
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

    def __post_init__(self) -> None:
        if self.control not in ("slider", "switch"):
            raise InputError(f"a control is 'slider' or 'switch', but was {self.control!r}.")
        if self.pictures.ndim not in (4, 5) or len(self.pictures) != len(self.names):
            raise InputError(
                f"the pictures of {len(self.names)} frames must have the shape (frames, n, h, w) or "
                f"(frames, n, h, w, 3), but have {self.pictures.shape}."
            )

    def html(self, key: str, labels: Mapping[str, str], alt: str) -> str:
        """See `Interactive`."""
        return _fragment(
            "frames",
            key,
            labels,
            alt,
            self._data() | {"script": (TEMPLATES / "slider.js").read_text("utf-8")},
        )

    def counts(self) -> dict[str, int]:
        """See `Interactive`."""
        return {}

    def _data(self) -> dict[str, Any]:
        """Names and captions, with one sheet of all pictures, a row for each frame."""
        frames, count, *size = self.pictures.shape
        return {
            "control": self.control, "label": self.label, "names": list(map(str, self.names)),
            "count": count, "columns": min(self.columns, count), "start": self.start % frames,
            "captions": [list(row) for row in self.captions],
            "sheet": _sheet(self.pictures.reshape(frames * count, *size), count),
        }  # fmt: skip


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
        series = _series(ax)
        if series and ax.get_xscale() == ax.get_yscale() == "linear":
            place = ax.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
            left, top = (place.x0 - box.x0) / box.width, (box.y1 - place.y1) / box.height
            part = (left, top, place.width / box.width, place.height / box.height)
            limits = (*ax.get_xlim(), *ax.get_ylim())
            found.append(
                {
                    "box": [round(float(x), 5) for x in part],
                    "limits": [float(x) for x in limits],
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


def _series(ax: Axes) -> list[dict[str, Any]]:
    from matplotlib.colors import to_hex

    percent = _percent(ax.yaxis)
    series = []
    for line in ax.get_lines():
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        if str(line.get_label()).startswith("_") or not 2 <= len(x) <= _POINTS:
            continue
        known = np.isfinite(x) & np.isfinite(y)
        series.append(
            {
                "name": line.get_label(),
                "color": to_hex(line.get_color()),
                "x": [float(f"{value:.6g}") for value in x[known]],
                "y": [float(f"{value:.6g}") for value in y[known]],
                "text": [f"{percent * v:.1f}%" if percent else f"{v:.4g}" for v in y[known]],
            }
        )
    return series


def _sheet(pictures: Array, across: int) -> str:
    """Pictures (k, h, w[, 3]) side by side in rows of `across`, as the address of one lossless picture."""
    from PIL import Image

    if pictures.dtype.kind == "f":
        pictures = _in_colors(pictures)
    count, height, width = pictures.shape[:3]
    down = math.ceil(count / across)
    padded = np.zeros((down * across, *pictures.shape[1:]), np.uint8)
    padded[:count] = pictures
    grid = padded.reshape(down, across, *pictures.shape[1:]).swapaxes(1, 2)
    buffer = io.BytesIO()
    image = Image.fromarray(grid.reshape(down * height, across * width, *pictures.shape[3:]))
    image.save(buffer, "WEBP", lossless=True, quality=60, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _in_colors(heat: Array) -> Array:
    """Heat in 0..1 as uint8 colors, with one more axis."""
    import matplotlib as mpl

    return np.asarray(mpl.colormaps["magma"](np.clip(heat, 0, 1), bytes=True))[..., :3]


def _colors(share: float, ramp: Sequence[tuple[int, ...]]) -> tuple[str, str]:
    """Background and text of a cell; the text is black or white, at least 4.5:1 (WCAG 2.2, contrast ratio)."""
    place = min(max(share, 0.0), 1.0) * (len(ramp) - 1)
    low = min(int(place), len(ramp) - 2)
    mixed = [round(a + (b - a) * (place - low)) for a, b in zip(ramp[low], ramp[low + 1], strict=True)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (m / 255 for m in mixed)]
    luminance = float(np.dot([0.2126, 0.7152, 0.0722], linear))
    return "#{:02x}{:02x}{:02x}".format(*mixed), "#000" if luminance > 0.179 else "#fff"


def _fragment(template: str, key: str, labels: Mapping[str, str], alt: str, data: Mapping[str, Any]) -> str:
    css = (TEMPLATES / "interactive.css").read_text("utf-8")
    name = f"sheet-{hashlib.sha256(data['sheet'].encode()).hexdigest()[:10]}"
    return (
        _templates()
        .get_template(f"{template}.html.j2")
        .render(
            data,
            key=key,
            labels=labels,
            alt=alt,
            css=_raw(css),
            sheet_class=name,
            script=_raw(data.get("script", "")),
        )
    )


def _raw(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # a file of ours


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
