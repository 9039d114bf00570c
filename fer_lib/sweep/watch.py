"""What a sweep shows while it runs: a line for each worker, and all of it with the time left.

On a terminal these lines stay in place; elsewhere, in a log, each point that ends is one line.
"""

from __future__ import annotations

import sys
from types import TracebackType

from tqdm import tqdm


class Watch:
    """Writes to standard error; any thread may tell it something."""

    def __init__(self, name: str, total: int, done: int, workers: int) -> None:
        self._total, self._done = total, done
        self._terminal = sys.stderr.isatty()
        self._lines = [
            tqdm(bar_format="{desc}", position=number, leave=False, disable=not self._terminal)
            for number in range(workers)
        ]
        self._all = tqdm(
            desc=name,
            total=total,
            initial=done,
            unit="point",
            position=workers,
            smoothing=0,  # points differ: the mean of all says more than the last ones
            disable=not self._terminal,
        )

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bar in [*self._lines, self._all]:
            bar.close()

    def hear(self, worker: int, point: str, text: str) -> None:
        """How far the point of a worker has come."""
        if worker < len(self._lines):
            self._lines[worker].set_description_str(f"worker {worker + 1} · {point}: {text}")

    def ended(self, point: str, result: str) -> None:
        """A point ended."""
        self._done += 1
        text = f"[{self._done}/{self._total}] {point}: {result}"
        if self._terminal:
            tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)
        self._all.update()
