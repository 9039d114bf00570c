from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from face_files import course_text, fer2013_text, random_faces, write
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib import data
from fer_lib.data import sources
from fer_lib.data.array_faces import write_npz
from fer_lib.data.cache import cached
from fer_lib.data.drawn import sampling
from fer_lib.data.faces import Faces, FaceSplits
from fer_lib.errors import InputError

TRAIN = random_faces(5)
TEST = Faces(random_faces(3, seed=1).pixels, None, np.array([7, 8, 9]))
REAL = Path(__file__).parents[3] / "shared" / "data"

needs_real_data = pytest.mark.skipif(
    not (REAL / "fer2013").is_dir(), reason="the real FER2013 faces are not here"
)


@pytest.fixture
def course(tmp_path: Path) -> Path:
    write(tmp_path / "course" / "train.csv", course_text(TRAIN))
    write(tmp_path / "course" / "test.csv", course_text(TEST))
    return tmp_path / "course"


@pytest.fixture
def fer2013(tmp_path: Path) -> Path:
    usages = ["Training", "PublicTest", "Training", "PrivateTest", "PublicTest"]
    return write(tmp_path / "kaggle" / "fer2013.csv", fer2013_text(TRAIN, usages))


def refused(path: str | Path) -> str:
    with pytest.raises(InputError) as raised:
        data.load(path)
    return str(raised.value)


def assert_same(one: FaceSplits, other: FaceSplits) -> None:
    assert (one.source, one.drawn, list(one.tests)) == (other.source, other.drawn, list(other.tests))
    pairs = [(one.train, other.train), *((one.tests[name], other.tests[name]) for name in one.tests)]
    for faces, expected in pairs:
        for name in ("pixels", "labels", "ids", "regions", "votes"):
            array, wanted = getattr(faces, name), getattr(expected, name)
            assert (array is None) == (wanted is None)
            assert array is None or (array.dtype == wanted.dtype and np.array_equal(array, wanted))


def test_the_courses_folder_gives_labelled_training_and_unlabelled_test_faces(course: Path) -> None:
    splits = data.load(course)
    assert splits.train.fingerprint() == TRAIN.fingerprint()
    assert list(splits.tests) == ["test"]
    assert splits.tests["test"].labels is None
    assert splits.tests["test"].ids.tolist() == [7, 8, 9]
    assert (splits.source, splits.drawn) == ("train.csv + test.csv", False)


def test_a_training_file_brings_the_test_file_beside_it(course: Path) -> None:
    assert_same(data.load(course / "train.csv"), data.load(course))


def test_a_training_file_alone_has_no_tests(course: Path) -> None:
    (course / "test.csv").unlink()
    splits = data.load(course / "train.csv")
    assert (splits.tests, splits.source) == ({}, "train.csv")


def test_a_file_of_another_name_leaves_the_test_file_beside_it_alone(course: Path) -> None:
    (course / "train.csv").rename(course / "mine.csv")
    assert data.load(course / "mine.csv").tests == {}


def test_fer2013_gives_its_three_splits(fer2013: Path) -> None:
    splits = data.load(str(fer2013))
    assert splits.train.ids.tolist() == [0, 2]
    assert splits.tests["public"].ids.tolist() == [1, 4]
    assert splits.tests["private"].known_labels.tolist() == [3]
    assert splits.source == "fer2013.csv"


def test_tests_that_fer2013_does_not_hold_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "some.csv", fer2013_text(TRAIN, ["Training"] * 4 + ["PublicTest"]))
    assert list(data.load(path).tests) == ["public"]


@pytest.mark.parametrize("name", ["fer2013.csv", "icml_face_data.csv", "fer2013.csv.gz"])
def test_a_folder_may_hold_a_fer2013_file(fer2013: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "other"
    write(folder / name, fer2013.read_bytes(), zipped=name.endswith(".gz"))
    assert data.load(folder).train.fingerprint() == data.load(fer2013).train.fingerprint()


def test_a_file_with_labelled_tests_is_worth_more_than_the_courses_files(course: Path, fer2013: Path) -> None:
    shutil.copy(fer2013, course)
    assert data.load(course).source == "fer2013.csv"
    with sources.found(course) as source:
        assert source.left_out == ("train.csv", "test.csv")


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    assert f"no file or folder {tmp_path / 'gone.csv'}" in refused(tmp_path / "gone.csv")


def test_a_folder_without_faces_says_what_it_holds(tmp_path: Path) -> None:
    for name in ("notes.txt", "answer.csv"):
        write(tmp_path / name, "x")
    message = refused(tmp_path)
    assert "holds answer.csv, notes.txt, but no CSV file with columns of faces" in message


def test_an_empty_folder_says_that_it_holds_nothing(tmp_path: Path) -> None:
    assert "holds nothing" in refused(tmp_path)


def test_unlabelled_faces_are_no_training_data(course: Path) -> None:
    assert "test.csv holds no labelled training faces" in refused(course / "test.csv")


def test_fer2013_without_training_rows_is_no_training_data(tmp_path: Path) -> None:
    path = write(tmp_path / "fer2013.csv", fer2013_text(TRAIN, ["PublicTest"] * 5))
    assert "holds no labelled training faces" in refused(path)


def test_a_split_in_both_files_is_refused(course: Path) -> None:
    usages = ["Training", "PublicTest", "PublicTest", "Training", "Training"]
    write(course / "train.csv", fer2013_text(TRAIN, usages))
    write(course / "test.csv", fer2013_text(TRAIN, ["PublicTest"] * 5))
    assert "both hold public faces" in refused(course)


@pytest.mark.parametrize("name", ["train.csv", "test.csv"])
def test_a_bad_line_in_either_file_is_refused_with_file_and_line(course: Path, name: str) -> None:
    path = course / name
    path.write_text(path.read_text() + "1,2 3\n")
    assert f"{path} line {7 if name == 'train.csv' else 5} has 2 pixels" in refused(course)


def test_faces_to_predict_keep_their_ids(course: Path) -> None:
    faces = data.load_unlabelled(course / "test.csv")
    assert np.array_equal(faces.pixels, TEST.pixels)
    assert (faces.labels, faces.ids.tolist()) == (None, [7, 8, 9])


def test_a_folder_to_predict_means_its_test_file(course: Path) -> None:
    (course / "train.csv").unlink()
    assert data.load_unlabelled(course).ids.tolist() == [7, 8, 9]


def test_a_file_of_all_splits_to_predict_means_its_tests_by_position(fer2013: Path) -> None:
    faces = data.load_unlabelled(fer2013.parent)
    assert (faces.labels, faces.ids.tolist()) == (None, [1, 3, 4])
    assert np.array_equal(faces.pixels, TRAIN.pixels[[1, 3, 4]])


def test_a_file_of_training_faces_to_predict_means_all_of_them(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", fer2013_text(TRAIN, ["Training"] * 5))
    assert data.load_unlabelled(path).ids.tolist() == [0, 1, 2, 3, 4]


def test_nothing_to_predict_is_refused() -> None:
    with pytest.raises(InputError, match=r"name a file such as test\.csv"):
        data.load_unlabelled("")


def test_a_bad_line_to_predict_is_refused(course: Path) -> None:
    write(course / "test.csv", "id,feature\n0,1 2\n")
    with pytest.raises(InputError, match=r"test\.csv line 2 has 2 pixels"):
        data.load_unlabelled(course / "test.csv")


@pytest.mark.parametrize("name", ["train.csv", "test.csv"])
def test_the_fingerprint_changes_with_a_byte_of_either_file(course: Path, name: str) -> None:
    before = data.source_fingerprint(course)
    path = course / name
    path.write_text(path.read_text() + "\n")
    assert data.source_fingerprint(course) != before


def test_the_fingerprint_is_the_same_in_another_place(course: Path, tmp_path: Path) -> None:
    shutil.copytree(course, tmp_path / "moved")
    assert data.source_fingerprint(tmp_path / "moved") == data.source_fingerprint(course)


def test_drawn_faces_have_a_fingerprint_of_their_own(course: Path) -> None:
    assert data.source_fingerprint("") == data.source_fingerprint("") != data.source_fingerprint(course)


def test_the_fingerprint_of_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file or folder"):
        data.source_fingerprint(tmp_path / "gone")


draw = partial(sampling.drawn_splits, seed=3, train=8, test=4)


def never() -> FaceSplits:
    raise AssertionError("the cache was not read")


def test_cached_faces_are_read_back_whole(tmp_path: Path) -> None:
    made = cached(tmp_path / "new", "a-", "key", draw)
    assert_same(made, draw())
    assert_same(cached(tmp_path / "new", "a-", "key", never), made)


def test_cached_faces_may_lack_labels_and_regions(tmp_path: Path) -> None:
    splits = FaceSplits(TRAIN, {"test": TEST}, "two files")
    cached(tmp_path, "a-", "key", lambda: splits)
    assert_same(cached(tmp_path, "a-", "key", never), splits)


@pytest.mark.parametrize("kept", [0, 10, 1000, 20_000])
def test_a_truncated_cache_is_made_anew(tmp_path: Path, kept: int) -> None:
    made = cached(tmp_path, "a-", "key", draw)
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:kept])
    assert_same(cached(tmp_path, "a-", "key", draw), made)
    assert_same(cached(tmp_path, "a-", "key", never), made)


def test_a_flipped_bit_in_the_cached_pixels_is_noticed(tmp_path: Path) -> None:
    made = cached(tmp_path, "a-", "key", draw)
    [file] = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[content.index(made.train.pixels[3].tobytes())] ^= 1
    file.write_bytes(content)
    assert_same(cached(tmp_path, "a-", "key", draw), made)


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    assert len(cached(write(tmp_path / "file", "in the way"), "a-", "key", draw).train) == 8


def test_a_cache_made_twice_at_once_is_whole(tmp_path: Path) -> None:
    together = Barrier(2, timeout=30)

    def draw_together() -> FaceSplits:
        together.wait()
        return draw()

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: cached(tmp_path, "a-", "key", draw_together), range(2))
    assert_same(one, other)
    assert_same(cached(tmp_path, "a-", "key", never), one)
    assert [path.name for path in tmp_path.iterdir()] == ["a-key.faces"]


def test_the_cache_lies_in_the_project_around_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "pyproject.toml", "")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    data.load("drawn:train=8,test=4")
    assert [file.suffix for file in (tmp_path / "data").iterdir()] == [".faces"]


def test_what_to_draw_can_be_said_in_the_data_parameter(tmp_path: Path) -> None:
    splits = data.load("drawn:seed=3,train=14,test=7,difficulty=0", cache=tmp_path)
    expected = sampling.drawn_splits(seed=3, train=14, test=7, difficulty=0)
    assert splits.train.fingerprint() == expected.train.fingerprint()
    assert (splits.drawn, splits.source) == (True, "drawn faces (difficulty 0)")
    [file] = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    again = data.load("drawn:difficulty=0.0,test=7,train=14,seed=3", cache=tmp_path)
    assert again.train.regions is not None
    assert file.stat().st_mtime_ns == written


def test_other_drawn_faces_have_other_fingerprints() -> None:
    paths = ("", "drawn:seed=1", "drawn:train=5000", "drawn:difficulty=0.5", "drawn:seed=1,test=5")
    assert len({data.source_fingerprint(path) for path in paths}) == 5
    assert data.source_fingerprint("drawn:") == data.source_fingerprint("")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("drawn:dificulty=1", "has 'dificulty=1', but what can be set is seed, train, test"),
        ("drawn:train=many", "has 'train=many'"),
        ("drawn:difficulty=9", "difficulty goes from 0 to 3"),
        ("drawn:difficulty=nan", "difficulty goes from 0 to 3"),
        ("drawn:train=0", "train and test begin at 1"),
        ("drawn:train=1000000", "more than 60,000 faces"),
    ],
)
def test_what_cannot_be_drawn_is_refused(path: str, found: str) -> None:
    assert found in refused(path)


def with_copies(faces: Faces, groups: Sequence[int]) -> Faces:
    """Faces where those of a group show the same picture."""
    return Faces(faces.pixels[np.array(groups)], faces.labels, faces.ids)


def test_validation_holds_out_its_share_of_every_emotion() -> None:
    faces = random_faces(1000, labels=[0] * 10 + [1] * 90 + [2] * 400 + [3] * 500)
    train, validation = data.split_validation(faces, fraction=0.15, seed=0)
    counts = validation.class_counts()
    assert len(validation) == 150
    assert np.abs(counts - faces.class_counts() * 0.15).max() < 1
    assert (counts + train.class_counts()).tolist() == faces.class_counts().tolist()


def test_validation_is_a_partition_in_the_old_order() -> None:
    train, validation = data.split_validation(random_faces(100), seed=0)
    assert sorted([*train.ids, *validation.ids]) == list(range(100))
    assert (np.diff(train.ids) > 0).all()
    assert (np.diff(validation.ids) > 0).all()


def test_the_seed_alone_decides_which_faces_are_held_out() -> None:
    faces = random_faces(100)
    first, again, other = (data.split_validation(faces, seed=seed)[1].ids.tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_validation_is_not_the_end_of_the_file() -> None:
    ids = data.split_validation(random_faces(1000), seed=0)[1].ids
    assert 400 < ids.mean() < 600


def test_copies_are_held_out_as_often_as_other_faces() -> None:
    groups = [*np.repeat(np.arange(100), 2), *range(200, 1000)]
    faces = with_copies(random_faces(1000, labels=[0] * 1000), groups)
    held_out = np.concatenate([data.split_validation(faces, seed=seed)[1].ids for seed in range(10)])
    assert np.mean(held_out < 200) == pytest.approx(0.2, abs=0.04)


@settings(max_examples=50)
@given(
    groups=st.lists(st.integers(0, 60), min_size=20, max_size=150),
    fraction=st.floats(0.1, 0.5),
    seed=st.integers(0, 5),
    data_=st.data(),
)
def test_copies_stay_on_one_side_whatever_their_labels(
    groups: list[int], fraction: float, seed: int, data_: st.DataObject
) -> None:
    labels = data_.draw(st.lists(st.integers(0, 6), min_size=len(groups), max_size=len(groups)))
    pixels = random_faces(61).pixels[np.array(groups)]
    faces = Faces(pixels, np.array(labels, np.int64), np.arange(len(groups)))
    try:
        train, validation = data.split_validation(faces, fraction=fraction, seed=seed)
    except InputError:
        return
    assert not {groups[i] for i in train.ids} & {groups[i] for i in validation.ids}
    assert (validation.class_counts() < faces.class_counts() * fraction + 1).all()


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 15.0, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        data.split_validation(TRAIN, fraction=fraction, seed=0)


def test_too_few_faces_to_hold_some_out_are_refused() -> None:
    with pytest.raises(InputError, match="3 faces are too few to hold out 15%"):
        data.split_validation(TRAIN[:3], seed=0)


def test_regions_follow_their_faces_into_the_validation_split() -> None:
    faces = draw().train
    _, validation = data.split_validation(faces, fraction=0.4, seed=0)
    assert validation.regions is not None and faces.regions is not None
    assert np.array_equal(validation.regions, faces.regions[validation.ids])


@pytest.fixture(scope="module")
def real_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    command = [sys.executable, REAL / "make_files.py", folder, "hw3", "kaggle", "folders", "--limit", "300"]
    subprocess.run(list(map(str, command)), check=True)
    return folder


def _zipped(path: Path, source: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(source, source.name)
    return path


def _icml(path: Path, source: Path) -> Path:
    """icml_face_data.csv: the columns of fer2013.csv in another order, with blanks after the header's commas."""
    rows = [line.split(",") for line in source.read_text().splitlines()[1:]]
    lines = ["emotion, Usage, pixels", *(f"{label},{usage},{pixels}" for label, pixels, usage in rows)]
    return write(path, "\n".join(lines) + "\n")


def _npz(path: Path, source: Path) -> Path:
    splits = data.load(source)
    write_npz(path, {"train": splits.train, **splits.tests})
    return path


def same_pixels_and_labels(faces: Faces, pixels: np.ndarray, labels: np.ndarray) -> bool:
    return np.array_equal(faces.pixels, pixels) and np.array_equal(faces.known_labels, labels)


@pytest.mark.real_data
@needs_real_data
@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda source, folder: source, id="csv"),
        pytest.param(
            lambda source, folder: write(folder / "f.csv.gz", source.read_bytes(), zipped=True), id="gz"
        ),
        pytest.param(lambda source, folder: _zipped(folder / "archive.zip", source), id="zip"),
        pytest.param(lambda source, folder: _icml(folder / "icml_face_data.csv", source), id="icml"),
        pytest.param(lambda source, folder: _npz(folder / "faces.npz", source), id="npz"),
        pytest.param(lambda source, folder: source.parent / "images", id="images"),
    ],
)
def test_every_format_gives_the_same_real_faces_in_their_order(
    made, real_files: Path, tmp_path: Path
) -> None:
    splits = data.load(made(real_files / "fer2013.csv", tmp_path))
    train, test = np.load(REAL / "fer2013" / "train.npz"), np.load(REAL / "fer2013" / "test.npz")
    public = np.loadtxt(REAL / "fer2013" / "public_labels.csv", np.int64, delimiter=",", skiprows=1)[:300]
    assert same_pixels_and_labels(splits.train, train["pixels"][:300], train["label"][:300])
    assert same_pixels_and_labels(splits.tests["public"], test["pixels"][public[:, 0]], public[:, 1])


@pytest.mark.real_data
@needs_real_data
def test_the_contests_real_files_give_the_real_faces(real_files: Path, tmp_path: Path) -> None:
    train, test = ((real_files / name).read_text() for name in ("train.csv", "test.csv"))
    write(tmp_path / "train.csv", train.replace("label,feature", "emotion,pixels"))
    rows = [row.partition(",")[2] for row in test.splitlines()[1:]]
    write(tmp_path / "test.csv", "\n".join(["pixels", *rows, ""]))
    splits = data.load(tmp_path)
    known = np.load(REAL / "fer2013" / "train.npz")
    assert same_pixels_and_labels(splits.train, known["pixels"][:300], known["label"][:300])
    assert np.array_equal(splits.tests["test"].pixels, np.load(REAL / "fer2013" / "test.npz")["pixels"][:300])


@pytest.mark.real_data
@needs_real_data
def test_real_course_files_give_the_real_faces(real_files: Path) -> None:
    splits = data.load(real_files / "train.csv")
    train, test = np.load(REAL / "fer2013" / "train.npz"), np.load(REAL / "fer2013" / "test.npz")
    assert np.array_equal(splits.train.pixels, train["pixels"][:300])
    assert np.array_equal(splits.train.known_labels, train["label"][:300])
    assert np.array_equal(splits.tests["test"].pixels, test["pixels"][:300])


@pytest.mark.real_data
@needs_real_data
def test_validation_of_the_real_faces_is_exact_and_parts_no_copies() -> None:
    train = np.load(REAL / "fer2013" / "train.npz")
    faces = Faces(train["pixels"], train["label"].astype(np.int64), np.arange(28709))
    assert faces.class_counts().tolist() == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    _, validation = data.split_validation(faces, seed=0)
    groups = faces.copy_groups()
    assert np.abs(validation.class_counts() - 0.15 * faces.class_counts()).max() < 1
    assert len(validation) == 4306
    assert np.isin(groups, groups[validation.ids]).sum() == len(validation)


@pytest.mark.real_data
@needs_real_data
def test_the_real_public_faces_have_the_known_counts_and_leaks() -> None:
    train, test = (np.load(REAL / "fer2013" / name)["pixels"] for name in ("train.npz", "test.npz"))
    public = np.loadtxt(REAL / "fer2013" / "public_labels.csv", np.int64, delimiter=",", skiprows=1)
    faces = Faces(test[public[:, 0]], public[:, 1], public[:, 0])
    groups = Faces(np.concatenate([train, faces.pixels]), None, np.arange(28709 + 3589)).copy_groups()
    assert faces.class_counts().tolist() == [467, 56, 496, 895, 653, 415, 607]
    assert np.isin(groups[28709:], groups[:28709]).sum() == 280
