"""What a file, folder or archive holds, one by one: names, and bytes that come unzipped and within limits.

Nothing is unpacked to disk. Whatever is wrong with an archive is an `InputError`, on the first read that meets it.
"""

from __future__ import annotations

import gzip
import io
import os
import posixpath
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn

from fer_lib.errors import InputError

MOST_BYTES = 1 << 31
"""No file is read beyond this, unzipped: 8 times fer2013.csv, while a zip bomb has no end."""

MOST_FILES = 300_000
"""No folder or archive of more files is looked through: 8 times FER2013 as pictures."""

DEEPEST = 8
"""How many folders below the one that was named are looked into."""

PICTURES = (".png", ".jpg", ".jpeg")
"""Suffixes of files that are not opened to see whether they are archives."""

_BUFFER_BYTES = 1 << 18
_GZIP, _TAR = b"\x1f\x8b", b"ustar"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_TAR_AT = 257
_JUNK = ("thumbs.db", "desktop.ini", "__macosx")

_Open = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Entry:
    """A file, or a file in an archive.

    Attributes:
        file: The file on disk: the entry itself, or the archive that it is in.
        inside: Its name in the archive; "" where it is a file itself.
        name: Its name in what was listed, "/" between the parts; that of its archive is one of them in a folder.
    """

    file: Path
    inside: str
    name: str
    open: _Open

    @property
    def path(self) -> Path:
        """Where a person would look for it; inside an archive no path of the file system."""
        return self.file / self.inside

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of its name."""
        return tuple(self.name.split("/"))

    @contextmanager
    def opened(self) -> Iterator[io.BufferedReader[Any]]:
        """Its bytes, unzipped where it is gzipped.

        Raises:
            InputError: It cannot be read, is damaged or too long; also later, on reading.
        """
        with closing(_Careful(self.open, self.path)) as raw:
            file = io.BufferedReader(raw, _BUFFER_BYTES)
            if file.peek(2)[:2] != _GZIP:
                yield file
                return
            with closing(_Careful(partial(gzip.GzipFile, fileobj=file), self.path)) as unzipped:
                yield io.BufferedReader(unzipped, _BUFFER_BYTES)

    def head(self, count: int) -> bytes:
        """Its first bytes, unzipped; fewer where there are no more, or none that can be read: `opened` says why."""
        try:
            with self.opened() as file:
                return file.read(count)
        except InputError:
            return b""


@contextmanager
def listed(path: Path) -> Iterator[list[Entry]]:
    """Everything that can be read: a file itself, the files in a folder and below, or those in an archive.

    Archives (zip, and tar, gzipped or not) are told by content. In a folder those of zip are listed too. Hidden files
    are left out, links are followed, once each. A file that cannot be read, or a damaged archive, is listed as one
    file, and opening it says what is wrong.

    Raises:
        InputError: `path` is neither file nor folder, is a damaged tar archive, or holds more than `MOST_FILES`.
    """
    with ExitStack() as stack:
        try:
            entries = _in_folder(path, stack) if path.is_dir() else _in_file(path, path.name, stack, tar=True)
        except OSError as error:
            raise unreadable(path, error) from None
        yield entries


def is_file(path: Path) -> bool:
    """Whether a path is a file that ends: no folder, device or pipe. Links are followed."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def unreadable(path: Path, error: OSError) -> InputError:
    """What to say of a file that the system does not give."""
    return InputError(f"{path} cannot be read: {error.strerror or error}.")


def _in_folder(folder: Path, stack: ExitStack) -> list[Entry]:
    entries: list[Entry] = []
    seen: set[Path] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        here = Path(parent)
        inside = here.relative_to(folder)
        # A link may lead back up.
        if (real := here.resolve()) in seen or len(inside.parts) == DEEPEST:
            folders.clear()
        if real in seen:
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _is_junk(name))
        for name in sorted(names):
            if not _is_junk(name) and is_file(here / name):
                entries += _in_file(here / name, (inside / name).as_posix(), stack)
        if len(entries) > MOST_FILES:
            raise _too_many(folder)
    return entries


def _in_file(file: Path, name: str, stack: ExitStack, *, tar: bool = False) -> list[Entry]:
    """A file itself, or what it holds if it is an archive."""
    members: list[tuple[str, _Open]]
    if not is_file(file):
        raise InputError(f"{file} is no file that could be read; name a file or folder with faces.")
    whole = Entry(file, "", name, partial(file.open, "rb", buffering=0))
    if file.suffix.lower() in PICTURES:
        return [whole]
    try:
        with file.open("rb", buffering=0) as opened:
            magic = opened.read(4)
    except OSError:
        return [whole]
    if magic in _ZIP:
        try:
            archive = stack.enter_context(zipfile.ZipFile(file))
        # A damaged directory can raise almost anything.
        except Exception:
            return [Entry(file, "", name, partial(_refuse, file))]
        members = [
            (info.filename, partial(archive.open, info)) for info in archive.infolist() if not info.is_dir()
        ]
    elif tar and whole.head(_TAR_AT + len(_TAR)).endswith(_TAR):
        members = _tar_members(whole, stack)
    else:
        return [whole]
    if len(members) > MOST_FILES:
        raise _too_many(file)
    above = "" if tar else f"{name}/"
    # "./train.csv" is not hidden, "/train.csv" lies in the archive like the others
    named = ((posixpath.normpath(member).lstrip("/"), opener) for member, opener in members)
    return [
        Entry(file, member, f"{above}{member}", opener)
        for member, opener in named
        if not any(map(_is_junk, member.split("/")))
    ]


def _tar_members(entry: Entry, stack: ExitStack) -> list[tuple[str, _Open]]:
    """The files in a tar archive: listed as a stream, within limits, then read wherever they lie."""
    members: list[tarfile.TarInfo] = []
    try:
        with entry.opened() as stream, tarfile.open(fileobj=stream, mode="r|") as listing:
            for member in listing:
                members.append(member)
                if len(members) > MOST_FILES:
                    raise _too_many(entry.file)
        # Unzipping goes on from the last member to the next one; only one that lies before it begins anew.
        file = stack.enter_context(entry.file.open("rb"))
        plain = stack.enter_context(gzip.GzipFile(fileobj=file)) if file.peek(2)[:2] == _GZIP else file
        archive = stack.enter_context(tarfile.TarFile(fileobj=plain))
    except (tarfile.TarError, ValueError, EOFError, OverflowError):
        raise _damaged(entry.file) from None
    return [(member.name, partial(_member, archive, member)) for member in members if member.isfile()]


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    assert file is not None, "listed as a file"
    return file


def _refuse(path: Path) -> NoReturn:
    raise _damaged(path)


class _Careful(io.RawIOBase):
    """A file to be read from start to end, whose only exception is `InputError`."""

    def __init__(self, opener: _Open, path: Path) -> None:
        self._opener, self._path = opener, path
        self._stack = ExitStack()
        self._file: IO[bytes] | None = None
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            if self._file is None:
                self._file = self._stack.enter_context(self._opener())
            data = self._file.read(len(buffer))
        except InputError:
            raise
        except OSError as error:
            raise unreadable(self._path, error) if error.errno else _damaged(self._path) from None
        except RuntimeError:
            raise InputError(
                f"{self._path} is locked or packed in a rare way; unpack it yourself and name the folder."
            ) from None
        # Damaged archives raise whatever the place where they are damaged leads to.
        except Exception:
            raise _damaged(self._path) from None
        buffer[: len(data)] = data
        self._count += len(data)
        if self._count > MOST_BYTES:
            raise InputError(
                f"{self._path} has more than {MOST_BYTES >> 20:,} MB when unzipped; no file of faces is so long."
            )
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stack.close()
        super().close()


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged; download it again.")


def _too_many(path: Path) -> InputError:
    return InputError(f"{path} holds more than {MOST_FILES:,} files; name the folder or file with the faces.")
