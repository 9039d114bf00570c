"""Trained models to answers: loading, probabilities of one model or several, the answer file."""

from __future__ import annotations

import importlib
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from fer_lib.data.faces import Faces
from fer_lib.data.tables import label_of
from fer_lib.emotions import EMOTIONS, FACE_SIZE
from fer_lib.errors import InputError, first_line
from fer_lib.files import atomic_write
from fer_lib.models.augmentation import View, apply_view
from fer_lib.startup import mute_retracing

mute_retracing()  # of Keras's `predict`, for several models

BATCH = 256

MODEL_FILES = (".keras", ".h5", ".hdf5")
"""Suffixes of files that hold a Keras model."""

SCALES: Mapping[str, tuple[float, float]] = {"0-255": (1, 0), "0-1": (1 / 255, 0), "+-1": (2 / 255, -1)}
"""The ranges of pixels that models take: what a raw pixel is multiplied by, and what is added."""


def load_model(path: Path, *, scale: str = "0-255", classes: Sequence[str] = EMOTIONS) -> keras.Model:
    """A model from a file, from raw faces (n, 48, 48, 1) to probabilities (n, 7) of our emotions.

    Keras's own files (`.keras`, `.h5`, `.hdf5`; of Keras 2 as well, and with a loss of somebody's own) and folders with
    a SavedModel. Models of other sizes are given resized faces, and those of colors the same grey three times.

    Args:
        path: The file or folder.
        scale: A key of `SCALES`: the range of the pixels that the model takes.
        classes: The emotion of each of its outputs, as `label_of` knows them; other names are left out.

    Raises:
        InputError: The file is not there, or cannot be read, or its inputs or outputs are not such.
    """
    if not path.exists():
        raise InputError(f"There is no file {path}; check the spelling.")
    if scale not in SCALES:
        raise InputError(f"There is no scale {scale!r} of pixels; choose one of {', '.join(SCALES)}.")
    model = _read(path)
    takes, gives = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if not (
        isinstance(takes, tuple) and isinstance(gives, tuple) and len(takes) == 4 and takes[-1] in (1, 3)
    ):
        raise InputError(
            f"{path} takes {takes} and gives {gives}; a model to answer by takes one picture of grey or color."
        )
    if gives[1:] != (len(classes),):
        raise InputError(
            f"{path} gives {gives}, but {len(classes)} emotions were expected ({', '.join(classes)}); name those of "
            "its outputs with --classes."
        )
    return _adapted(model, scale, _emotions_of(classes))


def _read(path: Path) -> keras.Model:
    """A model as it was saved, not compiled."""
    if path.is_dir():
        return _saved_model(path)
    try:
        with _keras_2_names(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of optimizers whose state is left behind
            return keras.models.load_model(path, compile=False)
    except TypeError:
        raise InputError(
            f"{path} has a layer that is none of Keras's own and cannot be read here; give a model without."
        ) from None
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as a Keras model: {first_line(error)}") from None


def _saved_model(folder: Path) -> keras.Model:
    import tensorflow as tf

    endpoint = "serving_default"
    try:
        [given] = tf.saved_model.load(folder).signatures[endpoint].structured_input_signature[1].values()
        image = keras.Input(given.shape[1:])
        made = keras.layers.TFSMLayer(folder, call_endpoint=endpoint)(image)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder} cannot be read as a SavedModel: {first_line(error)}") from None
    return keras.Model(image, made if not isinstance(made, dict) else next(iter(made.values())))


@contextmanager
def _keras_2_names() -> Iterator[None]:
    """Let files of Keras 2 find the classes of models, which have another module now; their layers have not."""
    moved = {
        f"{package}.engine.{name}": importlib.import_module(f"keras.src.models.{name}")
        for package in ("keras", "keras.src")
        for name in ("functional", "sequential")
    }
    sys.modules.update(moved)
    try:
        yield
    finally:
        for name in moved:
            del sys.modules[name]


def _emotions_of(classes: Sequence[str]) -> npt.NDArray[np.float32]:
    """Which class is which of our emotions: float32 (classes, 7) of zeros and ones.

    Raises:
        InputError: Two classes are the same emotion, or fewer than two are any.
    """
    labels = [label_of(name) for name in classes]
    known = [label for label in labels if label is not None]
    if len(set(known)) < max(2, len(known)):
        raise InputError(
            f"The classes {', '.join(classes)} are not of different emotions; ours are {', '.join(EMOTIONS)}."
        )
    return np.array([[label == ours for ours in range(len(EMOTIONS))] for label in labels], np.float32)


def _adapted(model: keras.Model, scale: str, emotions: npt.NDArray[np.float32]) -> keras.Model:
    """A model that is given raw faces and answers with our emotions; the same one where it is that already."""
    *size, channels = model.input_shape[1:]
    size = [each or FACE_SIZE for each in size]
    factor, offset = SCALES[scale]
    image = shown = keras.Input((FACE_SIZE, FACE_SIZE, 1))
    if size != [FACE_SIZE, FACE_SIZE]:
        shown = keras.layers.Resizing(*size)(shown)
    if (factor, offset) != (1, 0):
        shown = keras.layers.Rescaling(factor, offset)(shown)
    if channels == 3:
        shown = keras.layers.Concatenate()([shown] * 3)
    same = np.array_equal(emotions, np.eye(len(EMOTIONS)))
    if shown is image and same:
        return model
    answers = model(shown)
    return keras.Model(image, answers if same else keras.ops.matmul(answers, emotions))


def predict(
    model: keras.Model, faces: Faces, views: Sequence[View] = (View(),), *, progress: str = ""
) -> npt.NDArray[np.float32]:
    """Probabilities (n, 7) of raw faces.

    Args:
        model: From raw pixels to probabilities.
        faces: What to predict.
        views: How each face is shown; the probabilities are the mean over all views.
        progress: Title of a progress bar on standard error; none without.

    Raises:
        InputError: The answers are no probabilities: scores, or no numbers at all, since training diverged.
    """
    shown = tqdm(views, progress, unit="view", leave=False, file=sys.stderr, disable=not progress)
    answers = ensemble(
        [
            model.predict(apply_view(faces.pixels, view)[..., np.newaxis], batch_size=BATCH, verbose=0)
            for view in shown
        ]
    )
    if not np.isfinite(answers).all():
        raise InputError(
            f"The model {progress or model.name} answers with no numbers: its training diverged."
        )
    if answers.min(initial=0) < 0 or answers.max(initial=0) > 1.001:
        raise InputError(
            f"The model {progress or model.name} gives scores and no probabilities; end it in a softmax."
        )
    return answers


def correct_when_shifted(model: keras.Model, faces: Faces, shifts: Sequence[int]) -> npt.NDArray[np.float64]:
    """How often each face is classified correctly when it is shifted; edge pixels are repeated.

    Args:
        model: From raw pixels to probabilities.
        faces: Faces with labels.
        shifts: By how many pixels.

    Returns:
        Of each face and shift, the share of the four directions in which the answer is right, (n, shifts) in 0..1.
    """
    shares = []
    for pixels in shifts:
        moves = {(pixels, 0), (-pixels, 0), (0, pixels), (0, -pixels)}  # one move where pixels is 0
        found = [predict(model, faces, [View(right=x, down=y)]) for x, y in sorted(moves)]
        shares.append(np.mean([one.argmax(axis=1) == faces.known_labels for one in found], axis=0))
    return np.stack(shares, axis=1)


def ensemble(members: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """The mean of several models' or views' probabilities, (n, 7) each."""
    return np.asarray(np.mean(members, axis=0, dtype=np.float32))


def write_answers(path: Path, faces: Faces, probabilities: npt.NDArray[np.float32]) -> None:
    """Write an answer file for Kaggle, `id,label`, from probabilities (n, 7)."""
    with atomic_write(path) as temporary:
        answers = pd.DataFrame({"id": faces.ids, "label": probabilities.argmax(axis=1)})
        answers.to_csv(temporary, index=False, lineterminator="\n")
