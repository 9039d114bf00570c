"""The report as parts in order: executed notebooks, today's prose and who hands it in, before any layout."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from fer_lib.errors import InputError
from fer_lib.publish.answer import METADATA, table_html
from fer_lib.publish.prose import Facts, Section, find_section, nearest, read_sections

_SUFFIXES = {"image/svg+xml": "svg", "image/png": "png"}
_LINK = re.compile(r'<a href="#([^"]+)">(.*?)</a>', re.DOTALL)
_WHO = ("student_id", "department", "name")


@dataclass(frozen=True)
class Title:
    """Who hands the report in.

    Attributes:
        student_id: 學號.
        department: 系級.
        name: 姓名.
        collaborators: By question (`q1`); empty or missing where there were none.
    """

    student_id: str
    department: str
    name: str
    collaborators: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """One part of an answer.

    Attributes:
        kind: "text", "table" or "figure".
        html: The text, or the caption.
        label: "Table 1"; empty for texts.
        identifier: The element's id, `q1-curves`; empty for texts.
        table: What `prose.table_html` takes, for tables.
        alt: Description, for figures.
        mime: Type of the picture, for figures.
        picture: Its bytes.
        width: Its width in inches.
    """

    kind: str
    html: Markup
    label: str = ""
    identifier: str = ""
    table: Mapping[str, Any] = field(default_factory=dict)
    alt: str = ""
    mime: str = ""
    picture: bytes = b""
    width: float = 0.0

    @property
    def caption(self) -> Markup:
        """The caption with its number."""
        return Markup("<b>{}</b> {}").format(self.label, self.html)

    @property
    def table_element(self) -> Markup:
        """The table with its caption, as HTML."""
        return Markup(table_html(self.table, self.caption, identifier=self.identifier))

    @property
    def address(self) -> str:
        """The picture as an address that holds all of it, for a page that stands alone."""
        return f"data:{self.mime};base64,{base64.b64encode(self.picture).decode()}"

    @property
    def file(self) -> str:
        """The picture's file name, for paper."""
        return f"{self.identifier}.{_SUFFIXES[self.mime]}"


@dataclass(frozen=True)
class Chapter:
    """The answer to one question.

    Attributes:
        question: `q1`.
        title: Its heading.
        asked: The question in full.
        collaborators: Who worked on it together, or the word for nobody.
        blocks: The answer.
        notebook: File name of the notebook.
        cells: The notebook's cells, for those who want to read the code.
    """

    question: str
    title: str
    asked: Markup
    collaborators: str
    blocks: Sequence[Block]
    notebook: str
    cells: Sequence[Any]


@dataclass(frozen=True)
class Report:
    """The whole report.

    Attributes:
        language: `zh-TW` or `en`.
        title: Its name.
        subtitle: What it is about.
        who: Who hands it in.
        labels: Words such as `figure` and `contents`.
        notice: What to know before reading on; empty for photographs.
        summary: The answers in one sentence each, by question.
        chapters: One for each question.
        origin: How the numbers came into the text.
        provenance: Data, runs, machine and versions, a line each.
    """

    language: str
    title: str
    subtitle: str
    who: Title
    labels: Mapping[str, str]
    notice: Markup
    summary: Mapping[str, Markup]
    chapters: Sequence[Chapter]
    origin: Markup
    provenance: Sequence[Markup]


def read_title(path: Path, overrides: Mapping[str, str] | None = None) -> Title:
    """Who hands the report in, from a YAML file; every value is text.

    Args:
        path: A file like `report/title.yaml`.
        overrides: `student_id`, `department`, `name` or `collaborators.q1`, over those of the file.

    Raises:
        InputError: The file cannot be read, has a field that nobody knows, or lacks one.
    """
    try:
        # BaseLoader leaves 012345 and "no" the texts that they are.
        loaded = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read: {' '.join(str(error).split())}.") from None
    if not isinstance(loaded, dict):
        raise InputError(f"{path} must hold lines such as `name: ...`.")
    values = _flat(loaded) | dict(overrides or {})
    for key, value in values.items():
        if key not in _WHO and not re.fullmatch(r"collaborators\.q\d+", key):
            known = nearest(key, [*_WHO, "collaborators.q1"])
            raise InputError(f"{path}: nothing is known of {key!r}{known}.")
        if not isinstance(value, str):
            raise InputError(f"{path}: {key} must be one text, but is {value!r}.")
    for key in _WHO:
        if key not in values:
            raise InputError(f"{path} lacks {key!r}; add a line `{key}: ...`.")
    collaborators = {key.partition(".")[2]: text for key, text in values.items() if key not in _WHO}
    return Title(values["student_id"], values["department"], values["name"], collaborators)


def assemble(notebooks: Sequence[Path], texts: Path, language: str, title: Title) -> Report:
    """The report of executed notebooks.

    Args:
        notebooks: One for each question, in their order, executed in `language`.
        texts: The folder of prose by language.
        language: `zh-TW` or `en`.
        title: Who hands it in.

    Raises:
        InputError: A notebook holds no answer or one in another language, or prose and facts do not fit.
    """
    answers = [_read_answer(path, texts, language) for path in notebooks]
    words = texts / language / "report.md"
    sections = read_sections(words)

    def section(key: str) -> Section:
        return find_section(sections, key, words)

    facts = {answer.question: answer.facts for answer in answers}
    drawn = any(map(_is_drawn, facts.values()))
    labels = {
        key.removeprefix("label."): s.plain({}) for key, s in sections.items() if key.startswith("label.")
    }
    numbered = _number(answers, labels)
    links = {block.identifier: block.label for blocks in numbered for block in blocks if block.label}
    lines = {
        key: Markup(line.html(facts, inline=True))
        for key, line in sections.items()
        if key.startswith(("summary.", "provenance.")) and _concerns(line, set(facts), drawn=drawn)
    }
    return Report(
        language=language,
        title=section("title").plain({}),
        subtitle=section("subtitle").plain({}),
        who=title,
        labels=labels,
        notice=Markup(section("drawn").html({}) if drawn else ""),
        summary={key.split(".")[1]: line for key, line in lines.items() if key.startswith("summary.")},
        chapters=[
            Chapter(
                answer.question,
                answer.section("title").plain({}),
                Markup(answer.section("question").html({})),
                title.collaborators.get(answer.question, "").strip() or labels["none"],
                [replace(block, html=_with_numbers(block.html, answer.question, links)) for block in blocks],
                answer.path.name,
                answer.cells,
            )
            for answer, blocks in zip(answers, numbered, strict=True)
        ],
        origin=Markup(section("provenance").html({})),
        provenance=[line for key, line in lines.items() if key.startswith("provenance.")],
    )


@dataclass(frozen=True)
class _Answer:
    """An executed notebook with what `prose.Answer` showed in it, and the prose file of that."""

    path: Path
    question: str
    cells: Sequence[Any]
    outputs: Sequence[Any]
    words: Path
    sections: Mapping[str, Section]

    @property
    def facts(self) -> Facts:
        """All that the notebook stated, later facts over earlier ones."""
        return {name: fact for output in self.outputs for name, fact in _note(output)["facts"].items()}

    def section(self, key: str) -> Section:
        return find_section(self.sections, key, self.words)


def _read_answer(path: Path, texts: Path, language: str) -> _Answer:
    import nbformat  # a second to load, which a title alone need not wait for

    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError):
        raise InputError(f"{path} is not there or no notebook; execute the notebooks first.") from None
    outputs = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if METADATA in output.get("metadata", {})
    ]
    if not outputs:
        raise InputError(
            f"{path} holds no answer; it must show one by fer_lib.publish.answer.Answer and be executed."
        )
    note = _note(outputs[0])
    if note["language"] != language:
        raise InputError(f"{path} was executed in {note['language']}; execute it in {language}.")
    words = texts / language / f"{note['question']}.md"
    return _Answer(path, note["question"], notebook.cells, outputs, words, read_sections(words))


def _note(output: Any) -> Mapping[str, Any]:
    note: Mapping[str, Any] = output["metadata"][METADATA]
    return note


def _number(answers: Sequence[_Answer], labels: Mapping[str, str]) -> list[list[Block]]:
    """The blocks of each answer, figures and tables numbered through the report."""
    seen: Counter[str] = Counter()

    def number(block: Block) -> Block:
        if block.kind == "text":
            return block
        seen.update([block.kind, block.identifier])
        again = seen[block.identifier]
        return replace(
            block,
            label=f"{labels[block.kind]}\N{NO-BREAK SPACE}{seen[block.kind]}",
            identifier=block.identifier if again == 1 else f"{block.identifier}-{again}",
        )

    return [[number(b) for output in answer.outputs for b in _blocks(answer, output)] for answer in answers]


def _blocks(answer: _Answer, output: Any) -> Iterator[Block]:
    """What an output puts into the report: one block, or none where its words have a place of their own."""
    note = _note(output)
    kind, key, facts = note["kind"], note["key"], note["facts"]
    if kind == "facts" or key in ("title", "question"):
        return
    words = Markup(answer.section(key).html(facts, inline=kind != "text"))
    identifier = _identifier(answer.question, key)
    if kind == "text":
        yield Block(kind, words)
    elif kind == "table":
        yield Block(kind, words, identifier=identifier, table=note["table"])
    else:
        mime = next(mime for mime in _SUFFIXES if mime in output["data"])
        data = output["data"][mime]
        yield Block(
            kind,
            words,
            identifier=identifier,
            alt=answer.section(f"{key}.alt").plain(facts),
            mime=mime,
            picture=base64.b64decode(data) if mime == "image/png" else data.encode(),
            width=note["width"],
        )


def _identifier(question: str, target: str) -> str:
    """The id of a figure or table: `curves` in q1 and `q1.curves` anywhere are `q1-curves`."""
    return (target if re.match(r"q\d+\.", target) else f"{question}-{target}").replace(".", "-")


def _with_numbers(text: Markup, question: str, links: Mapping[str, str]) -> Markup:
    """Links to figures and tables show their numbers; those to what this report does not hold stay words."""

    def number(link: re.Match[str]) -> str:
        identifier = _identifier(question, link[1])
        return f'<a href="#{identifier}">{links[identifier]}</a>' if identifier in links else link[2]

    return Markup(_LINK.sub(number, text))


def _concerns(line: Section, questions: set[str], *, drawn: bool) -> bool:
    """Whether a line of summary or provenance is about the questions of this report and its kind of faces."""
    asked = {name.partition(".")[0] for name in line.placeholders()} | set(re.findall(r"\.(q\d+)$", line.key))
    kind = line.key.rpartition(".")[2]
    return asked <= questions and kind != ("real" if drawn else "drawn")


def _is_drawn(facts: Facts) -> bool:
    data = facts.get("data")
    return bool(facts.get("drawn") or (isinstance(data, Mapping) and data.get("drawn")))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
