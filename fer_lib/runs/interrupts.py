"""Ctrl-C that waits until a training step has ended."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C; says after which saved epoch it goes on."""


@contextmanager
def held_interrupts() -> Iterator[Callable[[], bool]]:
    """Hold the first Ctrl-C back, and give a function that says whether there was one; a second one stops at once.

    Python hands signals to the main thread alone; elsewhere nothing is held.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def hold(number: int, frame: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, usual)

    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.SIG_IGN:
        yield asked.is_set
        return
    signal.signal(signal.SIGINT, hold)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, usual)
