"""Citations: `[@he2015]` in a passage, `report/references.bib`, and the numbered list at the end of the report.

In a notebook a citation reads "(He et al., 2015)" and links to the paper. The report turns these links into the
numbers of its list (`preprocessors.NumberCitations`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pypandoc

from fer_lib.errors import InputError, nearest
from fer_lib.files import REPORT
from fer_lib.report.markdown import CODE

BIBLIOGRAPHY = REPORT / "references.bib"

_KEY = r"[A-Za-z][A-Za-z0-9_-]*"
_CITATION = re.compile(
    CODE + rf"|\[(?P<group>@{_KEY}(?:\s*;\s*@{_KEY})*)\]|(?<![\w.@/])@(?P<named>{_KEY})", re.DOTALL
)
_LINK = r'\[[^\]]*\]\(\S+ "[^"]*"\)'
_LINKED = re.compile(CODE + rf"|(?P<before>\s?)[(（](?P<links>{_LINK}(?:[;；]\s*{_LINK})*)[)）]", re.DOTALL)
_ENTRY = re.compile(r'<div id="ref-([^"]+)" class="csl-entry"[^>]*>\s*(.*?)\s*</div>', re.DOTALL)


@dataclass(frozen=True)
class Reference:
    """A work in the bibliography.

    Attributes:
        authors: Their family names.
        year: Of publication.
        title: As a tooltip shows it.
        url: Its DOI, or where else it lies.
        html: The whole entry as citeproc sets it (Chicago, author and date).
    """

    authors: tuple[str, ...]
    year: int
    title: str
    url: str
    html: str

    def named(self, language: str) -> str:
        """The authors as a sentence names them."""
        first = self.authors[0]
        if len(self.authors) > 2:
            return f"{first} 等人" if language == "zh-TW" else f"{first} et al."
        return (" 與 " if language == "zh-TW" else " & ").join(self.authors)

    def link(self, words: str) -> str:
        """Words of Markdown as a link to the work."""
        return f'[{words}]({self.url} "{self.title}")'


@cache
def references() -> Mapping[str, Reference]:
    """The works in `report/references.bib` by key.

    Raises:
        InputError: The file cannot be read, or an entry lacks authors, year, title or both DOI and URL.
    """
    try:
        text = BIBLIOGRAPHY.read_text(encoding="utf-8")
        found = json.loads(pypandoc.convert_text(text, "csljson", format="bibtex"))
        page = pypandoc.convert_text(text, "html", format="bibtex", extra_args=["--citeproc", "--wrap=none"])
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        raise InputError(f"{BIBLIOGRAPHY} cannot be read: {' '.join(str(error).split())}.") from None
    entries = dict(_ENTRY.findall(page))
    return {entry["id"]: _reference(entry, entries[entry["id"]]) for entry in found}


def _reference(entry: Mapping[str, Any], html: str) -> Reference:
    match entry:
        case {"author": [*people], "issued": {"date-parts": [[year, *_]]}, "title": str(title)}:
            url = f"https://doi.org/{entry['DOI']}" if "DOI" in entry else entry.get("URL")
            if url:
                authors = tuple(str(one.get("family", one.get("literal"))) for one in people)
                return Reference(authors, int(year), title.replace('"', "'"), str(url), html)
    raise InputError(f"{BIBLIOGRAPHY}: {entry['id']} needs author, year, title and doi or url.")


def cite(text: str, language: str) -> str:
    """Markdown with its citations as words with links.

    `[@a; @b]` is "(A et al., 2015; B & C, 2016)", `@a` alone "A et al. (2015)"; code is left as it is. A word after a
    bare @ that is no key stays as it is, unless it nearly is one: it may be somebody's name.

    Raises:
        InputError: A key is not in the bibliography.
    """

    def written(citation: re.Match[str]) -> str:
        if group := citation["group"]:
            works = [_find(key.strip(" \n@")) for key in group.split(";")]
            comma, between, form = ("，", "；", "（{}）") if language == "zh-TW" else (", ", "; ", "({})")
            shown = [work.link(f"{work.named(language)}{comma}{work.year}") for work in works]
            return form.format(between.join(shown))
        key = citation["named"]
        if not key or (key not in references() and not nearest(key, references())):
            return citation[0]
        work = _find(key)
        form = "{}（{}）" if language == "zh-TW" else "{} ({})"
        return form.format(work.named(language), work.link(str(work.year)))

    return _CITATION.sub(written, text)


def _find(key: str) -> Reference:
    if key not in references():
        raise InputError(
            f"@{key} is not in {BIBLIOGRAPHY}{nearest(key, references())}; add it there, or write \\@ for a plain @."
        )
    return references()[key]


def link_to_list(text: str) -> tuple[str, list[str]]:
    """Markdown in which the links that `cite` left lead to the report's list, in brackets; and the keys, in order.

    "(He et al., 2015)" becomes `\\[[he2015](#ref-he2015)\\]`.
    """
    keys: list[str] = []
    by_link = {work.link(""): key for key, work in references().items()}

    def bracketed(found: re.Match[str]) -> str:
        cited = [
            by_link.get("[" + link)
            for link in re.findall(r"\[[^\]]*(\][^\"]*\"[^\"]*\"\))", found["links"] or "")
        ]
        if not cited or None in cited:
            return found[0]
        keys.extend(filter(None, cited))
        numbers = ", ".join(f"[{key}](#ref-{key})" for key in cited)
        before, follows = found["before"] or " ", text[found.end() : found.end() + 1]
        after = " " if "\u33ff" < follows < "\ua000" else ""  # before Chinese
        return f"{before}\\[{numbers}\\]{after}"

    return _LINKED.sub(bracketed, text), keys
