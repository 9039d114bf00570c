"""Run the notebooks: parameters checked before anything starts, only what is stale, one message when a cell fails."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import yaml

from fer_lib import data
from fer_lib.errors import InputError
from fer_lib.publish.parameters import TITLE_VARIABLES, Parameters, Scalar, as_type, require_known

ROOT = Path(__file__).parents[2]
"""The project's folder."""

NOTEBOOKS = ("q1_cnn", "q2_dnn", "q3_confusion", "q4_saliency", "q5_filters")
START_TIMEOUT = 180
"""Seconds that a kernel may take to start on a busy laptop."""

NUMBERS = "numbers"
"""The tag of cells that compute and say nothing: what they leave in the kernel does for every language."""


class CellError(Exception):
    """A cell of a notebook failed: which one, with what error, and where the executed notebook lies."""


class KernelDied(CellError):
    """The process behind a notebook ended while it ran a cell: killed, or out of memory."""


class Terminal(Protocol):
    """Hears what cells say on standard error."""

    def write(self, text: str) -> object: ...  # noqa: D102

    def flush(self) -> object: ...  # noqa: D102


class LiveKernel(Protocol):
    """A kernel that outlives a notebook, see `publish.kernel`."""

    manager: Any
    terminal: Terminal

    def start(self) -> None: ...  # noqa: D102

    def heeding_interrupts(self) -> AbstractContextManager[None]: ...  # noqa: D102


def source_notebook(name: str) -> Path:
    """The notebook of a question, as committed.

    Raises:
        InputError: There are no notebooks: an installed package comes without.
    """
    folder = ROOT / "notebooks"
    if not folder.is_dir():
        raise InputError(
            "This needs the project's notebooks, profiles and words, which do not come with an installed package; "
            "get the project itself (git clone) and type `make report` in its folder."
        )
    return folder / f"{name}.ipynb"


def seen_from_notebooks(source: str) -> str:
    """A data source for the parameter DATA, with no more of the user's folders than it takes."""
    return source if data.is_drawn(source) else os.path.relpath(source, ROOT / "notebooks")


def seen_from_here(source: str) -> str:
    """The data source that a notebook's parameter DATA means, with its whole path."""
    return source if data.is_drawn(source) else str((ROOT / "notebooks" / source).resolve())


def defaults(name: str) -> Parameters:
    """The parameters of a notebook: the literals of its cell tagged `parameters`.

    Raises:
        InputError: There is no such cell, or it holds what no parameter can be.
    """
    path = source_notebook(name)
    cells = [c for c in _read(path)["cells"] if "parameters" in c["metadata"].get("tags", [])]
    place = f"{path}, the cell tagged `parameters`"
    if len(cells) != 1:
        raise InputError(f"{place}: there must be one, but there are {len(cells)}; git checkout undoes it.")
    try:
        nodes = ast.parse("".join(cells[0]["source"])).body
        return dict(_literal(node) for node in nodes if isinstance(node, ast.Assign))
    except SyntaxError as error:
        text = (error.text or "").strip()
        raise InputError(f"{place}, line {error.lineno}: this is no Python: {text}") from None
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _literal(node: ast.Assign) -> tuple[str, Scalar]:
    key, text = ast.unparse(node.targets[0]), ast.unparse(node.value)
    try:
        value = ast.literal_eval(node.value)
    except ValueError:
        value = None
    if not isinstance(value, Scalar):
        raise InputError(f'{key} must be a number, True, False or a text such as "…", but was {text}.')
    return key, as_type(key, value, value)


def profile_names() -> list[str]:
    """The profiles there are."""
    return sorted(path.stem for path in (ROOT / "notebooks" / "profiles").glob("*.yaml"))


def resolve(profile: str, settings: Mapping[str, str] | None = None) -> dict[str, Parameters]:
    """The parameters of all notebooks: their defaults, over them the profile, over that the settings.

    Args:
        profile: The name of a file in notebooks/profiles/.
        settings: Texts by parameter name; a name goes to every notebook that has it, `q1_cnn.NAME` to that one.

    Raises:
        InputError: An unknown profile, notebook or parameter (with the nearest known name), or a value that the
            parameter cannot have.
    """
    committed = {name: defaults(name) for name in NOTEBOOKS}
    if profile not in profile_names():
        raise InputError(f"There is no profile {profile!r}; the profiles are {', '.join(profile_names())}.")
    path = ROOT / "notebooks" / "profiles" / f"{profile}.yaml"
    resolved = {name: dict(parameters) for name, parameters in committed.items()}
    for name, values in _read_profile(path).items():
        require_known(name, NOTEBOOKS, f"notebook in {path.name}")
        for key, value in values.items():
            require_known(key, resolved[name], f"parameter of {name} in {path.name}")
            resolved[name][key] = as_type(key, value, resolved[name][key])
    for setting, text in (settings or {}).items():
        prefix, _, key = setting.rpartition(".")
        if prefix:
            require_known(prefix, NOTEBOOKS, "notebook")
        names = [prefix] if prefix else [name for name in NOTEBOOKS if key in resolved[name]]
        known = resolved[prefix] if prefix else set().union(*resolved.values())
        require_known(key, known, "parameter", meant=TITLE_VARIABLES)
        for name in names:
            resolved[name][key] = as_type(key, text, committed[name][key])
    return resolved


def execute(
    name: str,
    parameters: Parameters,
    out: Path,
    *,
    data_fingerprint: str,
    kernel: LiveKernel,
    code: str = "",
    numbers: bool = True,
) -> tuple[Path, bool]:
    """Execute a notebook with papermill, unless `out` holds it as it would come out.

    Args:
        name: The notebook's name in notebooks/, without suffix.
        parameters: All its parameters.
        out: Folder for the executed notebook.
        data_fingerprint: Hash of the files behind the parameter DATA, whose path does not count.
        kernel: Where to run it; started if it must be.
        code: `code_digest(name)`, where the caller knows it already.
        numbers: Whether to run the cells tagged `numbers`; if not, the kernel ran the notebook in another language.

    Returns:
        The executed notebook, and whether it was run now.

    Raises:
        CellError: A cell failed; the notebook up to it stays beside, as `<name>.failed.ipynb`.
        KernelDied: The same for the kernel.
        InputError: A cell met bad input (a malformed data file, say).
        KeyboardInterrupt: Ctrl-C; it says where training stopped, if it did.
    """
    target, running, failed = (out / f"{name}{suffix}.ipynb" for suffix in ("", ".running", ".failed"))
    if is_fresh(name, parameters, out, data_fingerprint=data_fingerprint, code=code):
        return target, False

    from papermill.exceptions import PapermillExecutionError

    out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        kernel.start()
        notebook = _run_cells(name, parameters, running, kernel, skipped="" if numbers else NUMBERS)
    except PapermillExecutionError as error:
        if known := _KNOWN_ERRORS.get(error.ename):
            running.unlink()
            raise known(error.evalue) from None
        running.replace(failed)
        raise CellError(
            f"{name}.ipynb, cell In [{error.exec_count}]: {error.ename}: {error.evalue}\n"
            f"The executed notebook with the traceback: {failed}"
        ) from None
    except RuntimeError as error:  # nbclient's, of a kernel that died in a cell or before the first one
        kept = ""
        if running.exists():
            kept = f"\nThe notebook up to there: {running.replace(failed)}"
        raise KernelDied(
            f"{name}.ipynb: its kernel died (killed, or out of memory): {error}.{kept}"
        ) from None
    except BaseException:
        running.unlink(missing_ok=True)
        raise
    notebook.metadata["fer_lib"] = {"key": _key(parameters, data_fingerprint, code or code_digest(name))}
    running.write_text(json.dumps(notebook, ensure_ascii=False, indent=1), encoding="utf-8")
    running.replace(target)
    failed.unlink(missing_ok=True)
    return target, True


def _run_cells(name: str, parameters: Parameters, running: Path, kernel: LiveKernel, *, skipped: str) -> Any:
    import papermill

    with kernel.heeding_interrupts():
        return papermill.execute_notebook(
            source_notebook(name),
            running,
            parameters,
            kernel_name="python3",
            progress_bar=False,
            start_timeout=START_TIMEOUT,
            km=kernel.manager,
            stderr_file=kernel.terminal,
            skip_cells_with_tag=skipped,
        )


def notes(notebook: Path) -> Iterator[dict[str, Any]]:
    """What the outputs of an executed notebook are, in order: what `publish.answer` noted of each."""
    for cell in _read(notebook)["cells"]:
        for output in cell.get("outputs", []):
            if note := output.get("metadata", {}).get("fer_lib"):
                yield note


def facts(notebook: Path) -> dict[str, Any]:
    """All facts that an executed notebook stated, later ones over earlier ones."""
    return {name: fact for note in notes(notebook) for name, fact in note.get("facts", {}).items()}


def is_fresh(name: str, parameters: Parameters, out: Path, *, data_fingerprint: str, code: str = "") -> bool:
    """Whether `out` holds the notebook as `execute` would make it, and the run that it names is still there."""
    executed = out / f"{name}.ipynb"
    if not executed.is_file():
        return False
    key = _key(parameters, data_fingerprint, code or code_digest(name))
    if _read(executed)["metadata"].get("fer_lib", {}).get("key") != key:
        return False
    run = facts(executed).get("run")
    run_root = source_notebook(name).parent / str(parameters["RUN_ROOT"])
    return run is None or (run_root / str(run["id"]) / "run.json").is_file()


def _key(parameters: Parameters, data_fingerprint: str, code: str) -> str:
    """A hash of all that an executed notebook depends on."""
    rest = {k: v for k, v in parameters.items() if k not in ("DATA", "RUN_ROOT")}
    return hashlib.sha256(json.dumps([code, rest, data_fingerprint], sort_keys=True).encode()).hexdigest()


def code_digest(name: str) -> str:
    """A hash of a notebook's cells, of what they import from `fer_lib`, of its models, and of the locked packages."""
    cells = _read(source_notebook(name))["cells"]
    code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    digest = hashlib.sha256(json.dumps([c["source"] for c in cells]).encode())
    models = sorted((ROOT / "fer_lib" / "weights").glob("*.npz"))
    for path in [*sorted(imported_files(code)), *models, ROOT / "requirements.txt"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def imported_files(code: str) -> set[Path]:
    """The files of `fer_lib` that a piece of code imports, directly or through others."""
    found: set[Path] = set()
    waiting = [code]
    while waiting:
        for path in set(_imported(waiting.pop())) - found:
            found.add(path)
            waiting.append(path.read_text(encoding="utf-8"))
    return found


def _imported(code: str) -> Iterable[Path]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "fer_lib":
                stem = ROOT.joinpath(*name.split("."))
                yield from (p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file())


def _read_profile(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict) or not all(isinstance(values, dict) for values in content.values()):
        raise InputError(f"{path} must hold parameters by notebook, such as `q1_cnn: {{EPOCHS: 3}}`.")
    return content


_KNOWN_ERRORS = {
    "InputError": InputError,
    "Interrupted": KeyboardInterrupt,
    "KeyboardInterrupt": KeyboardInterrupt,
}
"""What an error in a cell is to those who ran it, by its name."""


def _read(path: Path) -> dict[str, Any]:
    """A notebook's content.

    Raises:
        InputError: It is damaged.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is damaged, no notebook ({error}); put it back or remove it.") from None
    return content
