"""The language of passages: Markdown with Jinja's placeholders over a notebook's variables."""

from __future__ import annotations

import numbers
import re
from collections.abc import Mapping
from typing import Any

import jinja2

from fer_lib.errors import InputError, nearest
from fer_lib.labels import format_number
from fer_lib.report.notes import as_json

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|$~&@])")
_LEADING = re.compile(r"^\s*(?:(?=[-=])|\d+(?=\.(?:\s|$)))")  # of what begins a list or underlines a heading
# A line end after Chinese that knows no blank there; not of a heading, nor before a list, a quotation and such.
_BROKEN = re.compile(
    r"^(?! {0,3}#)(.*(?:[\u3000-\u303f\uff00-\uffef](?=\n[^\s\-*+>#|\d])"
    r"|[\u3400-\u9fff](?=\n[\u3000-\u9fff\uff00-\uffef])))\n",
    re.MULTILINE,
)
# A line of text that ends in a block: Jinja would join it with the next one.
_TEXT_THEN_BLOCK = re.compile(r"^(?!\s*(?:\{%(?:(?!%\}).)*%\}\s*)+$)(.*[^-+])%\}$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{\{-?\s*(.+?)\s*-?\}\}", re.DOTALL)
_FORMAT = re.compile(r"\s*\|\s*(?:pct|num|code)\b(?:\([^()]*\))?$")


class _Markdown(str):
    """Text that is Markdown already, and so not escaped."""


def fill(template: str, known: Mapping[str, Any], *, plain: bool = False) -> str:
    """A template with its placeholders filled.

    Args:
        template: Markdown with Jinja's placeholders.
        known: What they stand for.
        plain: Whether the result is a plain text, in which Markdown's signs are not escaped.

    Raises:
        InputError: A name is not known, a value does not fit its place, or it is not a Jinja template.
    """
    template = _TEXT_THEN_BLOCK.sub(r"\1+%}", template)
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


def placeholders(template: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """What a passage's placeholders stand for, unformatted, by their expressions: what `fer-lib verify` compares."""
    found = {}
    for placeholder in _PLACEHOLDER.findall(template):
        expression = _FORMAT.sub("", placeholder)
        try:
            value = environment.compile_expression(expression, undefined_to_none=False)(**known)
            found[expression] = as_json(value)
        except (jinja2.TemplateError, InputError, TypeError, ValueError, ArithmeticError):
            continue  # in a branch that was not taken, or a loop's own name
    return found


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


def _beginning(template: str) -> str:
    words = " ".join(template.split())
    return f"«{words[:50]}{'…' if len(words) > 50 else ''}»"
