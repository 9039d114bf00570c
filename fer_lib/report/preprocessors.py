"""What happens to an executed notebook, or several merged, before a template sets it: nbconvert preprocessors."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from nbconvert.preprocessors import Preprocessor
from traitlets import Set, Unicode

from fer_lib.errors import InputError, nearest
from fer_lib.labels import label_file
from fer_lib.report import authorship
from fer_lib.report.authorship import OBSERVATION, Own
from fer_lib.report.citations import cite, link_to_list, references
from fer_lib.report.display import METADATA
from fer_lib.report.markdown import CODE, markdown_to_html

_LINK = re.compile(CODE + r"|\[(?P<words>(?:\\.|[^\]\\])*)\]\(#(?P<target>[\w.-]+)\)", re.DOTALL)
_PICTURE = re.compile(
    CODE + r"|!\[(?P<words>(?:\\.|[^\]\\])*)\]\(<?(?P<address>[^\s>)]+)>?[^)]*\)", re.DOTALL
)
_HTML_LINK = re.compile(r'<a href="#([\w.-]+)">(.*?)</a>', re.DOTALL)
_TITLE = re.compile(r"^#[ \t]+(.+?)[ \t]*$", re.MULTILINE)
_PICTURES = ("image/png", "image/svg+xml", "image/jpeg")
_ATTACHED = ("image/png", "image/jpeg", "image/webp", "image/gif")
_NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


class LeaveOut(Preprocessor):
    """Take out the cells with one of `tags` or of `resources["leave_out"]`; links to what they show stay words."""

    tags = Set(Unicode(), help="Tags of cells to take out.").tag(config=True)

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """See `nbconvert.preprocessors.Preprocessor`."""
        tags = self.tags | resources.get("leave_out", set())
        kept: list[Any] = []
        out: list[Any] = []
        for cell in nb.cells:
            (out if tags & set(cell.metadata.get("tags", [])) else kept).append(cell)
        notes = [_note(output) for cell in out for output in cell.get("outputs", [])]
        resources["left_out"] = {str(note["key"]) for note in notes if note and "key" in note}
        nb.cells = kept
        return nb, resources


class PlaceCells(Preprocessor):
    """Let every cell know its notebook and its language, as `build.merge` noted them or as they are in one notebook.

    The first language of a notebook has no prefix before its ids, every other one has.
    """

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """See `nbconvert.preprocessors.Preprocessor`."""
        name = str(resources.get("metadata", {}).get("name") or "notebook").removesuffix(".out")
        spoken = next((note["language"] for _, output in _outputs(nb) if (note := _note(output))), "zh-TW")
        languages: list[str] = []
        for cell in nb.cells:
            place = cell.metadata.setdefault(
                METADATA, {"notebook": name, "language": spoken, "id": cell.get("id", "")}
            )
            if place["language"] not in languages:
                languages.append(place["language"])
            place["prefix"] = "" if place["language"] == languages[0] else f"{place['language']}-"
        return nb, resources


class MarkAuthor(Preprocessor):
    """Note which passages are not the package's, and put into `resources["own"]` what each chapter has of them.

    A cell's note gets `author`: `added`, `changed`, or `missing` where a chapter asks for an observation and has
    nothing of its author's; and `first` where the cell before is of another kind. The cell that asks keeps only what
    was added.
    """

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """See `nbconvert.preprocessors.Preprocessor`."""
        own: dict[str, dict[str, Own]] = resources.setdefault("own", {})
        asking = []
        for cell in nb.cells:
            place = cell.metadata[METADATA]
            chapter = own.setdefault(place["language"], {}).setdefault(place["notebook"], Own())
            place["author"] = _author(cell, chapter)
            if OBSERVATION in cell.metadata.get("tags", []):
                cell.source, chapter.asked = authorship.own_lines(cell, place["id"]), True
                asking.append((cell, chapter))
        for cell, chapter in asking:
            if not cell.source:
                cell.metadata[METADATA]["author"] = "" if chapter.words else "missing"
        before = ""
        for cell in nb.cells:
            place = cell.metadata[METADATA]
            if cell.cell_type == "markdown" or cell.get("outputs"):
                place["first"], before = place["author"] != before, place["author"]
        return nb, resources


def _author(cell: Any, chapter: Own) -> str:
    """Whether a passage was added or changed; what its chapter has of its author's gains it."""
    cell_id = cell.metadata[METADATA]["id"]
    if not authorship.is_changed(cell, cell_id):
        return ""
    if not authorship.is_passage(cell):
        chapter.code.append(cell_id)
        return ""
    if cell.cell_type == "code" and not cell.get("outputs"):
        return ""  # in the other language
    if cell_id in authorship.shipped() and OBSERVATION not in cell.metadata.get("tags", []):
        chapter.changed.append(cell_id)
        return "changed"
    if text := authorship.own_lines(cell, cell_id):
        chapter.texts.append(text)
    return "added"


class EmbedPictures(Preprocessor):
    """Put the pictures that are attached to a Markdown cell into its text."""

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """See `nbconvert.preprocessors.Preprocessor`.

        Raises:
            InputError: A picture has no description, or is not in the notebook.
        """
        for cell in nb.cells:

            def embedded(picture: re.Match[str], cell: Any = cell) -> str:
                return (
                    picture[0] if picture["code"] else _embedded(picture["words"], picture["address"], cell)
                )

            if cell.cell_type == "markdown":
                cell.source = _PICTURE.sub(embedded, cell.source)
            for output in cell.get("outputs", []):
                if "text/markdown" in output.get("data", {}):
                    output.data["text/markdown"] = _PICTURE.sub(embedded, output.data["text/markdown"])
        return nb, resources


class NumberOutputs(Preprocessor):
    """Number figures and tables through the report, in each language, and give each its id."""

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """See `nbconvert.preprocessors.Preprocessor`.

        Raises:
            InputError: A picture has no description, or a key is used twice.
        """
        seen: Counter[tuple[str, str]] = Counter()
        numbered: dict[str, str] = resources.setdefault("numbered", {})
        for cell, output in _outputs(nb):
            place, note = cell.metadata[METADATA], _note(output)
            if note is None:
                _require_description(cell, output)
            if note is None or note["kind"] not in ("figure", "table"):
                continue
            key = f"{place['prefix']}{note['key']}"
            if key in numbered:
                raise InputError(
                    f"{_where(cell)}: {note['key']!r} names two figures or tables; give each its own name."
                )
            seen[place["language"], note["kind"]] += 1
            word = label_file(place["language"])["page"][note["kind"]]
            note["id"] = key
            note["label"] = numbered[key] = f"{word}\N{NO-BREAK SPACE}{seen[place['language'], note['kind']]}"
            _label_html(output, note, place["prefix"])
        return nb, resources


class NumberCitations(Preprocessor):
    """Number the works that are cited, in each language, and make the citations links to the list of references."""

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """See `nbconvert.preprocessors.Preprocessor`.

        Raises:
            InputError: A Markdown cell cites a work that is not in the bibliography; names notebook and cell.
        """
        cited: dict[str, list[dict[str, str]]] = resources.setdefault("cited", {})
        for cell in nb.cells:
            place = cell.metadata[METADATA]
            if cell.cell_type == "markdown":
                try:
                    cell.source = self._numbered(
                        cite(cell.source, place["language"]), place, cited, resources
                    )
                except InputError as error:
                    raise InputError(f"{_where(cell)}: {error}") from None
            for output in cell.get("outputs", []):
                if text := output.get("data", {}).get("text/markdown"):
                    output.data["text/markdown"] = self._numbered(text, place, cited, resources)
        return nb, resources

    @staticmethod
    def _numbered(
        text: str, place: Mapping[str, str], cited: dict[str, list[dict[str, str]]], resources: dict[str, Any]
    ) -> str:
        text, keys = link_to_list(text)
        entries = cited.setdefault(place["language"], [])
        for key in keys:
            identifier = f"{place['prefix']}ref-{key}"
            if identifier not in resources["numbered"]:
                entries.append({"id": identifier, "html": references()[key].html})
                resources["numbered"][identifier] = str(len(entries))
        return text


class LinkOutputs(Preprocessor):
    """Links to figures and tables show their numbers; those to what this form of the report leaves out stay words."""

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """See `nbconvert.preprocessors.Preprocessor`.

        Raises:
            InputError: A link leads to nothing.
        """
        notebooks = {path.stem for path in _NOTEBOOKS.glob("*.ipynb")}
        targets = dict(resources["numbered"])
        for place in (cell.metadata[METADATA] for cell in nb.cells):
            targets[f"{place['prefix']}{place['notebook']}"] = ""
        for cell in nb.cells:
            known = {
                *label_file(cell.metadata[METADATA]["language"])["captions"],
                *resources.get("left_out", ()),
                *notebooks,
            }

            def in_markdown(link: re.Match[str], cell: Any = cell, known: set[str] = known) -> str:
                if link["code"]:
                    return link[0]
                return _resolved(link["target"], link["words"], cell, targets, known, "[{1}](#{0})")

            def in_html(link: re.Match[str], cell: Any = cell, known: set[str] = known) -> str:
                return _resolved(link[1], link[2], cell, targets, known, '<a href="#{0}">{1}</a>')

            if cell.cell_type == "markdown":
                cell.source = _LINK.sub(in_markdown, cell.source)
            for output in cell.get("outputs", []):
                if "text/markdown" in output.get("data", {}):
                    output.data["text/markdown"] = _LINK.sub(in_markdown, output.data["text/markdown"])
                elif note := _note(output):
                    note["caption"] = _HTML_LINK.sub(in_html, note.get("caption", ""))
                    output.data["text/html"] = _HTML_LINK.sub(in_html, output.data["text/html"])
        return nb, resources


class SplitChapters(Preprocessor):
    """Put into `resources["reports"]` what the templates go through: languages, in them chapters, in them cells.

    A chapter is what a notebook holds; its title is its first heading. What stands before " · " in it is set apart.
    """

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """See `nbconvert.preprocessors.Preprocessor`."""
        reports: dict[str, dict[str, Any]] = {}
        for cell in nb.cells:
            place = cell.metadata[METADATA]
            report = reports.setdefault(
                place["language"],
                {
                    "language": place["language"],
                    "prefix": place["prefix"],
                    "labels": label_file(place["language"])["page"],
                    "chapters": {},
                },
            )
            chapter = report["chapters"].setdefault(
                place["notebook"],
                {
                    "id": f"{place['prefix']}{place['notebook']}",
                    "notebook": place["notebook"],
                    "cells": [],
                    "title": "",
                },
            )
            chapter["title"] = chapter["title"] or _take_title(cell)
            chapter["cells"].append(cell)
        for report in reports.values():
            report["references"] = resources["cited"].get(report["language"], [])
            own = resources.get("own", {}).get(report["language"], {})
            report["authorship"] = authorship.summary(own.values(), report["labels"])
            report["chapters"] = list(report["chapters"].values())
            for chapter in report["chapters"]:
                kicker, dot, rest = chapter["title"].partition(" · ")
                chapter |= {
                    "kicker": kicker if dot else "",
                    "title": rest if dot else kicker or chapter["notebook"],
                }
        resources["reports"] = list(reports.values())
        return nb, resources


def _take_title(cell: Any) -> str:
    """The first heading of a cell, which is taken out of it."""
    if cell.cell_type == "markdown":
        title = _TITLE.search(cell.source)
        cell.source = _TITLE.sub("", cell.source, count=1)
        return _plain(title[1]) if title else ""
    for output in cell.get("outputs", []):
        text = output.get("data", {}).get("text/markdown", "")
        if title := _TITLE.search(text):
            output.data["text/markdown"] = _TITLE.sub("", text, count=1)
            return _plain(title[1])
    return ""


def _plain(text: str) -> str:
    """The words of Markdown, without its signs."""
    return html.unescape(re.sub(r"<[^>]*>", "", markdown_to_html(text))).strip()


def _outputs(nb: Any) -> Iterator[tuple[Any, Any]]:
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            yield cell, output


def _note(output: Any) -> dict[str, Any] | None:
    note: dict[str, Any] | None = output.get("metadata", {}).get(METADATA)
    return note


def _embedded(words: str, address: str, cell: Any) -> str:
    """A picture in Markdown with its content as its address."""
    if not words.strip():
        raise InputError(
            f"{_where(cell)}: a picture needs a description for those who cannot see it: ![what it shows](…)."
        )
    if address.startswith("data:image/"):
        return f"![{words}]({address})"
    attached = cell.get("attachments", {}).get(unquote(address.removeprefix("attachment:")), {})
    for mime in _ATTACHED:
        if mime in attached:
            return f"![{words}](data:{mime};base64,{''.join(attached[mime].split())})"
    raise InputError(
        f"{_where(cell)}: the picture {address} is not in the notebook; paste it into a Markdown cell, as PNG or JPEG."
    )


def _label_html(output: Any, note: Mapping[str, Any], prefix: str) -> None:
    """Write number and prefix into the output's HTML."""
    key, text = note["key"], output.data["text/html"]
    if prefix:  # before ids, names of radio buttons, and the selectors of styles that name an id
        text = re.sub(rf'(id="|name="|#(?=[\w-]+:has\()){key}', rf"\g<1>{prefix}{key}", text)
    anchor = f'<b class="label"><a class="anchor" href="#{note["id"]}">{note["label"]}</a></b> '
    output.data["text/html"] = text.replace('<b class="label"></b>', anchor)


def _require_description(cell: Any, output: Any) -> None:
    if any(mime in output.get("data", {}) for mime in _PICTURES):
        raise InputError(
            f"{_where(cell)} shows a picture without a description, which a report needs for those who cannot see "
            'it; show it by `figure(picture, "name", caption="…", alt="…")` of fer_lib.report.'
        )


def _resolved(
    target: str, words: str, cell: Any, targets: Mapping[str, str], known: set[str], form: str
) -> str:
    """A link to what the report shows: with its number, or to a chapter with its words; else the words alone."""
    identifier = f"{cell.metadata[METADATA]['prefix']}{target}"
    if identifier in targets:
        return form.format(identifier, targets[identifier] or words)
    if target not in known:
        near = nearest(target, [*known, *targets])
        raise InputError(f"{_where(cell)}: the link to #{target} leads to no figure, table or chapter{near}.")
    return words


def _where(cell: Any) -> str:
    count, words = cell.get("execution_count"), " ".join(cell.source.split())
    shown = f"In [{count}]" if count else f"«{words[:40]}{'…' if len(words) > 40 else ''}»"
    return f"{cell.metadata[METADATA]['notebook']}.ipynb, cell {shown}"
