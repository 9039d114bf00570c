from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from face_files import course_text, fer2013_text, random_faces, write
from PIL import Image

from fer_lib import data
from fer_lib.data import duplicates
from fer_lib.data.check import DataSummary, as_json, describe, odd_faces, summarize, survey
from fer_lib.data.faces import VOTES, Faces
from fer_lib.errors import InputError

REAL = Path(__file__).parents[3] / "shared" / "data"


def check(path: str | Path, *, cache: Path | None = None) -> DataSummary:
    return summarize(survey(path, cache=cache))


def course_folder(folder: Path, train: Faces, test: Faces) -> Path:
    write(folder / "train.csv", course_text(train))
    write(folder / "test.csv", course_text(Faces(test.pixels, None, test.ids)))
    return folder


def repeated(positions: list[int], labels: list[int]) -> Faces:
    """Faces that show these of a few different pictures."""
    return Faces(random_faces(10).pixels[positions], np.array(labels), np.arange(len(positions)))


def test_a_clean_course_folder_has_counts_and_nothing_odd(tmp_path: Path) -> None:
    summary = check(course_folder(tmp_path, random_faces(9), random_faces(4, seed=1)))
    assert list(summary.kinds) == ["train.csv", "test.csv"]
    assert summary.faces == {"train": 9, "test": 4}
    assert summary.class_counts == {"train": (2, 2, 1, 1, 1, 1, 1)}
    assert (summary.copies, summary.leaked) == (0, {"test": 0})
    assert (summary.conflicts, summary.flat, summary.problems) == ((), (), ())


def test_fer2013_is_counted_by_split(tmp_path: Path) -> None:
    usages = ["Training", "PublicTest", "PublicTest", "Training", "PrivateTest"]
    summary = check(write(tmp_path / "fer2013.csv", fer2013_text(random_faces(5), usages)))
    assert summary.faces == {"train": 2, "public": 2, "private": 1}
    assert summary.class_counts["public"] == (0, 1, 1, 0, 0, 0, 0)


def test_a_test_file_alone_is_fine(tmp_path: Path) -> None:
    course_folder(tmp_path, random_faces(2), random_faces(4, seed=1))
    summary = check(tmp_path / "test.csv")
    assert (summary.faces, summary.class_counts, summary.leaked) == ({"test": 4}, {}, {})


def test_copies_are_counted_within_and_across_splits(tmp_path: Path) -> None:
    train, test = repeated([0, 1, 1, 1, 2], [0, 1, 1, 1, 2]), repeated([1, 2, 3, 3], [0] * 4)
    summary = check(course_folder(tmp_path, train, test))
    assert summary.copies == 9 - 4
    assert summary.copies_within == {"train": 2, "test": 1}
    assert summary.leaked == {"test": 2}


def test_every_group_of_copies_is_listed_for_machines_and_counted_for_every_two_splits(
    tmp_path: Path,
) -> None:
    usages = ["Training", "PublicTest", "PrivateTest", "PrivateTest", "Training", "PublicTest", "PublicTest"]
    faces = repeated([0, 0, 1, 2, 2, 2, 1], [0] * 7)
    summary = check(write(tmp_path / "fer2013.csv", fer2013_text(faces, usages)))
    machine = json.loads(as_json(summary))
    assert machine["copy_groups"] == [
        ["line 2 (train)", "line 3 (public)"],
        ["line 4 (private)", "line 8 (public)"],
        ["line 5 (private)", "line 6 (train)", "line 7 (public)"],
    ]
    assert machine["copies_across"] == {
        "train": {},
        "public": {"train": 2},
        "private": {"train": 1, "public": 2},
    }
    text = describe(summary)
    assert "2 of the 2 private faces are in public too\n  line 2 (train) = line 3 (public)" in text


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    write(tmp_path / "train" / "faces.csv", course_text(repeated([0, 1], [0, 1])))
    write(tmp_path / "test" / "faces.csv", course_text(repeated([1, 2], [1, 2])))
    summary = check(tmp_path)
    assert list(summary.kinds) == ["train/faces.csv", "test/faces.csv"]
    assert summary.copy_groups == (("train/faces.csv line 3 (train)", "test/faces.csv line 2 (test)"),)


def test_what_keeps_a_data_set_without_a_bad_place_from_being_loaded_is_said(tmp_path: Path) -> None:
    lines = fer2013_text(random_faces(3), ["Training", "PublicTest", "PublicTest"])
    write(tmp_path / "train.csv", lines)
    write(tmp_path / "test.csv", fer2013_text(random_faces(2, seed=1), ["PublicTest"] * 2))
    write(tmp_path / "other" / "fer2013.csv", fer2013_text(random_faces(2), ["PublicTest", "PrivateTest"]))
    for path in (tmp_path / "train.csv", tmp_path / "other"):
        with pytest.raises(InputError) as refused:
            data.load(path)
        assert check(path).problems == (str(refused.value),)


def test_train_and_test_that_are_swapped_are_told(tmp_path: Path) -> None:
    folder = course_folder(tmp_path, random_faces(3), random_faces(2, seed=1))
    (folder / "train.csv").rename(folder / "was-train")
    (folder / "test.csv").rename(folder / "train.csv")
    (folder / "was-train").rename(folder / "test.csv")
    said = f"{folder / 'train.csv'} holds no labels to learn from; are train and test swapped?"
    assert check(folder).problems == check(folder / "train.csv").problems == (said,)


def test_pictures_in_folders_of_other_names_are_told_those_of_the_emotions(tmp_path: Path) -> None:
    for i, name in enumerate(("train/joyful", "train/gloomy", "test/joyful")):
        (tmp_path / name).mkdir(parents=True)
        Image.fromarray(random_faces(3).pixels[i]).save(tmp_path / name / "1.png")
    for path in (tmp_path, tmp_path / "train"):
        [problem] = check(path).problems
        assert "folders named angry, disgust, fear, happy, sad, surprise and neutral" in problem


def test_names_that_are_no_text_can_be_printed_and_shown(tmp_path: Path) -> None:
    try:
        write(tmp_path / os.fsdecode(b"caf\xe9.csv"), course_text(repeated([0, 0], [0, 1])) + "9,1\n")
    except OSError:
        pytest.skip("this file system takes only names that are text")
    folder = [sys.executable, "-m", "fer_lib.cli", "data", "check", str(tmp_path)]
    done = subprocess.run([*folder, "--json"], capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert list(json.loads(done.stdout)["kinds"]) == ["caf\\udce9.csv"]


def test_copies_with_different_labels_are_named_with_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", course_text(repeated([0, 1, 0, 2, 2, 0], [3, 0, 4, 5, 5, 3])))
    assert check(path).conflicts == (("line 2 (happy)", "line 4 (sad)", "line 7 (happy)"),)


def test_a_few_odd_faces_of_each_kind_come_with_the_labels_that_are_known(tmp_path: Path) -> None:
    train = repeated([0, 1, 0, 2, 2, 3, 3], [3, 0, 2, 5, 6, 1, 4])
    test = random_faces(3, seed=1)
    test.pixels[1] = 17
    found = survey(course_folder(tmp_path, train, test))
    assert odd_faces(found.faces, 2) == [("conflict", 0, (2, 3)), ("conflict", 3, (5, 6)), ("flat", 8, ())]


def test_unlabelled_copies_are_no_conflict(tmp_path: Path) -> None:
    assert check(course_folder(tmp_path, repeated([0], [3]), repeated([0], [0]))).conflicts == ()


def test_faces_of_one_grey_are_named_with_file_and_line(tmp_path: Path) -> None:
    test = random_faces(4, seed=1)
    test.pixels[2] = 17
    assert check(course_folder(tmp_path, random_faces(2), test)).flat == ("test.csv line 4",)


def test_lines_that_cannot_be_used_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", course_text(random_faces(4)) + "7,1 2\n1,300\n")
    summary = check(path)
    assert summary.faces == {"train": 4}
    assert summary.problems == (
        "line 6 has the label '7' instead of 0 (angry) to 6 (neutral) or an emotion's name",
        "line 7 has '300' as pixel 1 instead of a whole number from 0 to 255",
    )


def test_a_file_without_one_usable_line_is_described(tmp_path: Path) -> None:
    text = describe(check(write(tmp_path / "mine.csv", "label,feature\n7,1 2\n")))
    assert "no faces" in text
    assert "What keeps it from being loaded: 1\n  line 2 has the label '7'" in text


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file or folder"):
        check(tmp_path / "gone.csv")


def test_drawn_faces_are_described_from_the_cache(tmp_path: Path) -> None:
    drawn = "drawn:train=14,test=7"
    splits = data.load("drawn:train=14,test=7", cache=tmp_path)
    summary = check(drawn, cache=tmp_path)
    assert summary.class_counts["train"] == tuple(splits.train.class_counts())
    assert summary.faces == {"train": 14, "public": 7, "private": 7}
    assert "drawn faces (difficulty 1): seven emotions, drawn by this program" in describe(summary)


def test_the_description_says_all_of_it(tmp_path: Path) -> None:
    train, test = repeated([0, 1, 1, 2], [0, 1, 6, 2]), repeated([1, 3], [0, 0])
    train.pixels[3] = 255
    assert describe(check(course_folder(tmp_path, train, test))).splitlines() == [
        "train.csv: labelled faces (label,feature or emotion,pixels)",
        "test.csv: faces without labels (id,feature)",
        "",
        "      faces angry disgust fear happy sad surprise neutral",
        "train     4     1       1    1     0   0        0       1",
        "test      2     -       -    -     -   -        -       -",
        "",
        f"Fingerprint of the training faces: {train.fingerprint()}",
        "Exact copies of an earlier face: 2",
        "  1 within train",
        "  1 of the 2 test faces are in train too",
        "  train.csv line 3 (train) = train.csv line 4 (train) = test.csv line 2 (test)",
        "Groups of copies with different labels: 1",
        "  train.csv line 3 (disgust) = train.csv line 4 (neutral)",
        "Pairs of near copies (cropped, lit or compressed differently, or mirrored): none",
        "Faces of one grey, or almost: 1",
        "  train.csv line 5",
        "What keeps it from being loaded: none",
    ]


def test_long_lists_are_cut_in_the_description_but_not_in_the_summary(tmp_path: Path) -> None:
    summary = check(write(tmp_path / "mine.csv", course_text(random_faces(1)) + "9,1\n" * 1200))
    assert len(summary.problems) == 1200
    text = describe(summary)
    assert "What keeps it from being loaded: 1,200" in text
    assert text.endswith(
        "line 7 has the label '9' instead of 0 (angry) to 6 (neutral) or an emotion's name\n  ... and 1,195 more"
    )


def test_what_ferplus_says_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "train.csv", course_text(random_faces(4, labels=[0, 3, 3, 6])))
    votes = {
        0: "0,10,0,0,0,0,0,0,0,0",
        1: "0,6,4,0,0,0,0,0,0,0",
        2: "0,5,5,0,0,0,0,0,0,0",
        3: "0,0,0,0,0,0,0,0,0,10",
    }
    rows = [f"Training,{'' if i == 3 else 'a.png'},{votes[i]}\n" for i in range(4)]
    write(tmp_path / "fer2013new.csv", f"Usage,Image name,{','.join(VOTES)}\n{''.join(rows)}")
    faces = survey(path).faces
    assert faces.support.tolist() == [1.0, 0.6, 0.5, 0.0]
    assert odd_faces(faces, 5) == [("rejected", 3, (6,))]
    found = check(path).votes
    assert found is not None
    assert (found.faces, found.rejected) == (4, 1)
    assert found.agree == {"train": pytest.approx(2 / 3)}
    assert found.unseen == ("line 2 (angry, but most see happy)",)
    text = describe(check(path))
    assert "66.7% of the train labels are what most voted for" in text
    assert "Faces that are none by FER+ (it names no image): 1" in text


def photographs(n: int, *, seed: int = 0) -> Faces:
    """Smooth random faces, as photographs are, unlike noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 7, 7)).astype(np.float64)
    places = np.linspace(0, 6, 48)
    rows = np.array([[np.interp(places, np.arange(7), line) for line in face] for face in coarse])
    pixels = np.array([[np.interp(places, np.arange(7), line) for line in face.T] for face in rows])
    return Faces(pixels.astype(np.uint8), np.arange(n) % 7, np.arange(n))


def test_near_copies_are_found_and_verified(tmp_path: Path) -> None:
    train, test = photographs(9), photographs(4, seed=1)
    darker = (train.pixels[2] * 0.7 + 10).astype(np.uint8)
    mirrored = train.pixels[5][:, ::-1]
    cropped = np.roll(train.pixels[7], 1, axis=0)
    test.pixels[:3] = darker, mirrored, cropped
    summary = check(course_folder(tmp_path, train, test))
    assert summary.near == (
        ("train.csv line 4", "test.csv line 2"),
        ("train.csv line 7", "test.csv line 3"),
        ("train.csv line 9", "test.csv line 4"),
    )
    assert (summary.near_leaked, summary.leaked) == ({"test": 3}, {"test": 0})
    assert "3 of the 4 test faces are near copies of train faces" in describe(summary)


def test_the_search_for_near_copies_ends_where_far_too_many_faces_are_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = repeated([0] * 8, [0] * 8)
    faces.pixels[:, 0, 0] = range(8)
    path = write(tmp_path / "train.csv", course_text(faces))
    assert (len(check(path).near), check(path).near_all) == (28, True)
    monkeypatch.setattr(duplicates, "MAX_CANDIDATES", 10)
    assert (len(check(path).near), check(path).near_all) == (10, False)
    assert "too many faces are alike: the search ended after" in describe(check(path))


def test_the_fingerprint_is_the_one_that_a_run_on_these_faces_names(tmp_path: Path) -> None:
    path = write(tmp_path / "train.csv", course_text(random_faces(6)))
    fingerprint = data.load(path, cache=tmp_path / "cache").fingerprint()
    assert f"Fingerprint of the training faces: {fingerprint}" in describe(check(path))


def test_the_summary_for_machines_holds_all_of_it(tmp_path: Path) -> None:
    summary = check(write(tmp_path / "mine.csv", course_text(random_faces(4)) + "9,1\n" * 30))
    machine = json.loads(as_json(summary))
    assert machine["faces"] == {"train": 4}
    assert len(machine["problems"]) == 30


@pytest.mark.real_data
@pytest.mark.skipif(not (REAL / "fer2013").is_dir(), reason="the real FER2013 faces are not here")
def test_the_real_faces_have_the_known_faults(tmp_path: Path) -> None:
    command = [sys.executable, str(REAL / "make_files.py"), str(tmp_path), "kaggle"]
    subprocess.run(command, check=True)
    shutil.copy(REAL / "fer2013" / "fer2013new.csv", tmp_path)
    summary = check(tmp_path / "fer2013.csv")
    assert summary.faces == {"train": 28709, "public": 3589}
    assert summary.class_counts["train"] == (3995, 436, 4097, 7215, 4830, 3171, 4965)
    assert summary.leaked == {"public": 280}
    assert summary.votes is not None and summary.votes.rejected == 158
    assert summary.problems == ()
    assert sum(len(group) - 1 for group in summary.copy_groups) == summary.copies
    both = check(REAL / "fer2013")  # train.npz and test.npz
    assert both.leaked == {"test": 568}
    assert both.copies == 1847  # 1,840 without the faces that FER+ calls none
