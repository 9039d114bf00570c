"""What was computed of a run's model, kept in the run's folder: maps and ascents are not computed twice."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import joblib
import keras

from fer_lib.files import atomic_write

FOLDER = "computed"

Result = TypeVar("Result")


def load_or_compute(
    path: Path,
    model: keras.Model | Callable[[], keras.Model],
    function: Callable[..., Result],
    *inputs: Any,
    **settings: Any,
) -> Result:
    """`function(model, *inputs, **settings)`, kept in a folder and read from there the next time.

    Args:
        path: The run's folder.
        model: The run's model, as a function that loads it, or another one.
        function: One of the package's own; it is computed anew when its code or what that uses changes.
        *inputs: Arrays and plain values, which count by their content.
        **settings: The same.
    """
    other = [w.tobytes() for w in model.get_weights()] if isinstance(model, keras.Model) else None
    code = _code(function.__module__)
    stem = f"{function.__module__.removeprefix('fer_lib.')}.{function.__qualname__}-"
    key = joblib.hash([inputs, settings, other])
    file = path / FOLDER / f"{stem}{code}-{key}.joblib"
    try:
        result: Result = joblib.load(file)
    except FileNotFoundError:
        pass
    except Exception:  # a damaged file, whatever it raises, is computed anew
        file.unlink(missing_ok=True)
    else:
        return result
    result = function(model if isinstance(model, keras.Model) else model(), *inputs, **settings)
    with atomic_write(file) as temporary:
        joblib.dump(result, temporary, compress=3)
    for old in set(file.parent.glob(f"{stem}*")) - set(file.parent.glob(f"{stem}{code}-*")):
        old.unlink(missing_ok=True)  # what other code computed
    return result


@cache
def _code(module: str) -> str:
    """A hash of what a module and all modules of the package that it uses compute, and of Keras's version."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name.partition(".")[0] == "fer_lib" and name not in found:
            found.add(name)
            for value in vars(sys.modules[name]).values():
                used = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
                waiting.append(str(used))
    digest = hashlib.sha256(keras.__version__.encode())
    for name in sorted(found):
        digest.update(_statements(Path(str(sys.modules[name].__file__)).read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:12]


def _statements(source: str) -> str:
    """The code in a source, without comments, docstrings and line breaks."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [line for line in body if not _is_text(line)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
