"""Teach one of the package's networks what all of them answer together, so that one look at a face is enough.

    .venv/bin/python tools/distill.py DATA compact-9a47226fb7b0 fast.keras
    .venv/bin/fer-lib evaluate --data DATA --run fast.keras

Distillation (Hinton et al. 2015) into a network whose pooling is anti-aliased (Zhang 2019): the targets are the
probabilities of the ensemble for the faces as they are, the faces are changed at random as in its own training. Started
again, it goes on after the last whole epoch. docs/results.md says what came of it.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from fer_lib import data
from fer_lib.files import atomic_write
from fer_lib.models import pretrained, training
from fer_lib.models.prediction import ensemble
from fer_lib.models.spec import Recipe
from fer_lib.runs.members import members

EPOCHS = 12
LEARNING_RATE = 0.001
BF16 = "mixed_bfloat16"


def main(source: str, name: str, out: str) -> None:
    """Train and write the network."""
    train = data.load(source).train
    state = Path(out).with_suffix(".state.npz")
    teacher = pretrained.load(name)
    student = anti_aliased(teacher.model)
    recipe = Recipe(**teacher.record["recipe"] | {"epochs": EPOCHS, "learning_rate": LEARNING_RATE})
    training.compile_model(student, recipe, len(train))
    done = 0
    if state.is_file():
        with np.load(state) as file:
            done, targets = int(file["done"]), file["targets"]
            training.restore(student, [file[f"array{i}"] for i in range(len(file.files) - 2)])
    else:
        targets = ensemble([one.answers(train) for one in members(Path("runs"))])
    nobody = train[np.zeros(0, int)]
    with tqdm(total=EPOCHS * len(train), initial=done * len(train), unit="face", unit_scale=True) as bar:
        for epoch in training.train(
            student, train, nobody, recipe, seed=100, epochs_done=done, targets=targets, on_step=bar.update
        ):
            arrays = {f"array{i}": array for i, array in enumerate(training.state(student))}
            with atomic_write(state) as temporary:
                np.savez(temporary, done=epoch.epoch, targets=targets, **arrays)
            print(f"epoch {epoch.epoch}: loss {epoch.loss:.4f}, {epoch.cpu_seconds:.0f} CPU s", flush=True)
    with atomic_write(Path(out)) as temporary:
        student.save(temporary)
    state.unlink()


def anti_aliased(model: keras.Model) -> keras.Model:
    """The same network with each max pooling at every place and then a blur, with the same weights, in bfloat16."""

    def blurred(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        config["dtype"] = "float32" if layer is model.layers[-1] else BF16
        if not isinstance(layer, keras.layers.MaxPooling2D):
            return layer.__class__.from_config(config)
        return keras.Sequential(
            [
                keras.layers.MaxPooling2D(2, strides=1, padding="same", dtype=BF16),
                keras.layers.AveragePooling2D(2, padding="same", dtype=BF16),
            ],
            name=layer.name,
        )

    blurry = keras.models.clone_model(model, clone_function=blurred)
    blurry.set_weights(model.get_weights())
    return blurry


if __name__ == "__main__":
    main(*sys.argv[1:])
