"""Figures: what they show, that it can be read, and that drawing leaves nothing behind."""

from __future__ import annotations

import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fer_lib import plots, published
from fer_lib.emotions import EMOTION_NAMES, LANGUAGES
from fer_lib.errors import InputError
from fer_lib.labels import labels


@pytest.fixture(autouse=True)
def _style():
    with mpl.rc_context():
        plots.use_style("en")
        yield


def board():
    """A leaderboard of three models."""
    accuracies = pd.Series([0.62, 0.55, 0.41])
    return pd.DataFrame(
        {
            "rank": [1, 2, 3],
            "WIDTH": [0.25, 0.125, 0.0625],
            "OPTIMIZER": ["Adam", "SGD", "Adam"],
            "accuracy": accuracies,
            "low": accuracies - 0.03,
            "high": accuracies + 0.03,
            "cpu_seconds": [90.0, 40.0, 12.0],
        }
    )


def history(epochs=5):
    epoch = np.arange(1, epochs + 1)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "accuracy": epoch / 10,
            "val_accuracy": [0.2, 0.5, 0.4, 0.3, 0.1][:epochs],
            "loss": 2 - epoch / 10,
            "val_loss": 2 - epoch / 20,
        }
    )


def faces(n=7, channels=()):
    return np.random.default_rng(0).integers(0, 256, (n, 48, 48, *channels), np.uint8)


def heat(n=7):
    return np.random.default_rng(1).random((n, 48, 48), np.float32)


METHODS = (
    "gradient", "smoothgrad", "gradient_input", "integrated_gradients", "grad_cam", "occlusion", "rise",
)  # fmt: skip

RELIABILITY = (
    np.linspace(0, 1, 5),
    np.array([0, 3, 40, 900]),
    np.array([np.nan, 0.4, 0.6, 0.9]),
    np.array([np.nan, 0.3, 0.5, 0.9]),
    np.array([0, 0.1, 0.4, 0.85]),
    np.array([1, 0.7, 0.6, 0.95]),
)

MATRIX = np.random.default_rng(0).integers(1, 900, (7, 7))


def stages(*sizes, convolutions=True):
    """A network of convolutions with a residual block, and dense layers."""
    rows = [("input", 1, 0, 48, 1, "")]
    rows += [("conv", 2, 3, 48, 64, ""), ("residual", 3, 3, 6, 512, "pool")] * convolutions
    rows += [("dense", 1, 0, 1, size, "" if i else "average") for i, size in enumerate(sizes)]
    rows += [("output", 1, 0, 1, 7, "")]
    frame = pd.DataFrame(rows, columns=["kind", "count", "kernel", "height", "channels", "step"])
    return frame.assign(width=frame["height"])


RESULTS = published.scale(
    {"cnn": {split: {"value": 0.43, "low": 0.41, "high": 0.45} for split in ("validation", "public")}},
    {"validation": 0.251, "public": 0.249},
    fer2013=True,
)

FIGURES = {
    "network_diagram": lambda language: plots.network_diagram(stages(4096, 512), language=language),
    "network_diagram_long": lambda language: plots.network_diagram(
        stages(*range(33, 42), convolutions=False), language=language
    ),
    "accuracy_scale": lambda language: plots.accuracy_scale(RESULTS, language=language),
    "training_curves": lambda language: plots.training_curves(history(), language=language),
    "compare_curves": lambda language: plots.compare_curves(
        {"CNN": history(), "DNN": history(3)}, language=language
    ),
    "confusion_matrix": lambda language: plots.confusion_matrix(MATRIX, language=language),
    "probability_matrix": lambda language: plots.probability_matrix(
        MATRIX / MATRIX.sum(axis=1, keepdims=True), language=language
    ),
    "class_shares": lambda language: plots.class_shares(
        {labels(language)[name]: list(MATRIX[0]) for name in ("training", "public", "private")},
        language=language,
    ),
    "face_grid": lambda language: plots.face_grid(faces(), EMOTION_NAMES[language]),
    "saliency_triptychs": lambda language: plots.saliency_triptychs(
        faces(), heat(), faces(), EMOTION_NAMES[language], language=language
    ),
    "reliability_diagram": lambda language: plots.reliability_diagram(*RELIABILITY, language=language),
    "two_readings": lambda language: plots.two_readings(
        faces(3), heat(3), heat(3), EMOTION_NAMES[language][:3], language=language
    ),
    "saliency_methods": lambda language: plots.saliency_methods(
        faces(), dict.fromkeys(METHODS, heat()), EMOTION_NAMES[language], language=language
    ),
    "saliency_evidence": lambda language: plots.saliency_evidence(
        np.linspace(0, 1, 5),
        dict.fromkeys((*METHODS, "random"), np.linspace(0.9, 0.1, 5)),
        dict.fromkeys((*METHODS, "random"), np.linspace(0.1, 0.9, 5)),
        dict.fromkeys(METHODS, np.array([1, 0.2, 0.1])),
        language=language,
    ),
    "control_intervals": lambda language: plots.control_intervals(
        [labels(language)[f"control_{name}"] for name in ("trained", "shuffled", "spread", "narrow")],
        np.array([[2.3, 2, 2.6], [1.1, 1, 1.2], [1.8, 1.7, 1.9], [2.1, 2, 2.2]]),
        xlabel=labels(language)["heat_on_features"],
    ),
    "accuracy_by_shift": lambda language: plots.accuracy_by_shift(
        [0, 2, 4],
        {
            name: np.linspace([0.5, 0.45, 0.55], [0.3, 0.2, 0.4], 3)
            for name in ("CNN", *(labels(language)["dnn_of_depth"].format(layers=n) for n in (9, 1)))
        },
        language=language,
    ),
    "filter_grid": lambda language: plots.filter_grid(
        faces(22), np.linspace(0, 1e4, 22), dead=np.arange(22) < 1, language=language
    ),
    "picture_rows": lambda language: plots.picture_rows(
        {labels(language)[name]: faces() for name in ("untrained", "changed_face")},
        [["100%"] * 7, ["<= 13"] * 7],
        headings=EMOTION_NAMES[language],
    ),
    "layer_output_grid": lambda _: plots.layer_output_grid(heat(22)),
    "cost_and_accuracy": lambda language: plots.cost_and_accuracy(
        board(), [True, False, True], language=language
    ),
    "parallel_coordinates": lambda language: plots.parallel_coordinates(
        board(), ["WIDTH", "OPTIMIZER"], language=language
    ),
    "parameter_effects": lambda language: plots.parameter_effects(
        board(), ["WIDTH", "OPTIMIZER"], language=language
    ),
}


def texts(figure):
    """The texts that are drawn: an axis also has labels for ticks beyond its ends."""
    beyond = set()
    for axis in (axis for ax in figure.findobj(mpl.axes.Axes) for axis in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = axis.get_major_ticks()
        beyond |= {tick.label1 for tick in ticks if not (axis.axes.axison and low <= tick.get_loc() <= high)}
    found = figure.findobj(mpl.text.Text)
    return [text for text in found if text.get_visible() and text.get_text().strip() and text not in beyond]


def strings(figure):
    return [text.get_text() for text in texts(figure)]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", FIGURES)
def test_every_text_of_a_figure_lies_on_the_page_and_is_large_enough_to_read(name, language):
    plots.use_style(language)
    figure = FIGURES[name](language)
    figure.savefig(io.BytesIO(), format="png")
    page = figure.bbox
    assert figure.get_figwidth() == pytest.approx(plots.WIDTH)
    assert figure.get_figheight() < 9.5
    for text in texts(figure):
        box = text.get_window_extent()
        inside = (box.x0 > -2, box.y0 > -2, box.x1 < page.x1 + 2, box.y1 < page.y1 + 2)
        assert all(inside), f"{text.get_text()!r} leaves the page"
        assert text.get_fontsize() >= 7


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", FIGURES)
def test_no_two_texts_of_a_figure_overlap(name, language):
    plots.use_style(language)
    figure = FIGURES[name](language)
    figure.savefig(io.BytesIO(), format="png")
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    for i, (text, box) in enumerate(boxes):
        for other, other_box in boxes[:i]:
            width = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
            height = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
            assert width < 1 or height < 1, f"{text!r} covers {other!r}"


@pytest.mark.parametrize("name", FIGURES)
def test_every_character_has_a_glyph(name, recwarn):
    for language in LANGUAGES:
        plots.use_style(language)
        FIGURES[name](language).savefig(io.BytesIO(), format="svg")
    assert [str(w.message) for w in recwarn if "Glyph" in str(w.message)] == []


def test_drawing_leaves_pyplot_as_it_was():
    before = plt.get_fignums()
    for draw in FIGURES.values():
        assert isinstance(draw("en"), Figure)
    assert plt.get_fignums() == before


def test_the_same_figure_gives_the_same_svg():
    def svg():
        buffer = io.BytesIO()
        plots.training_curves(history()).savefig(buffer, format="svg", metadata={"Date": None})
        return buffer.getvalue()

    assert svg() == svg()


def test_an_unknown_language_is_refused_and_changes_no_style():
    with mpl.rc_context({"font.size": 3}):
        with pytest.raises(InputError, match="no language 'fr'"):
            plots.use_style("fr")
        assert mpl.rcParams["font.size"] == 3


def test_training_curves_draw_the_history_and_mark_the_best_epoch():
    figure = plots.training_curves(history())
    accuracy, loss = figure.axes
    drawn = [line.get_ydata().tolist() for line in accuracy.lines]
    assert drawn == [history()["accuracy"].tolist(), history()["val_accuracy"].tolist(), [0.5]]
    assert loss.lines[1].get_ydata().tolist() == history()["val_loss"].tolist()
    assert "best, epoch 2: 50.0%" in strings(figure)


def test_training_curves_without_validation_draw_what_there_is():
    figure = plots.training_curves(history().drop(columns=["val_accuracy", "val_loss"]))
    assert [len(ax.lines) for ax in figure.axes] == [1, 1]


def test_one_epoch_is_a_visible_point_at_a_whole_number():
    figure = plots.training_curves(history(1))
    figure.savefig(io.BytesIO())
    ax = figure.axes[0]
    assert ax.lines[0].get_marker() == "."
    assert [tick for tick in ax.get_xticks() if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]] == [1]


def test_compared_curves_have_a_colour_for_each_model_and_a_line_style_for_each_kind():
    ax = plots.compare_curves({"CNN": history(), "DNN": history(3)}, metric="loss").axes[0]
    training, validation, other, _ = ax.lines
    assert training.get_color() == validation.get_color() != other.get_color()
    assert (training.get_linestyle(), validation.get_linestyle()) == ("--", "-")
    assert [text.get_text() for text in ax.get_legend().get_texts()][::2] == [
        "CNN · Training",
        "DNN · Training",
    ]


def cell_texts(ax):
    return [text.get_text() for text in ax.texts]


def test_confusion_cells_hold_the_share_of_the_row_and_the_count():
    ax = plots.confusion_matrix(MATRIX).axes[0]
    shares = MATRIX / MATRIX.sum(axis=1, keepdims=True)
    assert cell_texts(ax)[::2] == [f"{share:.0%}" for share in shares.ravel()]
    assert cell_texts(ax)[1::2] == [f"{count:,}" for count in MATRIX.ravel()]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(EMOTION_NAMES["en"])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Predicted emotion", "True emotion")


def test_confusion_can_be_shares_of_the_columns():
    ax = plots.confusion_matrix(MATRIX, normalize="predicted").axes[0]
    assert cell_texts(ax)[2] == f"{MATRIX[0, 1] / MATRIX[:, 1].sum():.0%}"


def test_an_emotion_without_faces_has_shares_of_zero():
    matrix = MATRIX.copy()
    matrix[1] = 0
    assert set(cell_texts(plots.confusion_matrix(matrix).axes[0])[14:28]) == {"0%", "0"}


def luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_confusion_cells_contrast_with_their_text_by_at_least_4_5():
    figure = plots.confusion_matrix(10 + np.diag([0, 20, 40, 60, 90, 200, 2000]))
    figure.savefig(io.BytesIO())
    ax = figure.axes[0]
    backgrounds = ax.collections[0].get_facecolors()
    assert len({text.get_color() for text in ax.texts}) == 2
    for text, background in zip(ax.texts[::2], backgrounds, strict=True):
        dark, light = sorted((luminance(text.get_color()), luminance(background)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_figures_can_be_drawn_on_axes_of_the_caller():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    for drawn in (
        plots.confusion_matrix(MATRIX, ax=left),
        plots.compare_curves({"CNN": history()}, ax=right),
    ):
        assert drawn is figure
    assert len(figure.axes) == 2


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_faces_of_one_or_three_channels_are_shown_unchanged(channels):
    images = faces(3, channels)
    shown = [artist.get_array() for artist in plots.face_grid(images).axes[0].images]
    np.testing.assert_array_equal(np.stack(shown).reshape(images.shape), images)


def test_faces_fill_rows_of_the_given_length_each_below_its_title():
    ax = plots.face_grid(faces(5), list("abcde"), columns=3).axes[0]
    corners = [image.get_extent() for image in ax.images]
    assert len({round(x, 3) for x, *_ in corners}) == 3
    assert len({round(top, 3) for *_, top in corners}) == 2
    for (left, right, _, top), text in zip(corners, ax.texts, strict=True):
        assert left < text.get_position()[0] < right
        assert 0 < top - text.get_position()[1] < 0.1


@pytest.mark.parametrize("across", [1, 2])
def test_triptychs_show_original_heat_and_masked_side_by_side(across):
    originals, maps, masked = faces(3), heat(3), 255 - faces(3)
    ax = plots.saliency_triptychs(originals, maps, masked, ["a", "b", "c"], across=across).axes[0]
    assert [image.get_cmap().name for image in ax.images] == ["gray", "magma", "gray"] * 3
    for number in range(3):
        first, _, last = ax.images[3 * number : 3 * number + 3]
        np.testing.assert_array_equal(first.get_array(), originals[number])
        np.testing.assert_array_equal(last.get_array(), masked[number])
        assert first.get_extent()[3] == last.get_extent()[3]
        assert first.get_extent()[1] < last.get_extent()[0]


def test_heat_is_scaled_for_each_face_to_its_hottest_hundredth():
    maps = np.stack([heat(1)[0], 1000 * heat(1)[0], np.zeros((48, 48), np.float32)])
    ax = plots.saliency_triptychs(faces(3), maps, faces(3)).axes[0]
    weak, strong, none = (image.get_array() for image in ax.images[1::3])
    np.testing.assert_allclose(weak, strong, rtol=1e-5)
    assert (weak == 1).mean() == pytest.approx(0.01, abs=0.002)
    assert (none == 0).all()


def test_heat_on_a_single_pixel_is_still_seen():
    maps = np.zeros((1, 48, 48), np.float32)
    maps[0, 3, 4] = 1e-6
    shown = plots.saliency_triptychs(faces(1), maps, faces(1)).axes[0].images[1].get_array()
    assert shown[3, 4] == 1


def test_each_filter_has_its_number_and_activation_below_and_an_inactive_one_says_so():
    figure = plots.filter_grid(
        faces(3), np.array([0.123, 0.0, 4567.8]), filters=[4, 9, 31], dead=np.array([False, True, False])
    )
    assert strings(figure) == ["4", "0.12", "9", "inactive", "31", "4,568"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.004, "0.00"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (-12.3, "−12.3"),
        (1234.6, "1,235"),
    ],
)
def test_activations_have_three_digits(value, text):
    assert strings(plots.filter_grid(faces(1), np.array([value])))[1] == text


def test_layer_outputs_run_from_their_minimum_to_their_maximum_and_show_their_mean():
    outputs = np.stack([np.linspace(2, 6, 9).reshape(3, 3), np.zeros((3, 3))])
    figure = plots.layer_output_grid(outputs)
    spread, flat = (image.get_array() for image in figure.axes[0].images)
    np.testing.assert_allclose(spread.ravel(), np.linspace(0, 1, 9))
    np.testing.assert_array_equal(flat, 0)
    assert strings(figure) == ["0", "4.00", "1", "0"]


def test_maps_by_seven_methods_stand_beside_their_face_under_their_names():
    figure = plots.saliency_methods(faces(2), dict.fromkeys(METHODS, heat(2)), ["A", "B"])
    assert len(figure.axes[0].images) == 2 * 8
    shown = {text.replace("\n", " ") for text in strings(figure)}
    assert {"Original", "Integrated gradients", "RISE", "A", "B"} <= shown


def test_evidence_has_a_line_for_each_method_and_the_random_order_where_there_is_one():
    areas = dict.fromkeys(("gradient", "rise", "random"), np.linspace(0.9, 0.1, 5))
    left = dict.fromkeys(("gradient", "rise"), np.array([1, 0.4, 0.1]))
    figure = plots.saliency_evidence(np.linspace(0, 1, 5), areas, areas, left)
    assert [len(ax.lines) for ax in figure.axes] == [3, 3, 2]
    np.testing.assert_allclose(figure.axes[2].lines[0].get_xydata(), [[0, 1], [0.5, 0.4], [1, 0.1]])
    assert {"Gradient", "RISE", "Random order"} <= {text.get_text() for text in figure.legends[0].get_texts()}


def test_controls_stand_below_what_was_measured_each_with_its_interval():
    estimates = np.array([[2.3, 2, 2.6], [1.1, 1, 1.2]])
    ax = plots.control_intervals(["Trained", "Untrained"], estimates, xlabel="Ratio").axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Trained", "Untrained"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert [line.get_xdata().tolist() for line in ax.lines[1:]] == [[2.3], [1.1]]
    spans = [bar.get_segments()[0][:, 0].tolist() for bar in ax.collections]
    assert spans == [[2, 2.6], [1, 1.2]]


def test_bars_have_the_share_of_each_class_in_its_split_and_the_legend_counts_them():
    figure = plots.class_shares({"Training": [30, 0, 10, 0, 0, 0, 0], "Test": [0] * 7})
    bars = [bar.get_height() for bar in figure.axes[0].patches]
    assert bars == [0.75, 0, 0.25, 0, 0, 0, 0, *[0] * 7]
    legend = figure.axes[0].get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == [
        "Training (40)",
        "Test (0)",
    ]


def test_a_reliability_diagram_leaves_out_bins_without_answers():
    figure = plots.reliability_diagram(*RELIABILITY)
    curve, histogram = figure.axes
    np.testing.assert_allclose(curve.lines[1].get_xydata(), [[0.4, 0.3], [0.6, 0.5], [0.9, 0.9]])
    assert [bar.get_height() for bar in histogram.patches] == [0, 3, 40, 900]


def test_rows_of_pictures_have_their_names_headings_and_captions():
    figure = plots.picture_rows(
        {"A": faces(2), "B": faces(3)}, [["1", "2"], ["3", "4", "5"]], headings=["x", "y", "z"]
    )
    assert len(figure.axes[0].images) == 5
    assert set(strings(figure)) == {"A", "B", "1", "2", "3", "4", "5", "x", "y", "z"}


def test_network_diagram_names_the_stages_their_sizes_and_what_stands_between():
    said = strings(plots.network_diagram(stages(512)))
    assert {"48×48×64", "6×6×512", "512", "7", "conv 3×3\n× 2", "residual block\n× 3"} <= set(said)
    assert {"max\npool", "global\naverage"} <= set(said)


def test_accuracy_scale_has_a_row_for_each_result_and_says_its_accuracies():
    figure = plots.accuracy_scale(RESULTS)
    rows = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert rows[:3] == ["Guessing at random", "Always the most frequent class", "CNN of this report"]
    assert {"14.3%", "25.1% / 24.9%", "43.0% / 43.0%", "71.2%"} <= set(strings(figure))
