from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from face_files import course_text, fer2013_text, random_faces, write

from fer_lib import data, synthetic
from fer_lib.data_check import check, describe
from fer_lib.errors import InputError
from fer_lib.faces import Faces

REAL = Path(__file__).parents[2] / "shared" / "data"


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
    assert (summary.conflicts, summary.constant, summary.problems) == ((), (), ())


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


def test_copies_with_different_labels_are_named_with_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", course_text(repeated([0, 1, 0, 2, 2, 0], [3, 0, 4, 5, 5, 3])))
    assert check(path).conflicts == (("line 2 (happy)", "line 4 (sad)", "line 7 (happy)"),)


def test_unlabelled_copies_are_no_conflict(tmp_path: Path) -> None:
    assert check(course_folder(tmp_path, repeated([0], [3]), repeated([0], [0]))).conflicts == ()


def test_faces_of_one_grey_are_named_with_file_and_line(tmp_path: Path) -> None:
    test = random_faces(4, seed=1)
    test.pixels[2] = 17
    assert check(course_folder(tmp_path, random_faces(2), test)).constant == ("test.csv line 4",)


def test_lines_that_cannot_be_used_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", course_text(random_faces(4)) + "7,1 2\n1,300\n")
    summary = check(path)
    assert summary.faces == {"train": 4}
    assert summary.problems == (
        "line 6 has the label '7' instead of 0 to 6",
        "line 7 has '300' as pixel 1 instead of a whole number from 0 to 255",
    )


def test_a_file_without_one_usable_line_is_described(tmp_path: Path) -> None:
    text = describe(check(write(tmp_path / "mine.csv", "label,feature\n7,1 2\n")))
    assert "no faces" in text
    assert "Lines that cannot be used: 1\n  line 2 has the label '7'" in text


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file or folder"):
        check(tmp_path / "gone.csv")


def test_drawn_faces_are_described_from_the_cache(tmp_path: Path) -> None:
    splits = synthetic.drawn_splits(train=14, test=7)
    data.cached(tmp_path / "drawn-0.faces", data.source_fingerprint(""), lambda: splits)
    summary = check("", cache=tmp_path)
    assert summary.faces == {"train": 14, "public": 7, "private": 7}
    assert "drawn faces: seven emotions, drawn by this program" in describe(summary)


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
        "Faces that repeat an earlier one exactly: 2",
        "  1 within train",
        "  1 of the 2 test faces also stand in train",
        "Groups of copies with different labels: 1",
        "  train.csv line 3 (disgust) = train.csv line 4 (neutral)",
        "Faces of one grey all over: 1",
        "  train.csv line 5",
        "Lines that cannot be used: none",
    ]


def test_long_lists_are_cut_in_the_description_but_not_in_the_summary(tmp_path: Path) -> None:
    summary = check(write(tmp_path / "mine.csv", course_text(random_faces(1)) + "9,1\n" * 1200))
    assert len(summary.problems) == 1200
    text = describe(summary)
    assert "Lines that cannot be used: 1,200" in text
    assert text.endswith("line 7 has the label '9' instead of 0 to 6\n  ... and 1,195 more")


@pytest.mark.real_data
@pytest.mark.skipif(not (REAL / "fer2013").is_dir(), reason="the real FER2013 faces are not here")
def test_the_real_faces_have_the_known_counts_and_copies() -> None:
    with TemporaryDirectory() as folder:
        subprocess.run([sys.executable, str(REAL / "make_files.py"), folder, "hw3"], check=True)
        summary = check(folder)
    assert summary.faces == {"train": 28709, "test": 7178}
    assert summary.class_counts == {"train": (3995, 436, 4097, 7215, 4830, 3171, 4965)}
    assert summary.leaked == {"test": 568}
    assert summary.copies == 1847  # 1,840 without the faces that FER+ calls none
    assert summary.problems == ()
