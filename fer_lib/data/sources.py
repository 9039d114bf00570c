"""What `DATA` may name: which files in a folder or archive are the faces, told by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from fer_lib.csv_faces import columns_of, read_csv
from fer_lib.errors import InputError
from fer_lib.ferplus import FERPLUS, is_ferplus, read_votes, with_votes
from fer_lib.image_faces import is_picture, read_pictures, read_unlabelled_pictures
from fer_lib.npz_faces import array_roles, is_array, read_npz
from fer_lib.packed import Entry, listed
from fer_lib.tables import ORDER, SPLITS, FaceTable

KNOWN = ("train", "fer2013", "icml_face_data")
"""Names, without suffixes, of the files to read first where a folder has several."""

_TEST = "test"
_DEEPEST = 3
_LISTED = 8
_SUFFIXES = ("", ".gz", ".zip")


@dataclass(frozen=True)
class Sheet:
    """A CSV file of faces, or the arrays of an .npz file.

    Attributes:
        entries: The file, or the arrays.
        holds: What there is: "pixels", "label", "usage" (it says the split of every face), "id", "votes".
    """

    entries: tuple[Entry, ...]
    holds: frozenset[str]

    @property
    def name(self) -> str:
        """Its own name, without its folder."""
        first = self.entries[0]
        return first.file.name if is_array(first) else first.parts[-1]

    @property
    def path(self) -> Path:
        """Where a person would look for it."""
        first = self.entries[0]
        return first.file if is_array(first) else first.path

    @property
    def stem(self) -> str:
        """Its name without suffixes."""
        return self.name.lower().partition(".")[0]

    @property
    def split(self) -> str:
        """The split that its name says, or else a folder that it is in; "" if none does."""
        names = (self.stem, *(folder.lower() for folder in reversed(self.entries[0].parts[:-1])))
        return next((SPLITS[name] for name in names if name in SPLITS), "")

    @property
    def packed(self) -> bool:
        """Whether it is zipped or gzipped; the arrays of an .npz file are not."""
        return self.path != self.entries[0].file or self.name.lower().endswith(".gz")

    @property
    def rank(self) -> tuple[int, bool, int]:
        """What is read first: a known name, then what is unpacked, then what lies higher."""
        known = KNOWN.index(self.stem) if self.stem in KNOWN else len(KNOWN)
        return known, self.packed, len(self.entries[0].parts)

    def repeats(self, other: Sheet) -> bool:
        """Whether it is the other file once more, packed, beside it."""
        one, two = self.entries[0].file, other.entries[0].file
        copy = self.packed and not other.packed
        return copy and self.stem == other.stem and one != two and one.parent == two.parent

    def read(self, split: str | None = None) -> list[FaceTable]:
        """Its faces; `split` is that of faces for which it says none."""
        if is_array(self.entries[0]):
            return read_npz(self.entries, split=split)
        return [read_csv(self.entries[0], split=split)]


@dataclass(frozen=True)
class Source:
    """The faces that a path names: sheets or pictures.

    Attributes:
        path: What was named.
        sheets: The file of faces, and those of its tests, each of another split.
        pictures: Pictures in folders, where there are no sheets.
        votes: FER+'s file.
    """

    path: Path
    sheets: tuple[Sheet, ...] = ()
    pictures: tuple[Entry, ...] = ()
    votes: Entry | None = None

    def tables(self) -> list[FaceTable]:
        """All faces, with what cannot be used."""
        if self.pictures:
            return read_pictures(self.path, self.pictures)
        main, *tests = self.sheets
        tables = [*main.read(), *(table for test in tests for table in test.read(test.split or _TEST))]
        return tables if self.votes is None else with_votes(tables, read_votes(self.votes))

    def unlabelled_tables(self) -> list[FaceTable]:
        """The faces of the test file if there is one, pictures outside of training folders, or all."""
        if self.pictures:
            return [read_unlabelled_pictures(self.path, self.pictures)]
        return self.sheets[-1].read(_TEST)

    def files(self) -> dict[str, Path]:
        """The files on disk behind it, by their names from the named folder on."""
        entries = [*self.pictures, *(entry for sheet in self.sheets for entry in sheet.entries)]
        if self.votes is not None:
            entries.append(self.votes)
        folder = self.path.is_dir()
        return {
            entry.name.removesuffix(f"/{entry.inside}") if folder else entry.file.name: entry.file
            for entry in entries
        }

    def stamp(self) -> list[tuple[int, int]]:
        """Sizes and times of the files: when they are the same, nobody has written to them."""
        states = [file.stat() for file in self.files().values()]
        return [(state.st_size, state.st_mtime_ns) for state in states]

    def digest(self) -> str:
        """A hash of names and contents of all files: 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for name, file in sorted(self.files().items()):
            with file.open("rb") as opened:
                content = hashlib.file_digest(opened, "sha256").digest()
            digest.update(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest() + content)
        return digest.hexdigest()


@contextmanager
def found(path: str | Path) -> Iterator[Source]:
    """Find the faces that a path names; archives stay open for reading them.

    Args:
        path: A CSV, .npz or picture file, an archive, or a folder, in which files named train, fer2013 and
            icml_face_data come first, in this order, and CSV files before pictures. Their names or folders say
            their splits (train, test, validation and the like).

    Raises:
        InputError: There is no such file or folder, no faces in it, or several files of faces to choose from.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            f"There is no file or folder {path}; check the spelling, or leave DATA empty for drawn faces."
        )
    with ExitStack() as stack:
        entries = stack.enter_context(listed(path))
        if path.is_dir():
            yield _chosen(path, entries)
            return
        alone = len(entries) == 1 and not entries[0].inside
        if alone and not is_picture(entries[0]):
            # Reading a file that is no CSV says what is wrong with it.
            source = Source(path, (Sheet((entries[0],), frozenset(columns_of(entries[0]) or ())),))
        else:
            source = _chosen(path, entries)
        yield _with_companions(source, stack)


def _chosen(path: Path, entries: Sequence[Entry]) -> Source:
    """The faces among the files of a folder or archive."""
    others = [entry for entry in entries if not is_picture(entry) and len(entry.parts) <= _DEEPEST]
    sheets = sorted(_sheets(others), key=lambda sheet: sheet.rank)
    pictures = [entry for entry in entries if is_picture(entry)]
    if any(sheet.holds for sheet in sheets) or (sheets and not pictures):
        chosen = _main_and_tests(path, sheets)
        return Source(path, chosen, votes=_votes(chosen, others))
    unpacked = [entry for entry in pictures if not entry.inside]
    if not pictures:
        for entry in others:
            with entry.opened():  # one that cannot be read says why
                pass
        names = sorted({entry.parts[0] for entry in entries})
        found = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
        raise InputError(
            f"{path} holds {found or 'nothing'}, but no CSV file with columns of faces (emotion,pixels,Usage; "
            "label,feature; id,feature), no .npz file and no pictures in folders named after emotions."
        )
    return Source(path, pictures=tuple(unpacked or pictures))


def _sheets(entries: Iterable[Entry]) -> Iterator[Sheet]:
    """The CSV files of faces and .npz files among some files, and those that are called train.csv or the like."""
    arrays = [entry for entry in entries if is_array(entry)]
    for _, group in groupby(arrays, key=lambda entry: entry.file):
        members = tuple(group)
        if "pixels" in (roles := array_roles(members)):
            yield Sheet(members, roles)
    for entry in entries:
        if is_array(entry):
            continue
        sheet = Sheet((entry,), frozenset(columns_of(entry) or ()))
        if sheet.holds or (sheet.stem in (*KNOWN, _TEST) and ".csv" in sheet.name.lower()):
            yield sheet


def _main_and_tests(path: Path, sheets: Sequence[Sheet]) -> tuple[Sheet, ...]:
    """The file to read, and those of its tests; `sheets` in the order of their ranks."""
    sheets = [sheet for i, sheet in enumerate(sheets) if not any(map(sheet.repeats, sheets[:i]))]
    trains = [
        sheet for sheet in sheets if sheet.split == "train" or (not sheet.split and "label" in sheet.holds)
    ]
    tests = [sheet for sheet in sheets if sheet.split not in ("", "train")]
    main, *others = [sheet for sheet in trains if "label" in sheet.holds] or trains or tests or sheets
    _require_one(path, main, [other for other in others if main.stem not in KNOWN or other.stem == main.stem])
    if main in tests or ("usage" in main.holds and main.split != "train"):
        return (main,)
    beside = main.entries[0].file.parent
    tests = [test for test in tests if test.holds or test.entries[0].file.parent == beside]
    unlabelled = [
        sheet for sheet in sheets if sheet.holds and sheet is not main and "label" not in sheet.holds
    ]
    if not tests and len(unlabelled) == 1:
        return (main, *unlabelled)
    for test in tests:
        _require_one(
            path, test, [other for other in tests if other is not test and other.split == test.split]
        )
    return (main, *sorted(tests, key=lambda test: ORDER.index(test.split)))


def _require_one(path: Path, sheet: Sheet, rivals: Sequence[Sheet]) -> None:
    if rivals:
        names = ", ".join(str(each.path.relative_to(path)) for each in (sheet, rivals[0]))
        raise InputError(f"{path} holds several files of faces ({names}); name one of them.")


def _with_companions(source: Source, stack: ExitStack) -> Source:
    """A file's source with what stands beside the file: train.csv's test.csv and the like, and FER+'s votes."""
    folder = source.path.parent
    sheets = source.sheets
    if len(sheets) == 1 and sheets[0].stem == KNOWN[0]:
        suffix = "".join(Path(sheets[0].name).suffixes).removesuffix(".gz")
        names = [f"{name}{suffix}" for name, split in SPLITS.items() if split != "train"]
        tests = [sheet for name in names for sheet in _sheets(_beside(folder, name, stack))]
        sheets = _main_and_tests(folder, [*sheets, *tests])
    votes = source.votes or _votes(sheets, _beside(folder, FERPLUS, stack))
    return Source(source.path, sheets, source.pictures, votes)


def _votes(sheets: Sequence[Sheet], entries: Iterable[Entry]) -> Entry | None:
    """FER+'s file among some, for faces that bring no votes of their own."""
    if not sheets or any("votes" in sheet.holds for sheet in sheets):
        return None
    return next((entry for entry in entries if not is_array(entry) and is_ferplus(entry)), None)


def _beside(folder: Path, name: str, stack: ExitStack) -> list[Entry]:
    """What the first file of this name holds, plain, gzipped or zipped."""
    paths = (folder / f"{name}{suffix}" for suffix in _SUFFIXES)
    path = next((path for path in paths if path.is_file()), None)
    return [] if path is None else stack.enter_context(listed(path))
