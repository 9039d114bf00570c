"""One point of a sweep: papermill runs the notebook in a kernel that stays alive for the next one.

Starting Python and TensorFlow costs about as much as a small training, so a worker starts its kernel once. Between
points the kernel forgets all names and Keras's state; after a failure, or when it has grown, a fresh one takes over.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from fer_lib.errors import InputError
from fer_lib.report import execute
from fer_lib.report.execute import CellError, KernelDied
from fer_lib.report.parameters import Parameters
from fer_lib.sweep.kernel import Kernel

GROWTH = 3.0
"""A kernel that holds so many times the memory that it held after its first point is not used again."""

ATTEMPTS = 2
"""How often a point is tried whose kernel died of itself."""

_WATCH_SECONDS = 0.5
_PROGRESS = re.compile(r"(epoch \d+/\d+).*?(?:(validation [\d.]+%).*)?$")


@dataclass(frozen=True)
class Limits:
    """What a point may take: seconds and bytes of memory (0: no limit), and the threads it computes with."""

    seconds: float = 0
    memory: int = 0
    threads: int = 1


@dataclass(frozen=True)
class Task:
    """A point to run, as a worker gets it; plain values only, since it may travel.

    Attributes:
        number: Of the point, from 0 in the order of the sweep.
        notebook: Its notebook's name.
        parameters: All its parameters, with paths as the worker sees them.
        out: Folder for the executed notebook.
        fingerprint: Of the data.
        code: `execute.code_digest` where the sweep was started.
        limits: What it may take.
    """

    number: int
    notebook: str
    parameters: Parameters
    out: Path
    fingerprint: str
    code: str
    limits: Limits

    @property
    def is_done(self) -> bool:
        """Whether its executed notebook lies there, up to date, with its run."""
        return execute.is_fresh(self.notebook, self.parameters, self.out, fingerprint=self.fingerprint)


@dataclass(frozen=True)
class Outcome:
    """How a point ended: `error` is "" if its executed notebook lies in the task's folder."""

    number: int
    error: str = ""
    attempts: int = 1
    files: Mapping[str, bytes] = field(default_factory=dict)


Listener = Callable[[str], object]
"""Is told how far a point has come, such as "epoch 3/12, validation 45.1%"."""


class Worker:
    """Runs points one after another, in a kernel that it keeps; not for two threads at once."""

    def __init__(self) -> None:
        logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it has to say stands in the outcome
        self._kernel: Kernel | None = None
        self._ear = _Ear()
        self._first_memory = 0
        self.stopped = False

    def run(self, task: Task, listen: Listener = lambda text: None) -> Outcome:
        """Run a point to its end, whatever that is; of a kernel that died of itself, once more in another."""
        outcome = Outcome(task.number)
        for attempt in range(1, ATTEMPTS + 1):
            outcome = replace(outcome, attempts=attempt, error="")
            try:
                self._execute(task, listen)
            except (CellError, InputError) as error:
                outcome = replace(outcome, error=str(error))
                if not isinstance(error, KernelDied) or self.stopped:
                    break
            else:
                break
        return outcome

    def stop(self) -> None:
        """End the kernel now; a point that runs in it ends with an error. Any thread may call it."""
        self.stopped = True
        self.close()

    def close(self) -> None:
        """End the kernel."""
        kernel, self._kernel = self._kernel, None
        if kernel is not None:
            kernel.close()

    def _execute(self, task: Task, listen: Listener) -> None:
        if self.stopped:
            raise CellError("The sweep was stopped.")
        self._ear.listen = listen
        if self._kernel is None:
            listen("starting")
            self._kernel, self._first_memory = Kernel(self._ear, _threads(task.limits.threads)), 0
        kernel = self._kernel
        try:
            kernel.start()
            if self.stopped:  # meanwhile
                kernel.close()
            _run(task, kernel)
        except BaseException:
            # Nobody knows what a failed cell left behind.
            kernel.close()
            self._kernel = None
            raise
        if not (kernel.forget() and self._is_small(kernel)):
            self.close()

    def _is_small(self, kernel: Kernel) -> bool:
        """Whether the kernel holds no more memory than it should after a point."""
        try:
            memory = kernel.process.memory_info().rss
        except psutil.NoSuchProcess:
            return False
        self._first_memory = self._first_memory or memory
        return bool(memory < GROWTH * self._first_memory)


def _run(task: Task, kernel: Kernel) -> None:
    """Run the notebook of a point.

    Raises:
        CellError: A cell failed, or the point took more than it may.
        KernelDied: The kernel died of itself.
        InputError: A cell met bad input.
    """
    with _Guard(kernel, task.limits) as guard:
        try:
            execute.execute(
                task.notebook,
                task.parameters,
                task.out,
                fingerprint=task.fingerprint,
                kernel=kernel,
            )
        except KernelDied as error:
            raise (CellError(f"{guard.verdict}\n{error}") if guard.verdict else error) from None


class _Ear:
    """Where a notebook's progress bars write to."""

    listen: Listener = staticmethod(lambda text: None)

    def write(self, text: str) -> None:
        if found := _PROGRESS.search(re.split(r"[\r\n]", text.strip("\r\n"))[-1]):
            self.listen(", ".join(part for part in found.groups() if part))

    def flush(self) -> None:
        pass


class _Guard:
    """Watches a kernel while it runs a point, and ends it when it takes more than it may."""

    def __init__(self, kernel: Kernel, limits: Limits) -> None:
        self.verdict = ""
        self._kernel, self._limits, self._done = kernel, limits, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Guard:
        if self._limits.seconds or self._limits.memory:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _watch(self) -> None:
        deadline = time.monotonic() + (self._limits.seconds or float("inf"))
        while not self._done.wait(_WATCH_SECONDS):
            try:
                memory = self._kernel.process.memory_info().rss
            except psutil.NoSuchProcess:
                return
            if self._limits.memory and memory > self._limits.memory:
                self.verdict = f"It took more than {self._limits.memory / 2**30:.3g} GiB of memory (MEMORY)."
            elif time.monotonic() > deadline:
                self.verdict = f"It took longer than {self._limits.seconds:g} seconds (TIMEOUT)."
            if self.verdict:
                self._kernel.close()
                return


def _threads(count: int) -> dict[str, str]:
    """What makes TensorFlow, PyTorch, JAX and NumPy compute with so many threads."""
    names = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**dict.fromkeys(names, str(count)), "TF_NUM_INTEROP_THREADS": "1"}
