"""Check the committed notebooks: no outputs, one parameters cell, no functions of their own, the shared parameters."""

import ast
import json
import symtable
import sys
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SHARED = {"DATA", "RUN_ROOT", "LANGUAGE", "SEED"}


def problems(notebook: dict[str, Any]) -> list[str]:
    """What is wrong with a notebook, one sentence each."""
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    parameters = [cell for cell in code if "parameters" in cell["metadata"].get("tags", [])]
    found = [
        f"cell {cell['id']} has outputs or a count; clear them before you commit"
        for cell in code
        if cell["outputs"] or cell["execution_count"]
    ]
    if len(parameters) != 1:
        return [*found, f"{len(parameters)} cells are tagged `parameters`; there must be one"]
    assigned = ast.parse("".join(parameters[0]["source"])).body
    if not all(isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) for node in assigned):
        found.append("the parameters cell holds more than NAME = scalar")
    names = {node.targets[0].id for node in assigned if isinstance(node, ast.Assign)}
    found += [f"parameter {name} is missing" for name in sorted(SHARED - names)]
    found += [f"parameter {name} is not in capitals" for name in sorted(names) if not name.isupper()]
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for cell in code:
        tree = ast.parse("".join(cell["source"]))
        if any(isinstance(node, functions) for node in ast.walk(tree)):
            found.append(f"cell {cell['id']} defines a function or class; its room is fer_lib")
    return [*found, *language_problems(code)]


def language_problems(code: list[dict[str, Any]]) -> list[str]:
    """What keeps cells tagged `numbers` from serving every language: they run once, the others once for each."""
    computing = [cell for cell in code if "numbers" in cell["metadata"].get("tags", [])]
    told = {"LANGUAGE"}.union(*(names(cell)[0] for cell in code[1:] if cell not in computing))
    return [
        f"cell {cell['id']} is tagged `numbers`, but {name} belongs to cells that run again for each language"
        for cell in computing
        for name in sorted(told & set.union(*names(cell)))
    ]


def names(cell: dict[str, Any]) -> tuple[set[str], set[str]]:
    """The names that a cell assigns, and those that it reads."""
    top = symtable.symtable("".join(cell["source"]), cell["id"], "exec")
    assigned = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned()}
    read = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    inner = list(top.get_children())
    while inner:
        scope = inner.pop()
        read |= {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global()}
        inner += scope.get_children()
    return assigned, read


def main() -> int:
    """Print what is wrong with any notebook; exit status 1 if anything is."""
    lines = [
        f"{path.name}: {problem}"
        for path in sorted(NOTEBOOKS.glob("*.ipynb"))
        for problem in problems(json.loads(path.read_text(encoding="utf-8")))
    ]
    print(*lines, sep="\n", end="\n" if lines else "")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
