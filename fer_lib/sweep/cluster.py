"""A sweep on a dask cluster that runs already, `SCHEDULER=tcp://...`: each thread of a dask worker keeps a kernel.

Workers need this project, as it is where the sweep was started. Those that see the sweep's folder and the data use
them; to others the data are scattered, and what they trained comes back through the scheduler.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fer_lib import data
from fer_lib.data import sources
from fer_lib.errors import InputError
from fer_lib.files import replacing
from fer_lib.report import execute
from fer_lib.sweep.local import Hear
from fer_lib.sweep.points import Outcome, Task, Worker

CONNECT_SECONDS = 10

Files = Mapping[str, bytes]
"""Contents by path below some folder."""


@dataclass(frozen=True)
class Parcel:
    """What a worker needs that does not see our folders: the data, and the runs to compare with by id."""

    data: Files
    runs: Mapping[str, Files]


def run(
    tasks: Sequence[Task],
    scheduler: str,
    hear: Hear,
    *,
    source: str,
    run_root: Path,
    shared: bool | None = None,
) -> Iterator[Outcome]:
    """Run points on a cluster, and give how each ended as it ends.

    Args:
        tasks: The points.
        scheduler: Its address.
        hear: Is told how far they have come.
        source: The data file or folder; "" for drawn faces.
        run_root: Where runs go.
        shared: Whether workers see our folders; None to ask them.

    Raises:
        InputError: No scheduler answers there, or it has no workers.
    """
    client = _connected(scheduler)
    topic, lines = f"fer-lib-sweep-{uuid.uuid4().hex}", dict[str, int]()

    def listen(event: tuple[float, dict[str, Any]]) -> None:
        said = event[1]
        hear(lines.setdefault(said["worker"], len(lines)), said["number"], said["text"])

    by_number = {task.number: _absolute(task, source, run_root) for task in tasks}
    try:
        if shared is None:
            shared = _all_see(client, tasks[0], source)
        parcel = None if shared else client.scatter(_packed(tasks, source, run_root), broadcast=True)
        sharing = Counter({info["host"]: 0 for info in _workers(client).values()})
        for info in _workers(client).values():
            sharing[info["host"]] += info["nthreads"]
        client.subscribe_topic(topic, listen)
        futures = {
            client.submit(run_point, task, parcel, topic, dict(sharing), pure=False): task
            for task in by_number.values()
        }
        yield from _ended(client, futures, run_root)
    finally:
        client.run(stop_kernels, topic)
        client.close()


def _ended(client: Any, futures: dict[Any, Task], run_root: Path) -> Iterator[Outcome]:
    from distributed import as_completed

    try:
        for future in as_completed(list(futures), loop=client.loop):
            task = futures[future]
            error = future.exception()
            outcome = Outcome(task.number, error=f"Its worker failed: {error}") if error else future.result()
            _unpack(outcome, task, run_root)
            if not outcome.error and not task.is_done:
                text = "A worker says that it has run this point, but nothing came: does it see our folders?"
                outcome = replace(outcome, error=text)
            yield replace(outcome, files={})
            future.release()
    finally:
        for future in futures:
            future.cancel()


def run_point(task: Task, parcel: Parcel | None, topic: str, sharing: Mapping[str, int]) -> Outcome:
    """Run a point on a worker of the cluster, in the kernel of this thread."""
    from distributed import get_worker

    here = get_worker()
    if execute.code_digest() != task.code:
        return Outcome(task.number, f"The worker {here.address} has another version of this project.")
    threads = max(1, (os.cpu_count() or 1) // sharing.get(here.ip, 1))
    task = replace(task, limits=replace(task.limits, threads=threads))

    def listen(text: str) -> None:
        here.log_event(topic, {"worker": here.name, "number": task.number, "text": text})

    if parcel is None:
        return _worker(topic).run(task, listen)
    home = Path(here.local_directory) / "fer-lib-sweep" / task.fingerprint
    away = _at_home(task, parcel, home, topic)
    outcome = _worker(topic).run(away, listen)
    files = _read_files(away.out, f"{task.notebook}*.ipynb")
    if not outcome.error:
        run_id = execute.facts(away.out / f"{task.notebook}.ipynb")["run"]["id"]
        files |= {
            f"runs/{run_id}/{name}": content for name, content in _read_files(home / "runs" / run_id).items()
        }
    return replace(outcome, files=files)


_kept: dict[str, dict[int, Worker]] = defaultdict(dict)
"""The workers, each with its kernel, by the topic of their sweep and by thread."""


def _worker(topic: str) -> Worker:
    """The worker of a sweep in this thread."""
    return _kept[topic].setdefault(threading.get_ident(), Worker())


def stop_kernels(topic: str) -> None:
    """End a sweep's kernels on a dask worker, which would hold their memory until it ends."""
    for worker in _kept.pop(topic, {}).values():
        worker.stop()


def _connected(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            f"SCHEDULER needs dask; install it with `{sys.executable} -m pip install distributed`."
        ) from None
    logging.getLogger("distributed").setLevel(logging.ERROR)
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"No dask scheduler answers at {scheduler!r} ({' '.join(str(error).split())})."
        ) from None
    if not _workers(client):
        client.close()
        raise InputError(
            f"The dask scheduler at {scheduler} has no workers; start some with `dask worker {scheduler}`."
        )
    return client


def _workers(client: Any) -> dict[str, Any]:
    workers: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    return workers


def _all_see(client: Any, task: Task, source: str) -> bool:
    """Whether all workers see the sweep's folder, and the same data in the same place."""
    folder = task.out.resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".seen-") as token:
        return all(client.run(_sees, token.name, _place(source), task.fingerprint).values())


def _sees(token: str, source: str, fingerprint: str) -> bool:
    try:
        return Path(token).exists() and data.source_fingerprint(source) == fingerprint
    except InputError:
        return False


def _absolute(task: Task, source: str, run_root: Path) -> Task:
    """The task with paths that do not depend on where a worker's project lies."""
    places = {"DATA": _place(source), "RUN_ROOT": str(run_root.resolve())}
    return replace(task, out=task.out.resolve(), parameters={**task.parameters, **places})


def _place(source: str) -> str:
    return source if data.is_drawn(source) else str(Path(source).resolve())


def _packed(tasks: Sequence[Task], source: str, run_root: Path) -> Parcel:
    files: Files = {}
    if not data.is_drawn(source):
        with sources.found(source) as found:
            files = {name: file.read_bytes() for name, file in found.files().items()}
    compared = {str(run) for task in tasks if (run := task.parameters.get("RUN"))}
    return Parcel(files, {run: _read_files(run_root / run) for run in compared})


def _at_home(task: Task, parcel: Parcel, home: Path, topic: str) -> Task:
    """The task on a worker that has folders of its own."""
    _write_files(parcel.data, home / "data")
    for run, files in parcel.runs.items():
        _write_files(files, home / "runs" / run)
    places = {"RUN_ROOT": str(home / "runs"), **({"DATA": str(home / "data")} if parcel.data else {})}
    return replace(task, out=home / topic / task.out.name, parameters={**task.parameters, **places})


def _unpack(outcome: Outcome, task: Task, run_root: Path) -> None:
    """Put what came with an outcome where it would be if the worker saw our folders; the notebook last."""
    for path, content in sorted(outcome.files.items(), key=lambda item: not item[0].startswith("runs/")):
        target = run_root.joinpath(*Path(path).parts[1:]) if path.startswith("runs/") else task.out / path
        with replacing(target) as temporary:
            temporary.write_bytes(content)


def _read_files(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.glob(pattern))
        if path.is_file() and path.name[0] != "."
    }


def _write_files(files: Files, folder: Path) -> None:
    """Write a folder, whole or not at all, unless it is there."""
    if not files or folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        for name, content in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(content)
        temporary.chmod(0o755)
        temporary.rename(folder)
    except OSError:
        if not folder.exists():  # else another thread was faster
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
