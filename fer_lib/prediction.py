"""Trained models to answers: loading, probabilities of one model or several, the answer file."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_lib.errors import InputError
from fer_lib.faces import Faces
from fer_lib.files import replacing

BATCH = 256


def load_model(path: Path) -> keras.Model:
    """A model from a `.keras` file.

    Raises:
        InputError: The file is not there or no whole Keras model.
    """
    try:
        return keras.models.load_model(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as a Keras model: {first_line(error)}") from None


def predict(model: keras.Model, faces: Faces, *, mirrored: bool = False) -> npt.NDArray[np.float32]:
    """Probabilities (n, 7) of raw faces.

    Args:
        model: From raw pixels to probabilities.
        faces: What to predict.
        mirrored: Whether each face is shown twice, as it is and mirrored, and the probabilities averaged
            (test-time augmentation, for models that learned from both).
    """
    probabilities = np.asarray(model.predict(faces.images, batch_size=BATCH, verbose=0), np.float32)
    if mirrored:
        images = faces.images[:, :, ::-1]
        probabilities = (probabilities + model.predict(images, batch_size=BATCH, verbose=0)) / 2
    return probabilities


def ensemble(members: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """The mean of several models' probabilities, (n, 7) each."""
    return np.asarray(np.mean(members, axis=0, dtype=np.float32))


def write_answers(path: Path, faces: Faces, probabilities: npt.NDArray[np.float32]) -> None:
    """Write an answer file for Kaggle, `id,label`, from probabilities (n, 7)."""
    with replacing(path) as temporary:
        answers = pd.DataFrame({"id": faces.ids, "label": probabilities.argmax(axis=1)})
        answers.to_csv(temporary, index=False, lineterminator="\n")


def first_line(error: Exception) -> str:
    """What an exception says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
