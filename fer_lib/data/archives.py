"""Files, folders and archives: what they hold, and its bytes, decompressed; nothing is unpacked to disk."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import posixpath
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn

from fer_lib.errors import InputError

MAX_BYTES = 1 << 31
"""The longest file that is read, decompressed: 8 times fer2013.csv, while a zip bomb has no end."""

MAX_FILES = 300_000
"""The most files of a folder or archive: 8 times FER2013 as pictures."""

MAX_DEPTH = 8
"""How many folders below the one that was named are searched."""

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
"""Suffixes of pictures."""

CACHE_SUFFIX = ".faces"
"""Suffix of the files of `cache`, which are never a source."""

_DECOMPRESS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
_DAMAGED = (
    EOFError, ValueError, OverflowError, zlib.error, struct.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip
"""What damaged archives raise, by the place of the damage."""

_JUNK = ("thumbs.db", "desktop.ini", "__macosx")


@dataclass(frozen=True)
class Entry:
    """A file, or a file in an archive.

    Attributes:
        file: The file on disk: the entry itself, or the archive that it is in.
        inside: Its name in the archive; "" where it is a file itself.
        name: Its name in what was listed, "/" between the parts; that of its archive is one of them in a folder.
        open: Opens it as it is stored.
    """

    file: Path
    inside: str
    name: str
    open: Callable[[], IO[bytes]]

    @property
    def path(self) -> Path:
        """Where a person would look for it; inside an archive no path of the file system."""
        return self.file / self.inside

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of its name."""
        return tuple(self.name.split("/"))

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Its bytes, decompressed where it is gzip, bzip2 or xz.

        Raises:
            InputError: It cannot be read or is damaged; also later, while it is read.
        """
        try:
            with ExitStack() as stack:
                file = stack.enter_context(self.open())
                magic = file.read(6)
                file.seek(0)
                for start, decompress in _DECOMPRESS.items():
                    if magic.startswith(start):
                        file = stack.enter_context(decompress(file))
                yield file
        except RuntimeError:
            raise InputError(
                f"{self.path} is locked or packed in a rare way; unpack it yourself and name the folder."
            ) from None
        except OSError as error:
            if not error.errno:
                raise _damaged(self.path) from None
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}.") from None
        except _DAMAGED:
            raise _damaged(self.path) from None

    def head(self, count: int) -> bytes:
        """Its first bytes; none of a file that cannot be read: `opened` says why."""
        try:
            with self.opened() as file:
                return file.read(count)
        except InputError:
            return b""


@contextmanager
def listed(path: Path) -> Iterator[list[Entry]]:
    """List a file, the files in a folder and below, or those in an archive, which stays open for reading them.

    Archives (zip, tar, compressed tar) are told by content, in folders too; archives inside of them are not opened.
    Hidden files and what operating systems leave behind are left out; links are followed, once each. A damaged archive
    is one entry, and opening it says so.

    Raises:
        InputError: `path` is neither file nor folder, or holds more than `MAX_FILES`.
    """
    with ExitStack() as stack:
        if path.is_dir():
            entries = _in_folder(path, stack)
        elif _is_file(path):
            entries = _in_file(path, path.name, stack)
            if entries[:1] and entries[0].inside:  # without the archive's own name
                entries = [
                    Entry(each.file, each.inside, each.name.partition("/")[2], each.open) for each in entries
                ]
        else:
            raise InputError(f"{path} is no file that could be read; name a file or folder with faces.")
        if len(entries) > MAX_FILES:
            raise _too_many(path)
        yield entries


def _in_folder(folder: Path, stack: ExitStack) -> list[Entry]:
    entries: list[Entry] = []
    seen: set[Path] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        here = Path(parent)
        inside = here.relative_to(folder)
        real = here.resolve()
        if real in seen or len(inside.parts) > MAX_DEPTH:  # a link may lead back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _is_junk(name))
        for name in sorted(names):
            if not _is_junk(name) and _is_file(here / name):
                entries += _in_file(here / name, (inside / name).as_posix(), stack)
        if len(entries) > MAX_FILES:
            raise _too_many(folder)
    return entries


def _in_file(file: Path, name: str, stack: ExitStack) -> list[Entry]:
    """A file itself, or what it holds if it is an archive."""
    whole = Entry(file, "", name, lambda: file.open("rb"))
    if file.suffix.lower() in PICTURES:
        return [whole]
    try:
        if zipfile.is_zipfile(file) or whole.head(4) == b"PK\x03\x04":
            zipped = stack.enter_context(zipfile.ZipFile(file))
            members = [
                (info.filename, partial(zipped.open, info)) for info in zipped.infolist() if not info.is_dir()
            ]
        elif tarfile.is_tarfile(file):
            tar = stack.enter_context(tarfile.open(file))  # noqa: SIM115 (the stack closes it)
            members = [(member.name, partial(_extract, tar, member)) for member in _tar_members(file, tar)]
        else:
            return [whole]
    except OSError:
        return [whole]
    except (*_DAMAGED, RuntimeError):
        return [Entry(file, "", name, partial(_refuse, file))]
    if members and all(member.endswith(".npy") for member, _ in members):  # an .npz file
        return [whole]
    # "./train.csv" is not hidden, and "/train.csv" lies in the archive like the others.
    named = ((posixpath.normpath(member).lstrip("/"), opener) for member, opener in members)
    return [
        Entry(file, member, f"{name}/{member}", opener)
        for member, opener in named
        if not any(map(_is_junk, member.split("/")))
    ]


def _tar_members(file: Path, tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    members: list[tarfile.TarInfo] = []
    for member in tar:
        if len(members) >= MAX_FILES:
            raise _too_many(file)
        if member.isfile():
            members.append(member)
    return members


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    assert file is not None, "listed as a file"
    return file


def _is_file(path: Path) -> bool:
    """Whether a path is a file that ends: no folder, device or pipe. Links are followed."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK or name.endswith(CACHE_SUFFIX)


def _refuse(path: Path) -> NoReturn:
    raise _damaged(path)


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged; download it again.")


def _too_many(path: Path) -> InputError:
    return InputError(f"{path} holds more than {MAX_FILES:,} files; name the folder or file with the faces.")
