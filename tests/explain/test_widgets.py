"""Controls that begin with a choice of their own, so that a notebook runs without anybody at it."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import ipywidgets as widgets
import keras
import matplotlib as mpl
import numpy as np
import pytest
from conftest import striped_faces
from keras import layers
from PIL import Image

from fer_lib import plots
from fer_lib.emotions import EMOTION_NAMES
from fer_lib.errors import InputError
from fer_lib.explain.widgets import filters_explorer, saliency_explorer, saliency_view
from fer_lib.labels import labels


@pytest.fixture(autouse=True)
def _style():
    with mpl.rc_context():
        yield


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    body = [layers.Rescaling(1 / 255), layers.Conv2D(3, 5, strides=4, activation="relu", name="conv")]
    head = [layers.Flatten(), layers.Dense(7, activation="softmax")]
    return keras.Sequential([keras.Input((48, 48, 1)), *body, *head])


@pytest.mark.parametrize("language", EMOTION_NAMES)
def test_every_control_has_a_default_and_draws_with_it(model, language, capsys):
    plots.use_style(language)
    faces = striped_faces(3)
    for panel in (
        saliency_explorer(model, faces, method="gradient", language=language),
        filters_explorer(model, language=language),
    ):
        panel.update()
        # Outside a notebook what is displayed, and any error, is printed.
        printed = capsys.readouterr()
        assert "IPython.core.display.Image" in printed.out
        assert "Traceback" not in printed.out + printed.err


def test_a_view_is_headed_by_the_class_and_its_probability(model):
    face = striped_faces(1).pixels[0]
    belief = model(face[None, ..., None]).numpy()[0]
    figure = saliency_view(model, face, method="gradient", label=3)
    assert f"Happy {belief[3]:.0%}" in {text.get_text() for text in figure.axes[0].texts}
    answer = EMOTION_NAMES["en"][int(np.argmax(belief))]
    own = saliency_view(model, face, method="gradient")
    assert any(text.get_text().startswith(answer) for text in own.axes[0].texts)


def uploaded(panel, name, content):
    """Upload a file and see what is printed."""
    upload = next(child for child in panel.children if isinstance(child, widgets.FileUpload))
    upload.value = (
        {
            "name": name, "type": "image/png", "size": len(content), "content": memoryview(content),
            "last_modified": datetime.now(UTC),
        },
    )  # fmt: skip
    return upload


@pytest.mark.parametrize("language", EMOTION_NAMES)
def test_list_of_classes_begins_with_the_predicted_one_and_shows_it(model, language, capsys):
    plots.use_style(language)
    panel = saliency_explorer(model, striped_faces(1), method="gradient", language=language)
    classes = next(child for child in panel.children if len(getattr(child, "options", ())) == 8)
    assert (classes.index, classes.label) == (0, labels(language)["predicted"])
    classes.index = 1 + 3
    panel.update()
    classes.index = 0  # and back
    panel.update()
    assert classes.label == labels(language)["predicted"]
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err


def photograph():
    """A grey photograph that shows nothing."""
    photo = io.BytesIO()
    Image.fromarray(np.full((50, 70), 128, np.uint8)).save(photo, "PNG")
    return photo.getvalue()


def test_a_missing_detector_is_named_with_what_brings_one(model, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    panel = saliency_explorer(model, striped_faces(1), method="gradient")
    uploaded(panel, "me.png", photograph())
    panel.update()
    printed = capsys.readouterr()
    assert "opencv-python-headless" in printed.out and "`photo`" in printed.out
    assert "No face was found" not in printed.out and "Traceback" not in printed.out + printed.err


def test_a_photograph_without_a_face_is_explained_by_its_middle_until_another_face_is_chosen(
    model, capsys, monkeypatch
):
    blind = SimpleNamespace(detectMultiScale=lambda *_: ())
    cv2 = SimpleNamespace(CascadeClassifier=lambda _: blind, data=SimpleNamespace(haarcascades=""))
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    panel = saliency_explorer(model, striped_faces(2), method="gradient")
    upload = uploaded(panel, "me.png", photograph())
    panel.update()
    printed = capsys.readouterr()
    assert "No face was found in the photograph" in printed.out
    assert "Traceback" not in printed.out + printed.err
    next(child for child in panel.children if isinstance(child, widgets.IntSlider)).value = 1
    capsys.readouterr()
    panel.update()
    assert upload.value == () and "No face" not in capsys.readouterr().out


def test_an_upload_that_is_no_picture_is_named(model, capsys):
    panel = saliency_explorer(model, striped_faces(1), method="gradient")
    uploaded(panel, "notes.txt", b"hello")
    panel.update()
    printed = capsys.readouterr()
    assert "notes.txt cannot be read as a picture" in printed.out
    assert "BytesIO" not in printed.out and "Traceback" not in printed.out + printed.err


def test_no_faces_to_choose_from_are_refused(model):
    with pytest.raises(InputError, match="no faces to choose from"):
        saliency_explorer(model, striped_faces(0))
