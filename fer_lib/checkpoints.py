"""What a run knows while it trains, in one file that is whole or not there."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fer_lib.errors import InputError
from fer_lib.files import replacing
from fer_lib.training import Position

INTERVAL = 30.0
"""Seconds between two checkpoints at the least."""

SHARE = 0.05
"""Share of the time that checkpoints within an epoch may take at the most."""


class Checkpoint(NamedTuple):
    """A point of a training run."""

    position: Position
    epochs: list[dict[str, Any]]  # the rows of history.csv so far
    arrays: list[npt.NDArray[Any]]  # training.state of the model


class Clock:
    """Says when the next checkpoint is due."""

    def __init__(self) -> None:
        self.due = time.monotonic() + INTERVAL

    def rings(self) -> bool:
        """Whether it is time."""
        return time.monotonic() >= self.due

    def time(self, write: Callable[[], object]) -> None:
        """Write a checkpoint and set the clock by how long that took."""
        began = time.monotonic()
        write()
        ended = time.monotonic()
        self.due = ended + max(INTERVAL, (ended - began) / SHARE)


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint in the place of the last one.

    Raises:
        InputError: It cannot be written, the disk being full, say; the last one is as it was.
    """
    position = json.dumps({"position": asdict(checkpoint.position), "epochs": checkpoint.epochs})
    arrays = {f"array{i}": array for i, array in enumerate(checkpoint.arrays)}
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, position=np.array(position), **arrays)  # type: ignore[arg-type]
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
            known = json.loads(str(file["position"]))
            arrays = [file[f"array{i}"] for i in range(len(file.files) - 1)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"The checkpoint {path} is damaged ({error}); remove the folder {path.parent} to train from the start."
        ) from None
    return Checkpoint(Position(**known["position"]), known["epochs"], arrays)
