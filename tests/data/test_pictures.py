from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from face_files import random_faces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from fer_lib.data.pictures import MAX_PIXELS, read_picture
from fer_lib.data.tables import label_of

FACE = random_faces(1).pixels[0]
SMOOTH = np.add.outer(np.arange(48), np.arange(48) * 4).astype(np.uint8)


def saved(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def grey(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(grey(FACE), id="grey"),
        pytest.param(grey(FACE).convert("RGB"), id="grey saved as colour"),
        pytest.param(grey(FACE).convert("P"), id="palette"),
        pytest.param(grey(FACE).convert("LA"), id="opaque"),
        pytest.param(grey(FACE).convert("RGBA"), id="opaque colour"),
        pytest.param(Image.fromarray(FACE.astype(np.uint16) * 257), id="16 bits"),
    ],
)
def test_a_grey_face_of_48_by_48_keeps_its_pixels_however_it_is_stored(picture: Image.Image) -> None:
    assert np.array_equal(read_picture(saved(picture)), FACE)


def test_a_jpeg_gives_what_the_decoder_gives() -> None:
    data = saved(grey(FACE), "JPEG", quality=90)
    assert np.array_equal(read_picture(data), np.asarray(Image.open(io.BytesIO(data))))


def test_colours_become_the_grey_that_television_gave_them() -> None:
    assert read_picture(saved(Image.new("RGB", (48, 48), (255, 0, 0))))[0, 0] == 76


def test_what_is_transparent_becomes_white() -> None:
    assert read_picture(saved(Image.new("RGBA", (48, 48), (0, 0, 0, 0)))).min() == 255


def test_a_larger_picture_is_scaled_smoothly() -> None:
    large = grey(np.repeat(np.repeat(SMOOTH, 4, axis=0), 4, axis=1))
    assert np.abs(read_picture(saved(large)).astype(int) - SMOOTH).mean() < 2


def test_the_middle_of_a_wide_picture_is_taken() -> None:
    wide = np.zeros((48, 96), np.uint8)
    wide[:, 24:72] = FACE
    assert np.array_equal(read_picture(saved(grey(wide))), FACE)


def test_a_photograph_taken_sideways_is_turned_upright() -> None:
    sideways = grey(np.rot90(SMOOTH).copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to see it
    upright = read_picture(saved(sideways, "JPEG", exif=exif, quality=95))
    assert np.abs(upright.astype(int) - SMOOTH).mean() < 4


@pytest.mark.parametrize(("mode", "stored"), [("I;16", 2), ("RGBA", 4)])
def test_a_large_picture_takes_little_memory_beyond_its_own(mode: str, stored: int) -> None:
    rising = np.arange(4096)[:, np.newaxis] * np.ones(4096, np.uint16)
    large = Image.fromarray((16 * rising).astype(np.uint16))
    if mode == "RGBA":
        large = Image.fromarray((rising / 16).astype(np.uint8)).convert(mode)
    picture = saved(large, compress_level=1)
    code = (
        "import resource, sys; from fer_lib.data.pictures import read_picture; picture = sys.stdin.buffer.read()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; face = read_picture(picture)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, face[0, 0], face[47, 47])"
    )
    done = subprocess.run([sys.executable, "-c", code], input=picture, capture_output=True, check=True)
    memory, first, last = map(int, done.stdout.split())
    assert memory * 1024 < 2 * stored * rising.size  # one byte a pixel more than as it is stored
    assert (first, last) == ((3, 252) if mode == "I;16" else (2, 253))


def huge_png() -> bytes:
    """A PNG that claims 100,000 x 100,000 pixels in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("make", "found"),
    [
        pytest.param(lambda: b"", "no picture in it", id="empty"),
        pytest.param(lambda: b"\x00\x00\x00 ftypheic" + bytes(100), "no picture in it", id="HEIC"),
        pytest.param(lambda: saved(grey(FACE))[:600], "a damaged picture", id="cut off"),
        pytest.param(lambda: saved(grey(FACE), "JPEG")[:600], "a damaged picture", id="JPEG cut off"),
        pytest.param(huge_png, f"more than {MAX_PIXELS:,} pixels", id="100,000 x 100,000"),
        pytest.param(
            lambda: saved(Image.new("1", (9000, 9000))), f"more than {MAX_PIXELS:,} pixels", id="too large"
        ),
    ],
)
def test_what_is_no_picture_of_a_face_is_refused(make: Callable[[], bytes], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        read_picture(make())


@settings(max_examples=40)
@given(
    face=arrays(np.uint8, (48, 48)),
    mode=st.sampled_from(["L", "RGB", "LA", "RGBA"]),
    options=st.fixed_dictionaries({"compress_level": st.integers(0, 9), "optimize": st.booleans()}),
)
def test_any_face_comes_back_from_a_png(face: np.ndarray, mode: str, options: dict[str, object]) -> None:
    assert np.array_equal(read_picture(saved(grey(face).convert(mode), **options)), face)


@settings(max_examples=100)
@given(
    form=st.sampled_from(["PNG", "JPEG"]),
    mode=st.sampled_from(["1", "L", "RGB", "CMYK", "P", "RGBA", "I;16"]),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4)), max_size=3),
)
def test_a_damaged_picture_is_a_face_of_48_by_48_or_a_value_error(
    form: str, mode: str, size: tuple[int, int], changes: list[tuple[float, bytes]]
) -> None:
    try:
        content = saved(Image.new(mode, size, 77), form)
    except (OSError, KeyError):
        return  # no such picture of this form
    for where, change in changes:
        at = int(where * len(content))
        content = content[:at] + change + content[at + len(change) :]
    try:
        face = read_picture(content)
    except ValueError as error:
        assert changes and str(error).startswith(("a damaged picture in it", "no picture in it"))
        return
    assert (face.shape, face.dtype) == ((48, 48), np.uint8)


@pytest.mark.parametrize(
    ("folder", "label"),
    [("angry", 0), ("Anger", 0), ("HAPPY", 3), ("6", 6), ("驚訝", 5), ("contempt", None), ("train", None)],
)
def test_folders_are_named_after_emotions_in_several_ways(folder: str, label: int | None) -> None:
    assert label_of(folder) == label
