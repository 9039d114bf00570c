"""Trained models to answers: loading, probabilities of one model or several, the answer file."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from fer_lib.data.faces import Faces
from fer_lib.emotions import EMOTIONS, FACE_SIZE
from fer_lib.errors import InputError
from fer_lib.files import atomic_write
from fer_lib.models.augmentation import View, apply_view
from fer_lib.startup import mute_retracing

mute_retracing()  # of Keras's `predict`, for several models

BATCH = 256

_FACES = (None, FACE_SIZE, FACE_SIZE, 1)
_PROBABILITIES = (None, len(EMOTIONS))


def load_model(path: Path) -> keras.Model:
    """A model from a `.keras` file, from faces (n, 48, 48, 1) to probabilities (n, 7).

    Raises:
        InputError: The file is not there, no whole Keras model or not of Keras's own layers, or the model is for
            something else.
    """
    try:
        model = keras.models.load_model(path)
        takes, gives = model.input_shape, model.output_shape
    except TypeError:
        raise InputError(
            f"{path} has a layer that is none of Keras's own and cannot be read here; give a model without."
        ) from None
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as a Keras model: {first_line(error)}") from None
    if not (_fits(takes, _FACES) and _fits(gives, _PROBABILITIES)):
        raise InputError(
            f"{path} takes {takes} and gives {gives}, but a model to answer by takes faces {_FACES} and gives "
            f"probabilities {_PROBABILITIES}."
        )
    return model


def _fits(shape: Any, wanted: tuple[int | None, ...]) -> bool:
    """Whether a shape of a model, which may leave sizes open (None), is the wanted one; several inputs have a list."""
    return (
        isinstance(shape, tuple)
        and len(shape) == len(wanted)
        and all(size in (None, other) for size, other in zip(shape, wanted, strict=True))
    )


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
            model.predict(apply_view(faces.pixels, view)[..., np.newaxis], batch_size=BATCH, verbose=0)
            for view in shown
        ]
    )


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


def first_line(error: Exception) -> str:
    """What an exception says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
