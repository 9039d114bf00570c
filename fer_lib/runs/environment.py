"""Where a run was trained: the versions of packages, the state of this package's code, and the machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras
import psutil


def versions() -> dict[str, str]:
    """Python's version, Keras's backend, and the versions of packages by name."""
    backend = keras.backend.backend()
    names = ("fer-lib", "keras", "numpy")
    found = {
        "python": platform.python_version(),
        "backend": backend,
        **{name: version(name) for name in names},
    }
    return found | ({"tensorflow": _tensorflow()} if backend == "tensorflow" else {})


def _tensorflow() -> str:
    for name in ("tensorflow-cpu", "tensorflow"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""


def code_version(folder: Path = Path(__file__).parents[2]) -> dict[str, Any]:
    """The commit that the package's code is at, and whether it was changed since; nothing where git knows none."""
    git = ["git", "-C", str(folder)]
    try:
        top = _said([*git, "rev-parse", "--show-toplevel"])
        if Path(top) != folder:  # installed below another project's checkout
            return {}
        return {
            "commit": _said([*git, "rev-parse", "--short=10", "HEAD"]),
            "changed": bool(_said([*git, "status", "--porcelain", "--", "fer_lib", "notebooks"])),
        }
    except (OSError, subprocess.SubprocessError):
        return {}


def machine() -> str:
    """System, processor, cores that may be used, and memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory().total / 2**30
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def _processor() -> str:
    try:
        if found := re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return found[1].strip()
        return _said(["sysctl", "-n", "machdep.cpu.brand_string"])
    except (OSError, subprocess.SubprocessError):
        return platform.processor() or platform.machine()


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
