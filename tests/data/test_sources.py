"""Every form in which FER2013 comes, each told by its content."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from face_files import course_text, fer2013_text, pixel_text, random_faces, write
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_lib import data
from fer_lib.data import sources
from fer_lib.data.archives import listed
from fer_lib.data.array_faces import write_npz
from fer_lib.data.faces import VOTES, Faces, FaceSplits
from fer_lib.data.ferplus import read_votes
from fer_lib.data.tables import FaceTable
from fer_lib.emotions import EMOTIONS
from fer_lib.errors import InputError

TRAIN = random_faces(9)
PUBLIC = random_faces(4, seed=1)
PRIVATE = random_faces(5, seed=2)
ALL = Faces(
    np.concatenate([TRAIN.pixels, PUBLIC.pixels, PRIVATE.pixels]),
    np.concatenate([TRAIN.known_labels, PUBLIC.known_labels, PRIVATE.known_labels]),
    np.arange(18),
)
USAGE_SPLITS = {"Training": "train", "PublicTest": "public", "PrivateTest": "private"}
USAGES = ["Training"] * 9 + ["PublicTest"] * 4 + ["PrivateTest"] * 5
FER2013 = fer2013_text(ALL, USAGES)
UNLABELLED = Faces(PUBLIC.pixels, None, PUBLIC.ids)


def icml_text() -> str:
    rows = [
        f"{label}, {usage}, {pixel_text(face)}\n"
        for label, usage, face in zip(ALL.known_labels, USAGES, ALL.pixels, strict=True)
    ]
    return "".join(["emotion, Usage, pixels\n", *rows])


def zipped(path: Path, **files: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def png(face: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(face).save(file, "PNG")
    return file.getvalue()


def picture_files(test: str = "test") -> dict[str, bytes]:
    """FER2013 as Kaggle's folders of pictures have it, by name."""
    files = {}
    for split, usage, faces in (
        ("train", "Training", TRAIN),
        (test, "PublicTest", PUBLIC),
        (test, "PrivateTest", PRIVATE),
    ):
        for i, (label, face) in enumerate(zip(faces.known_labels, faces.pixels, strict=True)):
            files[f"{split}/{EMOTIONS[label]}/{usage}_{i}.png"] = png(face)
    return files


def pictures(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        write(folder / name, content)
    return folder


def assert_fer2013(splits: FaceSplits) -> None:
    assert list(splits.tests) == ["public", "private"]
    for faces, expected in (
        (splits.train, TRAIN),
        (splits.tests["public"], PUBLIC),
        (splits.tests["private"], PRIVATE),
    ):
        assert np.array_equal(faces.pixels, expected.pixels)
        assert np.array_equal(faces.known_labels, expected.known_labels)


def fer2013_tar(folder: Path) -> Path:
    """The original fer2013.tar.gz: the file in a folder, with a note beside it."""
    with tarfile.open(folder / "fer2013.tar.gz", "w:gz") as archive:
        for name, text in (("fer2013/README", "notes"), ("fer2013/fer2013.csv", FER2013)):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return folder / "fer2013.tar.gz"


def contest_zip(folder: Path) -> Path:
    """The 2013 contest's archive, whose first files are of another form, and unlabelled."""
    return zipped(
        folder / "contest.zip",
        **{"example_submission.csv": "Id,Prediction\n1,0\n", "icml_face_data.csv": icml_text()},
    )


def npz(folder: Path) -> Path:
    arrays = {
        f"{split}_{name}": array
        for split, faces in (("train", TRAIN), ("public", PUBLIC), ("private", PRIVATE))
        for name, array in (("pixels", faces.pixels), ("labels", faces.known_labels))
    }
    np.savez_compressed(folder / "faces.npz", **arrays)
    return folder / "faces.npz"


def table(
    delimiter: str = ",", *, names: str = "emotion,pixels,Usage", label=str, pixels=pixel_text, before=""
) -> str:
    """FER2013 in another dialect of CSV."""
    rows = [
        [*before[:1], label(int(number)), pixels(face), usage]
        for number, face, usage in zip(ALL.known_labels, ALL.pixels, USAGES, strict=True)
    ]
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter).writerows(
        [[*before.split(",")[:1] * bool(before), *names.split(",")], *rows]
    )
    return file.getvalue()


def wide_text() -> str:
    """A column for each pixel."""
    return (
        table(names=f"emotion,{','.join(f'pixel{i}' for i in range(2304))},Usage")
        .replace('"', "")
        .replace(" ", ",")
    )


def picture(face: np.ndarray, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(face).save(file, form, **options)
    return file.getvalue()


def pictures_in(folder: Path, form: str, **options: object) -> Path:
    """FER2013's folders of pictures in another format, in folders such as 0_angry."""
    for name, content in picture_files().items():
        split, emotion, file = name.split("/")
        face = np.asarray(Image.open(io.BytesIO(content)))
        place = folder / split / f"{EMOTIONS.index(emotion)}_{emotion.title()}" / file
        write(place.with_suffix(f".{form.lower()}"), picture(face, form, **options))
    write(folder / "train" / "Thumbs.db", b"junk")
    write(folder / "__MACOSX" / "train" / "0_angry" / "._1.png", b"junk")
    return folder


CHINESE = ("生氣", "厭惡", "恐懼", "高興", "難過", "驚訝", "中立")
DIALECTS = {
    "semicolons": table(";"),
    "tabs": table("\t"),
    "capitals": table(names="EMOTION,Pixels,USAGE")
    .replace("Training", "TRAINING")
    .replace("PrivateTest", "privatetest"),
    "further columns": table(names="emotion,pixels,Usage,source")
    .replace("Training", "Training,web")
    .replace("Test", "Test,web"),
    "an index column": table(before="0").replace("0,emotion", ",emotion", 1),
    "names of emotions": table(label=lambda label: EMOTIONS[label].title()),
    "Chinese names": table(label=lambda label: CHINESE[label]),
    "labels like 0.0": table(label=lambda label: f"{label}.0"),
    "pixels like 70.0": table(pixels=lambda face: " ".join(f"{pixel}.0" for pixel in face.ravel())),
    "pixels like [1, 2]": table(pixels=lambda face: str(face.ravel().tolist())),
    "a column for each pixel": wide_text(),
}
FORMS: dict[str, Callable[[Path], Path]] = {
    **{name: lambda folder, text=text: write(folder / "f.csv", text) for name, text in DIALECTS.items()},
    "UTF-16": lambda folder: write(folder / "f.csv", FER2013.encode("utf-16")),
    "bzip2": lambda folder: write(folder / "f.csv.bz2", bz2.compress(FER2013.encode())),
    "xz": lambda folder: write(folder / "f.csv.xz", lzma.compress(FER2013.encode())),
    "tar in a folder": lambda folder: fer2013_tar(folder).parent,
    "tar under another name": lambda folder: fer2013_tar(folder).rename(folder / "fer2013.csv"),
    "BMP": lambda folder: pictures_in(folder, "BMP"),
    "GIF": lambda folder: pictures_in(folder, "GIF"),
    "TIFF": lambda folder: pictures_in(folder, "TIFF"),
    "WebP": lambda folder: pictures_in(folder, "WebP", lossless=True),
    "fer2013.csv": lambda folder: write(folder / "fer2013.csv", FER2013),
    "under another name": lambda folder: write(folder / "faces.txt", FER2013),
    "alone in a folder": lambda folder: write(folder / "mine" / "faces.csv", FER2013).parent,
    "icml_face_data.csv": lambda folder: write(folder / "icml_face_data.csv", icml_text()),
    "gzipped": lambda folder: write(folder / "fer2013.csv.gz", FER2013, zipped=True),
    "gzipped under a plain name": lambda folder: write(folder / "fer2013.csv", FER2013, zipped=True),
    "zipped": lambda folder: zipped(folder / "archive.zip", **{"fer2013.csv": FER2013}),
    "zipped under a plain name": lambda folder: zipped(folder / "fer2013.csv", **{"fer2013.csv": FER2013}),
    "zipped in a folder": lambda folder: (
        zipped(folder / "in" / "archive.zip", **{"fer2013.csv": FER2013}).parent
    ),
    "gzipped in a zip": lambda folder: zipped(
        folder / "a.zip", **{"f.csv.gz": gzip.compress(FER2013.encode(), 1)}
    ),
    "fer2013.tar.gz": fer2013_tar,
    "the contest's zip": contest_zip,
    "npz": npz,
    "npz in a folder": lambda folder: npz(folder).parent,
    "pictures": lambda folder: pictures(folder / "images", picture_files()),
    "pictures in two folders more": lambda folder: pictures(
        folder / "a" / "b" / "c", picture_files()
    ).parents[1],
    "zipped pictures": lambda folder: zipped(folder / "archive.zip", **picture_files()),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_fer2013_gives_the_same_arrays(form: str, tmp_path: Path) -> None:
    assert_fer2013(data.load(FORMS[form](tmp_path)))


@pytest.mark.parametrize("form", ["fer2013.csv", "npz in a folder", "zipped pictures", "fer2013.tar.gz"])
def test_what_was_read_comes_back_from_the_cache(form: str, tmp_path: Path) -> None:
    path = FORMS[form](tmp_path)
    assert_fer2013(data.load(path, cache=tmp_path / "cache"))
    [file] = (tmp_path / "cache").iterdir()
    written = file.stat().st_mtime_ns
    assert_fer2013(data.load(path, cache=tmp_path / "cache"))
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("label,feature", "id,feature"),
        ("emotion,pixels", "pixels"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz", ".zip"])
def test_training_and_test_files_of_course_and_contest_belong_together(
    train: str, test: str, suffix: str, tmp_path: Path
) -> None:
    texts = {"train": course_text(TRAIN).replace("label,feature", train), "test": course_text(UNLABELLED)}
    if test == "pixels":
        texts["test"] = "pixels\n" + "".join(f'"{pixel_text(face)}"\n' for face in PUBLIC.pixels)
    for name, text in texts.items():
        path = tmp_path / f"{name}.csv{suffix}"
        if suffix == ".zip":
            zipped(path, **{f"{name}.csv": text})
        else:
            write(path, text, zipped=bool(suffix))
    for path in (tmp_path, tmp_path / f"train.csv{suffix}"):
        splits = data.load(path)
        assert splits.train.fingerprint() == TRAIN.fingerprint()
        assert np.array_equal(splits.tests["test"].pixels, PUBLIC.pixels)
        assert splits.tests["test"].labels is None


def test_both_files_in_one_zip_belong_together(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "hw3.zip", **{"test.csv": course_text(UNLABELLED), "train.csv": course_text(TRAIN)}
    )
    assert list(data.load(path).tests) == ["test"]


def test_a_file_and_its_zip_in_a_folder_are_read_once(tmp_path: Path) -> None:
    zipped(tmp_path / "fer2013.csv.zip", **{"fer2013.csv": "emotion,pixels,Usage\n"})
    write(tmp_path / "fer2013.csv", FER2013)
    assert_fer2013(data.load(tmp_path))


def test_two_files_of_unknown_names_are_to_be_chosen_from(tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        write(tmp_path / name, course_text(TRAIN))
    with pytest.raises(InputError, match=r"several files of faces \(one\.csv, two\.csv\); name one of them"):
        data.load(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_folders_say_the_splits_of_files_of_one_name(packed: bool, tmp_path: Path) -> None:
    parts = {"train": TRAIN, "validation": PRIVATE, "test": PUBLIC}
    files = {f"{split}/faces.csv": course_text(faces) for split, faces in parts.items()}
    if packed:
        path = zipped(tmp_path / "a.zip", **files)
    else:
        path = pictures(tmp_path / "a", {name: text.encode() for name, text in files.items()})
    splits = data.load(path)
    assert splits.train.fingerprint() == TRAIN.fingerprint()
    assert list(splits.tests) == ["public", "test"]
    assert splits.tests["public"].fingerprint() == PRIVATE.fingerprint()
    assert splits.tests["test"].fingerprint() == PUBLIC.fingerprint()
    assert np.array_equal(data.load_unlabelled(path).pixels, PUBLIC.pixels)


def test_a_validation_file_beside_the_training_file_is_the_public_test(tmp_path: Path) -> None:
    for name, faces in (("train", TRAIN), ("val", PRIVATE), ("test", UNLABELLED)):
        write(tmp_path / f"{name}.csv", course_text(faces))
    for path in (tmp_path, tmp_path / "train.csv"):
        assert {name: len(faces) for name, faces in data.load(path).tests.items()} == {"public": 5, "test": 4}


@pytest.mark.parametrize("name", ["train", "fer2013", "mine"])
def test_files_of_one_name_in_two_folders_are_to_be_chosen_from(name: str, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write(tmp_path / folder / f"{name}.csv", course_text(TRAIN))
    with pytest.raises(InputError, match=rf"faces \(one/{name}\.csv, two/{name}\.csv\); name one of them"):
        data.load(tmp_path)


def test_two_test_files_are_to_be_chosen_from(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", course_text(TRAIN))
    for name in ("test.csv", "old/test.csv"):
        write(tmp_path / name, course_text(UNLABELLED))
    with pytest.raises(InputError, match=r"faces \(test\.csv, old/test\.csv\); name one of them"):
        data.load(tmp_path)


def test_an_archive_and_what_was_unpacked_from_it_are_read_once(tmp_path: Path) -> None:
    files = {"train.csv": course_text(TRAIN), "test.csv": course_text(UNLABELLED)}
    zipped(tmp_path / "archive.zip", **files)
    pictures(tmp_path, {name: text.encode() for name, text in files.items()})
    assert data.load(tmp_path).source == "train.csv + test.csv"


@pytest.mark.parametrize("name", ["archive.zip", "train.csv.zip"])
def test_a_folder_with_nothing_but_a_damaged_archive_says_so(name: str, tmp_path: Path) -> None:
    write(tmp_path / name, b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match=rf"/{name} is damaged; download it again"):
        data.load(tmp_path)


@pytest.mark.parametrize("broken", ["name,age\n1,2\n", b"PK\x03\x04 cut off", b"\x1f\x8b\x08"])
@pytest.mark.parametrize("name", ["test.csv", "fer2013new.csv"])
def test_a_broken_companion_is_named_and_not_left_out(name: str, broken: str | bytes, tmp_path: Path) -> None:
    write(tmp_path / "train.csv", course_text(TRAIN))
    write(tmp_path / name, broken)
    for path in (tmp_path, tmp_path / "train.csv"):
        with pytest.raises(
            InputError, match=rf"/{name} (has the columns|is damaged|line 1 is no row of FER)"
        ):
            data.load(path)


def test_answers_called_test_in_another_folder_are_no_test_file(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", course_text(TRAIN))
    write(tmp_path / "answers" / "test.csv", "id,label\n0,3\n")
    assert data.load(tmp_path).tests == {}


@pytest.mark.parametrize("content", [b"PKNOTES on the data", b"PK\x03\x04 cut off", b"\x1f\x8b\x08"])
def test_a_file_that_cannot_be_read_does_not_keep_others_from_it(content: bytes, tmp_path: Path) -> None:
    write(tmp_path / "train.csv", course_text(TRAIN))
    write(tmp_path / "NOTES", content)
    assert data.load(tmp_path).train.fingerprint() == TRAIN.fingerprint()


def test_a_table_in_a_folder_with_a_number_is_no_picture(tmp_path: Path) -> None:
    write(tmp_path / "versions" / "1" / "fer2013.csv", FER2013)
    write(tmp_path / "versions" / "1" / "README.md", "notes")
    assert_fer2013(data.load(tmp_path))


def test_a_tar_made_of_a_folder_holds_what_the_folder_holds(tmp_path: Path) -> None:
    write(tmp_path / "a" / "fer2013.csv", FER2013)
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(tmp_path / "a", ".")
    assert_fer2013(data.load(tmp_path / "a.tgz"))


def test_names_that_begin_with_a_slash_lie_in_the_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("/one/train.csv", "/two/train.csv"):
            archive.writestr(name, course_text(TRAIN))
    with pytest.raises(InputError, match=r"several files of faces \(one/train\.csv, two/train\.csv\)"):
        data.load(tmp_path / "a.zip")


def test_files_of_one_name_in_two_archives_are_not_one(tmp_path: Path) -> None:
    for name, faces in (("ckplus.zip", TRAIN), ("fer2013.zip", ALL)):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("train.csv", course_text(faces))
    with pytest.raises(InputError, match="several files of faces"):
        data.load(tmp_path)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_of_pictures_is_gone_through_a_few_times_however_many_it_holds(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(tmp_path / "a.tar", mode) as archive:
        for name, content in picture_files().items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    headers: list[bytes] = []
    read = tarfile.TarInfo.frombuf.__func__  # type: ignore[attr-defined]

    def counted(cls: type, header: bytes, *rest: object) -> tarfile.TarInfo:
        headers.append(header)
        return read(cls, header, *rest)

    monkeypatch.setattr(tarfile.TarInfo, "frombuf", classmethod(counted))
    assert_fer2013(data.load(tmp_path / "a.tar"))
    assert len(headers) < 3 * len(picture_files())


def test_a_validation_folder_is_the_public_test(tmp_path: Path) -> None:
    files = {name.replace("PublicTest_", "").replace("PrivateTest_", "1"): content
             for name, content in picture_files("validation").items()}  # fmt: skip
    assert list(data.load(pictures(tmp_path, files)).tests) == ["public"]


def test_the_same_split_in_two_folders_is_refused(tmp_path: Path) -> None:
    pictures(tmp_path / "images", picture_files())
    pictures(tmp_path / "images" / "images", picture_files())
    with pytest.raises(InputError, match="holds train pictures in images and in images/images; name one"):
        data.load(tmp_path)


def test_pictures_of_an_eighth_emotion_are_named(tmp_path: Path) -> None:
    pictures(tmp_path, picture_files() | {"train/contempt/1.png": png(TRAIN.pixels[0])})
    with pytest.raises(InputError, match=r"train/contempt/1\.png has a folder that is none of angry"):
        data.load(tmp_path)


def test_a_picture_beside_the_folders_is_left_alone(tmp_path: Path) -> None:
    assert_fer2013(data.load(pictures(tmp_path, picture_files() | {"preview.png": b"x", "README.md": b"x"})))


@pytest.mark.parametrize("train", ["train", "Training"])
def test_pictures_to_predict_are_chosen_as_those_to_load(train: str, tmp_path: Path) -> None:
    files = {name.replace("train/", f"{train}/"): content for name, content in picture_files().items()}
    pictures(tmp_path, files | {"preview.png": png(TRAIN.pixels[0])})
    assert len(data.load_unlabelled(tmp_path)) == 9


def test_pictures_anywhere_are_faces_to_predict_by_their_numbers(tmp_path: Path) -> None:
    pictures(tmp_path, {f"me {10 - i}.png": png(TRAIN.pixels[i]) for i in range(3)})
    faces = data.load_unlabelled(tmp_path)
    assert faces.ids.tolist() == [8, 9, 10]
    assert np.array_equal(faces.pixels, TRAIN.pixels[[2, 1, 0]])


def test_a_single_picture_is_a_face_to_predict(tmp_path: Path) -> None:
    assert len(data.load_unlabelled(write(tmp_path / "me.png", png(TRAIN.pixels[0])))) == 1


def test_the_test_folder_of_pictures_is_what_to_predict(tmp_path: Path) -> None:
    assert len(data.load_unlabelled(pictures(tmp_path, picture_files()))) == 9


@pytest.mark.parametrize(
    ("tests", "ids"),
    [
        ({"test": replace(UNLABELLED, ids=np.array([7, 3, 1, 9]))}, [7, 3, 1, 9]),
        (
            {"public": PUBLIC, "private": replace(PRIVATE, ids=np.arange(5) + 20)},
            [0, 1, 2, 3, *range(20, 25)],
        ),
        ({"public": PUBLIC, "private": PRIVATE}, list(range(9))),
    ],
)
def test_the_tests_among_arrays_are_what_to_predict(
    tests: dict[str, Faces], ids: list[int], tmp_path: Path
) -> None:
    write_npz(tmp_path / "faces.npz", {"train": TRAIN, **tests})
    faces = data.load_unlabelled(tmp_path / "faces.npz")
    assert faces.ids.tolist() == ids
    assert np.array_equal(faces.pixels, np.concatenate([each.pixels for each in tests.values()]))


def ferplus_text(usages: list[str], labels: np.ndarray) -> str:
    columns = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    rows = []
    for i, (usage, label) in enumerate(zip(usages, labels, strict=True)):
        votes = {columns[label]: 7, "unknown": 3} if i != 2 else {"NF": 10}
        name = f"fer{i:07}.png" if i != 2 else ""
        rows.append(",".join([usage, name, *(str(votes.get(vote, 0)) for vote in VOTES)]) + "\n")
    return "".join([f"Usage,Image name,{','.join(VOTES)}\n", *rows])


def test_ferplus_beside_the_faces_gives_votes(tmp_path: Path) -> None:
    path = write(tmp_path / "fer2013.csv", FER2013)
    write(tmp_path / "fer2013new.csv", ferplus_text(USAGES, ALL.known_labels))
    for source in (path, tmp_path):
        splits = data.load(source)
        votes = splits.tests["private"].votes
        assert votes is not None and votes.sum(axis=1).tolist() == [10] * 5
        assert splits.train.soft_labels().argmax(axis=1).tolist() == TRAIN.known_labels.tolist()
    with sources.found(path) as source:
        [table] = source.tables()
    assert table.rejected is not None and np.flatnonzero(table.rejected).tolist() == [2]


def test_ferplus_goes_by_usage_with_the_courses_training_file(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", course_text(TRAIN))
    write(tmp_path / "test.csv", course_text(UNLABELLED))
    write(tmp_path / "fer2013new.csv", ferplus_text(USAGES, ALL.known_labels))
    splits = data.load(tmp_path / "train.csv")
    assert splits.train.votes is not None and splits.train.votes.any(axis=1).all()
    assert splits.tests["test"].votes is not None and not splits.tests["test"].votes.any()


def test_arrays_with_votes_of_their_own_take_none_from_ferplus_beside_them(tmp_path: Path) -> None:
    write(tmp_path / "a" / "fer2013.csv", FER2013)
    write(tmp_path / "a" / "fer2013new.csv", ferplus_text(USAGES, ALL.known_labels))
    splits = data.load(tmp_path / "a")
    write(tmp_path / "b" / "fer2013new.csv", ferplus_text(USAGES, ALL.known_labels))
    write_npz(tmp_path / "b" / "clean.npz", {"train": splits.train[2:], "private": splits.tests["private"]})
    for path in (tmp_path / "b", tmp_path / "b" / "clean.npz"):
        again = data.load(path)
        assert again.train.votes is not None and splits.train.votes is not None
        assert again.train.votes.tolist() == splits.train.votes[2:].tolist()
        assert again.train.ids.tolist() == splits.train.ids[2:].tolist()


def test_ferplus_of_another_length_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", course_text(TRAIN[:8]))
    write(tmp_path / "fer2013new.csv", ferplus_text(USAGES, ALL.known_labels))
    with pytest.raises(InputError, match=r"fer2013new\.csv has 9 train faces, but .*train\.csv 8"):
        data.load(tmp_path)


def test_ferplus_in_another_order_is_refused(tmp_path: Path) -> None:
    faces = random_faces(70)
    write(tmp_path / "train.csv", course_text(faces))
    write(tmp_path / "fer2013new.csv", ferplus_text(["Training"] * 70, np.roll(faces.known_labels, 1)))
    with pytest.raises(InputError, match="only 0% of the labels are what most people voted for"):
        data.load(tmp_path)


@pytest.mark.parametrize(
    "row", ["Training,a.png,1,2", "Test,a,0,0,0,0,0,0,0,0,0,1", "Training,a,x,0,0,0,0,0,0,0,0,0"]
)
def test_a_row_that_is_none_of_ferplus_is_named(row: str, tmp_path: Path) -> None:
    write(tmp_path / "train.csv", course_text(TRAIN))
    text = ferplus_text(["Training"] * 9, TRAIN.known_labels)
    write(tmp_path / "fer2013new.csv", f"{text}{row}\n")
    with pytest.raises(InputError, match=r"fer2013new\.csv line 11 is no row of FER\+"):
        data.load(tmp_path)


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(list(USAGE_SPLITS)),
            st.sampled_from(["", "fer0000001.png", 'a "name", with a comma.png']),
            st.lists(st.integers(0, 255), min_size=10, max_size=10),
        ),
        max_size=5,
    ),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_votes_that_a_csv_writer_writes_are_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, list[int]]],
    quoting: int,
    line_end: str,
    mark: str,
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator=line_end)
    writer.writerow(["Usage", "Image name", *VOTES])
    writer.writerows([usage, name, *votes] for usage, name, votes in rows)
    path = write(tmp_path_factory.mktemp("votes") / "fer2013new.csv", mark + text.getvalue())
    with listed(path) as [entry]:
        found = read_votes(entry)
    assert found.splits.tolist() == [USAGE_SPLITS[usage] for usage, _, _ in rows]
    assert found.votes.tolist() == [votes for _, _, votes in rows]
    assert found.named.tolist() == [bool(name) for _, name, _ in rows]


def test_a_lone_quotation_mark_does_not_take_in_the_votes(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", course_text(TRAIN))
    text = ferplus_text(["Training"] * len(TRAIN), TRAIN.known_labels).replace(",neutral", ',"neutral', 1)
    write(tmp_path / "fer2013new.csv", text)
    with pytest.raises(InputError, match=r"fer2013new\.csv line \d+ is no row of FER\+"):
        data.load(tmp_path)


def test_a_changed_file_never_gets_the_old_cache(tmp_path: Path) -> None:
    path = write(tmp_path / "train.csv", course_text(TRAIN))
    before = data.load(path, cache=tmp_path / "cache")
    times = path.stat()
    text = path.read_text()
    label = text.index("\n") + 1
    path.write_text(f"{text[:label]}5{text[label + 1 :]}")  # as long as before, and as old
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = data.load(path, cache=tmp_path / "cache")
    assert (before.train.known_labels[0], after.train.known_labels[0]) == (0, 5)


def test_a_moved_picture_never_gets_the_old_cache(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "images", picture_files())
    data.load(folder, cache=tmp_path / "cache")
    old = folder / "train" / "angry" / "Training_0.png"
    old.rename(folder / "train" / "happy" / "Training_0.png")
    assert data.load(folder, cache=tmp_path / "cache").train.known_labels[0] == 3


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for split, faces in (("train", TRAIN), ("test", PUBLIC)):
        write(tmp_path / split / "faces.csv", course_text(faces))
    before = data.load(tmp_path, cache=tmp_path / ".cache"), data.source_fingerprint(tmp_path)
    write(tmp_path / "train" / "faces.csv", course_text(PRIVATE))
    after = data.load(tmp_path, cache=tmp_path / ".cache"), data.source_fingerprint(tmp_path)
    assert before[1] != after[1]
    assert after[0].train.fingerprint() == PRIVATE.fingerprint() != before[0].train.fingerprint()


def test_a_moved_archive_has_another_fingerprint(tmp_path: Path) -> None:
    old = zipped(tmp_path / "train" / "images.zip", **{"happy/1.png": png(TRAIN.pixels[0])})
    before = data.source_fingerprint(tmp_path)
    (tmp_path / "test").mkdir()
    old.rename(tmp_path / "test" / "images.zip")
    assert data.source_fingerprint(tmp_path) != before


def test_the_fingerprint_of_a_file_does_not_depend_on_its_folder(tmp_path: Path) -> None:
    paths = [write(tmp_path / folder / "train.csv", course_text(TRAIN)) for folder in ("one", "two")]
    assert data.source_fingerprint(paths[0]) == data.source_fingerprint(paths[1])
    assert data.source_fingerprint(paths[0].parent) == data.source_fingerprint(paths[0])


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "train.csv", course_text(TRAIN))
    read = sources.Source.tables

    def slow(source: sources.Source) -> list[FaceTable]:
        tables = read(source)
        path.write_text(course_text(TRAIN[:5]))
        return tables

    monkeypatch.setattr(sources.Source, "tables", slow)
    with pytest.raises(InputError, match="changed while it was being read"):
        data.load(path, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_few_files_are_kept_in_the_cache(tmp_path: Path) -> None:
    for seed in range(7):
        path = write(tmp_path / "train.csv", course_text(random_faces(2, seed=seed)))
        data.load(path, cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_leaked_test_faces_can_be_left_out(tmp_path: Path) -> None:
    faces = Faces(ALL.pixels.copy(), ALL.labels, ALL.ids)
    faces.pixels[10] = faces.pixels[0]
    path = write(tmp_path / "fer2013.csv", fer2013_text(faces, USAGES))
    assert len(data.load(path).tests["public"]) == 4
    assert data.load(path, drop_leaked=True).tests["public"].ids.tolist() == [9, 11, 12]
