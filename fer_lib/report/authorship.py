"""Whose words stand in a report: those that come with the package, or those of whoever hands it in.

`report/shipped.json` has a hash of each line of the package's notebooks, by the id of its cell (`tools/list_lines.py`
writes it): a line that is not there was written by somebody else.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fer_lib.files import REPORT

OBSERVATION = "observation"
"""The tag of the cell that asks for an observation: what is added to it is shown, what it asks is not."""

SHIPPED = REPORT / "shipped.json"

_FREE = {"parameters", "injected-parameters", "notebook-only"}
"""Tags of cells that anybody may change, or that no report shows."""

_NO_WORDS = re.compile(r"^%%prose[^\n]*|\{[{%#].*?[}%#]\}|\]\([^)]*\)|<[^>]*>", re.DOTALL | re.MULTILINE)
_CHINESE = "\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CHINESE}]|[^\W_{_CHINESE}]+(?:['’.,-][^\W_{_CHINESE}]+)*")


@dataclass
class Own:
    """What of a chapter is not the package's.

    Attributes:
        asked: Whether the chapter asks for an observation.
        texts: What was added: passages of the author's, and lines below what asks for an observation.
        changed: Ids of the package's passages that are no longer as they were; what in them is whose is not told apart.
        code: Ids of code cells that were changed or added.
    """

    asked: bool = False
    texts: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)

    @property
    def words(self) -> int:
        """How many words were added; a Chinese character counts as one."""
        return sum(count_words(text) for text in self.texts)


def is_passage(cell: Mapping[str, Any]) -> bool:
    """Whether a cell is text."""
    return cell["cell_type"] == "markdown" or _source(cell).startswith("%%prose")


def is_changed(cell: Mapping[str, Any], cell_id: str) -> bool:
    """Whether a cell is not as it came with the package; never of one that anybody may change."""
    if _FREE & _tags(cell):
        return False
    return _hashes(_source(cell)) != shipped().get(cell_id)


def own_lines(cell: Mapping[str, Any], cell_id: str) -> str:
    """The lines of a cell that did not come with the package."""
    known = shipped().get(cell_id, ())
    lines = _source(cell).splitlines()
    return "\n".join(line for line in lines if not line.strip() or _hash(line) not in known).strip()


def count_words(text: str) -> int:
    """The words of Markdown, without placeholders, links' targets and HTML; a Chinese character counts as one."""
    return len(_WORD.findall(_NO_WORDS.sub(" ", text)))


def summary(chapters: Iterable[Own], labels: Mapping[str, str]) -> str:
    """How much of a report is its author's, in a sentence; nothing where no chapter asks for an observation."""
    known = list(chapters)
    asked = [chapter for chapter in known if chapter.asked]
    words, answered = sum(chapter.words for chapter in known), sum(chapter.words > 0 for chapter in asked)
    sentence = labels["own_words"] if words else labels["no_own_words"]
    return sentence.format(words=f"{words:,}", answered=answered, asked=len(asked)) if asked else ""


@cache
def shipped() -> dict[str, list[str]]:
    """The hashes of the lines of each of the package's cells, by its id."""
    lines: dict[str, str] = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return {cell_id: hashes.split() for cell_id, hashes in lines.items()}


def listing(notebooks: Iterable[Mapping[str, Any]]) -> str:
    """What `report/shipped.json` holds for these notebooks."""
    lines = {
        str(cell["id"]): " ".join(_hashes(_source(cell)))
        for notebook in notebooks
        for cell in notebook["cells"]
        if not _FREE & _tags(cell)
    }
    return json.dumps(lines, indent=0) + "\n"


def _hashes(text: str) -> list[str]:
    return [_hash(line) for line in text.splitlines() if line.strip()]


def _hash(line: str) -> str:
    return hashlib.sha256(line.strip().encode()).hexdigest()[:8]


def _source(cell: Mapping[str, Any]) -> str:
    return "".join(cell["source"])


def _tags(cell: Mapping[str, Any]) -> set[str]:
    return set(cell["metadata"].get("tags", []))
