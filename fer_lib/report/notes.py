"""What the outputs of an executed notebook say beside what they show: figures, tables, facts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fer_lib.errors import InputError

METADATA = "fer_lib"
"""Where an output's metadata say what it is: kind (prose, figure, table or facts), key, facts, runs and so on."""

LABEL = '<b class="label"></b>'
"""Where the report's number comes into an output's HTML."""


def read_facts(folder: str | Path) -> dict[str, dict[str, Any]]:
    """The facts that executed notebooks stated, by the notebook's name.

    Args:
        folder: Of the executed notebooks, such as `../report/build/executed/quick-en`.

    Raises:
        InputError: There is none.
    """
    paths = sorted(path for path in Path(folder).glob("*.ipynb") if len(path.suffixes) == 1)
    if not paths:
        raise InputError(
            f"There is no executed notebook in {Path(folder).resolve()}; run `make report` first."
        )
    return {path.stem: facts_of(read_notebook(path)) for path in paths}


def facts_of(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """All facts that an executed notebook stated by `facts(…)`, later ones over earlier ones."""
    stated = (note["facts"] for note in notes_of(notebook) if note["kind"] == "facts")
    return {name: fact for facts in stated for name, fact in facts.items()}


def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook's content.

    Raises:
        InputError: It is damaged.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is damaged, no notebook ({error}); put it back or remove it.") from None
    return content


def notes_of(notebook: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What `display` noted of each output of an executed notebook, in order."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if METADATA in output.get("metadata", {}):
                yield output["metadata"][METADATA]


def as_json(value: Any) -> Any:
    """The value as JSON keeps it: NumPy converted, keys as strings, numbers that are not finite as None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    raise InputError(f"{value!r} is not a fact; facts are numbers, texts, lists and mappings of them.")
