import base64
import io
import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.ticker import PercentFormatter
from PIL import Image

from fer_lib.errors import InputError
from fer_lib.publish.explore import Cells, Frames, _colors, curves

NAMES = ("a", "b", "c")


def picture(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def cells(**options) -> Cells:
    """Six faces of three classes; face i is a flat grey of 10 i."""
    labels = np.array([0, 0, 0, 1, 1, 2])
    probabilities = np.array(
        [[0.6, 0.3, 0.1], [0.9, 0.05, 0.05], [0.1, 0.7, 0.2], [0.2, 0.5, 0.3], [0.1, 0.8, 0.1], [0, 0.1, 0.9]]
    )
    matrix = np.zeros((3, 3), int)
    np.add.at(matrix, (labels, probabilities.argmax(axis=1)), 1)
    pictures = np.arange(6, dtype=np.uint8)[:, None, None].repeat(48, 1).repeat(48, 2) * 10
    return Cells(NAMES, matrix, pictures, labels, probabilities, **options)


def test_a_cell_holds_its_faces_surest_first_with_their_probabilities():
    data = cells().data()
    faces = data["rows"][0][0]["faces"]
    assert [face["percent"] for face in faces] == [[90, 5, 5], [60, 30, 10]]
    sheet = picture(data["sheet"])
    greys = [sheet[24, 48 * face["at"] + 24] for face in faces]
    assert np.asarray(greys).reshape(2, -1)[:, 0].tolist() == [10, 0]
    assert data["rows"][2][0] == {"share": "0.00", "count": 0, "faces": []} | {
        k: data["rows"][2][0][k] for k in ("background", "ink")
    }


def test_a_cell_with_many_faces_shows_the_most():
    row = cells(most=1).data()["rows"][0]
    assert [len(cell["faces"]) for cell in row] == [1, 1, 0]
    assert [cell["count"] for cell in row] == [2, 1, 0]
    assert [cell["share"] for cell in row] == ["0.67", "0.33", "0.00"]


@pytest.mark.parametrize("share", np.linspace(0, 1, 21))
def test_the_number_in_a_cell_stands_out_from_its_colour(share):
    def luminance(color: str) -> float:
        full = color if len(color) == 7 else "#" + "".join(2 * c for c in color[1:])
        parts = [int(full[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    low, high = sorted(map(luminance, _colors(share)))
    assert (high + 0.05) / (low + 0.05) >= 4.5


@pytest.mark.parametrize("colored", [False, True])
def test_frames_are_one_sheet_with_a_row_for_each(colored):
    shape = (2, 3, 4, 5) + ((3,) if colored else ())
    pictures = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    data = Frames(("0", "190"), pictures, "slider", "Step").data()
    sheet = picture(data["sheet"])
    for frame, number in itertools.product(range(2), range(3)):
        part = sheet[4 * frame : 4 * frame + 4, 5 * number : 5 * number + 5]
        assert (part.reshape(4, 5, -1)[..., :1] == pictures[frame, number].reshape(4, 5, -1)[..., :1]).all()


def test_heat_gets_colours():
    heat = np.zeros((1, 2, 4, 4))
    heat[0, 1] = 1
    sheet = picture(Frames(("x",), heat, "switch", "Method").data()["sheet"])
    assert sheet[0, 0].sum() < 30 < 500 < sheet[0, 4].sum()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"control": "knob"}, "'knob'"),
        ({"names": ("a",)}, "1 frames"),
        ({"pictures": np.zeros((2, 4, 4))}, "have"),
    ],
)
def test_what_makes_no_frames_is_an_input_error(options, complaint):
    given = {"names": ("a", "b"), "pictures": np.zeros((2, 1, 4, 4)), "control": "switch", "label": "Method"}
    with pytest.raises(InputError, match=complaint):
        Frames(**{**given, **options})


def read(figure):
    figure.draw_without_rendering()
    return curves(figure, figure.get_tightbbox())


def test_curves_are_found_with_their_values_and_place():
    figure, (left, right) = plt.subplots(1, 2, figsize=(6, 2))
    left.plot([1, 2, 3], [0.25, 0.5, 0.75], color="#0072B2", label="validation")
    left.plot([2], [0.5], "o", label="best")
    left.yaxis.set_major_formatter(PercentFormatter(1))
    left.set_xlabel("Epoch")
    right.plot([1, 2], [2.5, 1.25])
    [axis] = read(figure)
    plt.close(figure)
    [series] = axis["series"]
    assert series == {
        "name": "validation", "color": "#0072b2", "x": [1, 2, 3], "y": [0.25, 0.5, 0.75],
        "text": ["25.0%", "50.0%", "75.0%"],
    }  # fmt: skip
    assert axis["label"] == "Epoch"
    x, y, width, height = axis["box"]
    assert 0 < x < x + width < 0.6
    assert 0 <= y < y + height < 1


def test_bars_and_pictures_have_no_curves():
    figure, (left, right) = plt.subplots(1, 2)
    left.bar([1, 2], [3, 4], label="bars")
    right.imshow(np.eye(3))
    assert read(figure) == []
    plt.close(figure)
