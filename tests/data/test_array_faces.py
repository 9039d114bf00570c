from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from face_files import random_faces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_lib import data
from fer_lib.data.archives import listed
from fer_lib.data.array_faces import read_arrays, write_npz
from fer_lib.data.faces import Faces
from fer_lib.data.tables import FaceTable
from fer_lib.emotions import EMOTIONS
from fer_lib.errors import InputError

FACES = random_faces(6)
PIXELS, LABELS = FACES.pixels, FACES.known_labels


def read_file(path: Path) -> list[FaceTable]:
    with listed(path) as [entry]:
        return read_arrays(entry)


def read(folder: Path, **arrays: Any) -> list[FaceTable]:
    np.savez(folder / "faces.npz", **arrays)
    return read_file(folder / "faces.npz")


def refused(folder: Path, **arrays: Any) -> str:
    with pytest.raises(InputError) as raised:
        read(folder, **arrays)
    return str(raised.value)


@pytest.mark.parametrize(
    ("pixels", "labels"),
    [("pixels", "label"), ("images", "labels"), ("x", "y"), ("X", "emotion"), ("faces", "targets")],
)
def test_arrays_go_by_the_names_that_people_give_them(pixels: str, labels: str, tmp_path: Path) -> None:
    [table] = read(tmp_path, **{pixels: PIXELS, labels: LABELS.astype(np.uint8)})
    assert table.faces.fingerprint() == FACES.fingerprint()
    assert (set(table.splits), table.places[0]) == ({"train"}, "face 0")


def test_arrays_with_splits_in_their_names_give_a_table_each(tmp_path: Path) -> None:
    tables = read(tmp_path, x_train=PIXELS, y_train=LABELS, x_test=PIXELS[:2], val_images=PIXELS[:3])
    assert [(set(table.splits), len(table.faces), table.faces.labels is None) for table in tables] == [
        ({"train"}, 6, False),
        ({"test"}, 2, True),
        ({"public"}, 3, True),
    ]


def test_an_hdf5_file_is_read_by_the_names_of_its_arrays(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        for split in ("Training", "PublicTest", "PrivateTest"):
            file[f"{split}_pixel"], file[f"{split}_label"] = PIXELS, LABELS
    tables = read_file(tmp_path / "data.h5")
    assert {
        split: table.faces.fingerprint() for table in tables for split in set(table.splits)
    } == dict.fromkeys(["train", "public", "private"], FACES.fingerprint())
    content = (tmp_path / "data.h5").read_bytes()
    (tmp_path / "data.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"data\.h5 is no HDF5 file; write it again\."):
        read_file(tmp_path / "data.h5")


@pytest.mark.parametrize(
    "labels",
    [np.eye(7)[LABELS], np.array(EMOTIONS)[LABELS], np.array(EMOTIONS, "S")[LABELS]],
    ids=["one-hot", "names", "bytes"],
)
def test_labels_may_be_one_hot_or_names(labels: np.ndarray, tmp_path: Path) -> None:
    [table] = read(tmp_path, pixels=PIXELS, labels=labels)
    assert table.faces.fingerprint() == FACES.fingerprint()


def test_a_name_that_is_no_emotion_is_a_problem_of_its_face(tmp_path: Path) -> None:
    [table] = read(tmp_path, pixels=PIXELS, labels=np.array(["bored", *np.array(EMOTIONS)[LABELS[1:]]]))
    assert len(table.faces) == len(PIXELS) - 1
    [problem] = table.problems
    assert problem.place == "face 0" and problem.what.startswith("the label 'bored' instead of")


@pytest.mark.parametrize(
    "pixels",
    [
        PIXELS[..., np.newaxis],
        PIXELS.reshape(6, 2304),
        PIXELS.astype(np.int64),
        PIXELS.astype(np.float32),
        PIXELS.astype(">u2"),
        np.asfortranarray(PIXELS),
        np.stack([PIXELS] * 3, axis=-1),
    ],
)
def test_other_shapes_and_types_give_the_same_faces(pixels: np.ndarray, tmp_path: Path) -> None:
    [table] = read(tmp_path, pixels=pixels)
    assert np.array_equal(table.faces.pixels, PIXELS)
    assert table.faces.labels is None


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (PIXELS / 255, "pixels from 0 to 1; multiply them by 255"),
        (PIXELS - 127.5, "no whole numbers from 0 to 255"),
        (PIXELS.astype(int) + 1, "no whole numbers from 0 to 255"),
        (np.full((2, 48, 48), np.nan), "no whole numbers"),
        (PIXELS[:, :40], r"the shape (6, 40, 48), but faces have"),
        (PIXELS[:0], r"the shape (0, 48, 48), but faces have"),
        (np.array([["a"]]), "holds no numbers"),
        (np.array([{"a": 1}]), "holds objects; save numbers"),
        (np.array(3), "the shape ()"),
    ],
)
def test_pixels_that_are_none_are_refused(pixels: np.ndarray, found: str, tmp_path: Path) -> None:
    assert found in refused(tmp_path, pixels=pixels)


def test_labels_out_of_range_are_problems_of_their_faces(tmp_path: Path) -> None:
    [table] = read(tmp_path, pixels=PIXELS, labels=[0, 7, 1, -1, 2, 3])
    assert [problem.place for problem in table.problems] == ["face 1", "face 3"]
    assert table.problems[0].what.startswith("the label 7 instead of 0 (angry) to 6 (neutral)")
    assert table.faces.ids.tolist() == [0, 2, 4, 5]


@pytest.mark.parametrize(
    ("name", "array", "found"),
    [
        ("votes", np.zeros((6, 8), int), "votes of the shape (6, 8), but (6, 10) is needed"),
        ("votes", np.full((6, 10), 256), "no whole numbers from 0 to 255"),
        ("ids", np.arange(5), "ids of the shape (5,), but (6,) is needed"),
        ("ids", np.arange(6) / 2, "has ids that are no whole numbers"),
        ("ids", np.full(6, 1 << 63, np.uint64), "has ids that are no whole numbers"),
    ],
)
def test_votes_and_ids_that_are_none_are_refused(
    name: str, array: np.ndarray, found: str, tmp_path: Path
) -> None:
    assert found in refused(tmp_path, pixels=PIXELS, **{name: array})


def test_what_was_written_is_read_back_with_votes_and_ids(tmp_path: Path) -> None:
    votes = np.arange(60, dtype=np.uint8).reshape(6, 10)
    parts = {
        "train": Faces(PIXELS, LABELS, np.arange(6)[::-1] * 10**15, votes=votes),
        "test": Faces(PIXELS[:2], None, np.array([7, 3])),
    }
    write_npz(tmp_path / "faces.npz", parts)
    tables = {str(table.splits[0]): table for table in read_file(tmp_path / "faces.npz")}
    for split, faces in parts.items():
        again = tables[split].faces
        for field in ("pixels", "labels", "ids", "votes"):
            array, wanted = getattr(again, field), getattr(faces, field)
            assert (array is None and wanted is None) or (
                array.dtype == wanted.dtype and np.array_equal(array, wanted)
            )
    assert tables["test"].places == ["test face 0", "test face 1"]


def test_labels_of_other_faces_are_refused(tmp_path: Path) -> None:
    assert "labels of the shape (5,), but (6,) is needed" in refused(
        tmp_path, pixels=PIXELS, labels=LABELS[:5]
    )


def test_a_file_without_pixels_says_what_it_holds(tmp_path: Path) -> None:
    assert "holds the arrays a, b, but none is called pixels" in refused(tmp_path, a=PIXELS, b=LABELS)


def test_an_array_that_claims_to_be_endless_is_refused_before_it_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "faces.npz", pixels=PIXELS)
    path = tmp_path / "faces.npz"
    path.write_bytes(path.read_bytes().replace(b"(6, 48, 48)", b"(9**9, 48,)"))
    with pytest.raises(InputError, match=r"faces\.npz"):
        read_file(path)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@settings(max_examples=40)
@given(
    pixels=arrays(np.uint8, st.tuples(st.integers(1, 3), st.just(48), st.just(48))),
    shape=st.sampled_from([(-1, 48, 48), (-1, 48, 48, 1), (-1, 2304)]),
    form=st.sampled_from(["u1", "<i2", ">i2", "<u8", "<f4", ">f8"]),
    order=st.sampled_from(["C", "F"]),
    labels=st.lists(st.integers(-2, 9), min_size=3, max_size=3),
)
def test_what_numpy_saves_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    pixels: np.ndarray,
    shape: tuple[int, ...],
    form: str,
    order: str,
    labels: list[int],
) -> None:
    saved = np.asarray(pixels.reshape(shape).astype(form), order=order)  # type: ignore[call-overload]
    known = np.array(labels[: len(pixels)])
    [table] = read(tmp_path_factory.mktemp("saved"), x_train=saved, y_train=known)
    good = (known >= 0) & (known < 7)
    assert np.array_equal(table.faces.pixels, pixels[good])
    assert np.array_equal(table.faces.known_labels, known[good])
    assert len(table.problems) == (~good).sum()


@settings(max_examples=80)
@given(
    name=st.sampled_from(["pixels", "labels"]),
    at=st.integers(0, 140),
    change=st.binary(min_size=1, max_size=3) | st.sampled_from([b"-", b">", b"9", b"True", b"i8", b"f4"]),
)
def test_a_damaged_array_is_what_numpy_makes_of_it_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, at: int, change: bytes
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "faces.npz"
    files = {"pixels": npy(PIXELS), "labels": npy(LABELS)}
    files[name] = files[name][:at] + change + files[name][at + len(change) :]
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in files.items():
            archive.writestr(f"{each}.npy", content)
    try:
        [table] = read_file(path)
    except InputError as error:
        assert "faces.npz" in str(error)
        return
    with np.load(path, allow_pickle=False) as known:
        good = np.isin(known["labels"], range(7))
        assert np.array_equal(table.faces.pixels, known["pixels"][good])
        assert np.array_equal(table.faces.known_labels, known["labels"][good])


@pytest.mark.parametrize("shape", ["(-6, 48, 48)", "(-6, -48, 48)", "(6, 0, -1)"])
def test_an_array_of_a_shape_that_cannot_be_is_refused(shape: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "faces.npz", "w") as archive:
        archive.writestr(
            "pixels.npy", npy(PIXELS).replace(b"(6, 48, 48), }  ", f"{shape}, }}".ljust(16).encode())
        )
    with pytest.raises(InputError, match=r"faces\.npz"):
        read_file(tmp_path / "faces.npz")


@pytest.mark.parametrize("name", ["faces.npz", "faces.dat", "faces.zip"])
def test_arrays_are_told_by_content_in_archives_too(name: str, tmp_path: Path) -> None:
    write_npz(tmp_path / "faces.npz", {"train": FACES})
    path = (tmp_path / "faces.npz").rename(tmp_path / name)
    assert data.load(path).train.fingerprint() == FACES.fingerprint()
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(path, name)
    assert data.load(tmp_path / "archive.zip").train.fingerprint() == FACES.fingerprint()
