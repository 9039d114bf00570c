"""What a run knows after each epoch, in one file that is whole or not there."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fer_lib.errors import InputError
from fer_lib.files import atomic_write


class Checkpoint(NamedTuple):
    """The state of training after an epoch.

    Attributes:
        epochs: The rows of history.csv so far.
        arrays: `training.state` of the model.
    """

    epochs: list[dict[str, Any]]
    arrays: list[npt.NDArray[Any]]


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in the place of the last one.

    Raises:
        InputError: It cannot be written, the disk being full, say; the last one is as it was.
    """
    arrays = {f"array{i}": array for i, array in enumerate(checkpoint.arrays)}
    try:
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, epochs=np.array(json.dumps(checkpoint.epochs)), **arrays)  # type: ignore[arg-type]
    except OSError as error:
        size = sum(array.nbytes for array in checkpoint.arrays) / 2**20
        raise InputError(
            f"The checkpoint {path} ({size:.0f} MiB) cannot be written: {error.strerror or error}. "
            "What was written last is intact; make room, and the same command goes on from there."
        ) from None


def read(path: Path) -> Checkpoint | None:
    """The checkpoint in a file, None if there is no file.

    Raises:
        InputError: The file is damaged.
    """
    if not path.exists():
        return None
    try:
        with np.load(path) as file:
            epochs = json.loads(str(file["epochs"]))
            return Checkpoint(epochs, [file[f"array{i}"] for i in range(len(file.files) - 1)])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"The checkpoint {path} is damaged ({error}); remove the folder {path.parent} to train from the start."
        ) from None
