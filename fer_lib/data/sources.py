"""What `DATA` may name: which files in a folder or archive are the faces, told by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fer_lib.data.archives import Entry, listed
from fer_lib.data.array_faces import arrays_hold, is_arrays, read_arrays
from fer_lib.data.csv_faces import csv_head, read_csv
from fer_lib.data.ferplus import FERPLUS, is_ferplus, read_votes, with_votes
from fer_lib.data.pictures import is_picture, read_pictures, read_unlabelled_pictures
from fer_lib.data.tables import ORDER, FaceTable, split_of
from fer_lib.errors import InputError

KNOWN = ("train", "fer2013", "icml_face_data")
"""Names, without suffixes, of the files to read first where a folder has several of the same worth."""

_TEST = "test"
_MAX_DEPTH = 3
_LISTED = 8


@dataclass(frozen=True)
class Sheet:
    """A file with a table of faces: CSV, .npz or HDF5.

    Attributes:
        entry: The file.
        holds: What there is: "pixels", "label", "usage" (it says the split of every face), "id", "votes".
    """

    entry: Entry
    holds: frozenset[str]

    @property
    def stem(self) -> str:
        """Its name without suffixes."""
        return self.entry.parts[-1].lower().partition(".")[0]

    @property
    def split(self) -> str:
        """The split that its name says, or else a folder that it is in; "" if none does."""
        names = (self.stem, *reversed(self.entry.parts[:-1]))
        return next((split for name in names if (split := split_of(name.partition(".")[0]))), "")

    @property
    def labelled(self) -> bool:
        """Whether it has labels."""
        return "label" in self.holds

    @property
    def whole(self) -> bool:
        """Whether it has labelled faces and alone says their splits."""
        return self.labelled and "usage" in self.holds and not self.split

    @property
    def packed(self) -> bool:
        """Whether it is in an archive or compressed."""
        return bool(self.entry.inside) or self.entry.name.lower().endswith((".gz", ".bz2", ".xz"))

    @property
    def rank(self) -> tuple[int, bool, int]:
        """What is read first: a known name, then what is unpacked, then what lies higher."""
        known = KNOWN.index(self.stem) if self.stem in KNOWN else len(KNOWN)
        return known, self.packed, len(self.entry.parts)

    def repeats(self, other: Sheet) -> bool:
        """Whether it is the other file once more, packed, beside it."""
        one, two = self.entry.file, other.entry.file
        packed = self.packed and not other.packed
        return packed and self.stem == other.stem and one != two and one.parent == two.parent

    def read(self, split: str | None = None) -> list[FaceTable]:
        """Its faces; `split` is that of faces for which it says none."""
        if is_arrays(self.entry):
            return read_arrays(self.entry, split=split)
        return [read_csv(self.entry, split=split)]


@dataclass(frozen=True)
class Source:
    """The faces that a path names: sheets or pictures.

    Attributes:
        path: What was named.
        sheets: The file of faces, and those of its tests, each of another split.
        pictures: Pictures in folders, where there are no sheets.
        votes: FER+'s file.
        left_out: Names of files of faces that are not read, since others are worth more.
    """

    path: Path
    sheets: tuple[Sheet, ...] = ()
    pictures: tuple[Entry, ...] = ()
    votes: Entry | None = None
    left_out: tuple[str, ...] = ()

    def tables(self) -> list[FaceTable]:
        """All faces, with what cannot be used."""
        if self.pictures:
            return read_pictures(self.path, self.pictures)
        main, *tests = self.sheets
        tables = [*main.read(), *(table for test in tests for table in test.read(test.split or _TEST))]
        return tables if self.votes is None else with_votes(tables, read_votes(self.votes))

    def unlabelled_tables(self) -> list[FaceTable]:
        """The faces of the test files if there are some, pictures outside of training folders, or all."""
        if self.pictures:
            return [read_unlabelled_pictures(self.path, self.pictures)]
        tests = [sheet for sheet in self.sheets[1:] if sheet.split in ("", _TEST)]
        return [table for sheet in tests or self.sheets[1:] or self.sheets for table in sheet.read(_TEST)]

    def files(self) -> dict[str, Path]:
        """The files on disk behind it, by their names from the named folder on."""
        entries = [*self.pictures, *(sheet.entry for sheet in self.sheets)]
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
        path: A CSV, .npz, HDF5 or picture file, an archive, or a folder. In a folder a file with labels of all splits
            is worth more than files of one split each, and these more than pictures. Names of files or folders say
            the splits (train, test, validation and the like).

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
        source = _chosen(path, entries, alone=len(entries) == 1 and not entries[0].inside)
        if source.sheets:
            beside = stack.enter_context(_siblings(path, needed=source.sheets[0].split == "train"))
            source = _with_companions(source, beside)
        yield source


@contextmanager
def _siblings(path: Path, *, needed: bool) -> Iterator[list[Entry]]:
    """The files beside one, and what archives beside it hold; only FER+'s where tests are not `needed`."""
    with ExitStack() as stack:
        files = sorted(
            each
            for each in path.parent.iterdir()
            if each != path
            and each.is_file()
            and not each.name.startswith(".")
            and ((needed and split_of(each.name.partition(".")[0])) or each.name.lower().startswith(FERPLUS))
        )
        yield [entry for each in files for entry in stack.enter_context(listed(each))]


def _with_companions(source: Source, beside: Sequence[Entry]) -> Source:
    """A file's source with what is beside the file: train.csv's test.csv and the like, and FER+'s votes."""
    sheets, left_out = source.sheets, source.left_out
    if len(sheets) == 1 and sheets[0].split == "train":
        tests = [each for each in _sheets(beside) if each.split not in ("", "train")]
        sheets, left_out = _main_and_tests(source.path.parent, [*sheets, *tests])
    return replace(source, sheets=sheets, left_out=left_out, votes=source.votes or _votes(sheets, beside))


def _chosen(path: Path, entries: Sequence[Entry], *, alone: bool = False) -> Source:
    """The faces among the files of a folder or archive, or of a file alone."""
    if alone and not is_picture(entries[0]):  # reading it says what is wrong with it
        [entry] = entries
        return Source(path, (Sheet(entry, _holds(entry)),))
    others = [entry for entry in entries if not is_picture(entry) and len(entry.parts) <= _MAX_DEPTH]
    pictures = [entry for entry in entries if is_picture(entry)]
    sheets = sorted(_sheets(others), key=lambda sheet: sheet.rank)
    if any(sheet.holds for sheet in sheets) or (sheets and not pictures):
        chosen, left_out = _main_and_tests(path, sheets)
        left_out += ("pictures",) * bool(pictures)
        return Source(path, chosen, votes=_votes(chosen, others), left_out=left_out)
    if pictures:
        return Source(path, pictures=tuple([each for each in pictures if not each.inside] or pictures))
    for entry in others:
        with entry.opened():  # one that cannot be read says why
            pass
    names = sorted({entry.parts[0] for entry in entries})
    shown = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    raise InputError(
        f"{path} holds {shown or 'nothing'}, but no CSV file with columns of faces (emotion,pixels,Usage; "
        "label,feature; id,feature), no .npz or HDF5 file with pixels and labels, and no pictures in folders named "
        "after emotions."
    )


def _holds(entry: Entry) -> frozenset[str]:
    """What a file has of faces."""
    if is_arrays(entry):
        return arrays_hold(entry)
    header = csv_head(entry)
    return frozenset() if header is None else header.holds


def _sheets(entries: Iterable[Entry]) -> Iterator[Sheet]:
    """The files with faces among some, and those that are called train.csv or the like, damaged or not."""
    for entry in entries:
        sheet = Sheet(entry, _holds(entry))
        named = ".csv" in sheet.entry.name.lower() and sheet.stem in (*KNOWN, _TEST)
        if (
            "pixels" in sheet.holds
            or named
            or (is_arrays(entry) and not sheet.holds and sheet.stem in (*KNOWN, _TEST))
        ):
            yield sheet


def _main_and_tests(path: Path, sheets: Sequence[Sheet]) -> tuple[tuple[Sheet, ...], tuple[str, ...]]:
    """The file to read and those of its tests, and the names of those that are left out; `sheets` by rank."""
    sheets = [sheet for i, sheet in enumerate(sheets) if not any(map(sheet.repeats, sheets[:i]))]
    wholes = [sheet for sheet in sheets if sheet.whole]
    trains = [sheet for sheet in sheets if sheet.split == "train" or (not sheet.split and sheet.labelled)]
    tests = [sheet for sheet in sheets if sheet.split not in ("", "train")]
    main, *rivals = wholes or [sheet for sheet in trains if sheet.labelled] or trains or tests or sheets
    _require_one(path, main, [each for each in rivals if main.stem not in KNOWN or each.stem == main.stem])
    chosen = [main]
    if main not in wholes and main not in tests:
        chosen += _tests_of(path, main, sheets, tests)
    left_out = [sheet for sheet in sheets if sheet not in chosen and "pixels" in sheet.holds]
    return tuple(chosen), tuple(sheet.entry.name for sheet in left_out)


def _tests_of(path: Path, main: Sheet, sheets: Sequence[Sheet], tests: Sequence[Sheet]) -> list[Sheet]:
    """The test files that go with a training file, one of each split, labelled where there are labels."""
    beside = main.entry.file.parent
    tests = [test for test in tests if test.holds or test.entry.file.parent == beside]
    unlabelled = [
        each for each in sheets if "pixels" in each.holds and each is not main and not each.labelled
    ]
    if not tests:
        return unlabelled if len(unlabelled) == 1 else []
    chosen = []
    for split in ORDER:
        here = [test for test in tests if test.split == split]
        here = [test for test in here if test.labelled] or here
        if here:
            _require_one(path, here[0], here[1:])
            chosen.append(here[0])
    return chosen


def _require_one(path: Path, sheet: Sheet, rivals: Sequence[Sheet]) -> None:
    if rivals:
        names = ", ".join(str(each.entry.path.relative_to(path)) for each in (sheet, rivals[0]))
        raise InputError(f"{path} holds several files of faces ({names}); name one of them.")


def _votes(sheets: Sequence[Sheet], entries: Iterable[Entry]) -> Entry | None:
    """FER+'s file among some, for faces that bring no votes of their own."""
    if not sheets or any("votes" in sheet.holds for sheet in sheets):
        return None
    return next((entry for entry in entries if not is_arrays(entry) and is_ferplus(entry)), None)
