"""A sweep on this machine: some threads, each with a kernel of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from fer_lib.sweep.points import Outcome, Task, Worker

Hear = Callable[[int, int, str], object]
"""Is told the number of a worker, of its point, and how far that has come."""

_POLL_SECONDS = 0.5


def run(tasks: Sequence[Task], workers: int, hear: Hear) -> Iterator[Outcome]:
    """Run points, and give how each ended as it ends; closed early, it ends all kernels."""
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    ended: queue.Queue[Outcome | BaseException] = queue.Queue()
    crew = [Worker() for _ in range(min(workers, len(tasks)))]
    threads = [
        threading.Thread(target=_work, args=(worker, waiting, ended, partial(hear, number)), daemon=True)
        for number, worker in enumerate(crew)
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in tasks:
            yield _next(ended)
    finally:
        for worker in crew:
            worker.stop()
        for thread in threads:
            thread.join()


def _work(
    worker: Worker,
    waiting: queue.SimpleQueue[Task],
    ended: queue.Queue[Outcome | BaseException],
    hear: Callable[[int, str], object],
) -> None:
    try:
        while not worker.stopped:
            task = waiting.get_nowait()
            ended.put(worker.run(task, partial(hear, task.number)))
    except queue.Empty:
        worker.close()
    except BaseException as error:
        ended.put(error)


def _next(ended: queue.Queue[Outcome | BaseException]) -> Outcome:
    while True:
        try:
            outcome = ended.get(timeout=_POLL_SECONDS)  # without a timeout, Ctrl-C would wait on Windows
        except queue.Empty:
            continue
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome
