"""The words of the report: prose files, and the numbers that fill them.

A prose file is Markdown in sections. A section starts with a line `## key` and goes on to the next one; what
stands before the first is a note to the writer. Numbers and names come in as placeholders, filled from facts:

    ## training
    After {epochs} epochs the accuracy on the private test set was {accuracy.private:.2%}, see
    [the figure](#curves); the first convolution has {layers[0].filters} filters.

A placeholder is a path through nested facts and a Python format specification, nothing more: no attributes,
no calls. `{{` and `}}` are literal braces. A filled-in string appears as it is, whatever it contains. A link
to `#key` becomes the number of that figure or table in the report, and `#q1.key` one of another question. A picture
`![what it shows](curve.png)` is a file beside the prose file.
"""

from __future__ import annotations

import base64
import difflib
import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any
from urllib.parse import unquote

import mistune

from fer_lib.errors import InputError
from fer_lib.words import written

Facts = Mapping[str, Any]
"""What a run found: nested mappings with string keys, lists, strings, numbers, booleans, None."""

_PATH = re.compile(r"[A-Za-z_]\w*(?:\.\w+|\[\d+\])*")
_SECTION = re.compile(r"^##(?!#)[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_KEY = re.compile(r"[a-z0-9_]+(?:[.-][a-z0-9_]+)*")
_PICTURE = re.compile(r'<img src="([^"]*)" alt="([^"]*)"')
_PICTURES = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".gif": "gif",
    ".webp": "webp",
    ".svg": "svg+xml",
}
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

    def pictures(self) -> dict[str, Path]:
        """The files of all pictures, by their addresses.

        Raises:
            InputError: One is not there, or without a description; names file and line.
        """
        found: dict[str, Path] = {}
        for address, description in _PICTURE.findall(str(_markdown(self.text))):
            name = unquote(html.unescape(address))
            found[address] = self.path.parent / name
            if found[address].suffix.lower() not in _PICTURES or not found[address].is_file():
                raise InputError(
                    f"{self.path}, line {self.line}: there is no picture {name}; name a file beside {self.path.name}, "
                    f"{', '.join(_PICTURES)}."
                )
            if not description:
                raise InputError(
                    f"{self.path}, line {self.line}: the picture {name} needs a description, for those who cannot see "
                    f"it: ![what it shows]({name})."
                )
        return found

    def fits(self, facts: Facts) -> bool:
        """Whether all its placeholders have facts."""
        try:
            self.plain(facts)
        except InputError:
            return False
        return True

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

        pictures = self.pictures()
        body = str(_markdown(self._fill(facts, slot))).strip()
        body = _PICTURE.sub(lambda m: f'<img src="{_address(pictures[m[1]])}" alt="{m[2]}"', body)
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
            return written(value, spec)
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


def read_sections(path: Path, *, notes: bool = True) -> dict[str, Section]:
    """The sections of a prose file by key, in its order.

    Args:
        path: The file.
        notes: Whether something may stand before the first section.

    Raises:
        InputError: The file is missing or not UTF-8, has no section, or a section has no key, the key of another, no
            text or unmatched braces; names file and line.
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
    before = text[: heads[0].start()] if heads else text
    if not heads or (before.strip() and not notes):
        line = before.count("\n", 0, len(before) - len(before.lstrip())) + 1
        raise InputError(
            f"{path}, line {line}: nothing says where this goes in the report; begin it with a line such as '## q1'."
        )
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


def _address(picture: Path) -> str:
    """A picture as an address that holds all of it."""
    kind, content = _PICTURES[picture.suffix.lower()], base64.b64encode(picture.read_bytes()).decode()
    return f"data:image/{kind};base64,{content}"


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
