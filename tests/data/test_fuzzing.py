"""Files that nobody should have: mutated, endless, huge, linked in circles. CI fuzzes for a minute: FUZZ_SECONDS=60."""

from __future__ import annotations

import gzip
import os
import tempfile
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import fuzz_readers
import pytest
from face_files import course_text, random_faces, write
from fuzz_readers import FORMS, TooSlow, fuzz, memory, png

from fer_lib import data
from fer_lib.errors import InputError

SECONDS = float(os.environ.get("FUZZ_SECONDS", "3"))
SEED = int(
    os.environ.get("FUZZ_SEED", "0")
)  # known, so that CI fails by a change alone; others: fuzz_readers.py --seed
FACES = random_faces(4)


def refused(path: Path) -> str:
    with pytest.raises(InputError) as raised:
        data.load(path)
    message = str(raised.value)
    assert "\n" not in message and message.endswith(".")
    return message


def test_mutated_files_are_read_rightly_or_refused_in_a_sentence() -> None:
    outcomes = fuzz(seconds=SECONDS, seed=SEED)
    print(outcomes.total(), "mutated files")
    assert outcomes.total() >= 20 * SECONDS


def test_a_file_that_takes_long_stops_the_fuzzer_and_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def endless(path: Path, tables: object) -> bool:
        while True:
            with suppress(Exception):
                time.sleep(1)

    slow = {"slow": FORMS["pictures"]._replace(right=endless)}
    monkeypatch.setattr(fuzz_readers, "FORMS", slow)
    monkeypatch.setattr(fuzz_readers, "MAX_SECONDS", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(TooSlow, match="more than 1 seconds"):
        fuzz(files=5)
    [folder] = tmp_path.iterdir()
    assert str(folder) in capsys.readouterr().err
    assert (folder / "train" / "happy" / "1.png").exists()


def endless(path: Path, block: bytes, count: int) -> Path:
    """A gzip file of a few kilobytes that unzips to count x block."""
    member = gzip.compress(block)
    with path.open("wb") as file:
        file.write(gzip.compress(b"label,feature\n"))
        for _ in range(count):
            file.write(member)
    return path


def test_a_gzip_bomb_of_zeros_is_refused_at_its_first_line(tmp_path: Path) -> None:
    assert "longer than any face" in refused(endless(tmp_path / "train.csv.gz", bytes(1 << 22), 3000))


def test_a_gzip_bomb_of_blank_lines_is_refused(tmp_path: Path) -> None:
    assert "longer than any file of faces" in refused(
        endless(tmp_path / "train.csv.gz", b"\n" * (1 << 22), 3000)
    )


def test_a_file_of_bad_lines_without_end_is_refused_early(tmp_path: Path) -> None:
    assert "has more than 300,000 faces" in refused(
        endless(tmp_path / "a.csv.gz", b"9,1\n" * (1 << 16), 3000)
    )


def test_a_zip_bomb_is_refused_and_never_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "train.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.csv", b"label,feature\n" + bytes(1 << 24))
    before = memory()
    assert "longer than any face" in refused(tmp_path / "train.zip")
    assert memory() - before < 100_000


def test_names_with_line_ends_stay_on_one_line(tmp_path: Path) -> None:
    assert "a\\nb.csv" in refused(write(tmp_path / "a\nb.csv", "label,feature\n9,1\n"))
    folder = tmp_path / "pictures"
    write(folder / "train" / "sad" / "1\n2.png", b"no picture")
    assert "1\\n2.png has no picture" in refused(folder)


def test_names_that_are_no_text_are_shown_in_escapes(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.csv")
    try:
        write(tmp_path / name, "label,feature\n9,1\n")
    except OSError:
        pytest.skip("this file system takes only names that are text")
    refused(tmp_path / name).encode()


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere" / "faces.csv", course_text(FACES))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "train.csv").symlink_to(elsewhere)
    (folder / "up").symlink_to(tmp_path / "folder", target_is_directory=True)
    (folder / "gone.csv").symlink_to(tmp_path / "gone")
    assert data.load(folder).train.fingerprint() == FACES.fingerprint()


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").symlink_to(tmp_path / "train.csv")
    refused(tmp_path / "train.csv")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full", "/dev/tty"])
def test_devices_are_no_files(device: str) -> None:
    if not Path(device).exists():
        pytest.skip(f"there is no {device}")
    assert "is no file" in refused(Path(device))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train.csv")
    assert "is no file" in refused(tmp_path / "train.csv")
    os.mkfifo(tmp_path / "test.csv")
    write(tmp_path / "mine.csv", course_text(FACES))
    assert data.load(tmp_path).train.fingerprint() == FACES.fingerprint()


def test_names_in_an_archive_cannot_lead_out_of_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../../train/sad/1.png", png(FACES.pixels[0]))
        archive.writestr("/etc/train/sad/2.png", png(FACES.pixels[1]))
    before = sorted(tmp_path.rglob("*"))
    assert len(data.load(tmp_path / "a.zip").train) == 1  # what begins with a dot is hidden
    assert sorted(tmp_path.rglob("*")) == before


def test_a_locked_archive_is_said_to_be_locked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train.csv", course_text(FACES))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    content[6] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    assert "is locked or packed in a rare way; unpack it yourself" in refused(tmp_path / "a.zip")
