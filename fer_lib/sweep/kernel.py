"""A Jupyter kernel that starts when it is needed, outlives a notebook, and ends with all that it started."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

import psutil
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync

from fer_lib.report import execute
from fer_lib.report.execute import KernelDied

_WATCH_SECONDS = 0.5
_REPLY_SECONDS = 60
_KILL_SECONDS = 10
_START_UP_TALK = ("WARNING: All log messages before absl", "I0000 00:00:")
_FORGET = """
def forget(shell):
    import gc, sys
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session(free_memory=False)
    shell.reset(new_session=True)
    gc.collect()
    gc.freeze()  # what is left are modules: to look through them again and again takes a tenth of a small training

forget(get_ipython())
"""


class Terminal(Protocol):
    """Hears what cells say on standard error."""

    def write(self, text: str) -> object: ...  # noqa: D102

    def flush(self) -> object: ...  # noqa: D102


class Kernel:
    """An IPython kernel in notebooks/; as a context manager, ended at the end."""

    manager: Manager
    process: psutil.Process

    def __init__(
        self, terminal: Terminal | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Starts nothing yet.

        Args:
            terminal: Gets what cells say on standard error; by default this process's own, for progress bars.
            environment: Variables for the kernel over those of this process.
        """
        self.terminal: Terminal = terminal or _StandardError()
        self._environment = {**os.environ, **(environment or {})}
        self._started = False

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self._started:
            self.manager.stop_listening()

    def start(self) -> None:
        """Start it, unless it was.

        Raises:
            KernelDied: It did not start.
        """
        if self._started:
            return
        self.manager = Manager(kernel_name="python3")
        # What the process itself says, such as TensorFlow's greeting, is not for readers; cells are heard apart.
        run_sync(self.manager.start_kernel)(
            cwd=str(execute.ROOT / "notebooks"), env=self._environment, stderr=subprocess.DEVNULL
        )
        self.process = psutil.Process(self.manager.popen.pid)
        self._started = True
        try:
            run_sync(self._wait_until_ready)()
        except RuntimeError as error:
            raise KernelDied(f"A kernel did not start: {error}.") from None

    async def _wait_until_ready(self) -> None:
        client = self.manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=execute.START_TIMEOUT)
        finally:
            self.manager.stop_listening()

    def forget(self) -> bool:
        """Make it as new, names and Keras's state gone; whether it is the same process still."""
        client = self.manager.newest if self._started else None
        if client is None:  # it ran nothing
            return True

        async def forget() -> None:
            reply = asyncio.ensure_future(
                client.execute(_FORGET, silent=True, store_history=False, reply=True, timeout=_REPLY_SECONDS)
            )
            while not (await asyncio.wait({reply}, timeout=_WATCH_SECONDS))[0]:
                if self.manager.popen.poll() is not None:
                    reply.cancel()
            if (await reply)["content"]["status"] != "ok":
                raise RuntimeError("The kernel could not forget.")

        try:
            run_sync(forget)()
            self.manager.stop_listening()
        except (RuntimeError, TimeoutError, asyncio.CancelledError):
            self.close()
            self.manager.stop_listening()
            self._started = False
            return False
        return True

    def close(self) -> None:
        """End the process, if there is one, and what it started; any thread may call it."""
        if not self._started:
            return
        with suppress(psutil.NoSuchProcess):
            for process in [*self.process.children(recursive=True), self.process]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self.manager.popen.wait(_KILL_SECONDS)
        self.manager.cleanup_connection_file()


class Manager(AsyncKernelManager):
    """Remembers the client that papermill opened last, to use and close it."""

    newest: Any = None

    def client(self, **kwargs: Any) -> Any:
        """A client of the kernel, in the place of the last one."""
        self.stop_listening()
        self.newest = super().client(**kwargs)
        return self.newest

    def stop_listening(self) -> None:
        """Close the client, whose threads and sockets would stay."""
        if self.newest is not None:
            self.newest.stop_channels()
            self.newest = None

    @property
    def popen(self) -> subprocess.Popen[bytes]:
        """The kernel's process."""
        provisioner: Any = self.provisioner
        process: subprocess.Popen[bytes] = provisioner.process
        return process


class _StandardError:
    """This process's standard error, without TensorFlow's start-up talk."""

    def write(self, text: str) -> None:
        sys.stderr.write("".join(x for x in text.splitlines(True) if not x.startswith(_START_UP_TALK)))

    def flush(self) -> None:
        sys.stderr.flush()
