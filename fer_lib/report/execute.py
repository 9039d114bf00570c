"""Run notebooks by papermill: parameters checked before anything starts, only what is stale, errors in one sentence."""

from __future__ import annotations

import ast
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fer_lib import data, profiles
from fer_lib.errors import InputError, require_known
from fer_lib.files import PROJECT, digest
from fer_lib.labels import FOLDER as LABELS
from fer_lib.models.spec import SETTINGS, default_settings
from fer_lib.report.citations import BIBLIOGRAPHY
from fer_lib.report.notes import facts_of, read_notebook
from fer_lib.report.parameters import TITLE_VARIABLES, Parameters, Scalar, as_type

ROOT = PROJECT
"""The project's folder."""

START_TIMEOUT = 180
"""Seconds that a kernel may take to start on a busy laptop."""

MAX_SOCKET_PATH = 80
"""Characters of a folder for sockets: an operating system takes 104 to 108 with the socket's name."""

_ELSEWHERE = ("DATA", "RUN_ROOT", "EXECUTED")
"""Parameters that are places: not the place counts, but what is there."""


class CellError(Exception):
    """A cell of a notebook failed: which one, with what error, and where the executed notebook lies."""


class KernelDied(CellError):
    """The process behind a notebook ended while it ran a cell: killed, or out of memory."""


def chapters() -> list[str]:
    """The notebooks of the report, in its order: `report/chapters.yaml`.

    Raises:
        InputError: It is not a list of notebooks that are there.
    """
    path = ROOT / "report" / "chapters.yaml"
    names = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    if not isinstance(names, list) or not names:
        raise InputError(
            f"There is no list of chapters in {path}; the notebooks and profiles of the project do not come with an "
            "installed package: get the project itself (git clone) and type `make report` in its folder."
        )
    for name in names:
        require_known(str(name), _notebook_names(), f"notebook in {path}")
    return [str(name) for name in names]


def _notebook_names() -> list[str]:
    return [path.stem for path in (ROOT / "notebooks").glob("*.ipynb")]


def source_notebook(name: str) -> Path:
    """A notebook as it stands in notebooks/."""
    return ROOT / "notebooks" / f"{name}.ipynb"


def seen_from_notebooks(source: str) -> str:
    """A data source for the parameter DATA, with no more of the user's folders than it takes."""
    return source if data.is_drawn(source) else os.path.relpath(source, ROOT / "notebooks")


def seen_from_here(source: str) -> str:
    """The data source that a notebook's parameter DATA means, with its whole path."""
    return source if data.is_drawn(source) else str((ROOT / "notebooks" / source).resolve())


@cache
def declared(name: str) -> Mapping[str, Any]:
    """The parameters in a notebook's cell tagged `parameters`, by papermill, with their values there.

    Raises:
        InputError: There is no such cell, or it holds what no parameter can be.
    """
    import nbformat
    import papermill

    logging.getLogger("papermill").setLevel(logging.ERROR)
    path = source_notebook(name)
    place = f"{path}, the cell tagged `parameters`"
    try:
        found = papermill.inspect_notebook(_verbatim(path))
    except (OSError, ValueError, TypeError, AttributeError, nbformat.ValidationError) as error:
        raise InputError(f"{path} is damaged, no notebook ({error}); git checkout undoes it.") from None
    if not found:
        raise InputError(f"{place}: there must be one that holds NAME = value; git checkout undoes it.")
    values: dict[str, Any] = {}
    for key, parameter in found.items():
        try:
            value = ast.literal_eval(parameter["default"])
        except (ValueError, SyntaxError):
            raise InputError(
                f'{place}: {key} must be a number, True, False or a text such as "…", but was {parameter["default"]}.'
            ) from None
        values[key] = _typed(place, key, value, value) if isinstance(value, Scalar) else value
    if not isinstance(values.get("SETTINGS", {}), dict):
        raise InputError(f'{place}: SETTINGS must be settings by name, such as {{"LIGHT": 0.1}}.')
    return values


def resolve(
    profile: str, settings: Mapping[str, str] | None = None, names: list[str] | None = None
) -> dict[str, Parameters]:
    """The parameters of notebooks, and for those that train every setting of model and recipe.

    The command line goes before a setting in a notebook's cell, that before the profile; other parameters of a
    notebook's cell give way to the profile.

    Args:
        profile: The name of a file in notebooks/profiles/.
        settings: Texts by parameter name; a name goes to every notebook that has it, `q1_cnn.NAME` to that one.
        names: The notebooks; by default all of the report.

    Raises:
        InputError: An unknown profile, notebook or parameter (with the nearest known name), or a value that the
            parameter cannot have.
    """
    names = names or chapters()
    profiled = profiles.read_profile(profile)
    for name in profiled:
        require_known(name, _notebook_names(), f"notebook in {profile}.yaml")
    resolved = {name: _resolved(name, profile, profiled.get(name, {})) for name in names}
    for setting, text in (settings or {}).items():
        prefix, _, key = setting.rpartition(".")
        if prefix:
            require_known(prefix, names, "notebook")
        known = resolved[prefix] if prefix else set().union(*resolved.values())
        require_known(key, known, "parameter", meant=TITLE_VARIABLES)
        for name in [prefix] if prefix else [name for name in names if key in resolved[name]]:
            resolved[name][key] = as_type(key, text, resolved[name][key])
    return resolved


def _resolved(name: str, profile: str, profiled: Mapping[str, Any]) -> Parameters:
    own = declared(name)
    parameters: Parameters = {k: v for k, v in own.items() if k != "SETTINGS"}
    if "SETTINGS" in own:
        parameters |= default_settings()
    for key, value in profiled.items():
        require_known(key, parameters, f"parameter of {name} in {profile}.yaml")
        parameters[key] = _typed(f"{profile}.yaml, {name}", key, value, parameters[key])
    for key, value in _written(name).items():
        require_known(key, SETTINGS, f"setting in {name}.ipynb")
        parameters[key] = _typed(f"{name}.ipynb, SETTINGS", key, value, parameters[key])
    return parameters


def _written(name: str) -> dict[str, Any]:
    """The settings that a notebook's own cell makes."""
    own = declared(name)
    named = {k: v for k, v in own.items() if k in SETTINGS and v is not None}
    return {**own["SETTINGS"], **named} if "SETTINGS" in own else {}


def _typed(place: str, key: str, value: Any, default: Any) -> Any:
    try:
        return as_type(key, value, default)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def edited(profile: str) -> Iterator[str]:
    """What a notebook's own cell sets other than the profile does, a line each: easily forgotten after a trial."""
    profiled = profiles.read_profile(profile)
    for name in chapters():
        usual = {**default_settings(), **profiled.get(name, {})}
        for key, value in sorted(_written(name).items()):
            if value != usual[key]:
                yield f"notebooks/{name}.ipynb: {key} is {value}, not {usual[key]} as in profile {profile}"


def execute(
    name: str,
    parameters: Parameters,
    out: Path,
    *,
    fingerprint: str,
    papermill_options: Mapping[str, Any] | None = None,
) -> tuple[Path, bool]:
    """Execute a notebook, unless `out` holds it as it would come out.

    Args:
        name: The notebook's name in notebooks/, without suffix.
        parameters: All its parameters and settings.
        out: Folder for the executed notebook.
        fingerprint: Of what lies in the places that its parameters name: the faces, the facts of other notebooks.
        papermill_options: Further options of `papermill.execute_notebook`.

    Returns:
        The executed notebook, and whether it was run now.

    Raises:
        CellError: A cell failed.
        KernelDied: The kernel died.
        TimeoutError: A cell took longer than `papermill_options` let it.
        InputError: A cell met bad input (an undefined name in a passage, a malformed data file).
        KeyboardInterrupt: Ctrl-C; it says where training stopped, if it did.
    """
    target, running, failed = (out / f"{name}{suffix}.ipynb" for suffix in ("", ".running", ".failed"))
    if is_fresh(name, parameters, out, fingerprint=fingerprint):
        return target, False

    from papermill.exceptions import PapermillExecutionError

    out.mkdir(parents=True, exist_ok=True)
    try:
        notebook = _run_cells(name, parameters, running, papermill_options or {})
    except PapermillExecutionError as error:
        if error.ename in ("Interrupted", "KeyboardInterrupt"):
            running.unlink()
            raise KeyboardInterrupt(error.evalue) from None
        running.replace(failed)
        where = f"{name}.ipynb, cell In [{error.exec_count}]: "
        kept = f"The executed notebook: {failed}"
        if error.ename == "InputError":
            raise InputError(f"{where}{error.evalue} {kept}") from None
        raise CellError(f"{where}{error.ename}: {error.evalue}\n{kept}") from None
    except TimeoutError:
        raise TimeoutError(f"{name}.ipynb was stopped.{_kept(running, failed)}") from None
    except RuntimeError as error:  # nbclient's, of a kernel that died in a cell or before the first one
        kept = _kept(running, failed)
        raise KernelDied(
            f"{name}.ipynb: its kernel died (killed, or out of memory): {error}.{kept}"
        ) from None
    except BaseException:
        running.unlink(missing_ok=True)
        raise
    _drop_progress_bars(notebook)
    notebook.metadata["fer_lib"] = {"key": _key(name, parameters, fingerprint)}
    running.write_text(json.dumps(notebook, ensure_ascii=False, indent=1), encoding="utf-8")
    running.replace(target)
    failed.unlink(missing_ok=True)
    return target, True


def _kept(running: Path, failed: Path) -> str:
    """Where the notebook is as far as it was executed, if any of it was written."""
    return f"\nThe notebook up to there: {running.replace(failed)}" if running.exists() else ""


def _drop_progress_bars(notebook: Any) -> None:
    """What was on the terminal while cells ran is not for those who read the notebook."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if "\r" not in output.get("text", "")]


def is_fresh(name: str, parameters: Parameters, out: Path, *, fingerprint: str) -> bool:
    """Whether `out` holds the notebook as `execute` would make it, and the run that it names is still there."""
    executed = out / f"{name}.ipynb"
    if not executed.is_file():
        return False
    content = read_notebook(executed)
    if content["metadata"].get("fer_lib", {}).get("key") != _key(name, parameters, fingerprint):
        return False
    run = facts(executed).get("run")
    root = ROOT / "notebooks" / str(parameters.get("RUN_ROOT", ""))
    return run is None or (root / str(run["id"]) / "run.json").is_file()


def facts(notebook: Path) -> dict[str, Any]:
    """What an executed notebook stated by `facts(…)`."""
    return facts_of(read_notebook(notebook))


def _run_cells(name: str, parameters: Parameters, running: Path, options: Mapping[str, Any]) -> Any:
    import papermill

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _kernel() as manager:
        return papermill.execute_notebook(
            _verbatim(source_notebook(name)),
            _verbatim(running),
            _injected(name, parameters),
            kernel_name="python3",
            progress_bar=False,
            start_timeout=START_TIMEOUT,
            km=manager,
            **{"stdout_file": sys.stderr, "stderr_file": sys.stderr, **options},
        )


def _verbatim(path: Path) -> str:
    """A path for papermill, which would fill in what stands in braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _injected(name: str, parameters: Parameters) -> dict[str, Any]:
    """What a notebook is given: of model and recipe only what its profile does not say, or its own cell says."""
    own = declared(name)
    if "SETTINGS" not in own:
        return parameters
    usual = {
        **default_settings(),
        **profiles.read_profile(str(parameters.get("PROFILE", "quick"))).get(name, {}),
    }
    given = {
        k: v for k, v in parameters.items() if k not in SETTINGS or v != usual[k] or own.get(k) is not None
    }
    rest = {k: v for k, v in given.items() if k in SETTINGS and k not in own}
    return {k: v for k, v in given.items() if k not in rest} | {"SETTINGS": rest}


@contextmanager
def _kernel() -> Iterator[Any]:
    """A kernel for one notebook, ended at the end.

    The first Ctrl-C goes to the cell that runs, which may save what it has; a second one stops at once. Python hands
    signals to the main thread alone: elsewhere nothing changes, nor where they are ignored or reach the kernel too.
    """
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_core.utils import run_sync

    # Kernels that start side by side can be given the same TCP port, and one of them dies: sockets in a folder of its
    # own have no such race. (The client of a KernelManager would wait for a kernel that died.)
    folder = tempfile.TemporaryDirectory(prefix="fer-")
    sockets = os.name == "posix" and len(folder.name) < MAX_SOCKET_PATH
    manager: Any = AsyncKernelManager(
        kernel_name="python3",
        kernel_spec_manager=KernelSpecManager(
            kernel_dirs=[]
        ),  # of this Python, not one installed under its name
        transport="ipc" if sockets else "tcp",
        connection_file=str(Path(folder.name, "kernel.json")),
    )
    new_client, clients = manager.client, []

    def client(**options: Any) -> Any:
        clients.append(new_client(**options))  # which papermill leaves open
        return clients[-1]

    usual = signal.getsignal(signal.SIGINT)

    def forward(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, usual)
        if manager.has_kernel:
            os.kill(manager.provisioner.pid, signal.SIGINT)

    main = threading.current_thread() is threading.main_thread()
    forwards = main and usual is not signal.SIG_IGN and os.name == "posix"
    manager.client = client
    # What the process itself says, such as TensorFlow's greeting, is not for readers; cells are heard apart.
    # Nor are the user's IPython profile and its startup files for a report.
    environment = {**os.environ, "IPYTHONDIR": str(Path(folder.name, "ipython"))}
    run_sync(manager.start_kernel)(cwd=str(ROOT / "notebooks"), stderr=subprocess.DEVNULL, env=environment)
    try:
        if forwards:
            signal.signal(signal.SIGINT, forward)
        yield manager
    finally:
        if forwards:
            signal.signal(signal.SIGINT, usual)
        for each in clients:
            each.stop_channels()
        if manager.has_kernel:
            run_sync(manager.shutdown_kernel)(now=True)
        folder.cleanup()


def _key(name: str, parameters: Parameters, fingerprint: str) -> str:
    """A hash of all that an executed notebook depends on."""
    rest = {k: v for k, v in parameters.items() if k not in _ELSEWHERE}
    cells = [
        (cell["cell_type"], cell["source"], cell["metadata"].get("tags"), cell.get("attachments"))
        for cell in read_notebook(source_notebook(name))["cells"]
    ]
    words = LABELS / f"{parameters.get('LANGUAGE', 'zh-TW')}.yaml"
    return digest([cells, rest, fingerprint, code_digest()], words, BIBLIOGRAPHY)


@cache
def code_digest() -> str:
    """A hash of the package's code, the models that come with it, and the locked packages."""
    library = ROOT / "fer_lib"
    return digest(*sorted(library.rglob("*.py")), *sorted(library.rglob("*.npz")), ROOT / "requirements.txt")
