"""The faces that are odd in a data set, side by side on one HTML page, for `fer-lib data check --sheet`."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image

from fer_lib.data_check import Survey, conflicts, copies
from fer_lib.emotions import EMOTIONS
from fer_lib.files import write_text

MOST_SHOWN = 200
"""Groups of a kind on a sheet; a page of all of FER2013's would not open."""

MOST_OF_GROUP = 12
"""Faces of a group on a sheet."""

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff }
h2 { margin: 2.5rem 0 .5rem; font-size: 1.15rem } p { margin: 0 0 1rem; color: #555 }
section div { display: flex; flex-wrap: wrap; gap: 1rem }
article { display: flex; flex-wrap: wrap; gap: 2px; padding: 6px; background: #f2f2f2; border-radius: 6px }
figure { margin: 0; width: 108px } img { width: 108px; height: 108px; image-rendering: pixelated; display: block }
figcaption { font-size: 11px; overflow-wrap: anywhere }
"""


def write_sheet(path: Path, found: Survey) -> None:
    """Write a page of everything odd that a survey found; it needs no other file, and holds the faces themselves.

    Args:
        path: The .html file to write.
        found: What `data_check.survey` found.
    """
    title = Markup.escape(" + ".join(found.kinds))
    sections = "".join(_section(found, *kind) for kind in _kinds(found))
    nothing = "" if sections else "<p>Nothing odd was found.</p>"
    write_text(
        path,
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Odd faces in {title}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>Odd faces in {title}</h1>{nothing}{sections}</body></html>\n",
    )


def _kinds(found: Survey) -> Iterator[tuple[str, str, Sequence[Sequence[int]]]]:
    """Title, explanation, and rows of the faces to show together, of each kind of oddness."""
    faces = found.faces
    rows = np.arange(len(faces))
    groups = copies(faces)
    splits = [set(faces.split[rows]) for rows in groups]
    yield "Copies with different labels", "The same pixels, so one label at most is right.", conflicts(faces)
    yield (
        "Copies in several splits",
        "A model may know those of train by heart; --drop-leaked leaves them out of the tests.",
        [rows for rows, held in zip(groups, splits, strict=True) if len(held) > 1],
    )
    yield (
        "Copies within a split",
        "The same pixels, so they count several times.",
        [rows for rows, held in zip(groups, splits, strict=True) if len(held) == 1],
    )
    yield (
        "Near copies",
        "The same photograph cropped, lit or stored otherwise, or mirrored.",
        found.near.tolist(),
    )
    for column, title, text in (
        ("flat", "One grey all over, or almost", "Nothing to learn from."),
        ("rejected", "No face, by FER+", "FER+ names no image for them."),
        (
            "unseen",
            "Labels that nobody voted for",
            "Most people agree on another emotion, which is in brackets.",
        ),
    ):
        yield title, text, [[row] for row in rows[faces[column]].tolist()]


def _section(found: Survey, title: str, text: str, groups: Sequence[Sequence[int]]) -> str:
    if not groups:
        return ""
    shown = f"{len(groups):,}" if len(groups) <= MOST_SHOWN else f"the first {MOST_SHOWN} of {len(groups):,}"
    articles = "".join(
        f"<article>{''.join(_figure(found, row) for row in group[:MOST_OF_GROUP])}{_rest(group)}</article>\n"
        for group in groups[:MOST_SHOWN]
    )
    return f"<section><h2>{title}</h2><p>{text} Here: {shown}.</p>\n<div>{articles}</div></section>\n"


def _rest(group: Sequence[int]) -> str:
    rest = len(group) - MOST_OF_GROUP
    return f"<p>and {rest:,} more</p>" if rest > 0 else ""


def _figure(found: Survey, row: int) -> str:
    face = found.faces.iloc[row]
    label = EMOTIONS[face.label] if face.label >= 0 else "no label"
    wanted = f" ({EMOTIONS[face.wanted]})" if face.unseen else ""
    caption = Markup.escape(f"{face.split}, {face.place}: {label}{wanted}")
    return f'<figure><img alt="{caption}" src="{_png(found.pixels[row])}"><figcaption>{caption}</figcaption></figure>'


def _png(pixels: npt.NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
