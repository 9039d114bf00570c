"""Controls that begin with a choice of their own, so that a notebook runs without anybody at it."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

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
from fer_lib.explain.widgets import filters_explorer, probability_bars, saliency_explorer, saliency_view
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


def explorer(model, faces, **options):
    """The controls over one model, by their trait names, and the panel that shows what they choose."""
    options = {"methods": ("gradient", "smoothgrad"), **options}
    whole = saliency_explorer({"photos": model}, faces, **options)
    return SimpleNamespace(whole=whole, **by_name(whole))


def by_name(whole):
    """The parts of the explorer."""
    gallery, row = whole.children
    controls, output = row.children
    of_class, page, mistake = gallery.children[0].children
    model, face, upload, *_, label, _ = controls.children
    return {
        "cards": gallery.children[1], "of_class": of_class, "page": page, "mistake": mistake,
        "model": model, "face": face, "upload": upload, "label": label, "output": output,
    }  # fmt: skip


@pytest.mark.parametrize("language", EMOTION_NAMES)
def test_every_control_has_a_default_and_draws_with_it(model, language, capsys):
    plots.use_style(language)
    faces = striped_faces(3)
    explorer(model, faces, language=language)
    filters_explorer(model, language=language)
    # Outside a notebook what is displayed, and any error, is printed.
    printed = capsys.readouterr()
    assert printed.out.count("IPython.core.display.Image") == 2
    assert "Traceback" not in printed.out + printed.err


def test_a_view_is_headed_by_methods_and_the_class(model):
    face = striped_faces(1).pixels[0]
    belief = model(face[None, ..., None]).numpy()[0]
    both = saliency_view(model, face, methods=("gradient", "smoothgrad"), label=3)
    assert {"Gradient · Happy", "SmoothGrad · Happy"} <= {text.get_text() for text in both.axes[0].texts}
    own = saliency_view(model, face, methods=("gradient",))
    answer = EMOTION_NAMES["en"][int(np.argmax(belief))]
    assert f"Gradient · {answer}" in {text.get_text() for text in own.axes[0].texts}


def test_bars_say_every_probability_and_mark_the_label():
    bars = probability_bars(np.array([0.5, 0.25, 0, 0, 0, 0, 0.25], np.float32), label=1)
    assert bars.count("<tr>") == 7 and bars.count("25.0%</td>") == 2
    assert "Disgust (True)" in bars and "(True)" not in probability_bars(np.full(7, 1 / 7, np.float32))


def test_gallery_shows_a_class_and_leads_to_the_next_mistake(model):
    faces = striped_faces(30)
    parts = explorer(model, faces)
    answers = model.predict(faces.images, verbose=0).argmax(axis=1)
    assert (len(parts.cards.children), parts.page.max) == (12, 3)
    missed = int(faces.labels[(answers != faces.labels).argmax()])
    parts.of_class.value = missed
    of_class = np.flatnonzero(faces.labels == missed)
    assert len(parts.cards.children) == len(of_class)
    parts.cards.children[1].children[1].click()
    assert parts.face.value == of_class[1]
    wrong = [i for i in of_class if answers[i] != missed]
    parts.mistake.click()
    assert parts.face.value == next((i for i in wrong if i > of_class[1]), wrong[0])


def test_photograph_is_judged_by_a_model_that_knows_photographs_and_else_with_a_warning(model, capsys):
    both = {"drawings": model, "photos": model}
    whole = saliency_explorer(both, striped_faces(1), drawn={"drawings"}, methods=("gradient",) * 2)
    parts = SimpleNamespace(**by_name(whole))
    assert parts.model.value == "drawings" and "drawn faces only" not in capsys.readouterr().out
    upload(parts, "me.png", photograph())
    assert (
        parts.model.value == "photos" and "drawn faces only" not in capsys.readouterr().out.split("Image")[-2]
    )
    parts.model.value = "drawings"
    assert "has seen drawn faces only" in capsys.readouterr().out


def upload(parts, name, content):
    """Upload a file."""
    parts.upload.value = (
        {
            "name": name, "type": "image/png", "size": len(content), "content": memoryview(content),
            "last_modified": datetime.now(UTC),
        },
    )  # fmt: skip


@pytest.mark.parametrize("language", EMOTION_NAMES)
def test_list_of_classes_begins_with_the_predicted_one_and_shows_it(model, language, capsys):
    plots.use_style(language)
    parts = explorer(model, striped_faces(1), language=language)
    classes = parts.label
    assert (classes.index, classes.label) == (0, labels(language)["predicted"])
    classes.index = 1 + 3
    classes.index = 0  # and back
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
    upload(explorer(model, striped_faces(1)), "me.png", photograph())
    printed = capsys.readouterr()
    assert "opencv-python-headless" in printed.out and "`photo`" in printed.out
    assert "No face was found" not in printed.out and "Traceback" not in printed.out + printed.err


def test_a_photograph_without_a_face_is_explained_by_its_middle_until_another_face_is_chosen(
    model, capsys, monkeypatch
):
    blind = SimpleNamespace(detectMultiScale=lambda *_: ())
    cv2 = SimpleNamespace(CascadeClassifier=lambda _: blind, data=SimpleNamespace(haarcascades=""))
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    parts = explorer(model, striped_faces(2))
    upload(parts, "me.png", photograph())
    printed = capsys.readouterr()
    assert "No face was found in the photograph" in printed.out
    assert "Traceback" not in printed.out + printed.err
    parts.face.value = 1
    assert parts.upload.value == ()
    capsys.readouterr()
    parts.label.index = 1
    assert "No face" not in capsys.readouterr().out


def test_an_upload_that_is_no_picture_is_named(model, capsys):
    upload(explorer(model, striped_faces(1)), "notes.txt", b"hello")
    printed = capsys.readouterr()
    assert "notes.txt cannot be read as a picture" in printed.out
    assert "BytesIO" not in printed.out and "Traceback" not in printed.out + printed.err


def test_no_faces_to_choose_from_are_refused(model):
    with pytest.raises(InputError, match="no faces to choose from"):
        explorer(model, striped_faces(0))
