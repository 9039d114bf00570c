"""What a notebook shows: passages with live numbers, figures, tables, and facts for other notebooks.

Every output is an ordinary mimebundle, so JupyterLab, Colab and plain nbconvert show it; its metadata (see `notes`)
tell the report's exporters what it is.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython
from IPython.display import display

from fer_lib.emotions import LANGUAGES
from fer_lib.errors import InputError, nearest
from fer_lib.labels import FOLDER, format_number, label_file
from fer_lib.report.citations import cite
from fer_lib.report.interactive import Cells, Interactive, curves, fragment, render, webp
from fer_lib.report.markdown import markdown_to_html
from fer_lib.report.notes import LABEL, METADATA, as_json
from fer_lib.report.passages import fill, placeholders

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_RASTER_DPI = 200
_FIGURE_MARGIN = 0.04  # inches around the drawing, so that no antialiased edge is cut
_KEY = re.compile(r"[^\W\d][\w-]*")  # what HTML, CSS and Typst all take for an id
_sources: list[str] = []


def prose(line: str, cell: str) -> None:
    """The cell magic `%%prose`: show a passage of Markdown, its placeholders filled from the notebook's variables.

    `%%prose en` shows it where LANGUAGE is "en", `%%prose` in any language. Placeholders are Jinja's: `{{ name }}`,
    with the filters `pct` (0.587 is 58.7%), `num` (digits after the point) and `code`; conditions may stand inside a
    sentence. A filled-in text appears as it is, whatever it holds. `[@key]` cites a work of `report/references.bib`.

    Raises:
        InputError: There is no such language, a name is not defined, a citation has no reference, or the passage is not
            a Jinja template.
    """
    if line.strip() not in ("", *LANGUAGES):
        raise InputError(
            f"%%prose {line.strip()}: there is no such language; write {' or '.join(LANGUAGES)}."
        )
    if line.strip() not in ("", language()):
        return
    known = _namespace()
    text = cite(fill(cell, known).strip(), language())
    if text:  # nothing of a passage whose conditions do not hold
        _show(
            {"text/markdown": text, "text/plain": text}, {"kind": "prose", "facts": placeholders(cell, known)}
        )


def figure(
    picture: Figure,
    key: str,
    *,
    caption: str | None = None,
    alt: str | None = None,
    raster: bool = False,
    interactive: Interactive | None = None,
    **values: Any,
) -> None:
    """Show a Matplotlib figure with its caption; its size in the report is its size in inches.

    Args:
        picture: The figure, which is closed.
        key: Its name, unique in the report: passages link to it as `[the figure](#key)`.
        caption: A template as in `%%prose`; by default that of `key` in `report/labels`.
        alt: The description for those who cannot see it; by default that of `key` in `report/labels`.
        raster: Keep it as PNG: for many small pictures, where SVG would be heavy.
        interactive: What screens show in its place.
        **values: Names for the two templates beside the notebook's variables.

    Raises:
        InputError: There is no caption or no description, it cannot be filled, or the key cannot be a name.
    """
    known = _namespace() | values
    note = _captioned("figure", key, caption, known)
    alt = fill(alt or _caption(key, "alt"), known, plain=True).strip()
    mime, data, drawn = _draw(picture, raster=raster)
    note |= {"alt": alt, "width": drawn["width"]}
    if interactive:
        drawn["part"] = fragment(interactive, f"{key}-{language()}", label_file(language())["page"], alt)
        if isinstance(interactive, Cells):
            note["facts"] = {f"{key}.count": interactive.counts()}
    body = render("figure.html.j2", key=key, alt=alt, caption=_full_caption(note), **drawn)
    _show({"text/html": body, mime: data, "text/plain": alt}, note)


def table(
    frame: pd.DataFrame,
    key: str,
    *,
    caption: str | None = None,
    formats: Mapping[str, str] | None = None,
    sortable: bool = False,
    **values: Any,
) -> None:
    """Show a frame's columns, in their order, as a table; the first column names the rows, the index is not shown.

    Args:
        frame: The table; columns of numbers are set to the right.
        key: Its name, unique in the report.
        caption: A template as in `%%prose`; by default that of `key` in `report/labels`.
        formats: Format specifications by column, such as `{"accuracy": ".2%"}`; others stay as they are.
        sortable: Whether readers of the page may sort its rows by a column.
        **values: Names for the caption beside the notebook's variables.

    Raises:
        InputError: There is no caption, it cannot be filled, a format is for a column that is not there or does not
            fit it, or the key cannot be a name.
    """
    specs = dict(formats or {})
    columns = [str(name) for name in frame.columns]
    if unknown := sorted(set(specs) - set(columns)):
        raise InputError(f"The table {key!r} has no column {unknown[0]!r}{nearest(unknown[0], columns)}.")
    note = _captioned("table", key, caption, _namespace() | values)
    note |= {
        "columns": columns,
        "rows": [
            [
                "" if missing else _cell(cell, specs.get(name, ""), f"{key!r}, column {name!r}")
                for name, cell, missing in zip(columns, row, gaps, strict=True)
            ]
            for row, gaps in zip(frame.itertuples(index=False), frame.isna().to_numpy(), strict=True)
        ],
        "numeric": [kind.kind in "iuf" for kind in frame.dtypes],
    }
    body = render("table.html.j2", **{**note, "caption": _full_caption(note)}, sortable=sortable)
    _show({"text/html": f'<div class="wide">{body}</div>', "text/plain": frame.to_string(index=False)}, note)


def facts(**values: Any) -> None:
    """Note facts for the notebooks that run after this one, and for `fer-lib verify`; shows nothing.

    Args:
        **values: Numbers, texts, lists and mappings of them; NumPy's are converted.
    """
    _show({"text/html": ""}, {"kind": "facts", "facts": as_json(values)})


def source(*runs: str) -> None:
    """Name the runs, by id, that the tables and figures from here on come from."""
    _sources[:] = runs


def language() -> str:
    """The notebook's LANGUAGE."""
    return str(_namespace().get("LANGUAGE", "zh-TW"))


def _namespace() -> dict[str, Any]:
    """The notebook's variables."""
    shell = get_ipython()
    return {} if shell is None else {k: v for k, v in shell.user_ns.items() if not k.startswith("_")}


def _captioned(kind: str, key: str, caption: str | None, known: Mapping[str, Any]) -> dict[str, Any]:
    """What is noted of a figure or table: its name, its caption as HTML, the runs that it comes from."""
    if not _KEY.fullmatch(key):
        raise InputError(
            f"{key!r} cannot name a figure or table; a name begins with a letter and has letters, digits, - and _ only."
        )
    text = fill(caption or _caption(key, "caption"), known).strip()
    inline = re.sub(r"^<p>|</p>\s*$", "", markdown_to_html(text).strip())
    return {"kind": kind, "key": key, "caption": inline, "runs": list(_sources)}


def _caption(key: str, part: str) -> str:
    captions = label_file(language())["captions"]
    if part not in captions.get(key, {}):
        path = FOLDER / f"{language()}.yaml"
        raise InputError(
            f"There is no {part} for {key!r}{nearest(key, captions)}; write one under `captions` in {path}, or give "
            f"{part}=… here."
        )
    return str(captions[key][part])


def _full_caption(note: Mapping[str, Any]) -> str:
    """The caption between the number and the runs, as HTML."""
    names = " ".join(f"<code>{html.escape(run)}</code>" for run in note["runs"])
    word = html.escape(label_file(language())["page"]["run"])
    return f"{LABEL}{note['caption']}" + (f' <span class="runs">{word} {names}</span>' if names else "")


def _draw(picture: Figure, *, raster: bool) -> tuple[str, str, dict[str, Any]]:
    """A figure as MIME type and SVG or base64 of PNG, and what the page shows of it; closes it."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    from PIL import Image

    picture.draw_without_rendering()  # settles constrained and tight layouts before the measuring
    box = picture.get_tightbbox().padded(_FIGURE_MARGIN)
    drawn = {
        "width": float(box.width),
        "pixels": round(96 * box.width),
        "kind": ""
        if any(ax.images for ax in picture.axes)
        else "plot",  # whose colours may turn with a dark page
        "series": curves(picture, box),
    }
    buffer = io.BytesIO()
    # No date and a fixed salt: the same figure gives the same bytes, and an unchanged report stays unchanged.
    with mpl.rc_context({"svg.hashsalt": "fer-lib"}):
        form, about = ("png", None) if raster else ("svg", {"Date": None})
        picture.savefig(buffer, format=form, bbox_inches=box, dpi=_RASTER_DPI, metadata=about)
    plt.close(picture)
    data = base64.b64encode(buffer.getvalue()).decode()
    if raster:  # on the page the same pixels in half the bytes
        return "image/png", data, drawn | {"address": webp(Image.open(buffer))}
    return (
        "image/svg+xml",
        buffer.getvalue().decode(),
        drawn | {"address": f"data:image/svg+xml;base64,{data}"},
    )


def _cell(value: Any, spec: str, place: str) -> str:
    try:
        return value if isinstance(value, str) else format_number(value, spec)
    except (TypeError, ValueError):
        raise InputError(f"The table {place}: {value!r} cannot be written as {spec!r}.") from None


def _show(bundle: dict[str, Any], note: Mapping[str, Any]) -> None:
    display(bundle, raw=True, metadata={METADATA: {**note, "language": language()}})
