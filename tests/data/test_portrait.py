"""A face from a photograph of any kind."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fer_lib.data.pictures import portrait, read_picture
from fer_lib.errors import InputError


def install_detector(monkeypatch, *boxes):
    """An OpenCV that finds faces in these boxes (left, top, width, height), whatever it is shown."""
    cascade = SimpleNamespace(
        detectMultiScale=lambda *_: np.array(boxes, int).reshape(-1, 4) if boxes else ()
    )
    cv2 = SimpleNamespace(CascadeClassifier=lambda _: cascade, data=SimpleNamespace(haarcascades=""))
    monkeypatch.setitem(sys.modules, "cv2", cv2)


def test_largest_face_of_a_photograph_is_cut_out(tmp_path, monkeypatch):
    picture = np.zeros((200, 200), np.uint8)
    picture[20:116, 90:186] = 200
    Image.fromarray(picture).save(tmp_path / "two.png")
    install_detector(monkeypatch, (10, 10, 50, 50), (90, 20, 96, 96))
    found = portrait(tmp_path / "two.png")
    assert found.searched and found.found
    np.testing.assert_array_equal(found.pixels, 200)


@pytest.mark.parametrize("opencv", [None, SimpleNamespace()], ids=["none", "version 5"])
def test_no_detector_is_told_from_no_face(tmp_path, monkeypatch, opencv):
    Image.fromarray(np.zeros((60, 60), np.uint8)).save(tmp_path / "dark.png")
    install_detector(monkeypatch)
    with_detector = portrait(tmp_path / "dark.png")
    assert with_detector.searched and not with_detector.found
    monkeypatch.setitem(sys.modules, "cv2", opencv)
    without = portrait(tmp_path / "dark.png")
    assert not without.searched and not without.found


def test_without_a_face_the_middle_of_a_colour_photograph_is_taken_in_grey(tmp_path):
    picture = np.zeros((96, 200, 3), np.uint8)
    picture[:, 52:148] = 200
    Image.fromarray(picture).save(tmp_path / "wide.png")
    found = portrait(tmp_path / "wide.png")
    assert found.pixels.shape == (48, 48)
    assert found.pixels.dtype == np.uint8
    assert not found.found
    np.testing.assert_array_equal(found.pixels, 200)


def test_a_photograph_on_its_side_is_turned_as_its_camera_says():
    picture = np.zeros((60, 60), np.uint8)
    picture[:30] = 255
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture).save(turned, "JPEG", exif=exif)
    pixels = portrait(turned).pixels
    assert pixels[:, -10:].min() > 200
    assert pixels[:, :10].max() < 50


def test_what_is_no_picture_is_said(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match=r"notes\.txt cannot be read as a picture"):
        portrait(tmp_path / "notes.txt")


@pytest.mark.parametrize("mode", ["I;16", "LA", "RGBA", "P"])
def test_both_readers_of_pictures_see_the_same_grey(mode):
    values = np.arange(48 * 48).reshape(48, 48)
    if mode == "I;16":
        picture = Image.fromarray((28 * values).astype(np.uint16))
    else:
        picture = Image.fromarray((values % 251).astype(np.uint8)).convert(mode)
    file = io.BytesIO()
    picture.save(file, "PNG", **({"transparency": 7} if mode == "P" else {}))
    if mode in ("LA", "RGBA"):
        picture.putalpha(Image.fromarray((values % 241).astype(np.uint8)))
        picture.save(file := io.BytesIO(), "PNG")
    seen = portrait(io.BytesIO(file.getvalue())).pixels
    np.testing.assert_array_equal(seen, read_picture(file.getvalue()))
    assert len(np.unique(seen)) > 100
