"""What a report says, number by number: what `fer-lib verify` compares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Numbers = Mapping[str, Sequence[Any]]
"""What a report says, by names such as `q1.accuracy.validation.value`; some say several things."""

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?%?")


def numbers_of(notes: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, list[Any]]:
    """All that outputs say: facts, placeholders of passages, cells of tables, counts of matrices.

    Args:
        notes: What `display` noted of each output, with the name of its notebook.
    """
    said: dict[str, list[Any]] = {}
    for notebook, note in notes:
        for name, value in _values(note):
            said.setdefault(f"{notebook}.{name}", []).append(value)
    return said


def leaves(facts: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """All that facts hold, by dotted names such as `accuracy.validation.value`."""
    if isinstance(facts, Mapping | list):
        items = facts.items() if isinstance(facts, Mapping) else enumerate(facts)
        for key, value in items:
            yield from leaves(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, facts


def _values(note: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from leaves(note.get("facts", {}))
    for row in note.get("rows", []):
        for column, cell in zip(note["columns"][1:], row[1:], strict=True):
            yield from ((f"{note['key']}.{column}.{row[0]}", part) for part in _parts(cell))


def _parts(cell: str) -> list[Any]:
    """The numbers of a text, shares for percentages, and after them the words between, if there are any."""
    texts = _NUMBER.findall(cell)
    numbers = [float(t.rstrip("%").replace(",", "")) / (100 if t.endswith("%") else 1) for t in texts]
    words = _NUMBER.sub("", cell)
    return [*numbers, words] if words or not texts else numbers
