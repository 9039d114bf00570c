"""Check the committed notebooks: no outputs, one screen of parameters, no functions of their own, passages in pairs."""

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

from jinja2 import meta

from fer_lib.report.authorship import SHIPPED, listing
from fer_lib.report.passages import environment

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
LANGUAGES = ("zh-TW", "en")
MAX_LINES = 25
"""Lines of code in a cell that one takes in at a glance."""

_PASSAGE = re.compile(r"%%prose(?: +(\S+))?\n")
_LINK = re.compile(r"\]\(#([\w.-]+)\)")
_CITED = re.compile(r"@([a-z]+\d{4})")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def problems(notebook: dict[str, Any]) -> list[str]:
    """What is wrong with a notebook, one sentence each."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code = [cell for cell in cells if not source(cell).startswith("%%")]
    found = [
        f"cell {cell['id']} has outputs or a count; clear them before you commit"
        for cell in cells
        if cell["outputs"] or cell["execution_count"]
    ]
    parameters = [cell for cell in code if "parameters" in cell["metadata"].get("tags", [])]
    if len(parameters) != 1:
        return [*found, f"{len(parameters)} cells are tagged `parameters`; there must be one"]
    found += parameter_problems(source(parameters[0]))
    for cell in code:
        text = "\n".join(line for line in source(cell).split("\n") if not line.startswith("%"))
        if any(isinstance(node, _FUNCTIONS) for node in ast.walk(ast.parse(text))):
            found.append(f"cell {cell['id']} defines a function or class; its room is fer_lib")
        if text.count("\n") >= MAX_LINES:
            found.append(
                f"cell {cell['id']} has more than {MAX_LINES} lines; split it, or move plumbing to fer_lib"
            )
    return [*found, *passage_problems(cells)]


def parameter_problems(cell: str) -> list[str]:
    """What is wrong with the cell of parameters."""
    assigned = [node for node in ast.parse(cell).body if isinstance(node, ast.Assign)]
    if len(assigned) != len(ast.parse(cell).body) or not all(map(_is_plain, assigned)):
        return ["the parameters cell holds more than NAME = value"]
    names = {ast.unparse(node.targets[0]) for node in assigned}
    found = [f"parameter {name} is not in capitals" for name in sorted(names) if not name.isupper()]
    return found + ([] if "LANGUAGE" in names else ["parameter LANGUAGE is missing"])


def passage_problems(cells: list[dict[str, Any]]) -> list[str]:
    """Where a passage is not followed by the same in the other language, with the same names, links and tags."""
    passages = [(cell, found[1]) for cell in cells if (found := _PASSAGE.match(source(cell))) and found[1]]
    first, second = passages[::2], passages[1::2]
    if len(first) != len(second):
        return ["there is an odd number of passages; each must be there in zh-TW and, next, in en"]
    found = []
    for (cell, language), (other, after) in zip(first, second, strict=True):
        pair = f"the passages {cell['id']} and {other['id']}"
        if (language, after) != LANGUAGES:
            return [f"{pair} are in {language} and {after}; they must be in zh-TW and en"]
        for what, of in (("names", names), ("links", links), ("citations", citations), ("tags", tags)):
            if difference := of(cell) ^ of(other):
                found.append(f"{pair} differ in {what}: {', '.join(sorted(difference))}")
    return found


def names(cell: dict[str, Any]) -> set[str]:
    """The notebook's variables that a passage asks for."""
    return set(meta.find_undeclared_variables(environment.parse(_text(cell))))


def links(cell: dict[str, Any]) -> set[str]:
    """What a passage links to."""
    return set(_LINK.findall(_text(cell)))


def citations(cell: dict[str, Any]) -> set[str]:
    """The works that a passage cites."""
    return set(_CITED.findall(_text(cell)))


def tags(cell: dict[str, Any]) -> set[str]:
    """A cell's tags."""
    return set(cell["metadata"].get("tags", []))


def source(cell: dict[str, Any]) -> str:
    """A cell's text."""
    return "".join(cell["source"])


def _text(cell: dict[str, Any]) -> str:
    return source(cell).split("\n", 1)[1]


def _is_plain(node: ast.Assign) -> bool:
    try:
        ast.literal_eval(node.value)
    except ValueError:
        return False
    return True


def main() -> int:
    """Print what is wrong with any notebook; exit status 1 if anything is."""
    notebooks = {
        path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(NOTEBOOKS.glob("*.ipynb"))
    }
    lines = [f"{name}: {problem}" for name, notebook in notebooks.items() for problem in problems(notebook)]
    if SHIPPED.read_text(encoding="utf-8") != listing(notebooks.values()):
        lines.append(f"{SHIPPED} is not of these notebooks; run .venv/bin/python tools/list_lines.py")
    print(*lines, sep="\n", end="\n" if lines else "")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
