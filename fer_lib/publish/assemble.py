"""Executed notebooks and today's prose, put together as a report."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fer_lib.errors import InputError
from fer_lib.publish.answer import METADATA
from fer_lib.publish.document import SUFFIXES, Block, Chapter, Report
from fer_lib.publish.own import Own, file_for, read_own
from fer_lib.publish.prose import Facts, Section, find_section, read_sections
from fer_lib.publish.title import Title

_LINK = re.compile(r'<a href="#([^"]+)">(.*?)</a>', re.DOTALL)
_KINDS = ("drawn", "real")


def assemble(
    notebooks: Sequence[Path],
    texts: Path,
    language: str,
    title: Title,
    *,
    own: Path | None = None,
    keep: Mapping[str, Collection[str]] | None = None,
    prefix: str = "",
    commands: Sequence[str] = (),
) -> Report:
    """The report of executed notebooks.

    Args:
        notebooks: One for each question, in their order, executed in `language`.
        texts: The folder of prose by language.
        language: `zh-TW` or `en`.
        title: Who hands it in.
        own: A student's own words, see `publish.own`.
        keep: The parts to keep by question, for a short report; None for all.
        prefix: What stands before every id.
        commands: What to type to repeat it.

    Raises:
        InputError: A notebook holds no answer or one in another language, or prose and facts do not fit.
    """
    answers = [_read_answer(path, texts, language) for path in notebooks]
    words = texts / language / "report.md"
    sections = read_sections(words)
    facts = {answer.question: answer.facts for answer in answers}
    if own is not None:
        known = {"report": sections, **{answer.question: answer.sections for answer in answers}}
        mine = read_own(file_for(own, language), known)
        answers = [replace(answer, own=mine, others=facts) for answer in answers]
        sections |= {key[7:]: section for key, section in mine.items() if key.startswith("report.")}
    drawn = any(map(_is_drawn, facts.values()))
    lines = _Lines(sections, words, facts, drawn)
    labels = lines.plain("label.")
    numbered = _number([_answer_blocks(answer, keep) for answer in answers], labels, prefix)
    links = {block.identifier: block.label for blocks in numbered for block in blocks if block.label}
    return Report(
        language=language,
        prefix=prefix,
        title=lines.section("title").plain({}),
        subtitle=lines.section("subtitle").plain({}),
        who=title,
        labels=labels,
        notice=Markup(lines.section("drawn").html({}) if drawn else ""),
        abstract=Markup("").join(lines.shown("abstract", inline=False).values()),
        headlines=list(lines.shown("headline").values()),
        summary={key.split(".")[1]: line for key, line in lines.shown("summary").items()},
        chapters=[
            Chapter(
                answer.question,
                f"{prefix}{answer.question}",
                answer.section("title").plain({}),
                Markup(answer.section("question").html({})),
                title.collaborators.get(answer.question, "").strip() or labels["none"],
                [replace(b, html=_with_numbers(b.html, f"{prefix}{answer.question}", links)) for b in blocks],
                answer.path.name,
                answer.cells,
            )
            for answer, blocks in zip(answers, numbered, strict=True)
        ],
        origin=Markup(lines.section("provenance").html({})),
        provenance=list(lines.shown("provenance").values()),
        runs=_runs(facts.values(), lines.plain("run.")),
        commands=commands,
    )


@dataclass(frozen=True)
class _Lines:
    """The sections of report.md, and which of them hold for these answers."""

    sections: Mapping[str, Section]
    path: Path
    facts: Mapping[str, Facts]
    drawn: bool

    def section(self, key: str) -> Section:
        return find_section(self.sections, key, self.path)

    def plain(self, start: str) -> dict[str, str]:
        """The words whose keys start so."""
        return {k.removeprefix(start): s.plain({}) for k, s in self.sections.items() if k.startswith(start)}

    def shown(self, start: str, *, inline: bool = True) -> dict[str, Markup]:
        """The filled lines `start.…` that concern these answers, by key.

        Of `summary.q1.tested` and `summary.q1`, the first whose numbers are all known is shown; the shortest must be.
        """
        found: dict[str, Markup] = {}
        mine = [s for key, s in self.sections.items() if key.startswith(f"{start}.")]
        for line in filter(self._concerns, mine):
            stem = ".".join(line.key.split(".")[:2])
            last = line.key in (stem, *(f"{stem}.{kind}" for kind in _KINDS)) or start == "provenance"
            name = line.key if start == "provenance" else stem
            if name not in found and (last or line.fits(self.facts)):
                found[name] = Markup(line.html(self.facts, inline=inline))
        return found

    def _concerns(self, line: Section) -> bool:
        """Whether a line is about the questions of this report and its kind of faces."""
        asked = {n.partition(".")[0] for n in line.placeholders()} | set(re.findall(r"\.(q\d+)\b", line.key))
        kind = line.key.rpartition(".")[2]
        return asked <= set(self.facts) and kind != ("real" if self.drawn else "drawn")


@dataclass(frozen=True)
class _Answer:
    """An executed notebook with what `answer.Answer` showed in it, and the prose file of that."""

    path: Path
    question: str
    cells: Sequence[Any]
    outputs: Sequence[Any]
    words: Path
    sections: Mapping[str, Section]
    own: Own = field(default_factory=dict)
    others: Mapping[str, Facts] = field(default_factory=dict)

    @cached_property
    def facts(self) -> Facts:
        """All that the notebook stated, later facts over earlier ones."""
        return {name: fact for output in self.outputs for name, fact in _note(output)["facts"].items()}

    def section(self, key: str) -> Section:
        return self.own.get(f"{self.question}.{key}") or find_section(self.sections, key, self.words)

    def known(self, section: Section, facts: Facts) -> Facts:
        """What the placeholders of a section may ask for: in own words, all that the report knows."""
        return {**self.others, **self.facts, **facts} if section in self.own.values() else facts

    def filled(self, key: str, facts: Facts, *, inline: bool = False) -> Markup:
        section = self.section(key)
        return Markup(section.html(self.known(section, facts), inline=inline))

    def added(self, place: str) -> Iterator[Block]:
        """Own words at a place of the answer, if there are any."""
        key = f"{self.question}.{place}".removesuffix(".")
        if section := self.own.get(key):
            yield Block("text", "own", Markup(section.html(self.known(section, {}))))


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


def _number(answers: Iterable[Iterable[Block]], labels: Mapping[str, str], prefix: str) -> list[list[Block]]:
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
            identifier=prefix + (block.identifier if again == 1 else f"{block.identifier}-{again}"),
        )

    return [[number(block) for block in blocks] for blocks in answers]


def _answer_blocks(answer: _Answer, keep: Mapping[str, Collection[str]] | None) -> Iterator[Block]:
    """The blocks of an answer with the student's own words among, before and after them."""
    blocks = [block for output in answer.outputs for block in _blocks(answer, output)]
    shown = {block.key for block in blocks}
    if keep is not None:
        blocks = [block for block in blocks if _is_kept(block.key, keep.get(answer.question, ()))]
    after = f"{answer.question}.after."
    for key, section in answer.own.items():
        if key.startswith(after) and key.removeprefix(after) not in shown:
            raise InputError(
                f"{section.path}, line {section.line}: there is no {key.removeprefix(after)!r} in this report "
                f"to stand after; question {answer.question[1:]} shows {', '.join(sorted(shown))}."
            )
    replaced = f"{answer.question}.instead" in answer.own
    yield from answer.added("before")
    yield from answer.added("instead")
    for block in blocks:
        if not (replaced and block.kind == "text"):
            yield block
        yield from answer.added(f"after.{block.key}")
    yield from answer.added("")


def _is_kept(key: str, kept: Collection[str]) -> bool:
    """Whether a part is kept by its name, or as a variant of that (`verdict.better` by `verdict`)."""
    return any(key == name or key.startswith(f"{name}.") for name in kept)


def _blocks(answer: _Answer, output: Any) -> Iterator[Block]:
    """What an output puts into the report: one block, or none where its words have a place of their own."""
    note = _note(output)
    kind, key, facts = note["kind"], note["key"], note["facts"]
    if kind == "facts" or key in ("title", "question"):
        return
    words = answer.filled(key, facts, inline=kind != "text")
    identifier, runs = _identifier(answer.question, key), note.get("runs", ())
    if kind == "text":
        yield Block(kind, key, words)
    elif kind == "table":
        yield Block(kind, key, words, identifier=identifier, runs=runs, table=note["table"])
    else:
        mime = next(mime for mime in SUFFIXES if mime in output["data"])
        data = output["data"][mime]
        described = answer.section(f"{key}.alt")
        yield Block(
            kind,
            key,
            words,
            identifier=identifier,
            runs=runs,
            alt=described.plain(answer.known(described, facts)),
            mime=mime,
            picture=base64.b64decode(data) if mime == "image/png" else data.encode(),
            width=note["width"],
            photo=note.get("photo", True),
            curves=note.get("curves", ()),
            explore=note.get("explore", {}),
        )


def _identifier(question: str, target: str) -> str:
    """The id of a figure or table: `curves` in q1 and `q1.curves` anywhere are `q1-curves`."""
    start, dot, rest = target.partition(".")
    if dot and re.fullmatch(r"q\d+", start):
        return f"{re.sub(r'q[0-9]+$', start, question)}-{rest}".replace(".", "-")
    return f"{question}-{target}".replace(".", "-")


def _with_numbers(text: Markup, question: str, links: Mapping[str, str]) -> Markup:
    """Links to figures and tables show their numbers; those to what this report does not hold stay words."""

    def number(link: re.Match[str]) -> str:
        identifier = _identifier(question, link[1])
        return f'<a href="#{identifier}">{links[identifier]}</a>' if identifier in links else link[2]

    return Markup(_LINK.sub(number, text))


def _runs(facts: Iterable[Facts], names: Mapping[str, str]) -> dict[str, Any]:
    """The runs that the answers trained or found, a row each, by the words for the columns."""
    rows = {
        f["run"]["id"]: [
            f["run"]["id"],
            str(f["recipe"]["epochs"]),
            str(f["seed"]),
            f"{f['faces']['train']:,}",
            f"{f['seconds']['training']:,.0f}",
            f"{f['cpu_seconds']['training']:,.0f}",
        ]
        for f in facts
        if {"run", "recipe", "seed", "faces", "seconds", "cpu_seconds"} <= set(f)
    }
    if not rows:
        return {}
    columns = [names[name] for name in ("id", "epochs", "seed", "faces", "seconds", "cpu_seconds")]
    return {"columns": columns, "numeric": [False] + [True] * 5, "rows": list(rows.values())}


def _is_drawn(facts: Facts) -> bool:
    data = facts.get("data")
    return bool(facts.get("drawn") or (isinstance(data, Mapping) and data.get("drawn")))
