import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from face_files import course_text, fer2013_text, pixel_text, random_faces, write
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_lib.data.archives import listed
from fer_lib.data.csv_faces import PIXELS, read_csv
from fer_lib.data.faces import Faces
from fer_lib.data.tables import FaceTable
from fer_lib.errors import InputError

FACES = random_faces(5)
COURSE = course_text(FACES)
LINES = COURSE.splitlines(keepends=True)
ZEROS = " ".join(["0"] * PIXELS)


def read(path: Path) -> FaceTable:
    with listed(path) as [entry]:
        return read_csv(entry)


def read_bytes(folder: Path, content: str | bytes) -> FaceTable:
    return read(write(folder / "faces.csv", content))


def problems(folder: Path, content: str | bytes) -> list[str]:
    return [f"{place} {what}" for place, what in read_bytes(folder, content).problems]


def lines(*numbers: int) -> list[str]:
    return [f"line {number}" for number in numbers]


def error(folder: Path, content: str | bytes) -> str:
    with pytest.raises(InputError) as raised:
        read_bytes(folder, content).require_usable()
    message = str(raised.value)
    assert str(folder / "faces.csv") in message
    assert "\n" not in message
    assert message.endswith(".")
    return message


def with_pixel(text: str) -> str:
    """A file whose line 3 has `text` as its second pixel."""
    label, pixels = LINES[2].split(",")
    first, _, rest = pixels.split(" ", 2)
    return "".join([*LINES[:2], f"{label},{first} {text} {rest}", *LINES[3:]])


def assert_equal(table: FaceTable, faces: Faces) -> None:
    assert table.problems == ()
    assert np.array_equal(table.faces.pixels, faces.pixels)
    assert np.array_equal(table.faces.known_labels, faces.known_labels)


def test_the_courses_training_file_gives_pixels_labels_and_line_numbers(tmp_path: Path) -> None:
    table = read_bytes(tmp_path, COURSE)
    assert_equal(table, FACES)
    assert table.splits.tolist() == ["train"] * 5
    assert table.places == lines(2, 3, 4, 5, 6)
    assert table.faces.ids.tolist() == [0, 1, 2, 3, 4]
    assert table.kind == "labelled faces (label,feature or emotion,pixels)"


def test_the_courses_test_file_keeps_its_ids_and_has_no_labels(tmp_path: Path) -> None:
    faces = Faces(FACES.pixels, None, np.array([40, 7, 8, 1000000, 0]))
    table = read_bytes(tmp_path, course_text(faces))
    assert table.faces.labels is None
    assert table.faces.ids.tolist() == [40, 7, 8, 1000000, 0]
    assert table.splits.tolist() == ["test"] * 5


def test_usage_divides_a_fer2013_file(tmp_path: Path) -> None:
    usages = ["Training", "PrivateTest", "PublicTest", "Training", "PublicTest"]
    table = read_bytes(tmp_path, fer2013_text(FACES, usages))
    assert_equal(table, FACES)
    assert table.splits.tolist() == ["train", "private", "public", "train", "public"]


def test_the_kaggle_variant_with_blanks_in_the_header_and_another_order_is_read(tmp_path: Path) -> None:
    rows = [f"{FACES.known_labels[i]}, Training,{pixel_text(FACES.pixels[i])}\n" for i in range(5)]
    assert_equal(read_bytes(tmp_path, "".join(["emotion, Usage, pixels\n", *rows])), FACES)


def test_the_format_is_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "fer2013.csv", COURSE)
    assert "labelled faces" in read(path).kind


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("\ufeff" + COURSE, id="byte order mark"),
        pytest.param(COURSE.replace("\n", "\r\n"), id="Windows line ends"),
        pytest.param("".join(f'"{line[0:-1]}"\n'.replace(",", '","') for line in LINES), id="quotes"),
        pytest.param(COURSE.replace(" ", "  "), id="double blanks"),
        pytest.param(COURSE.replace(",", ", ").replace("\n", " \n"), id="blanks around the fields"),
        pytest.param(COURSE.removesuffix("\n"), id="no last line end"),
        pytest.param(COURSE + "\n\r\n,\n", id="blank lines at the end"),
        pytest.param(COURSE.replace("label,feature", "Label,FEATURE"), id="capitals in the header"),
    ],
)
def test_spellings_of_the_same_file_give_the_same_faces(tmp_path: Path, content: str) -> None:
    assert_equal(read_bytes(tmp_path, content), FACES)


def test_a_gzipped_file_gives_the_same_faces_whatever_its_name(tmp_path: Path) -> None:
    assert_equal(read(write(tmp_path / "train.csv", COURSE, zipped=True)), FACES)


def test_blank_lines_count_in_line_numbers(tmp_path: Path) -> None:
    table = read_bytes(tmp_path, "".join([LINES[0], "\n", *LINES[1:3], "\n", LINES[3]]))
    assert table.places == lines(3, 4, 6)


def test_more_faces_than_are_read_at_once_stay_in_order(tmp_path: Path) -> None:
    faces = random_faces(150, seed=1)
    table = read_bytes(tmp_path, course_text(faces))
    assert_equal(table, faces)
    assert table.places == lines(*range(2, 152))


@pytest.mark.parametrize("pixel", ["256", "300", "1000", "-1", "x", "1.5", "é"])
def test_a_pixel_out_of_range_is_named_with_its_line(tmp_path: Path, pixel: str) -> None:
    message = error(tmp_path, with_pixel(pixel))
    assert "line 3 has " in message
    assert "as pixel 2 instead of a whole number from 0 to 255" in message


@pytest.mark.parametrize("pixel", ["0", "9", "10", "99", "100", "255", "007", "9.0"])
def test_every_length_of_pixel_is_read(tmp_path: Path, pixel: str) -> None:
    assert read_bytes(tmp_path, with_pixel(pixel)).faces.pixels[1, 0, 1] == float(pixel)


def test_a_row_with_a_pixel_too_few_says_how_many_it_has(tmp_path: Path) -> None:
    assert "line 3 has 2303 pixels instead of 2304" in error(tmp_path, with_pixel(""))


def test_a_row_with_a_pixel_too_many_says_how_many_it_has(tmp_path: Path) -> None:
    assert "line 3 has 2305 pixels instead of 2304" in error(tmp_path, with_pixel("1 2"))


def test_a_row_too_short_does_not_borrow_from_the_next(tmp_path: Path) -> None:
    short = LINES[1].rsplit(" ", 1)[0] + "\n"
    long = LINES[2].replace("\n", " 1\n")
    assert problems(tmp_path, "".join([LINES[0], short, long])) == [
        "line 2 2303 pixels instead of 2304",
        "line 3 2305 pixels instead of 2304",
    ]


@pytest.mark.parametrize("label", ["7", "-1", "x", "", "1.5", "contempt", "\ufffd"])
def test_an_unknown_label_is_named_with_its_line(tmp_path: Path, label: str) -> None:
    content = "".join([*LINES[:4], f"{label},{ZEROS}\n", LINES[5]])
    assert f"line 5 has the label {label!r} instead of 0 (angry) to 6 (neutral)" in error(tmp_path, content)


def test_an_unknown_usage_is_named_with_its_line(tmp_path: Path) -> None:
    content = fer2013_text(FACES, ["Training"] * 4 + ["Tset"])
    assert "line 6 has the Usage 'Tset' instead of Training, PublicTest or PrivateTest" in error(
        tmp_path, content
    )


@pytest.mark.parametrize("face_id", ["x", "-3", "1.5", "9" * 5000])
def test_an_id_that_is_no_number_is_named_with_its_line(tmp_path: Path, face_id: str) -> None:
    message = error(tmp_path, f"id,feature\n{face_id},{ZEROS}\n")
    assert f"line 2 has the id '{face_id[:20]}" in message
    assert len(message) < 250 + len(str(tmp_path))


def test_a_row_with_too_many_columns_says_how_many(tmp_path: Path) -> None:
    assert "line 4 has 3 columns instead of 2" in error(
        tmp_path, "".join([*LINES[:3], f"1,{ZEROS},1\n", LINES[4]])
    )


def test_a_last_line_cut_in_its_pixels_is_said_to_break_off(tmp_path: Path) -> None:
    assert "line 6 has 1000 pixels instead of 2304, and there the file breaks off" in error(
        tmp_path, "".join([*LINES[:5], "1," + " ".join(["0"] * 1000)])
    )


def test_a_last_line_cut_before_its_usage_is_said_to_break_off(tmp_path: Path) -> None:
    content = fer2013_text(FACES, ["Training"] * 5).removesuffix(",Training\n")
    assert "line 6 has 2 columns instead of 3, and there the file breaks off" in error(tmp_path, content)


def test_many_bad_lines_are_counted_and_the_first_few_named(tmp_path: Path) -> None:
    content = "label,feature\n" + "".join(f"9,{ZEROS}\n" for _ in range(100))
    message = error(tmp_path, content)
    assert "line 2 has the label '9'" in message
    assert "and 99 more cannot be used (line 3, line 4, line 5, line 6, line 7, ...)" in message


def test_problems_of_all_kinds_are_listed_in_file_order(tmp_path: Path) -> None:
    content = f"label,feature\n1,2 3\n9,{ZEROS}\n1,2,3\n1,x\n"
    assert [int(problem.split()[1]) for problem in problems(tmp_path, content)] == [2, 3, 4, 5]


def test_good_lines_around_bad_ones_are_kept_with_their_line_numbers(tmp_path: Path) -> None:
    table = read_bytes(tmp_path, with_pixel("256"))
    assert table.places == lines(2, 4, 5, 6)
    assert np.array_equal(table.faces.pixels, FACES.pixels[[0, 2, 3, 4]])


@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"label,feature\n", "has a header but no faces", id="header alone"),
        pytest.param(b"label,feature", "has a header but no faces", id="header without line end"),
        pytest.param(b"label,feature\n\n\n", "has a header but no faces", id="header and blank lines"),
        pytest.param(b"id,label\n0,3\n", "has the columns 'id,label'", id="an answer file"),
        pytest.param(b"label,label,feature\n", "has the columns 'label,label,feature'", id="a column twice"),
        pytest.param(b"\n" + COURSE.encode(), "has the columns ''", id="blank first line"),
        pytest.param(COURSE.split("\n", 1)[1].encode(), "add a first line with the names", id="no header"),
        pytest.param(
            b"pixels,Angry,Disgust,Fear,Happy,Sad,Surprise,Neutral\n", "into one column", id="one-hot"
        ),
        pytest.param(b"emotoin,pixels\n", "has the columns 'emotoin,pixels'", id="a misspelt label"),
        pytest.param(
            f"emotion,pixels,Use\n0,{ZEROS},PublicTest\n".encode(), "a split in a column", id="no Usage"
        ),
        pytest.param(b"PAR1", "is a Parquet file, which is not read", id="Parquet"),
        pytest.param(b"\x7fELF\x00\x00\n", "is not a CSV file", id="binary"),
        pytest.param(bytes(range(256)) * 100, "is not a CSV file", id="every byte"),
        pytest.param(b"a" * 100_000, "has the columns 'aaaa", id="one endless line"),
    ],
)
def test_a_file_that_is_no_table_of_faces_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes, found: str
) -> None:
    message = error(tmp_path, content)
    assert found in message
    assert len(message) < 300 + len(str(tmp_path))


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv is no file"):
        read(tmp_path / "gone.csv")


@pytest.mark.parametrize("damage", [slice(0, 1000), slice(0, 12), slice(0, -4)])
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, damage: slice) -> None:
    path = write(tmp_path / "train.csv.gz", COURSE, zipped=True)
    path.write_bytes(path.read_bytes()[damage])
    with pytest.raises(InputError, match="is damaged"):
        read(path)


@settings(max_examples=30)
@given(
    pixels=arrays(np.uint8, st.tuples(st.integers(1, 4), st.just(48), st.just(48))),
    labels=st.lists(st.integers(0, 6), min_size=4, max_size=4),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_what_a_csv_writer_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    pixels: np.ndarray,
    labels: list[int],
    quoting: int,
    line_end: str,
    mark: str,
) -> None:
    faces = Faces(pixels, np.array(labels[: len(pixels)]), np.arange(len(pixels)))
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator=line_end)
    writer.writerow(["label", "feature"])
    writer.writerows(zip(faces.known_labels.tolist(), map(pixel_text, pixels), strict=True))
    folder = tmp_path_factory.mktemp("written")
    assert_equal(read_bytes(folder, mark + text.getvalue()), faces)


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.integers(0, PIXELS - 1), st.text("0123456789 -x\t", max_size=5)), min_size=1, max_size=4
    )
)
def test_pixels_are_read_as_a_plain_loop_reads_them(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, str]]
) -> None:
    numbers = pixel_text(FACES.pixels[0]).split(" ")
    for position, text in changes:
        numbers[position] = text
    written = " ".join(numbers).split()
    valid = len(written) == PIXELS and all(
        re.fullmatch("[+-]?[0-9]+", text) and 0 <= int(text) <= 255 for text in written
    )
    table = read_bytes(
        tmp_path_factory.mktemp("changed"), f"label,feature\n3,{' '.join(numbers)}\n{LINES[2]}"
    )
    assert [problem.place for problem in table.problems] == ([] if valid else ["line 2"])
    assert table.faces.pixels[-1].tolist() == FACES.pixels[1].tolist()
    if valid:
        assert table.faces.pixels[0].ravel().tolist() == list(map(int, written))


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_file_gives_whole_faces_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    usages = ["Training", "PublicTest", "PrivateTest", "Training", "Training"]
    content = bytearray(data.draw(st.sampled_from([COURSE, fer2013_text(FACES, usages)])).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        end = min(start + data.draw(st.sampled_from([0, 1, 10, 9000, len(content)])), len(content))
        content[start:end] = data.draw(
            st.binary(max_size=6) | st.sampled_from([b"\n", b",", b'"', b" ", b"\r"])
        )
    try:
        table = read_bytes(tmp_path_factory.mktemp("damaged"), bytes(content))
        table.require_usable()
    except InputError as refused:
        assert "faces.csv" in str(refused)
        return
    assert 1 <= len(table.faces) <= 8
    assert len(table.places) == len(table.splits) == len(table.faces)
    assert table.faces.labels is None or set(table.faces.labels.tolist()) <= set(range(7))
