"""Add a run's model to those that come with the package: `.venv/bin/python tools/pack_weights.py runs/<id>`.

Large kernels become 8-bit integers, with one step for each filter, rounded to nearest. Measure the model afterwards
(`fer-lib evaluate --run <id>`): the model card gives accuracies of stored weights.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

from fer_lib.files import atomic_write
from fer_lib.models import pretrained
from fer_lib.runs import find

MIN_SIZE = 10_000
"""Weights from which on a kernel is rounded."""


def main(folder: str) -> None:
    """Write the model of a complete run as `fer_lib/models/weights/<id>.npz`."""
    run = find(Path(), folder)
    record = {key: run.record[key] for key in run.record.keys() - {"tests", "status", "completed"}}
    known = {"record": record, "history": run.history.to_dict("records"), "config": run.model.to_json()}
    arrays = {"run": np.array(json.dumps(known))}
    for i, weight in enumerate(map(keras.ops.convert_to_numpy, run.model.weights)):
        arrays[f"weight{i}"] = weight
        if weight.size >= MIN_SIZE:
            step = np.abs(weight).max(axis=tuple(range(weight.ndim - 1))) / 127
            arrays[f"weight{i}"] = np.rint(weight / np.where(step, step, 1)).astype(np.int8)
            arrays[f"step{i}"] = step
    path = pretrained.FOLDER / f"{run.id}.npz"
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{path} ({path.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main(*sys.argv[1:])
