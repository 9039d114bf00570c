"""Figures that readers can look into: fragments of HTML that stand alone."""

import base64
import io
import itertools
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from bs4 import BeautifulSoup
from matplotlib.ticker import PercentFormatter
from PIL import Image
from report_project import ALL, HOSTILE, parsed

from fer_lib.errors import InputError
from fer_lib.labels import label_file
from fer_lib.report.interactive import Cells, Frames, Interactive, curves, faces_and_heat, fragment

NAMES = ("a", "b", "c")
LABELS = label_file("en")["page"]


def shown(part: Interactive, key: str = "matrix", alt: str = "A matrix") -> BeautifulSoup:
    return parsed(fragment(part, key, LABELS, alt))


def sheet(soup: BeautifulSoup) -> np.ndarray:
    """The one picture that holds all pictures of a fragment."""
    [data] = re.findall(
        r"url\(data:image/webp;base64,([^)]*)\)", "".join(s.string for s in soup.find_all("style"))
    )
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def cells(**options) -> Cells:
    """Six faces of three classes; face i is a flat grey of 10 i."""
    labels = np.array([0, 0, 0, 1, 1, 2])
    probabilities = np.array(
        [[0.6, 0.3, 0.1], [0.9, 0.05, 0.05], [0.1, 0.7, 0.2], [0.2, 0.5, 0.3], [0.1, 0.8, 0.1], [0, 0.1, 0.9]]
    )
    matrix = np.zeros((3, 3), int)
    np.add.at(matrix, (labels, probabilities.argmax(axis=1)), 1)
    pictures = np.arange(6, dtype=np.uint8)[:, None, None].repeat(48, 1).repeat(48, 2) * 10
    given = {"matrix": matrix, "pictures": pictures, "labels": labels, "probabilities": probabilities}
    return Cells(**{"names": NAMES, **given, **options})


def grid(control: str = "slider", **options) -> Frames:
    """Three steps of two pictures; picture i of step f is a flat grey of 40 f + 20 i."""
    pictures = (np.arange(6).reshape(3, 2, 1, 1) * 20).repeat(4, 2).repeat(5, 3).astype(np.uint8)
    return Frames(("0", "10", "190"), pictures, control, "Step", **options)


# A matrix that opens its faces


def test_every_cell_says_share_and_count_and_those_with_faces_can_be_chosen():
    table = shown(cells()).find("table", class_="matrix")
    assert [span.get_text(" ") for span in table.select("td span")] == [
        "67% 2", "33% 1", "0% 0",
        "0% 0", "100% 2", "0% 0",
        "0% 0", "0% 0", "100% 1",
    ]  # fmt: skip
    radios = table.select("td input[type=radio]")
    assert [radio["aria-label"] for radio in radios] == [
        "a → a: 67%, 2", "a → b: 33%, 1", "b → b: 100%, 2", "c → c: 100%, 1"
    ]  # fmt: skip
    assert {radio["name"] for radio in radios} == {"matrix"}
    assert [th.get_text() for th in table.select("tbody th[scope=row]")] == list(NAMES)
    assert [th.get_text() for th in table.select("thead th[scope=col]")] == [LABELS["true"], *NAMES]


def test_chosen_cell_shows_its_faces_without_a_script():
    soup = shown(cells())
    rules = "".join(style.string for style in soup.find_all("style"))
    for radio in soup.select("td input"):
        [place] = [name for name in radio["class"] if name.startswith("i-")]
        galleries = re.findall(
            rf"\.fer-cells:has\(\.{place}:checked\) \.(g-\d-\d) {{ display: block; }}", rules
        )
        assert galleries == [place.replace("i-", "g-")]
        assert len(soup.select(f".gallery.{galleries[0]}")) == 1
    assert soup.find("script") is None


def test_faces_of_a_cell_stand_surest_first_with_their_probabilities():
    soup = shown(cells())
    cards = soup.select(".g-0-0 .card")
    assert [[item.get_text() for item in card.select("li")] for card in cards] == [
        ["a 90%", "b 5%", "c 5%"],
        ["a 60%", "b 30%", "c 10%"],
    ]
    assert [item.get_text() for item in cards[0].select("li.true")] == ["a 90%"]
    places = [re.findall(r"--x:(\d+);--y:(\d+)", card.select_one(".face")["style"])[0] for card in cards]
    greys = [sheet(soup)[48 * int(y) + 24, 48 * int(x) + 24, 0] for x, y in places]
    assert greys == [10, 0]


def test_cell_with_many_faces_shows_the_surest_and_counts_all():
    soup = shown(cells(most=1))
    assert len(soup.select(".g-0-0 .card")) == 1
    assert "1 of 2" in soup.select_one(".g-0-0 .what").get_text()
    assert soup.select_one("td span").get_text(" ") == "67% 2"


def test_matrix_has_a_description_and_names_that_are_texts():
    soup = shown(cells(names=HOSTILE[:3]), alt=ALL)
    assert soup.select_one(".unseen").get_text() == ALL
    assert [th.get_text() for th in soup.select("tbody th")] == HOSTILE[:3]
    assert soup.find("script") is None


def test_counts_are_named_by_true_and_predicted_class():
    counts = cells().counts()
    assert (counts["a.a"], counts["a.b"], counts["b.a"], counts["b.b"]) == (2, 1, 0, 2)
    assert len(counts) == 9


def test_matrix_without_faces_is_a_table_only():
    none = {
        "pictures": np.zeros((0, 4, 4), np.uint8),
        "labels": np.zeros(0, int),
        "probabilities": np.zeros((0, 3)),
    }
    soup = shown(cells(**none))
    assert soup.find("input") is None
    assert soup.select_one("td span").get_text(" ") == "67% 2"


def luminance(color: str) -> float:
    full = color if len(color) == 7 else "#" + "".join(2 * c for c in color[1:])
    parts = [int(full[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("theme", ["", "dark-"])
def test_number_in_a_cell_stands_out_from_every_color(theme):
    # Row s has a cell of share s / 20.
    counts = np.array([[s, 20 - s] + [0] * 19 for s in range(21)])
    none = {
        "pictures": np.zeros((0, 4, 4), np.uint8),
        "labels": np.zeros(0, int),
        "probabilities": np.zeros((0, 21)),
    }
    soup = shown(Cells(names=[str(s) for s in range(21)], matrix=counts, **none))
    styles = [dict(re.findall(r"--([\w-]+): *(#[0-9a-f]+)", td["style"])) for td in soup.select("tbody td")]
    assert len({style[f"{theme}color"] for style in styles}) == 21
    for style in styles:
        low, high = sorted(map(luminance, (style[f"{theme}color"], style[f"{theme}ink"])))
        assert (high + 0.05) / (low + 0.05) >= 4.5


# Pictures that change together


def test_frames_are_chosen_by_radio_buttons_that_begin_at_the_start():
    soup = shown(grid(start=1), key="ascent")
    assert soup.select_one("fieldset legend").get_text() == "Step"
    assert [label.get_text() for label in soup.select("fieldset label")] == ["0", "10", "190"]
    assert [radio.has_attr("checked") for radio in soup.select("input")] == [False, True, False]
    assert {radio["name"] for radio in soup.select("input")} == {"ascent"}
    assert soup.find(class_="fer-frames").find(role="img")["aria-label"] == "A matrix"


@pytest.mark.parametrize(("start", "checked"), [(0, 0), (-1, 2), (2, 2)])
def test_start_may_count_from_the_end(start, checked):
    radios = shown(grid(start=start)).select("input")
    assert [i for i, radio in enumerate(radios) if radio.has_attr("checked")] == [checked]


@pytest.mark.parametrize(("control", "scripts"), [("slider", 1), ("switch", 0)])
def test_only_a_slider_has_a_script(control, scripts):
    soup = shown(grid(control))
    assert len(soup.select(f"fieldset.{control}")) == 1
    assert len(soup.find_all("script")) == scripts


def test_chosen_frame_moves_its_row_of_the_sheet_and_its_captions_into_view():
    soup = shown(grid(captions=[[f"{f}.{i}" for i in range(2)] for f in range(3)]), key="ascent")
    rules = "".join(style.string for style in soup.find_all("style"))
    for f, radio in enumerate(soup.select("input")):
        assert f".fer-frames:has(.{radio['class'][0]}:checked) {{ --y: {f}; }}" in rules
        assert f".fer-frames:has(.f{f}:checked) .c{f} {{ display: inline; }}" in rules
        assert [note.get_text() for note in soup.select(f".notes .c{f}")] == [f"{f}.0", f"{f}.1"]
    assert "--across: 2; --down: 3" in soup.find(role="img")["style"]


@pytest.mark.parametrize("colored", [False, True])
def test_sheet_has_a_row_for_each_frame(colored):
    shape = (2, 3, 4, 5) + ((3,) if colored else ())
    pictures = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    whole = sheet(shown(Frames(("0", "190"), pictures, "slider", "Step")))
    for frame, number in itertools.product(range(2), range(3)):
        part = whole[4 * frame : 4 * frame + 4, 5 * number : 5 * number + 5]
        expected = pictures[frame, number] if colored else pictures[frame, number][..., None]
        assert (part == expected).all()


def test_heat_gets_colors():
    heat = np.zeros((1, 2, 4, 4))
    heat[0, 1] = 1
    whole = sheet(shown(Frames(("x",), heat, "switch", "Method")))
    assert whole[0, 0].sum() < 30 < 500 < whole[0, 4].sum()


def test_faces_stand_above_their_heat_each_map_to_its_own_scale():
    faces = np.full((2, 8, 8), 100, np.uint8)
    heats = np.zeros((3, 2, 8, 8))
    heats[0, 0, :4] = 1e-6
    heats[1, 1, :4] = 50
    pictures = faces_and_heat(faces, heats)
    assert pictures.shape == (3, 4, 8, 8, 3)
    assert (pictures[:, :2] == 100).all()
    dark, bright = pictures[2, 2, 0, 0], pictures[0, 2, 0, 0]
    assert (bright == pictures[1, 3, 0, 0]).all()
    assert dark.sum() < 30 < 500 < bright.sum()
    assert (pictures[0, 2, -1, 0] == dark).all()


def test_names_and_captions_of_frames_are_texts():
    soup = shown(
        Frames(HOSTILE[:2], np.zeros((2, 1, 4, 4), np.uint8), "switch", ALL, captions=[[ALL], [ALL]]), alt=ALL
    )
    assert [label.get_text() for label in soup.select("label")] == HOSTILE[:2]
    assert [text.get_text() for text in soup.select("legend, .c0, .c1")] == [ALL] * 3
    assert soup.find(role="img")["aria-label"] == ALL
    assert soup.find("script") is None


@pytest.mark.parametrize("part", [cells(), grid(), grid("switch")])
def test_fragment_asks_for_nothing_from_outside(part):
    html = fragment(part, "x", LABELS, "alt")
    assert re.findall(r"url\((?!data:)|@import|https?:|\bsrc=|\bhref=", html) == []


def test_two_fragments_on_a_page_share_no_id_and_no_group():
    parts = [cells(), cells(), grid(), grid()]
    soup = parsed("".join(fragment(part, f"part-{i}", LABELS, "x") for i, part in enumerate(parts)))
    assert soup.select("[id]") == []
    assert len({radio["name"] for radio in soup.select("input")}) == 4


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"control": "knob"}, "'knob'"),
        ({"names": ("a",)}, "1 frames"),
        ({"pictures": np.zeros((2, 4, 4))}, r"have \(2, 4, 4\)"),
    ],
)
def test_what_makes_no_frames_is_an_input_error(options, complaint):
    given = {"names": ("a", "b"), "pictures": np.zeros((2, 1, 4, 4)), "control": "switch", "label": "Method"}
    with pytest.raises(InputError, match=complaint):
        Frames(**{**given, **options})


# Curves


def read(figure):
    figure.draw_without_rendering()
    found = curves(figure, figure.get_tightbbox())
    plt.close(figure)
    return found


def test_curves_are_found_with_their_values_and_place():
    figure, (left, right) = plt.subplots(1, 2, figsize=(6, 2))
    left.plot([1, 2, 3], [0.25, 0.5, 0.75], color="#0072B2", label="validation")
    left.plot([2], [0.5], "o", label="best")
    left.yaxis.set_major_formatter(PercentFormatter(1))
    left.set_xlabel("Epoch")
    right.plot([1, 2], [2.5, 1.25])
    [axis] = read(figure)
    [series] = axis["series"]
    assert series == {
        "name": "validation", "color": "#0072b2", "x": [1, 2, 3], "y": [0.25, 0.5, 0.75],
        "text": ["25.0%", "50.0%", "75.0%"],
    }  # fmt: skip
    assert axis["label"] == "Epoch"
    x, y, width, height = axis["box"]
    assert 0 < x < x + width < 0.6
    assert 0 <= y < y + height < 1


@pytest.mark.parametrize(("whole", "factor"), [(1, 100), (100, 1)])
def test_places_on_an_axis_of_percentages_are_read_as_such(whole, factor):
    figure, (left, right) = plt.subplots(1, 2)
    for ax in (left, right):
        ax.plot([0, whole / 2, whole], label="deletion")
    left.xaxis.set_major_formatter(PercentFormatter(whole))
    assert [axis["percent"] for axis in read(figure)] == [factor, 0]


def test_gaps_of_a_curve_are_left_out():
    figure, ax = plt.subplots()
    ax.plot([1, 2, 3], [0.25, np.nan, 0.75], label="loss")
    [axis] = read(figure)
    assert axis["series"][0]["x"] == [1, 3]


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_curves_are_read_off_linear_axes_only(scale):
    figure, ax = plt.subplots()
    ax.plot([1, 2, 3], label="loss")
    ax.set_yscale(scale)
    assert len(read(figure)) == (scale == "linear")


def test_bars_and_pictures_have_no_curves():
    figure, (left, right) = plt.subplots(1, 2)
    left.bar([1, 2], [3, 4], label="bars")
    right.imshow(np.eye(3))
    assert read(figure) == []
