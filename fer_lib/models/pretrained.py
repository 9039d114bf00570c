"""Models that come with the package, in `weights/`: one `<run id>.npz` each, with the record of its training.

Large kernels are stored as 8- or 16-bit integers with a step for each filter; the accuracies of the model card were
measured on the stored weights. `tools/pack_weights.py` writes such files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.errors import InputError

FOLDER = Path(__file__).with_name("weights")

ANSWERING = (
    "compact-d4426a3eb9df",
    "compact-6d05de144d26",
    "compact-d8ffdfce6a8a",
    "compact-e53c0fcb9ecf",
    "compact-9a47226fb7b0",
)
"""The models of the model card; the others are there for reports."""


@dataclass(frozen=True)
class Pretrained:
    """A model that comes with the package.

    Attributes:
        id: The id of the run that trained it.
        record: The content of that run's run.json.
        history: The rows of its history.csv.
        config: The layers, as Keras writes them in JSON.
        weights: In the order of `model.weights`.
    """

    id: str
    record: dict[str, Any]
    history: list[dict[str, Any]]
    config: str
    weights: Sequence[npt.NDArray[Any]]

    @cached_property
    def model(self) -> keras.Model:
        """From raw pixels (n, 48, 48, 1) to probabilities (n, 7)."""
        model = keras.models.model_from_json(self.config)
        model.set_weights(list(self.weights))
        return model


def names() -> list[str]:
    """The ids of all runs whose models come with the package."""
    return sorted(path.stem for path in FOLDER.glob("[!.]*.npz"))


def answering() -> list[str]:
    """The ids of those that answer together where no model is named."""
    there = names()
    return [name for name in ANSWERING if name in there] or there


def load(run_id: str) -> Pretrained:
    """The model of a run.

    Raises:
        InputError: It does not come with the package.
    """
    if run_id not in names():
        raise InputError(f"No model {run_id!r} comes with the package; there are {', '.join(names())}.")
    with np.load(FOLDER / f"{run_id}.npz") as file:
        known = json.loads(str(file["run"]))
        arrays = dict(file)
    count = sum(name.startswith("weight") for name in arrays)
    weights = [arrays[f"weight{i}"] * arrays.get(f"step{i}", np.float32(1)) for i in range(count)]
    return Pretrained(run_id, known["record"], known["history"], known["config"], weights)
