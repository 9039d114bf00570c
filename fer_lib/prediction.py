"""Trained models to answers: loading, probabilities of one model or several, the answer file."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from fer_lib.augmentation import View, seen
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


def predict(
    model: keras.Model, faces: Faces, views: Sequence[View] = (View(),), *, progress: str = ""
) -> npt.NDArray[np.float32]:
    """Probabilities (n, 7) of raw faces.

    Args:
        model: From raw pixels to probabilities.
        faces: What to predict.
        views: How each face is shown; the probabilities are the mean over all views.
        progress: Title of a progress bar on standard error; none without.
    """
    shown = tqdm(views, progress, unit="view", leave=False, file=sys.stderr, disable=not progress)
    return ensemble(
        [
            model.predict(seen(faces.pixels, view)[..., np.newaxis], batch_size=BATCH, verbose=0)
            for view in shown
        ]
    )


def ensemble(members: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """The mean of several models' or views' probabilities, (n, 7) each."""
    return np.asarray(np.mean(members, axis=0, dtype=np.float32))


def write_answers(path: Path, faces: Faces, probabilities: npt.NDArray[np.float32]) -> None:
    """Write an answer file for Kaggle, `id,label`, from probabilities (n, 7)."""
    with replacing(path) as temporary:
        answers = pd.DataFrame({"id": faces.ids, "label": probabilities.argmax(axis=1)})
        answers.to_csv(temporary, index=False, lineterminator="\n")


def first_line(error: Exception) -> str:
    """What an exception says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
