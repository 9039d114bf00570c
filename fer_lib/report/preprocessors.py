"""What happens to an executed notebook, or several merged, before a template sets it: nbconvert preprocessors.

Passages become HTML first; what follows looks at HTML alone, in which a link is a link and code is none.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any
from urllib.parse import unquote

from nbconvert.preprocessors import Preprocessor
from PIL import Image

from fer_lib.errors import InputError, first_line, nearest
from fer_lib.files import PROJECT
from fer_lib.labels import label_file
from fer_lib.report import authorship
from fer_lib.report.authorship import OBSERVATION, Own
from fer_lib.report.citations import cite, link_to_list, references
from fer_lib.report.markdown import markdown_to_html
from fer_lib.report.notes import LABEL, METADATA, notes_of

_LINK = re.compile(r'<a href="#([^"]+)">(.*?)</a>', re.DOTALL)
_TITLE = re.compile(r"<h2>(.*?)</h2>\s*", re.DOTALL)  # which was a heading of the first level
_PICTURES = ("image/png", "image/svg+xml", "image/jpeg")
_ATTACHED = ("image/png", "image/jpeg", "image/webp", "image/gif")
_NOTEBOOKS = PROJECT / "notebooks"


class PlaceCells(Preprocessor):
    """Let every cell know its notebook and its language, as `build.merge` noted them or as they are in one notebook.

    The first language of a notebook has no prefix before its ids, every other one has.
    """

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """See `nbconvert.preprocessors.Preprocessor`."""
        name = str(resources.get("metadata", {}).get("name") or "notebook").removesuffix(".out")
        spoken = next((str(note["language"]) for note in notes_of(nb)), "zh-TW")
        first = nb.cells[0].metadata.get(METADATA, {}).get("language", spoken) if nb.cells else spoken
        for cell in nb.cells:
            place = cell.metadata.setdefault(
                METADATA, {"notebook": name, "language": spoken, "id": cell.get("id", "")}
            )
            place["prefix"] = "" if place["language"] == first else f"{place['language']}-"
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


class RenderMarkdown(Preprocessor):
    """Turn the Markdown of cells and passages into HTML, a heading lower, with the pictures that are attached."""

    def preprocess_cell(self, cell: Any, resources: dict[str, Any], index: int) -> tuple[Any, dict[str, Any]]:
        """See `nbconvert.preprocessors.Preprocessor`.

        Raises:
            InputError: A picture has no description, or is not in the notebook.
        """
        if cell.cell_type == "markdown":
            cell.source = _rendered(cell.source, cell)
        for output in cell.get("outputs", []):
            if "text/markdown" in output.get("data", {}):
                output.data.setdefault("text/html", _rendered(output.data["text/markdown"], cell))
        return cell, resources


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
            if note is None and any(mime in output.get("data", {}) for mime in _PICTURES):
                raise InputError(
                    f"{_where(cell)} shows a picture without a description, which a report needs for those who "
                    'cannot see it; show it by `figure(picture, "name", caption="…", alt="…")` of fer_lib.report.'
                )
            if note is None or note["kind"] not in ("figure", "table"):
                continue
            key, language = note["key"], place["language"]
            note["id"] = f"{place['prefix']}{key}"
            if note["id"] in numbered:
                raise InputError(
                    f"{_where(cell)}: {key!r} names two figures or tables; give each its own name."
                )
            seen[language, note["kind"]] += 1
            word = label_file(language)["page"][note["kind"]]
            note["label"] = numbered[note["id"]] = f"{word}\N{NO-BREAK SPACE}{seen[language, note['kind']]}"
            anchor = f'<b class="label"><a class="anchor" href="#{note["id"]}">{note["label"]}</a></b> '
            text = output.data["text/html"].replace(f'id="{key}"', f'id="{note["id"]}"', 1)
            output.data["text/html"] = text.replace(LABEL, anchor, 1)
        return nb, resources


class NumberCitations(Preprocessor):
    """Number the works that are cited, in each language, and make the citations links to the list of references."""

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """See `nbconvert.preprocessors.Preprocessor`.

        Raises:
            InputError: A Markdown cell cites a work that is not in the bibliography; names notebook and cell.
        """
        cited: dict[str, list[dict[str, str]]] = resources.setdefault("cited", {})
        resources.setdefault("numbered", {})
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
        targets = dict(resources["numbered"])
        elsewhere = {*resources.get("keys", ()), *(path.stem for path in _NOTEBOOKS.glob("*.ipynb"))}
        for place in (cell.metadata[METADATA] for cell in nb.cells):
            targets[f"{place['prefix']}{place['notebook']}"] = ""
        for cell in nb.cells:

            def linked(link: re.Match[str], cell: Any = cell) -> str:
                place, target = cell.metadata[METADATA], unquote(link[1])
                identifier, words = f"{place['prefix']}{target}", link[2]
                if identifier in targets:
                    return f'<a href="#{identifier}">{targets[identifier] or words}</a>'
                known = {*label_file(place["language"])["captions"], *elsewhere}
                if target not in known:
                    near = nearest(target, [*known, *targets])
                    raise InputError(
                        f"{_where(cell)}: the link to #{target} leads to no figure, table or chapter{near}."
                    )
                return words

            if cell.cell_type == "markdown":
                cell.source = _LINK.sub(linked, cell.source)
            for output in cell.get("outputs", []):
                if (note := _note(output)) or "text/markdown" in output.get("data", {}):
                    output.data["text/html"] = _LINK.sub(linked, output.data["text/html"])
                if note and "caption" in note:
                    note["caption"] = _LINK.sub(linked, note["caption"])
        return nb, resources


class SplitChapters(Preprocessor):
    """Put into `resources["reports"]` what the templates go through: languages, in them chapters, in them cells.

    A chapter is what a notebook holds; its title is its first heading. What stands before " · " in it is set apart.
    """

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """See `nbconvert.preprocessors.Preprocessor`."""
        resources["reports"] = [
            {
                "language": language,
                "prefix": (cells := list(group))[0].metadata[METADATA]["prefix"],
                "labels": label_file(language)["page"],
                "references": resources.get("cited", {}).get(language, []),
                "authorship": authorship.summary(
                    resources.get("own", {}).get(language, {}).values(), label_file(language)["page"]
                ),
                "chapters": [_chapter(list(part)) for _, part in groupby(cells, _place("notebook"))],
            }
            for language, group in groupby(nb.cells, _place("language"))
        ]
        return nb, resources


def _place(part: str) -> Callable[[Any], str]:
    return lambda cell: str(cell.metadata[METADATA][part])


def _chapter(cells: list[Any]) -> dict[str, Any]:
    place = cells[0].metadata[METADATA]
    title = next(filter(None, map(_take_title, cells)), "")
    kicker, dot, rest = title.partition(" · ")
    return {
        "id": f"{place['prefix']}{place['notebook']}",
        "notebook": place["notebook"],
        "cells": cells,
        "kicker": kicker if dot else "",
        "title": rest if dot else title or place["notebook"],
    }


def _take_title(cell: Any) -> str:
    """The words of the first heading of a cell, which is taken out of it."""
    shown = [
        (output.data, "text/html")
        for output in cell.get("outputs", [])
        if "text/markdown" in output.get("data", {})
    ]
    for place, key in [(cell, "source")] if cell.cell_type == "markdown" else shown:
        if title := _TITLE.search(place[key]):
            place[key] = _TITLE.sub("", place[key], count=1)
            return html.unescape(re.sub(r"<[^>]*>", "", title[1])).strip()
    return ""


def _outputs(nb: Any) -> Iterator[tuple[Any, Any]]:
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            yield cell, output


def _note(output: Any) -> dict[str, Any] | None:
    note: dict[str, Any] | None = output.get("metadata", {}).get(METADATA)
    return note


def _rendered(text: str, cell: Any) -> str:
    """Markdown as HTML of the report, whose own headings stand above; every picture has its content as its address."""

    def embedded(words: str, address: str) -> str:
        if not words.strip():
            raise InputError(
                f"{_where(cell)}: a picture needs a description for those who cannot see it: ![what it shows](…)."
            )
        if address.startswith("data:image/"):
            return address
        attached = cell.get("attachments", {}).get(unquote(address.removeprefix("attachment:")), {})
        for mime in _ATTACHED:
            if mime in attached:
                data = "".join(attached[mime].split())
                _require_picture(data, f"{_where(cell)}: the picture {address}")
                return f"data:{mime};base64,{data}"
        raise InputError(
            f"{_where(cell)}: the picture {address} is not in the notebook; paste it into a Markdown cell, as PNG or "
            "JPEG."
        )

    shown = markdown_to_html(text, deeper=1, picture=embedded)
    if re.search(r"<h\d>\s*</h\d>", shown):
        raise InputError(f"{_where(cell)}: a heading has no words.")
    return shown


def _require_picture(data: str, what: str) -> None:
    """Stop where base64 data is no picture that can be read to its end."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            picture.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(
            f"{what} cannot be read ({first_line(error)}); save it again as PNG or JPEG."
        ) from None


def _where(cell: Any) -> str:
    count, words = cell.get("execution_count"), " ".join(cell.source.split())
    shown = f"In [{count}]" if count else f"«{words[:40]}{'…' if len(words) > 40 else ''}»"
    return f"{cell.metadata[METADATA]['notebook']}.ipynb, cell {shown}"
