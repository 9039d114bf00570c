"""Models of other people: files in every form, and answers that are none."""

from __future__ import annotations

import json
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from fer_lib.data.faces import Faces
from fer_lib.emotions import EMOTIONS
from fer_lib.errors import InputError
from fer_lib.models.prediction import load_model, predict

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 48, 48), np.uint8)
FACES = Faces(PIXELS, None, np.arange(3))


def network(size=48, channels=1, classes=7, activation="softmax"):
    keras.utils.set_random_seed(0)
    image = keras.Input((size, size, channels))
    maps = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(image))
    return keras.Model(image, layers.Dense(classes, activation=activation)(maps))


def answers(model, path, **form):
    model.save(path)
    return predict(load_model(path, **form), FACES)


def own_loss(truth, answer):
    return keras.ops.mean(keras.ops.square(truth - answer))


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".hdf5"])
def test_a_file_is_read_whatever_loss_it_was_trained_with(tmp_path, suffix):
    model = network()
    model.compile("adam", own_loss)
    model.fit(PIXELS[..., np.newaxis] / 255, np.eye(7)[:3], verbose=0)
    expected = model.predict(PIXELS[..., np.newaxis], verbose=0)
    np.testing.assert_allclose(answers(model, tmp_path / f"m{suffix}"), expected, rtol=1e-5)


def test_a_file_of_keras_2_is_read(tmp_path):
    model = network()
    model.save(tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as new, zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        for name in new.namelist():
            content = new.read(name)
            if name == "config.json":
                content = content.replace(b"keras.src.models.functional", b"keras.src.engine.functional")
            if name == "metadata.json":
                content = json.dumps({"keras_version": "2.15.0", "date_saved": "2024-01-24"}).encode()
            old.writestr(name, content)
    expected = model.predict(PIXELS[..., np.newaxis], verbose=0)
    np.testing.assert_allclose(predict(load_model(tmp_path / "old.keras"), FACES), expected, rtol=1e-5)


def test_a_saved_model_is_read(tmp_path):
    model = network()
    model.export(tmp_path / "saved", verbose=False)
    expected = model.predict(PIXELS[..., np.newaxis], verbose=0)
    np.testing.assert_allclose(predict(load_model(tmp_path / "saved"), FACES), expected, rtol=1e-5)


def test_another_size_scale_and_order_of_classes_are_translated(tmp_path):
    order = [3, 0, 1, 2, 6, 5, 4]
    model = network(size=64, channels=3)
    classes = [EMOTIONS[i] for i in order]
    given = keras.ops.image.resize(PIXELS[..., np.newaxis].astype(np.float32), (64, 64)) / 127.5 - 1
    expected = np.empty((3, 7))
    expected[:, order] = model.predict(np.repeat(given, 3, axis=-1), verbose=0)
    found = answers(model, tmp_path / "m.keras", scale="+-1", classes=classes)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_an_emotion_that_is_none_of_ours_is_left_out(tmp_path):
    model = network(classes=3)
    expected = model.predict(PIXELS[..., np.newaxis], verbose=0)
    found = answers(model, tmp_path / "m.keras", classes=["happiness", "contempt", "sad"])
    np.testing.assert_allclose(found[:, [3, 4]], expected[:, [0, 2]], rtol=1e-5)
    assert found.sum(axis=1).max() < 1


@pytest.mark.parametrize(
    ("model", "form", "message"),
    [
        (network(classes=8), {}, r"gives \(None, 8\), but 7 emotions were expected"),
        (network(), {"classes": ["happy"] * 7}, "not of different emotions"),
        (network(), {"scale": "0-2"}, "choose one of 0-255, 0-1, "),
        (network(channels=2), {}, "one picture of grey or color"),
        (keras.Sequential([keras.Input((2304,)), layers.Dense(7)]), {}, "one picture of grey or color"),
        (network(activation="linear"), {}, "gives scores and no probabilities; end it in a softmax"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(tmp_path, model, form, message):
    with pytest.raises(InputError, match=message):
        answers(model, tmp_path / "m.keras", **form)


def test_a_model_whose_training_diverged_is_refused(tmp_path):
    model = network()
    model.layers[-1].bias.assign([np.nan] * 7)
    with pytest.raises(InputError, match="its training diverged"):
        answers(model, tmp_path / "m.keras")


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_damaged_file_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} cannot be read as a Keras model"):
        load_model(tmp_path / name)
