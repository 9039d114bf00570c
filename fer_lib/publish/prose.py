"""The words of the report: prose files, the numbers that fill them, and how a notebook shows both.

A prose file is Markdown in sections. A section starts with a line `## key` and goes on to the next one; what
stands before the first is a note to the writer. Numbers and names come in as placeholders, filled from facts:

    ## training
    After {epochs} epochs the accuracy on the private test set was {accuracy.private:.2%}, see
    [the figure](#curves); the first convolution has {layers[0].filters} filters.

A placeholder is a path through nested facts and a Python format specification, nothing more: no attributes,
no calls. `{{` and `}}` are literal braces. A filled-in string appears as it is, whatever it contains. A link
to `#key` becomes the number of that figure or table in the report, and `#q1.key` one of another question.
"""

from __future__ import annotations

import base64
import difflib
import html
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

import mistune
from IPython.display import display

from fer_lib.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Facts = Mapping[str, Any]
"""What a run found: nested mappings with string keys, lists, strings, numbers, booleans, None."""

METADATA = "fer_lib"
"""Where an output's metadata say what it is; `fer_lib.publish.render` reads it back."""

_RASTER_DPI = 200
_FIGURE_MARGIN = 0.04  # inches around the drawing, so that no antialiased edge is cut
_PATH = re.compile(r"[A-Za-z_]\w*(?:\.\w+|\[\d+\])*")
_SECTION = re.compile(r"^##(?!#)[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_KEY = re.compile(r"[a-z0-9_]+(?:[.-][a-z0-9_]+)*")
_SLOT = re.compile("ꕥ([0-9]+)ꕥ")  # a letter to Markdown, so that emphasis around a placeholder closes
_markdown = mistune.create_markdown(escape=True, plugins=["table"])


@dataclass(frozen=True)
class Section:
    """One section of a prose file.

    Attributes:
        key: The name after `##`.
        text: Markdown with placeholders.
        path: The file that it stands in.
        line: The line of the file on which `text` starts, from 1.
    """

    key: str
    text: str
    path: Path
    line: int

    def placeholders(self) -> frozenset[str]:
        """The paths of all placeholders, such as `accuracy.private`."""
        return frozenset(name for _, name, _, _ in self._pieces() if name is not None)

    def plain(self, facts: Facts) -> str:
        """The text with its placeholders filled, Markdown left as it is.

        Raises:
            InputError: A placeholder has no fact or an unfit format; names file and line.
        """
        return self._fill(facts, str)

    def html(self, facts: Facts, *, inline: bool = False) -> str:
        """The text as HTML; string facts appear verbatim, not as Markdown or HTML.

        Args:
            facts: What the placeholders stand for.
            inline: Leave out the paragraph around the text (captions).

        Raises:
            InputError: A placeholder has no fact or an unfit format; names file and line.
        """
        values: list[str] = []

        def slot(value: str) -> str:
            values.append(html.escape(value))
            return f"ꕥ{len(values) - 1}ꕥ"

        body = str(_markdown(self._fill(facts, slot))).strip()
        if inline:
            body = body.removeprefix("<p>").removesuffix("</p>")
        return _SLOT.sub(lambda match: values[int(match[1])], body)

    def _fill(self, facts: Facts, quote: Callable[[str], str]) -> str:
        return "".join(
            literal + ("" if name is None else quote(self._value(facts, name, spec, line)))
            for literal, name, spec, line in self._pieces()
        )

    def _value(self, facts: Facts, name: str, spec: str, line: int) -> str:
        try:
            value = _look_up(facts, name)
        except LookupError:
            raise InputError(
                f"{self.path}, line {line}: nothing is known of {{{name}}}{nearest(name, _paths(facts))}."
            ) from None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise InputError(
                f"{self.path}, line {line}: {{{name}}} is {_kind(value)}, "
                "but a placeholder shows a number or a string."
            )
        try:
            return format(value, spec)
        except ValueError as error:
            raise InputError(
                f"{self.path}, line {line}: {{{name}}} is {value!r}, "
                f"which the format {spec!r} does not fit ({error})."
            ) from None

    def _pieces(self) -> Iterator[tuple[str, str | None, str, int]]:
        """(literal text, path of the placeholder after it, its format, its line)."""
        line = self.line
        try:
            parsed = list(Formatter().parse(self.text))
        except ValueError as error:
            raise InputError(
                f"{self.path}, line {line}: the braces of section {self.key!r} do not match "
                f"({error}); write {{{{ and }}}} for braces in the text."
            ) from None
        for literal, name, spec, conversion in parsed:
            line += literal.count("\n")
            if name is not None and (conversion or not _PATH.fullmatch(name)):
                field = f"{name}!{conversion}" if conversion else name
                raise InputError(
                    f"{self.path}, line {line}: {{{field}}} is no placeholder; "
                    "write a path through the facts such as {accuracy.private:.2%}."
                )
            yield literal, name, spec or "", line


def read_sections(path: Path) -> dict[str, Section]:
    """The sections of a prose file by key, in its order.

    Raises:
        InputError: The file is missing or not UTF-8, or a section has no key, the key of another, no text or
            unmatched braces; names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); it holds the words of the report."
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.") from None
    sections: dict[str, Section] = {}
    heads = list(_SECTION.finditer(text))
    for head, end in zip(heads, [*(h.start() for h in heads[1:]), len(text)], strict=True):
        line = text.count("\n", 0, head.start()) + 1
        key, body = head[1], text[head.end() : end]
        if not _KEY.fullmatch(key):
            raise InputError(
                f"{path}, line {line}: {head[0]!r} starts a section, but a key is lower-case words "
                "joined by dots; write ### for a heading in the text."
            )
        if key in sections:
            raise InputError(f"{path}, line {line}: the section {key!r} stands there for the second time.")
        if not body.strip():
            raise InputError(f"{path}, line {line}: the section {key!r} is empty.")
        blank = len(body) - len(body.lstrip())
        section = Section(key, body.strip(), path, line + body.count("\n", 0, blank))
        section.placeholders()  # finds unmatched braces now, not when somebody asks for the section
        sections[key] = section
    return sections


def find_section(sections: Mapping[str, Section], key: str, path: Path) -> Section:
    """The section `key`.

    Raises:
        InputError: There is none; names the file and the nearest key.
    """
    if key not in sections:
        raise InputError(f"{path} has no section {key!r}{nearest(key, sections)}.")
    return sections[key]


def report_folder() -> Path:
    """The repository's `report` folder: above the working folder, or beside the library.

    Raises:
        InputError: There is none.
    """
    here = Path.cwd()
    for root in (here, *here.parents, Path(__file__).parents[2]):
        if (root / "report" / "text").is_dir():
            return root / "report"
    raise InputError(f"no folder report/text stands in or above {here}; work inside the repository.")


def check_texts(texts: Path) -> list[str]:
    """What does not agree between the languages of a text folder, one sentence each; empty when all is well.

    Every file of one language must stand in the others, with the same sections, and each section with the
    same placeholders; every link `#key` must lead to a section; emphasis must close.

    Raises:
        InputError: A file cannot be read.
    """
    files = sorted(texts.glob("*/*.md"))
    languages = sorted({file.parent.name for file in files})
    problems: list[str] = []
    for name in sorted({file.name for file in files}):
        versions: dict[str, dict[str, Section]] = {}
        for language in languages:
            path = texts / language / name
            if path.exists():
                versions[language] = read_sections(path)
                problems += _loose_ends(versions[language])
            else:
                problems.append(f"{path} is missing.")
        for key in dict.fromkeys(key for sections in versions.values() for key in sections):
            problems += _disagreements(texts, name, key, versions)
    return problems


def _disagreements(
    texts: Path, name: str, key: str, versions: Mapping[str, Mapping[str, Section]]
) -> Iterator[str]:
    lacking = [language for language, sections in versions.items() if key not in sections]
    yield from (f"{texts / language / name} has no section {key!r}." for language in lacking)
    used = {language: v[key].placeholders() for language, v in versions.items() if key in v}
    everywhere = frozenset.union(*used.values())
    for language, names in used.items():
        if missing := sorted(everywhere - names):
            fields = ", ".join(f"{{{field}}}" for field in missing)
            yield f"{texts / language / name}: section {key!r} does not use {fields}."


def _loose_ends(sections: Mapping[str, Section]) -> Iterator[str]:
    for section in sections.values():
        place = f"{section.path}, line {section.line}"
        for target in re.findall(r"\]\(#([a-z0-9_.-]+)\)", section.text):
            if target not in sections and not re.match(r"q\d+\.", target):
                yield f"{place}: the link #{target} leads to no section."
        shown = str(
            _markdown("".join(literal + "ꕥ" * bool(name) for literal, name, _, _ in section._pieces()))
        )
        if "**" in re.sub(r"<(code|pre)>.*?</\1>", "", shown, flags=re.DOTALL):
            yield f"{place}: ** does not close; put quotation marks and punctuation outside the emphasis."


class Answer:
    """Shows the parts of one question's answer in a notebook; the report is set from what it showed.

    Every output carries, in its metadata, the key of its words and the facts that filled them: the report
    fills the words anew, from the prose files of its day, without running the notebook again.

        answer = Answer("q1", LANGUAGE)
        answer.text("question")
        answer.text("training", epochs=history.epochs, accuracy=metrics)
        answer.table(summary, "architecture", formats={"Param #": ",d"})
        answer.figure(plots.curves(history), "curves", epochs=history.epochs)

    Facts are JSON-like: nested mappings, lists, strings, numbers; NumPy scalars and arrays are converted.
    """

    def __init__(self, question: str, language: str, *, texts: Path | None = None) -> None:
        """Reads the words.

        Args:
            question: Name of the prose file, `q1` for `q1.md`.
            language: `zh-TW` or `en`: a folder of `texts`.
            texts: The folder of languages; by default `report/text` of the repository.

        Raises:
            InputError: There are no such words, or they have an error.
        """
        texts = report_folder() / "text" if texts is None else texts
        self._path = texts / language / f"{question}.md"
        if not self._path.exists():
            known = ", ".join(sorted(str(p.relative_to(texts)) for p in texts.glob("*/*.md")))
            raise InputError(f"{self._path} does not exist; there are {known or 'no prose files'}.")
        self._sections = read_sections(self._path)
        self._source = {"question": question, "language": language}

    def text(self, key: str, **facts: Any) -> None:
        """Shows the section `key`."""
        section, known = self._section(key), _as_json(facts)
        bundle = {"text/html": section.html(known), "text/plain": section.plain(known)}
        self._show(bundle, "text", key, known)

    def table(
        self, frame: pd.DataFrame, key: str, *, formats: Mapping[str, str] | None = None, **facts: Any
    ) -> None:
        """Shows a frame's columns, in their order, as a table with the section `key` as its caption.

        The first column names the rows; the index is not shown.

        Args:
            frame: The table; columns of numbers are set to the right.
            key: The section with the caption.
            formats: Format specifications by column, such as `{"accuracy": ".2%"}`; others stay as they are.
            **facts: What the placeholders of the caption stand for.

        Raises:
            InputError: A format is for a column that is not there, or the section cannot be filled.
        """
        section, known = self._section(key), _as_json(facts)
        specs = dict(formats or {})
        if unknown := sorted(set(specs) - set(map(str, frame.columns))):
            raise InputError(
                f"the table {key!r} has no column {unknown[0]!r}{nearest(unknown[0], frame.columns)}."
            )
        columns = [str(name) for name in frame.columns]
        data = {
            "columns": columns,
            "numeric": [frame[name].dtype.kind in "iuf" for name in frame.columns],
            "rows": [
                [
                    "" if absent else format(cell, specs.get(name, ""))
                    for name, cell, absent in zip(columns, row, blank, strict=True)
                ]
                for row, blank in zip(
                    frame.itertuples(index=False), frame.isna().itertuples(index=False), strict=True
                )
            ],
        }
        caption = section.html(known, inline=True)
        self._show(
            {"text/html": table_html(data, caption), "text/plain": frame.to_string(index=False)},
            "table",
            key,
            known,
            table=data,
        )

    def figure(self, figure: Figure, key: str, *, raster: bool = False, **facts: Any) -> None:
        """Shows a figure with the section `key` as its caption and `key.alt` as its alternative text.

        The figure is closed. Its size in the report is its size in inches.

        Args:
            figure: A Matplotlib figure.
            key: The section with the caption.
            raster: Keep it as PNG: for many small images, where SVG would be heavy.
            **facts: What the placeholders of caption and description stand for.

        Raises:
            InputError: One of the two sections is missing or cannot be filled.
        """
        section, description, known = self._section(key), self._section(f"{key}.alt"), _as_json(facts)
        caption, alt = section.html(known, inline=True), description.plain(known)
        mime, picture, width = _picture(figure, raster=raster)
        self._show({mime: picture, "text/plain": alt}, "figure", key, known, width=width)
        display(
            {"text/html": f"<p><small>{caption}</small></p>", "text/plain": section.plain(known)}, raw=True
        )

    def require(self, key: str) -> None:
        """Stop now, before long work, if a section that will be shown is not there.

        Raises:
            InputError: There is no section `key`.
        """
        self._section(key)

    def facts(self, **facts: Any) -> None:
        """Notes facts for the report's summary; shows nothing."""
        self._show({"text/plain": ""}, "facts", "", _as_json(facts))

    def _section(self, key: str) -> Section:
        return find_section(self._sections, key, self._path)

    def _show(self, bundle: dict[str, Any], kind: str, key: str, facts: Facts, **extra: Any) -> None:
        metadata = {METADATA: {**self._source, "kind": kind, "key": key, "facts": facts, **extra}}
        display(bundle, raw=True, metadata=metadata)


def table_html(table: Mapping[str, Any], caption: str, *, identifier: str = "") -> str:
    """A table of `Answer.table` as HTML.

    Args:
        table: `columns` (names), `numeric` (one boolean per column), `rows` (lists of strings).
        caption: HTML.
        identifier: The element's id, or none.
    """

    def cell(tag: str, attributes: str, text: str, numeric: bool) -> str:
        side = ' style="text-align: right"' if numeric else ' style="text-align: left"'
        return f"<{tag}{attributes}{side}>{html.escape(text)}</{tag}>"

    numeric: Sequence[bool] = table["numeric"]
    head = "".join(
        cell("th", ' scope="col"', *column) for column in zip(table["columns"], numeric, strict=True)
    )
    rows = "\n".join(
        "<tr>"
        + cell("th", ' scope="row"', row[0], numeric[0])
        + "".join(cell("td", "", *value) for value in zip(row[1:], numeric[1:], strict=True))
        + "</tr>"
        for row in table["rows"]
    )
    attribute = f' id="{html.escape(identifier)}"' if identifier else ""
    return (
        f"<table{attribute}>\n<caption>{caption}</caption>\n"
        f"<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _picture(figure: Figure, *, raster: bool) -> tuple[str, str, float]:
    """A figure as (MIME type, SVG or base64 of PNG, width in inches); closes it."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    kind = "png" if raster else "svg"
    buffer = io.BytesIO()
    figure.draw_without_rendering()  # settles constrained and tight layouts before the measuring
    box = figure.get_tightbbox().padded(_FIGURE_MARGIN)
    # No date and a fixed salt: the same figure gives the same bytes, and an unchanged report stays unchanged.
    with mpl.rc_context({"svg.hashsalt": "fer-lib"}):
        figure.savefig(
            buffer,
            format=kind,
            bbox_inches=box,
            dpi=_RASTER_DPI,
            metadata={"Date": None} if kind == "svg" else None,
        )
    plt.close(figure)
    if raster:
        return "image/png", base64.b64encode(buffer.getvalue()).decode(), float(box.width)
    return "image/svg+xml", buffer.getvalue().decode(), float(box.width)


def _look_up(facts: Facts, name: str) -> Any:
    value: Any = facts
    for step in re.findall(r"[^.\[\]]+", name):
        if isinstance(value, list) and step.isdigit():
            value = value[int(step)]
        elif isinstance(value, Mapping):
            value = value[step]
        else:
            raise LookupError(name)
    return value


def _paths(facts: Any, prefix: str = "") -> Iterator[str]:
    """The placeholders that facts can fill."""
    if isinstance(facts, Mapping):
        for key, value in facts.items():
            yield from _paths(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(facts, list):
        for index, value in enumerate(facts):
            yield from _paths(value, f"{prefix}[{index}]")
    else:
        yield prefix


def nearest(name: str, known: Iterable[object]) -> str:
    """The end of a sentence about an unknown name: the known one that is nearest to it, or all of them."""
    names = sorted(map(str, known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?".removesuffix("?")
    return f"; there are {', '.join(names)}" if names else "; there are none"


def _kind(value: object) -> str:
    if value is None:
        return "not known (None, or a number that is not finite)"
    return {bool: "true or false", list: "a list"}.get(type(value), "a group of facts")


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
    raise InputError(f"{value!r} is no fact; facts are numbers, strings, lists and mappings of them.")
