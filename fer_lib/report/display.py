"""What a notebook shows: passages with live numbers, figures, tables, and facts for other notebooks.

Every output is an ordinary mimebundle, so JupyterLab, Colab and plain nbconvert show it; its metadata (`METADATA`)
tell the report's exporters what it is.
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
import numbers
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from IPython.core.getipython import get_ipython
from IPython.display import display

from fer_lib.emotions import LANGUAGES
from fer_lib.errors import InputError, nearest
from fer_lib.labels import FOLDER, format_number, label_file
from fer_lib.report.citations import cite
from fer_lib.report.interactive import Interactive, curves
from fer_lib.report.markdown import markdown_to_html

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

METADATA = "fer_lib"
"""Where an output's metadata say what it is: kind (prose, figure, table or facts), key, facts, runs and so on."""

_RASTER_DPI = 200
_FIGURE_MARGIN = 0.04  # inches around the drawing, so that no antialiased edge is cut
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|$~&@])")
_LEADING = re.compile(r"^\s*(?:(?=[-=])|\d+(?=\.(?:\s|$)))")  # of what begins a list or underlines a heading
# A line end after Chinese that knows no blank there; not of a heading, nor before a list, a quotation and such.
_BROKEN = re.compile(
    r"^(?! {0,3}#)(.*(?:[\u3000-\u303f\uff00-\uffef](?=\n[^\s\-*+>#|\d])"
    r"|[\u3400-\u9fff](?=\n[\u3000-\u9fff\uff00-\uffef])))\n",
    re.MULTILINE,
)
_PLACEHOLDER = re.compile(r"\{\{-?\s*(.+?)\s*-?\}\}", re.DOTALL)
_FORMAT = re.compile(r"\s*\|\s*(?:pct|num|code)\b(?:\([^()]*\))?$")
_KEY = re.compile(r"[^\W\d][\w-]*")  # what HTML, CSS and Typst all take for an id
_LABEL = '<b class="label"></b>'  # where the report's number comes in
_sources: list[str] = []


class _Markdown(str):
    """Text that is Markdown already, and so not escaped."""


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
    text = cite(fill(cell, _namespace()).strip(), language())
    if text:  # nothing of a passage whose conditions do not hold
        _show({"text/markdown": text, "text/plain": text}, {"kind": "prose", "facts": _placeholders(cell)})


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
    _require_name(key)
    known = _namespace() | values
    shown = fill(caption or _caption(key, "caption"), known).strip()
    described = fill(alt or _caption(key, "alt"), known, plain=True).strip()
    mime, data, width, kind, series = _draw(picture, raster=raster)
    note = {
        "kind": "figure", "key": key, "caption": _inline(shown), "alt": described, "width": width,
        "runs": list(_sources),
    }  # fmt: skip
    if interactive:
        inner = interactive.html(key, label_file(language())["page"], described)
        note["counts"] = interactive.counts()
    else:
        inner = _sheet(mime, data, described, width, kind, series)
    body = f'<figure id="{html.escape(key)}" class="fer" style="margin: 1.5em 0">{inner}\n{_figcaption(shown)}</figure>'
    _show({"text/html": body, mime: data, "text/plain": described}, note)


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
    _require_name(key)
    specs = dict(formats or {})
    columns = [str(name) for name in frame.columns]
    if unknown := sorted(set(specs) - set(columns)):
        raise InputError(f"The table {key!r} has no column {unknown[0]!r}{nearest(unknown[0], columns)}.")
    shown = fill(caption or _caption(key, "caption"), _namespace() | values).strip()
    rows = [
        [
            "" if missing else _cell(cell, specs.get(name, ""), f"{key!r}, column {name!r}")
            for name, cell, missing in zip(columns, row, gaps, strict=True)
        ]
        for row, gaps in zip(frame.itertuples(index=False), frame.isna().to_numpy(), strict=True)
    ]
    numeric = [frame[name].dtype.kind in "iuf" for name in frame.columns]
    note = {
        "kind": "table", "key": key, "caption": _inline(shown), "runs": list(_sources),
        "columns": columns, "rows": rows, "numeric": numeric,
    }  # fmt: skip
    full = f"{_LABEL}{_inline(shown)}{_run_notes()}"
    body = table_html(columns, rows, numeric, key=key, caption=full, sortable=sortable)
    _show({"text/html": f'<div class="wide">{body}</div>', "text/plain": frame.to_string(index=False)}, note)


def facts(**values: Any) -> None:
    """Note facts for the notebooks that run after this one, and for `fer-lib verify`; shows nothing.

    Args:
        **values: Numbers, texts, lists and mappings of them; NumPy's are converted.
    """
    _show({"text/html": ""}, {"kind": "facts", "facts": _as_json(values)})


def source(*runs: str) -> None:
    """Name the runs, by id, that the tables and figures from here on come from."""
    _sources[:] = runs


def read_facts(folder: str | Path) -> dict[str, dict[str, Any]]:
    """The facts that executed notebooks stated, by the notebook's name.

    Args:
        folder: Of the executed notebooks, such as `../report/build/executed/quick-en`.

    Raises:
        InputError: There is none.
    """
    paths = sorted(path for path in Path(folder).glob("*.ipynb") if len(path.suffixes) == 1)
    if not paths:
        raise InputError(
            f"There is no executed notebook in {Path(folder).resolve()}; run `make report` first."
        )
    found = {}
    for path in paths:
        notes = list(notes_of(json.loads(path.read_text(encoding="utf-8"))))
        found[path.stem] = {
            k: v for note in notes if note["kind"] == "facts" for k, v in note["facts"].items()
        }
    return found


def notes_of(notebook: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """What this module noted of each output of an executed notebook, in order."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if METADATA in output.get("metadata", {}):
                yield output["metadata"][METADATA]


def language() -> str:
    """The notebook's LANGUAGE."""
    return str(_namespace().get("LANGUAGE", "zh-TW"))


def fill(template: str, known: Mapping[str, Any], *, plain: bool = False) -> str:
    """A template with its placeholders filled.

    Args:
        template: Markdown with Jinja's placeholders.
        known: What they stand for.
        plain: Whether the result is a plain text, in which Markdown's signs are not escaped.

    Raises:
        InputError: A name is not known, a value does not fit its place, or it is not a Jinja template.
    """
    try:
        text = (_plain_environment if plain else environment).from_string(template).render(known)
    except jinja2.UndefinedError as error:
        name = re.match(r"'(\w+)' is undefined", str(error))
        hint = nearest(name[1], known) if name else ""
        raise InputError(f"In the passage {_beginning(template)}: {str(error).rstrip('.')}{hint}.") from None
    except jinja2.TemplateSyntaxError as error:
        raise InputError(
            f"In the passage {_beginning(template)}, line {error.lineno}: {str(error.message).rstrip('.')}. "
            "Placeholders are {{ name }} and {% if … %}; a brace itself is written {{ '{{' }}."
        ) from None
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InputError(f"In the passage {_beginning(template)}: {str(error).rstrip('.')}.") from None
    return _BROKEN.sub(r"\1", text)


def table_html(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool], *, key: str, caption: str,
    sortable: bool = False,
) -> str:  # fmt: skip
    """A table as HTML; `caption` is HTML, everything else text."""

    def cell(tag: str, attributes: str, text: str, right: bool) -> str:
        side = "right" if right else "left"
        return f'<{tag}{attributes} style="text-align: {side}">{html.escape(text)}</{tag}>'

    head = "".join(cell("th", ' scope="col"', *column) for column in zip(columns, numeric, strict=True))
    body = "\n".join(
        "<tr>"
        + cell("th", ' scope="row"', row[0], numeric[0])
        + "".join(cell("td", "", *value) for value in zip(row[1:], numeric[1:], strict=True))
        + "</tr>"
        for row in rows
    )
    kind = ' class="sortable"' if sortable else ""
    return (
        f'<table id="{html.escape(key)}"{kind}>\n<caption>{caption}</caption>\n'
        f"<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )


def _finalize(value: Any) -> str:
    """What a placeholder leaves in a passage: text with Markdown's signs escaped."""
    text = _written(value)
    if isinstance(value, str) and not isinstance(value, _Markdown):
        return _LEADING.sub(r"\g<0>\\", _SPECIAL.sub(r"\\\1", text))
    return text


def _written(value: Any) -> str:
    """What a placeholder leaves in a plain text."""
    if isinstance(value, str):
        return " ".join(value.split("\n"))
    if isinstance(value, bool) or not isinstance(value, numbers.Real | jinja2.Undefined):
        raise TypeError(f"a placeholder stands for {value!r}, which is neither a number nor a text")
    return _number(value)  # which names what is undefined


def _number(value: Any, digits: int | None = None) -> str:
    """With commas for thousands; without `digits` as short as it is."""
    spec = f",.{digits}f" if digits is not None else "," if float(value).is_integer() else "g"
    return format_number(int(value) if spec == "," else float(value), spec)


def _percent(share: float, digits: int = 1) -> str:
    return format_number(float(share), f".{digits}%")


def _code(value: Any) -> _Markdown:
    """A text as code, whatever it holds."""
    text = " ".join(str(value).split("\n"))
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return _Markdown(f"{fence}{space}{text}{space}{fence}")


environment = jinja2.Environment(undefined=jinja2.StrictUndefined, finalize=_finalize, trim_blocks=True)
environment.filters |= {"pct": _percent, "num": _number, "code": _code}
_plain_environment = environment.overlay(finalize=_written)


def _placeholders(template: str) -> dict[str, Any]:
    """What a passage's placeholders stand for, unformatted, by their expressions: what `fer-lib verify` compares."""
    known, found = _namespace(), {}
    for placeholder in _PLACEHOLDER.findall(template):
        expression = _FORMAT.sub("", placeholder)
        try:
            value = environment.compile_expression(expression, undefined_to_none=False)(**known)
            found[expression] = _as_json(value)
        except (jinja2.TemplateError, InputError, TypeError, ValueError, ArithmeticError):
            continue  # in a branch that was not taken, or a loop's own name
    return found


def _namespace() -> dict[str, Any]:
    """The notebook's variables."""
    shell = get_ipython()
    return {} if shell is None else {k: v for k, v in shell.user_ns.items() if not k.startswith("_")}


def _require_name(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise InputError(
            f"{key!r} cannot name a figure or table; a name begins with a letter and has letters, digits, - and _ only."
        )


def _caption(key: str, part: str) -> str:
    captions = label_file(language())["captions"]
    if part not in captions.get(key, {}):
        path = FOLDER / f"{language()}.yaml"
        raise InputError(
            f"There is no {part} for {key!r}{nearest(key, captions)}; write one under `captions` in {path}, or give "
            f"{part}=… here."
        )
    return str(captions[key][part])


def _beginning(template: str) -> str:
    words = " ".join(template.split())
    return f"«{words[:50]}{'…' if len(words) > 50 else ''}»"


def _inline(text: str) -> str:
    """Markdown of one paragraph as HTML, without the paragraph."""
    return re.sub(r"^<p>|</p>\s*$", "", markdown_to_html(text).strip())


def _run_notes() -> str:
    if not _sources:
        return ""
    names = " ".join(f"<code>{html.escape(run)}</code>" for run in _sources)
    return f' <span class="runs">{html.escape(label_file(language())["page"]["run"])} {names}</span>'


def _figcaption(caption: str) -> str:
    return f"<figcaption>{_LABEL}{_inline(caption)}{_run_notes()}</figcaption>"


def _sheet(mime: str, data: str, alt: str, width: float, kind: str, series: Sequence[Any]) -> str:
    """The picture as an element that holds all of it."""
    if mime == "image/png":
        mime, encoded = "image/webp", _as_webp(data)
    else:
        encoded = base64.b64encode(data.encode()).decode()
    pixels = round(96 * width)
    read = f' data-curves="{html.escape(json.dumps(series))}"' if series else ""
    return (
        f'<div class="sheet {kind}" role="group" tabindex="0"{read}><img src="data:{mime};base64,{encoded}" '
        f'alt="{html.escape(alt)}" style="--width: {pixels}px; width: min(100%, {pixels}px); background: #fff"></div>'
    )


def _as_webp(png: str) -> str:
    """The same pixels in half the bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").save(
        buffer, "WEBP", lossless=True, quality=50, method=2
    )
    return base64.b64encode(buffer.getvalue()).decode()


def _draw(picture: Figure, *, raster: bool) -> tuple[str, str, float, str, list[dict[str, Any]]]:
    """A figure as MIME type, SVG or base64 of PNG, its width in inches, its kind, and the curves to read off it."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mime, form = ("image/png", "png") if raster else ("image/svg+xml", "svg")
    picture.draw_without_rendering()  # settles constrained and tight layouts before the measuring
    box = picture.get_tightbbox().padded(_FIGURE_MARGIN)
    kind = "" if any(ax.images for ax in picture.axes) else "plot"  # whose colours may turn with a dark page
    series = curves(picture, box)
    buffer = io.BytesIO()
    # No date and a fixed salt: the same figure gives the same bytes, and an unchanged report stays unchanged.
    with mpl.rc_context({"svg.hashsalt": "fer-lib"}):
        about = None if raster else {"Date": None}
        picture.savefig(buffer, format=form, bbox_inches=box, dpi=_RASTER_DPI, metadata=about)
    plt.close(picture)
    data = base64.b64encode(buffer.getvalue()).decode() if raster else buffer.getvalue().decode()
    return mime, data, float(box.width), kind, series


def _cell(value: Any, spec: str, place: str) -> str:
    try:
        return value if isinstance(value, str) else format_number(value, spec)
    except (TypeError, ValueError):
        raise InputError(f"The table {place}: {value!r} cannot be written as {spec!r}.") from None


def _show(bundle: dict[str, Any], note: Mapping[str, Any]) -> None:
    display(bundle, raw=True, metadata={METADATA: {**note, "language": language()}})


def _as_json(value: Any) -> Any:
    """The value as JSON keeps it: NumPy converted, keys as strings, numbers that are not finite as None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    raise InputError(f"{value!r} is not a fact; facts are numbers, texts, lists and mappings of them.")
