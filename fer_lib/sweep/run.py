"""A whole sweep on dask: what is missing of it runs, a notebook at a time on each worker process.

Each point is on the leaderboard as soon as it ends. Workers are started here, or are those of a running cluster, which
must see the project and the data in the same folders as the machine that the sweep is started on.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tqdm import tqdm

from fer_lib import data, profiles
from fer_lib.emotions import FACE_SIZE
from fer_lib.errors import InputError
from fer_lib.files import lock_folder
from fer_lib.models.spec import SETTINGS, ModelSpec
from fer_lib.report import execute
from fer_lib.report.execute import CellError, KernelDied
from fer_lib.report.parameters import Parameters, Scalar
from fer_lib.sweep import leaderboard
from fer_lib.sweep.spec import COMMON, Sweep, common, describe

MIN_MEMORY = 0.25
"""GiB: no kernel with a network in it needs less; with TensorFlow it takes twice as much."""

RETRIES = 1
"""How often dask runs a point again whose kernel died of itself."""

CONNECT_SECONDS = 10
_WATCH_SECONDS = 0.5


@dataclass(frozen=True)
class Task:
    """A point to run, or a CNN to compare with; plain values only, since it travels to a worker.

    Attributes:
        number: Of the point from 1; 0 for a CNN.
        title: What distinguishes it, in a line.
        notebook: Its notebook's name.
        parameters: All its parameters.
        out: Folder for the executed notebook.
        fingerprint: Of the data.
        code: `execute.code_digest` where the sweep was started.
        seconds: That it may take; 0 for no limit.
        memory: Bytes that its kernel may hold; 0 for no limit.
    """

    number: int
    title: str
    notebook: str
    parameters: Parameters
    out: Path
    fingerprint: str
    code: str
    seconds: float
    memory: float

    @property
    def is_done(self) -> bool:
        """Whether its executed notebook is there, up to date, with its run."""
        return execute.is_fresh(self.notebook, self.parameters, self.out, fingerprint=self.fingerprint)

    @property
    def run_id(self) -> str:
        """Of the run that its executed notebook shows."""
        return str(execute.facts(self.out / f"{self.notebook}.ipynb")["run"]["id"])


@dataclass(frozen=True)
class Plan:
    """A sweep, on these data, in this folder.

    Attributes:
        sweep: What to run.
        folder: Where executed notebooks and leaderboard go.
        run_root: The folder of the trained runs.
        source: Data file or folder; "" for drawn faces.
        language: Of the notebooks and the leaderboard.
        timeout: Seconds that a point may take; 0 for no limit.
        memory: GiB that a point may take; 0 for no limit.
    """

    sweep: Sweep
    folder: Path
    run_root: Path
    source: str = ""
    language: str = "zh-TW"
    timeout: float = 0
    memory: float = 0

    def __post_init__(self) -> None:
        for name, limit, least in (("TIMEOUT", self.timeout, 1), ("MEMORY", self.memory, MIN_MEMORY)):
            if limit and not least <= limit < math.inf:
                raise InputError(f"{name} must be at least {least}, or 0 for no limit, but was {limit:g}.")

    def tasks(self) -> list[Task]:
        """All points; those of q2_dnn with the id of the CNN's run to compare with once that is trained."""
        cnns = zip(self.sweep.cnns, self.cnn_tasks(), strict=True)
        ids = {common(cnn): task.run_id for cnn, task in cnns if task.is_done}
        width = len(str(len(self.sweep.points)))
        return [
            self._task(
                number, describe(self.varied(number)), f"{number:0{width}}", point, ids.get(common(point), "")
            )
            for number, point in enumerate(self.sweep.points, 1)
        ]

    def cnn_tasks(self) -> list[Task]:
        """The trainings of the CNNs to compare with, if the sweep needs any."""
        return [
            self._task(0, f"CNN for {describe({key: cnn[key] for key in COMMON})}", f"cnn-{number}", cnn)
            for number, cnn in enumerate(self.sweep.cnns, 1)
        ]

    def varied(self, number: int) -> Parameters:
        """In what a point, by its number, differs from others."""
        return {name: self.sweep.points[number - 1][name] for name in self.sweep.varied}

    def _task(self, number: int, title: str, folder: str, point: Parameters, cnn: str = "") -> Task:
        own: Parameters = {
            "DATA": execute.seen_from_notebooks(self.source),
            "RUN_ROOT": os.path.relpath(self.run_root, execute.ROOT / "notebooks"),
            "LANGUAGE": self.language,
            "PROFILE": self.sweep.profile,
            "RUN": cnn,
            "SEEDS": 1,
        }
        return Task(
            number,
            title,
            self.sweep.notebook if number else "q1_cnn",
            {**point, **{name: value for name, value in own.items() if name in point}},
            self.folder.resolve() / "points" / folder,
            self.fingerprint,
            execute.code_digest(),
            self.timeout,
            self.memory * 2**30,
        )

    @cached_property
    def fingerprint(self) -> str:
        """Of the data."""
        return data.source_fingerprint(self.source)


def run_sweep(plan: Plan, *, workers: int = 1, scheduler: str = "") -> Path:
    """Run what is missing of a sweep and keep its leaderboard.

    Args:
        plan: What to run, on what, where.
        workers: Points at once on this machine.
        scheduler: The address of a dask scheduler whose workers run the points instead.

    Returns:
        The leaderboard.

    Raises:
        InputError: The data cannot be used or are too few, the sweep runs already, or the cluster cannot be used.
        CellError: Some points failed; all others were run.
    """
    _check_faces(plan)
    with lock_folder(
        plan.folder, f"This sweep runs already, in another process; its leaderboard is in {plan.folder}."
    ):
        for task, error in _run([task for task in plan.cnn_tasks() if not task.is_done], workers, scheduler):
            if error:
                raise CellError(f"The {task.title} could not be trained. {error}")
        tasks = plan.tasks()
        missing = [task for task in tasks if not task.is_done]
        rows = [_row(plan, task) for task in tasks if task not in missing]
        try:
            _publish(plan, rows, running=True)
            with tqdm(
                total=len(tasks),
                initial=len(rows),
                desc=plan.sweep.name,
                unit="point",
                smoothing=0,
                disable=None,
            ) as bar:
                for task, error in _run(missing, workers, scheduler):
                    rows.append(_row(plan, task, error))
                    _publish(plan, rows, running=True)
                    bar.write(
                        f"[{len(rows)}/{len(tasks)}] {task.title}: {_result(rows[-1])}", file=sys.stderr
                    )
                    count = sum("error" in row for row in rows)
                    bar.set_postfix_str(f"{count} failed, best {max(r.get('accuracy', 0) for r in rows):.1%}")
                    bar.update()
        finally:
            path = _publish(plan, rows, running=False)
    if failed := [row for row in rows if "error" in row]:
        raise CellError(
            f"{len(failed)} of {len(rows)} points failed; {path} has the errors. The same command tries them again."
        )
    return path


def _check_faces(plan: Plan) -> None:
    """Load the data, which draws or caches them once for all points; no point may ask for more faces than there are."""
    faces = data.load(plan.source, cache=execute.ROOT / "data").train
    if "TRAIN_LIMIT" not in plan.sweep.varied:
        return

    @cache
    def available(share: float, seed: int) -> int:
        return len(data.split_validation(faces, fraction=share, seed=seed)[0])

    for number, point in enumerate(plan.sweep.points, 1):
        left = available(float(point["VALIDATION"]), int(point["SEED"]))
        if int(point["TRAIN_LIMIT"]) > left:
            raise InputError(
                f"The point {describe(plan.varied(number))} asks for more than the {left:,} faces that there are to "
                "learn from; lower its TRAIN_LIMIT, or name more faces, as DATA=drawn:train=30000 does."
            )


def _row(plan: Plan, task: Task, error: str = "") -> dict[str, Any]:
    notebook = task.out / f"{task.notebook}{'.failed' if error else ''}.ipynb"
    place = notebook.relative_to(plan.folder.resolve()).as_posix() if notebook.is_file() else ""
    if error:
        return leaderboard.failed_row(task.number, plan.varied(task.number), error, place)
    return leaderboard.row(task.number, plan.varied(task.number), execute.facts(notebook), place)


def _result(row: Mapping[str, Any]) -> str:
    if "error" in row:
        return f"failed: {row['error'].splitlines()[0]}"
    return "validation {accuracy:.1%} [{low:.1%}, {high:.1%}], {cpu_seconds:.1f} CPU s".format_map(row)


def _publish(plan: Plan, rows: Sequence[Mapping[str, Any]], *, running: bool) -> Path:
    """Write the leaderboard, and its page, which reloads itself while the sweep is running."""
    table = leaderboard.table(rows, plan.sweep.varied)
    name, points = plan.sweep.name, len(plan.sweep.points)
    leaderboard.write_page(
        table, plan.folder, name=name, points=points, running=running, language=plan.language
    )
    return leaderboard.write(table, plan.folder)


def _run(tasks: Sequence[Task], workers: int, scheduler: str) -> Iterator[tuple[Task, str]]:
    """Run points on dask, and give each as it ends with its error or ""."""
    if not tasks:
        return
    from distributed import as_completed

    with _connected(min(workers, len(tasks)), scheduler) as client:
        hosts = _check_workers(client, tasks[0])
        futures = {client.submit(run_point, task, hosts, retries=RETRIES, pure=False): task for task in tasks}
        for future in as_completed(list(futures)):
            if future.cancelled():
                raise InputError(
                    "The connection to the dask scheduler was lost; the same command goes on with what is missing."
                )
            failure = future.exception()
            yield futures[future], str(failure or "no reason was given") if failure else future.result()
            future.release()


@contextmanager
def _connected(workers: int, scheduler: str) -> Iterator[Any]:
    """A client of the scheduler at an address, or of one started here with so many workers."""
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # an outcome says what went wrong
    with ExitStack() as stack:
        if not scheduler:
            usual = signal.signal(
                signal.SIGINT, signal.SIG_IGN
            )  # workers inherit it: Ctrl-C is for this process
            try:
                dask.config.set(
                    {"distributed.worker.profile.enabled": False}
                )  # half of an idle worker's cost
                cluster = LocalCluster(
                    n_workers=workers, threads_per_worker=1, memory_limit=0, dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )  # fmt: skip
            finally:
                signal.signal(signal.SIGINT, usual)
            scheduler = stack.enter_context(cluster).scheduler_address
        try:
            client = Client(scheduler, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"No dask scheduler answers at {scheduler!r} ({reason}).") from None
        yield stack.enter_context(client)


def _check_workers(client: Any, task: Task) -> Counter[str]:
    """The number of workers on each host.

    Raises:
        InputError: There are none, or one of them cannot run points: it says why.
    """
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not workers:
        where = client.scheduler.address
        raise InputError(
            f"The dask scheduler at {where} has no workers; start some with `dask worker {where} --nthreads 1`."
        )
    task.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=task.out.parent, prefix=".seen-") as seen:
        places = seen.name, execute.seen_from_here(str(task.parameters["DATA"])), execute.ROOT
        found = client.run(find_obstacle, task, *places, on_error="return")
    for address, obstacle in found.items():
        if isinstance(obstacle, Exception):
            obstacle = f"cannot import this project ({type(obstacle).__name__}: {obstacle})"
        elif not obstacle and workers[address]["nthreads"] > 1:
            obstacle = "would run several notebooks in one process; start it with --nthreads 1"
        if obstacle:
            raise InputError(f"The dask worker {address} {obstacle}.")
    return Counter(str(worker["host"]) for worker in workers.values())


def find_obstacle(task: Task, seen: str, source: str, root: Path) -> str:
    """What keeps this dask worker from running points, or ""."""
    if root != execute.ROOT or not Path(seen).exists():
        return f"must see this project and its sweep in the same folder, {root}; share it with the worker's machine"
    if execute.code_digest() != task.code:
        return "has another version of this project; start it again from the same folder"
    with suppress(InputError):
        if data.source_fingerprint(source) == task.fingerprint:
            return ""
    return f"does not see the same data in {source}; share them with the worker's machine"


def run_point(task: Task, hosts: Mapping[str, int]) -> str:
    """Run a point on a dask worker, and give the error that it ended with, or "".

    Args:
        task: The point.
        hosts: How many workers share each host's cores.

    Raises:
        KernelDied: The kernel died of itself, which dask is to try again.
    """
    from dask.system import CPU_COUNT
    from distributed import get_worker

    threads = str(max(1, CPU_COUNT // hosts.get(get_worker().ip, 1)))
    names = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    os.environ.update({**dict.fromkeys(names, threads), "TF_NUM_INTEROP_THREADS": "1"})
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    options: dict[str, Any] = {
        "stdout_file": None,
        "stderr_file": None,
        "request_save_on_cell_execute": False,
    }
    if task.seconds:
        end = time.monotonic() + task.seconds
        options["timeout_func"] = lambda cell: max(0.1, end - time.monotonic())
    with _memory_limit(task.memory) as exceeded:
        try:
            execute.execute(
                task.notebook,
                task.parameters,
                task.out,
                fingerprint=task.fingerprint,
                papermill_options=options,
            )
        except KernelDied as error:
            if not exceeded.is_set():
                raise
            return f"It took more than {task.memory / 2**30:.3g} GiB of memory (MEMORY).\n{error}"
        except TimeoutError as error:
            return f"It took longer than {task.seconds:g} seconds (TIMEOUT).\n{error}"
        except (CellError, InputError) as error:
            return str(error)
    return ""


@contextmanager
def _memory_limit(limit: float) -> Iterator[threading.Event]:
    """End the kernel of this process once it holds more bytes; dask's own limit does not see a worker's children."""
    exceeded, done = threading.Event(), threading.Event()

    def watch() -> None:
        while not done.wait(_WATCH_SECONDS):
            for kernel in psutil.Process().children():
                with suppress(psutil.Error):
                    if kernel.memory_info().rss > limit:
                        exceeded.set()
                        kernel.kill()

    if limit:
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield exceeded
    finally:
        done.set()


def list_points(plan: Plan) -> str:
    """A line for each point: its parameters, its model's size, and whether it is done."""
    _check_faces(plan)
    lines, sizes = list[str](), dict[tuple[Scalar, ...], tuple[int, int]]()
    tasks = [*plan.cnn_tasks(), *plan.tasks()]
    for task in tasks:
        settings = {name: value for name, value in task.parameters.items() if name in SETTINGS}
        match = sizes.get(common(task.parameters), (0, 0))[0]
        own = {"MODEL": "dnn"} if task.notebook == "q2_dnn" else {}
        model, _ = profiles.settings(plan.sweep.profile, task.notebook, settings, match=match, **own)
        parameters, multiply_adds = _size(replace(model, conv_dropout=0.0, dense_dropout=0.0))
        if not task.number:
            sizes[common(task.parameters)] = parameters, multiply_adds
        lines.append(
            f"{task.out.name}  {task.title}: {parameters:,} parameters, {multiply_adds / 1e6:,.1f} million "
            f"multiply-adds{' (done)' * task.is_done}"
        )
    done = sum(task.is_done for task in tasks)
    return "\n".join([*lines, f"{len(tasks)} models to train, {done} done."])


@cache
def _size(model: ModelSpec) -> tuple[int, int]:
    """The numbers of parameters, and of multiply-adds for a face."""
    from fer_lib.models import architectures

    network = architectures.build(model, np.zeros((1, FACE_SIZE, FACE_SIZE), np.uint8), seed=0)
    return network.count_params(), architectures.multiply_adds(network)
