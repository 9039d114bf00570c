"""Files to faces: `load`, the cache of what was read and drawn, and the validation split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_lib.data import sources
from fer_lib.data.cache import cached
from fer_lib.data.drawn import sampling
from fer_lib.data.drawn.sampling import Drawing
from fer_lib.data.faces import Faces, FaceSplits
from fer_lib.data.pictures import UNLABELLED
from fer_lib.data.tables import ORDER, FaceTable, names_of
from fer_lib.emotions import EMOTIONS
from fer_lib.errors import InputError

DRAWN_AS = "drawn:"
"""How `DATA` begins that says what to draw, as in "drawn:difficulty=0.5,train=20000": see `sampling.Drawing`."""

MAX_DRAWN = 60_000
"""Faces to draw at the most; they and their masks take 0.7 GB."""

_MIN_KEPT = 1 << 22  # bytes; less is read faster than it is looked up


def load(
    path: str | Path, *, seed: int = 0, cache: Path | None = None, drop_leaked: bool = False
) -> FaceSplits:
    """Load a data set, as its source divides it.

    Args:
        path: What docs/data.md names: a CSV file with the columns of `fer2013.csv` (train, public and
            private faces) or of the course's `train.csv` (and the `test.csv` beside it), an .npz file, pictures in
            folders, a folder or archive with one of them. FER+'s `fer2013new.csv` beside them gives votes. "" draws
            faces, and so does "drawn:" with settings behind it.
        seed: Which faces to draw; files know no seed.
        cache: Folder for what was drawn or read; by default `data/` in the project around the working directory, and
            only for what takes long.
        drop_leaked: Leave out test faces that are exact copies of training faces.

    Raises:
        InputError: There is no such file or folder, it is of an unknown format, or a place in it cannot be used.
    """
    splits = _drawn(drawing(path, seed=seed), cache) if is_drawn(path) else _read(path, cache)
    return splits.without_leaked() if drop_leaked else splits


def load_unlabelled(path: str | Path) -> Faces:
    """Load faces to predict.

    Args:
        path: Any source that `load` takes: the faces of its test file, in file order. Where a file, or folders of
            pictures, hold a training split beside others, only those of the others; else all of them.

    Returns:
        Faces without labels; `ids` from the id column or the pictures' numbers, else their position: 0, 1, 2, ...

    Raises:
        InputError: The same as `load`, and for "".
    """
    if is_drawn(path):
        raise InputError("There are no faces to predict; name a file such as test.csv (id,feature).")
    with sources.found(path) as source:
        tables = source.unlabelled_tables()
    for table in tables:
        table.require_usable()
    tests = [table.faces[table.splits != "train"] for table in tables]
    parts = [faces for faces in tests if len(faces)] or [table.faces for table in tables]
    ids = np.concatenate([faces.ids for faces in parts])
    if len(parts) > 1 and len(np.unique(ids)) < len(ids):  # each split counts from 0
        ids = np.arange(len(ids))
    return Faces(np.concatenate([faces.pixels for faces in parts]), None, ids)


def is_drawn(path: str | Path) -> bool:
    """Whether `DATA` means drawn faces."""
    return str(path) == "" or str(path).startswith(DRAWN_AS)


def drawing(path: str | Path, *, seed: int = 0) -> Drawing:
    """What a `DATA` that means drawn faces says to draw; `seed` is for one that says none.

    Raises:
        InputError: A setting is unknown, or its value out of range.
    """
    names = [field.name for field in fields(Drawing)]
    settings: dict[str, int | float] = {"seed": seed}
    for setting in filter(None, str(path).removeprefix(DRAWN_AS).split(",")):
        name, _, text = setting.partition("=")
        try:
            settings[names[names.index(name)]] = float(text) if name == "difficulty" else int(text)
        except ValueError:
            raise InputError(
                f"{path} has {setting!r}, but what can be set is seed, train, test (whole numbers) and difficulty, "
                "as in drawn:difficulty=0.5,train=20000."
            ) from None
    wanted = Drawing(**settings)  # type: ignore[arg-type]
    if not (0 <= wanted.difficulty <= 3 and wanted.seed >= 0 and min(wanted.train, wanted.test) > 0):
        raise InputError(
            f"{path} is out of range: difficulty goes from 0 to 3, train and test begin at 1, seed at 0."
        )
    if wanted.train + 2 * wanted.test > MAX_DRAWN:
        raise InputError(f"{path} asks for more than {MAX_DRAWN:,} faces; train + 2 test may be as many.")
    return wanted


def check_not_overwriting(out: Path, path: str | Path) -> None:
    """Raise unless a file may be written to `out` without losing what is read from `path`.

    Raises:
        InputError: `out` is a folder or one of the files that `path` means; or there are no faces in `path`.
    """
    if out.is_dir():
        raise InputError(f"{out} is a folder; name the file to write.")
    if is_drawn(path) or not out.exists():
        return
    with sources.found(path) as source:
        if any(out.samefile(file) for file in source.files().values()):
            raise InputError(f"{out} is a file that faces are read from; name another one to write.")


def source_fingerprint(path: str | Path) -> str:
    """A short hash of the files that `load` reads, or of the code that draws faces: it changes when they do.

    Raises:
        InputError: There is no such file or folder, or nothing in the folder that could be read.
    """
    if is_drawn(path):
        return _drawing_key(drawing(path))[:16]
    with sources.found(path) as source:
        return source.digest()[:16]


def split_validation(faces: Faces, *, fraction: float = 0.15, seed: int) -> tuple[Faces, Faces]:
    """Split labelled faces into training and validation faces, both in their old order.

    Every emotion keeps its share, to a face, and exact copies of a face stay on one side; where groups of
    copies make both impossible, fewer faces are held out.

    Args:
        faces: Labelled faces.
        fraction: The share to hold out, above 0 and below 1.
        seed: Which faces are drawn.

    Returns:
        Training faces and validation faces.

    Raises:
        InputError: `fraction` is out of range, or leaves one side without faces.
    """
    if not 0 < fraction < 1:
        raise InputError(f"The validation fraction is {fraction}; it must lie between 0 and 1.")
    labels = faces.known_labels
    wanted = _shares(faces.class_counts(), fraction)
    held_out = np.zeros(len(faces), np.bool_)
    groups = faces.copy_groups()
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    for group in np.random.default_rng(seed).permutation(len(members)):
        counts = np.bincount(labels[members[group]], minlength=len(EMOTIONS))
        if (counts <= wanted).all():
            wanted -= counts
            held_out[members[group]] = True
    if held_out.all() or not held_out.any():
        raise InputError(f"{len(faces)} faces are too few to hold out {fraction:.0%} of them for validation.")
    return faces[~held_out], faces[held_out]


def _drawn(wanted: Drawing, cache: Path | None) -> FaceSplits:
    draw = partial(sampling.drawn_splits, **asdict(wanted))
    splits = cached(cache or _project_root() / "data", "drawn-", _drawing_key(wanted), draw)
    usual = wanted == Drawing(seed=wanted.seed)
    return splits if usual else replace(splits, source=f"{splits.source} (difficulty {wanted.difficulty:g})")


def _drawing_key(wanted: Drawing) -> str:
    """A hash of what decides which faces are drawn."""
    return hashlib.sha256(f"{_code_digest('drawn/*.py')} {wanted}".encode()).hexdigest()


def _read(path: str | Path, cache: Path | None) -> FaceSplits:
    with sources.found(path) as source:
        stamp = source.stamp()
        if cache is None and sum(size for size, _ in stamp) < _MIN_KEPT:
            return joined(source.tables())

        def read() -> FaceSplits:
            splits = joined(source.tables())
            if source.stamp() != stamp:
                raise InputError(f"{path} changed while it was being read; run the command again.")
            return splits

        key = hashlib.sha256((source.digest() + _code_digest("*.py")).encode()).hexdigest()
        return cached(cache or _project_root() / "data", "read-", key, read)


def joined(tables: Sequence[FaceTable]) -> FaceSplits:
    """The tables' faces by split.

    Raises:
        InputError: A place cannot be used, a split stands in two tables, or no labelled faces are there to learn from.
    """
    parts: dict[str, Faces] = {}
    owners: dict[str, FaceTable] = {}
    for table in tables:
        table.require_usable()
        if table.faces.labels is None and table.path.name.lower().startswith("train."):
            raise InputError(f"{table.path} holds no labels to learn from; are train and test swapped?")
        for split in dict.fromkeys(table.splits.tolist()):
            if split in parts:
                raise InputError(
                    f"{owners[split].path} and {table.path} both hold {split} faces; keep one of them."
                )
            owners[split], parts[split] = table, table.faces[table.splits == split]
    train = parts.pop("train", None)
    if train is None or train.labels is None:
        if any(table.kind == UNLABELLED for table in tables):
            raise InputError(
                f"{tables[0].path} holds pictures without labels; to learn from them, put them into folders named "
                f"{', '.join(EMOTIONS[:-1])} and {EMOTIONS[-1]} (`fer-lib predict` answers them as they are)."
            )
        raise InputError(
            f"{tables[0].path} holds no labelled training faces; name a train.csv or a fer2013.csv."
        )
    tests = {split: parts[split] for split in ORDER if split in parts}
    return FaceSplits(train, tests, source=" + ".join(names_of(tables).values()))


def _code_digest(pattern: str) -> str:
    """A hash of the modules of this package that match: when they change, faces may."""
    files = sorted(Path(__file__).parent.glob(pattern))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _project_root() -> Path:
    """The nearest folder with a pyproject.toml, from the working directory up; else the working directory."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "pyproject.toml").is_file()), here)


def _shares(counts: npt.NDArray[np.int64], fraction: float) -> npt.NDArray[np.int64]:
    """`fraction` of each count in whole numbers that sum to `fraction` of the whole (largest remainders)."""
    exact: npt.NDArray[np.floating] = counts * fraction
    shares: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    missing = round(exact.sum()) - shares.sum()
    shares[np.argsort(shares - exact, kind="stable")[:missing]] += 1
    return shares
