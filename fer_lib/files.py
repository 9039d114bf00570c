"""Atomic writes, folder locks, hashes."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from fer_lib.errors import InputError


def _project() -> Path:
    """The checkout with notebooks and report: that of this file, or, of an installed package, the one we stand in."""
    own = Path(__file__).parents[1]
    places = (own, Path.cwd(), *Path.cwd().parents)
    return next((place for place in places if (place / "report" / "chapters.yaml").is_file()), own)


PROJECT = _project()
REPORT = PROJECT / "report"
if not (REPORT / "labels").is_dir():
    REPORT = Path(__file__).parent / "report" / "files"
"""Labels, templates and the title block: the project's, or as they come with an installed package."""

_UMASK = os.umask(0o077)
os.umask(_UMASK)  # read once: asking sets it, and a file that another thread makes meanwhile goes by that
_MODE = 0o666 & ~_UMASK


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; it takes the place of `path` when the block succeeds.

    The temporary name keeps the suffix, which some writers go by. On an error nothing of it is left; a full disk
    names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        temporary.chmod(_MODE)
        temporary.replace(path)
    except OSError as error:
        if error.filename is None and error.errno is not None:  # written to an open file, as on a full disk
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def digest(*parts: Any) -> str:
    """A hash of what is in files (paths) and of plain values that JSON can keep."""
    contents = (
        part.read_bytes() if isinstance(part, Path) else json.dumps(part, sort_keys=True).encode()
        for part in parts
    )
    return hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def lock_folder(folder: Path, busy: str) -> Iterator[None]:
    """Hold a folder, so that no second process writes into it.

    Args:
        folder: Made if it is not there.
        busy: What to say where another process holds it.

    Raises:
        InputError: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise InputError(busy) from None
    try:
        yield
    finally:
        lock.release()


def _sync(path: Path) -> None:
    """Have the file on disk before another one is given up for it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
