from pathlib import Path

import pytest
from conftest import ROOT

from fer_lib.errors import InputError
from fer_lib.report.title import Title, read_title


def write_title(folder: Path, text: str) -> Path:
    path = folder / "title.yaml"
    path.write_text(text, encoding="utf-8")
    return path


FIELDS = "student_id: 012345\ndepartment: no\nname: 王小明\n"


def test_a_title_is_read_as_text(tmp_path: Path) -> None:
    path = write_title(tmp_path, FIELDS + "collaborators:\n  q1: 1e5\n")
    assert read_title(path) == Title("012345", "no", "王小明", {"q1": "1e5"})


def test_what_is_given_on_the_command_line_goes_over_the_file(tmp_path: Path) -> None:
    path = write_title(tmp_path, FIELDS + "collaborators: {q1: A, q2: B}\n")
    title = read_title(path, {"name": "X", "collaborators.q2": "C"})
    assert (title.name, title.collaborators) == ("X", {"q1": "A", "q2": "C"})


def test_the_projects_own_title_can_be_read() -> None:
    assert read_title(ROOT / "report" / "title.yaml").student_id == "B00000000"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: x\n", "lacks 'student_id'"),
        (FIELDS + "nam: x\n", "nothing is known of 'nam' .did you mean name"),
        (FIELDS + "collaborators: {q1: [a, b]}\n", r"collaborators\.q1 must be one text"),
        (FIELDS + "collaborators: nobody\n", "nothing is known of 'collaborators'"),
        ("- a\n", "must hold lines such as"),
        ("", "must hold lines such as"),
        ("a: [\n", "cannot be read"),
    ],
)
def test_an_error_in_the_title_is_said(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_title(write_title(tmp_path, text))
