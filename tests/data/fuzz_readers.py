"""Mutated files against every reader: each is read as a plain reader reads it, or refused with one sentence.

usage: fuzz_readers.py [--files 10000 | --seconds 60] [--seed 0]

A traceback, a face that a plain reader does not see, a file that takes 20 seconds or 2 GB of memory stops the run and
leaves the file for a closer look.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import random
import re
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

import h5py
import numpy as np
import pytest
from face_files import course_text, fer2013_text, pixel_text, random_faces
from PIL import Image

from fer_lib import data
from fer_lib.data import sources
from fer_lib.data.faces import VOTES, Faces
from fer_lib.data.tables import SPLITS, FaceTable, label_of
from fer_lib.errors import InputError

FACES = random_faces(3)
USAGES = ["Training", "PublicTest", "PrivateTest"]
MAX_MEMORY = 2e6  # kB
MAX_SECONDS = 20

TOKENS = [
    *(
        b"",
        b"\n",
        b"\r\n",
        b",",
        b'"',
        b" ",
        b"\0",
        b"0",
        b"255",
        b"256",
        b"-1",
        b"1e2",
        b"7",
        b"NaN",
        b"../",
    ),
    *(b"Training", b"PublicTest", b"label,feature\n", b"99999999999", b"'shape': (9999999, 48, 48)"),
    *(b"PK\x03\x04", b"\x1f\x8b\x08", b"\x89PNG\r\n\x1a\n", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe4\xb8"),
    *(b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00"),
]

Row = tuple[str, int | None, bytes]
"""Split, label and pixels of a face."""


def png(face: np.ndarray, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(face).save(file, form)
    return file.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def tar_gz(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, pixels=FACES.pixels, label=FACES.known_labels)
    return file.getvalue()


def hdf5() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as arrays:
        arrays["pixels"], arrays["label"] = FACES.pixels, FACES.known_labels
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz_of(**arrays: bytes) -> bytes:
    """An .npz file of right checksums around arrays that may be damaged."""
    whole = {"pixels": npy(FACES.pixels), "label": npy(FACES.known_labels)} | arrays
    return zipped({f"{name}.npy": content for name, content in whole.items()})


def ferplus() -> bytes:
    rows = [
        f"{usage},fer{i}.png,{','.join(str((i + j) % 3) for j in range(10))}"
        for i, usage in enumerate(USAGES)
    ]
    return "\n".join([f"Usage,Image name,{','.join(VOTES)}", *rows, ""]).encode()


FER2013 = fer2013_text(FACES, USAGES).encode()
COURSE = course_text(FACES).encode()
TEST = course_text(Faces(FACES.pixels, None, FACES.ids)).encode()
CONTEST = ("pixels\n" + "".join(f'"{pixel_text(face)}"\n' for face in FACES.pixels)).encode()
PICTURES = {
    f"{split}/happy/{i}.png": png(FACES.pixels[i]) for i, split in enumerate(["train", "train", "test"])
}


def plain_rows(content: bytes) -> tuple[list[Row], int]:
    """The faces in a CSV file as the simplest reader sees them, and how many lines hold none."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = content.decode(encoding, "replace").replace("\r\n", "\n").replace("\r", "\n")
    header, *lines = text.split("\n")
    rows: list[Row] = []
    bad = 0
    for line in lines:
        if not line.strip(' \t",;|'):
            continue
        try:
            rows.append(plain_row(line, header))
        except (ValueError, KeyError, csv.Error):
            bad += 1
    return rows, bad


def plain_row(line: str, header: str) -> Row:
    """A line as the simplest reader sees it, whose columns are separated by what its header has most of."""
    delimiter = max(",;\t|", key=header.count)
    names = [name.strip(' \t"').lower() for name in header.split(delimiter)]
    [fields] = csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True)
    if len(fields) > len(names) and not fields[-1].strip():
        fields.pop()
    row = {name: field.strip() for name, field in zip(names, fields, strict=True)}
    known = {"emotion", "label", "id", "usage", "pixels", "feature"}
    if any(
        field.lower() in SPLITS for name, field in row.items() if name not in known
    ):  # of a misspelt Usage
        raise ValueError
    label, face_id, usage = row.get("emotion", row.get("label")), row.get("id"), row.get("usage")
    if face_id is not None and not re.fullmatch("[0-9]{1,18}", face_id):
        raise ValueError
    pixels = row.get("pixels", row.get("feature", ""))
    numbers = pixels.strip("[]() ").replace(",", " ").split()
    if len(numbers) != 2304 or not all(re.fullmatch(r"[+-]?[0-9]{1,9}(\.0*)?", number) for number in numbers):
        raise ValueError
    number = None if label is None else label_of(label)
    if label is not None and number is None:
        raise ValueError
    split = ("test" if label is None else "train") if usage is None else SPLITS[usage.lower()]
    return split, number, bytes(int(float(number)) for number in numbers)


def found_rows(tables: Sequence[FaceTable]) -> list[Row]:
    """The faces that our reader found."""
    return [
        (
            split,
            None if table.faces.labels is None else int(table.faces.labels[i]),
            table.faces.pixels[i].tobytes(),
        )
        for table in tables
        for i, split in enumerate(table.splits.tolist())
    ]


def right_csv(path: Path, tables: Sequence[FaceTable]) -> bool:
    rows, bad = plain_rows(path.read_bytes())
    return found_rows(tables) == rows and sum(len(table.problems) for table in tables) == bad


def right_unpacked(unpack: Callable[[Path], bytes]) -> Callable[[Path, Sequence[FaceTable]], bool]:
    """Archives have checksums: what is read is what they held, or what a plain reader unpacks now."""

    def right(path: Path, tables: Sequence[FaceTable]) -> bool:
        rows = found_rows(tables)
        if rows == plain_rows(FER2013)[0]:
            return True
        try:
            return rows == plain_rows(unpack(path))[0]
        except Exception:  # not packed any more, and text of which no line is a face
            return not rows

    return right


def right_npz(path: Path, tables: Sequence[FaceTable]) -> bool:
    """The pixels are those that were saved; a label array whose name is damaged is as if it was not there."""
    pixels = [face.tobytes() for face in FACES.pixels]
    rows = found_rows(tables)
    kept = [None] * len(rows) == [label for _, label, _ in rows]
    return [face for *_, face in rows] == pixels and (
        kept or [row[1] for row in rows] == FACES.known_labels.tolist()
    )


def right_arrays(path: Path, tables: Sequence[FaceTable]) -> bool:
    """The faces are those that NumPy reads, and labels that are none are problems."""
    with np.load(path, allow_pickle=False) as arrays:
        pixels, labels = arrays["pixels"], arrays["label"].ravel()
    if labels.dtype.kind in "SU":  # a damaged type: their bytes may be names of labels
        named = [
            label_of(text.decode("utf-8", "replace") if isinstance(text, bytes) else text) for text in labels
        ]
        labels = np.array([-1 if label is None else label for label in named])
    rows = [
        ("train", int(label), face.astype(np.uint8).tobytes())
        for face, label in zip(pixels, labels, strict=True)
        if 0 <= label <= 6
    ]
    problems = sum(len(table.problems) for table in tables)
    return found_rows(tables) == rows and problems == len(labels) - len(rows)


def right_hdf5(path: Path, tables: Sequence[FaceTable]) -> bool:
    """HDF5 has no checksums: the faces are those that h5py reads under these names."""
    with h5py.File(path) as arrays:
        pixels, labels = arrays["pixels"][()], arrays["label"][()].ravel() if "label" in arrays else None
    if labels is None:
        return [face for *_, face in found_rows(tables)] == [
            face.astype(np.uint8).tobytes() for face in pixels
        ]
    rows = [
        (int(label), face.astype(np.uint8).tobytes())
        for face, label in zip(pixels, labels, strict=True)
        if 0 <= label <= 6
    ]
    return [row[1:] for row in found_rows(tables)] == rows


def right_pictures(path: Path, tables: Sequence[FaceTable]) -> bool:
    """PNG has checksums: every face is one of those that were saved, or its file is a problem."""
    known = {face.tobytes() for face in FACES.pixels}
    return all(face in known for *_, face in found_rows(tables))


def right_jpeg(path: Path, tables: Sequence[FaceTable]) -> bool:
    """JPEG has none: the face is what the decoder makes of the file."""
    [table] = tables
    if table.problems:
        return len(table.faces) == 0
    with Image.open(path / "train" / "sad" / "1.jpg") as image:
        if image.size != (48, 48) or image.mode != "L" or image.getexif():
            return True
        return table.faces.pixels[0].tobytes() == np.asarray(image).tobytes()


def right_votes(path: Path, tables: Sequence[FaceTable]) -> bool:
    text = (
        (path / "fer2013new.csv")
        .read_bytes()
        .decode("utf-8-sig", "replace")
        .replace("\r\n", "\n")
        .replace("\r", "\n")
    )
    lines = [line.replace('"', "").split(",") for line in text.split("\n")[1:] if line.strip(", ")]
    votes = tables[0].faces.votes
    if votes is None:
        return False
    order = {
        usage: [list(map(int, line[2:])) for line in lines if line[0].strip() == usage] for usage in USAGES
    }
    wanted = [order[usage].pop(0) if order[usage] else [0] * 10 for usage in USAGES]
    return votes.tolist() == wanted


def from_gzip(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def from_zip(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(archive.namelist()[0])


def from_tar(path: Path) -> bytes:
    with tarfile.open(path) as archive:
        return archive.extractfile("f.csv").read()  # type: ignore[union-attr]


class Form(NamedTuple):
    """What to name (a file or "" for the folder), all files, the one to mutate, who judges, and what to pack it in."""

    named: str
    files: dict[str, bytes]
    target: str
    right: Callable[[Path, Sequence[FaceTable]], bool]
    pack: Callable[[bytes], bytes] = bytes


FORMS: dict[str, Form] = {name: Form(*form) for name, form in {
    "fer2013.csv": ("f.csv", {"f.csv": FER2013}, "f.csv", right_csv),
    "train.csv": ("f.csv", {"f.csv": COURSE}, "f.csv", right_csv),
    "test.csv": ("f.csv", {"f.csv": TEST}, "f.csv", right_csv),
    "contest's test.csv": ("f.csv", {"f.csv": CONTEST}, "f.csv", right_csv),
    "gzip": ("f.gz", {"f.gz": gzip.compress(FER2013, 1)}, "f.gz", right_unpacked(from_gzip)),
    "zip": ("f.zip", {"f.zip": zipped({"f.csv": FER2013})}, "f.zip", right_unpacked(from_zip)),
    "tar.gz": ("f.tgz", {"f.tgz": tar_gz("f.csv", FER2013)}, "f.tgz", right_unpacked(from_tar)),
    "npz": ("f.npz", {"f.npz": npz()}, "f.npz", right_npz),
    "hdf5": ("f.h5", {"f.h5": hdf5()}, "f.h5", right_hdf5),
    "npz's pixels": ("f.npz", {"f.npz": npy(FACES.pixels)}, "f.npz", right_arrays, lambda array: npz_of(pixels=array)),
    "npz's label": (
        "f.npz", {"f.npz": npy(FACES.known_labels)}, "f.npz", right_arrays, lambda array: npz_of(label=array)
    ),
    "pictures": ("", PICTURES, "train/happy/1.png", right_pictures),
    "JPEG": ("", {"train/sad/1.jpg": png(FACES.pixels[0], "JPEG")}, "train/sad/1.jpg", right_jpeg),
    "zipped pictures": ("f.zip", {"f.zip": zipped(PICTURES)}, "f.zip", right_pictures),
    "FER+": ("", {"f.csv": FER2013, "fer2013new.csv": ferplus()}, "fer2013new.csv", right_votes),
}.items()}  # fmt: skip


class TooSlow(BaseException):
    """Not an `Exception`, which readers of damaged files take for damage."""


def too_slow(*_: object) -> NoReturn:
    """What to do when the alarm rings."""
    raise TooSlow(f"more than {MAX_SECONDS} seconds")


def memory() -> int:
    """The most memory that this process ever held, in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A file with one to three changes: digits, bits, tokens, spans cut out, doubled or moved, the end cut off."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randrange(len(data) + 1)
        near = min(at, rng.randrange(200)) if rng.random() < 0.2 else at  # headers are where it hurts
        length = rng.choice([0, 1, 1, 2, 4, 16, 300, 9000])
        kind = rng.randrange(9)
        if kind <= 2 and data:
            old = data[near % len(data)]
            data[near % len(data)] = (
                rng.choice(b"0123456789") if chr(old).isdigit() else old ^ 1 << rng.randrange(8)
            )
        elif kind == 3 and data:
            data[near % len(data)] = rng.randrange(256)
        elif kind == 4:
            data[near : near + length] = rng.choice(TOKENS)
        elif kind == 5:
            del data[near : near + length]
        elif kind == 6:
            data[near:near] = data[near : near + length]
        elif kind == 7:
            data[near:near] = data[(at * 7) % (len(data) + 1) :][:length]
        elif rng.random() < 0.3:
            del data[at:]
    return bytes(data)


def outcome(form: str, content: bytes, folder: Path) -> str:
    """What became of a file; `AssertionError` is what a fuzzer looks for."""
    named, files, target, right, pack = FORMS[form]
    for name, original in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pack(content) if name == target else original)
    try:
        with sources.found(folder / named) as source:
            tables = source.tables()
    except InputError as error:
        assert str(error).endswith(".") and "\n" not in str(error) and len(str(error)) < 900, (
            f"{form}: {error}"
        )
        return "refused"
    assert right(folder / named, tables), f"{form}: a face that a plain reader does not see"
    if any(table.problems for table in tables):
        with pytest.raises(InputError):
            data.load(folder / named)
        return "bad places named, the others read"
    with suppress(InputError):  # test faces alone
        data.load(folder / named)
    return "read"


def fuzz(*, files: int = 0, seconds: float = 0, seed: int = 0) -> Counter[str]:
    """Try so many files, or as many as so many CPU seconds allow; the outcomes, counted by form."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    start = time.process_time()
    before = memory()
    signal.signal(signal.SIGALRM, too_slow)
    number = 0
    while number < files or time.process_time() - start < seconds:
        form = list(FORMS)[number % len(FORMS)]
        content = mutated(FORMS[form].files[FORMS[form].target], rng)
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        signal.alarm(MAX_SECONDS)
        try:
            outcomes[f"{form}: {outcome(form, content, folder)}"] += 1
            assert memory() - before < MAX_MEMORY, f"{form}: too much memory"
        except BaseException:
            print(f"file {number} of seed {seed} is in {folder}", file=sys.stderr)
            raise
        finally:
            signal.alarm(0)
        shutil.rmtree(folder)
        number += 1
    return outcomes


def main() -> None:
    """Fuzz and say how it went."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.process_time()
    outcomes = fuzz(files=options.files, seconds=options.seconds, seed=options.seed)
    for name, count in sorted(outcomes.items()):
        print(f"{count:7,}  {name}")
    print(
        f"{outcomes.total():,} mutated files, every one read rightly or refused with a sentence; "
        f"{time.process_time() - start:.0f} CPU seconds, {memory() / 1e6:.2f} GB at the most"
    )


if __name__ == "__main__":
    main()
