"""Training, one epoch at a time, repeatable from any epoch on.

Nothing here knows a backend or a file: `fer_lib.runs` keeps what is learned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.errors import InputError
from fer_lib.faces import Faces

OPTIMIZERS = {
    "Adamax": keras.optimizers.Adamax,
    "Adam": keras.optimizers.Adam,
    "AdamW": keras.optimizers.AdamW,
    "SGD": lambda learning_rate: keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True),
}
SCHEDULES = ("constant", "cosine")
WARM_UP = 0.1
"""Share of all steps in which the cosine schedule climbs to the full learning rate."""

MAX_SHIFT = 4
"""Pixels that augmentation moves a face at the most, up, down or sideways."""


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; the defaults are the original report's.

    Attributes:
        epochs: Passes over the training faces.
        batch_size: Faces a step.
        optimizer: A key of `OPTIMIZERS`.
        learning_rate: Its step size (0.002 is what Keras's Adamax used in 2017).
        schedule: "constant", or "cosine": a short climb, then half a cosine down to 0.
        augment: Whether each epoch sees the faces mirrored at random and shifted by up to `MAX_SHIFT` pixels.
        validation: Share of the training faces held out for validation.
        train_limit: Use at most this many of the remaining faces, drawn at random; 0 means all.
    """

    epochs: int = 200
    batch_size: int = 128
    optimizer: str = "Adamax"
    learning_rate: float = 0.002
    schedule: str = "constant"
    augment: bool = False
    validation: float = 0.15
    train_limit: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("optimizer", tuple(OPTIMIZERS)), ("schedule", SCHEDULES)):
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(f"There is no {name} {value!r}; choose one of {', '.join(allowed)}.")
        for name, low in (("epochs", 1), ("batch_size", 1), ("train_limit", 0)):
            if getattr(self, name) < low:
                raise InputError(f"{name} must be at least {low}, but was {getattr(self, name)}.")
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate must be above 0, but was {self.learning_rate}.")
        if not 0 < self.validation < 1:
            raise InputError(f"validation must be a share between 0 and 1, but was {self.validation}.")


@dataclass(frozen=True)
class Epoch:
    """What one epoch measured. Accuracies are shares, times seconds of the training part alone.

    `accuracy` and `loss` are Keras's running means over the epoch, with dropout and augmentation at work;
    `val_accuracy` and `val_loss` are measured after it, without.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
    cpu_seconds: float


def compile_model(model: keras.Model, recipe: Recipe, faces: int) -> None:
    """Give a model the loss and optimizer of a recipe, for a training set of so many faces."""
    steps = recipe.epochs * -(-faces // recipe.batch_size)
    model.compile(
        optimizer=OPTIMIZERS[recipe.optimizer](learning_rate=_learning_rate(recipe, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )


def train(
    model: keras.Model,
    faces: Faces,
    validation: Faces,
    recipe: Recipe,
    *,
    seed: int = 0,
    done: int = 0,
    on_faces: Callable[[int], object] = lambda count: None,
) -> Iterator[Epoch]:
    """Train a compiled model, yielding after each epoch.

    Face order, augmentation and dropout of an epoch depend on `seed` and the epoch's number alone. A model that
    was saved after `done` epochs and loaded again therefore goes on as if it had never stopped.

    Args:
        model: From `models.build` and `compile_model`, or as saved after `done` epochs.
        faces: Labelled training faces.
        validation: Labelled faces to measure on.
        recipe: How to train.
        seed: Decides all that is random.
        done: Epochs that the model has behind it.
        on_faces: Called with the number of faces of each batch that has been learned from.
    """
    for epoch in range(done + 1, recipe.epochs + 1):
        rng = np.random.default_rng([seed, epoch])
        _seed_dropout(model, rng)
        order = rng.permutation(len(faces))
        pixels = faces.pixels[order]
        if recipe.augment:
            pixels = augmented(pixels, rng)
        wall, cpu = time.perf_counter(), time.process_time()
        learned: dict[str, Any] = model.fit(
            pixels[..., np.newaxis],
            faces.known_labels[order],
            batch_size=recipe.batch_size,
            shuffle=False,
            verbose=0,
            callbacks=[_Progress(on_faces, recipe.batch_size, len(faces))],
        ).history
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        val_loss, val_accuracy = model.evaluate(
            validation.images, validation.known_labels, batch_size=256, verbose=0
        )
        yield Epoch(epoch, learned["loss"][0], learned["accuracy"][0], val_loss, val_accuracy, wall, cpu)


def augmented(pixels: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Faces mirrored with probability one half and shifted at random; edges repeat. uint8 (n, 48, 48), new array."""
    n, height, width = pixels.shape
    mirrored = np.where(rng.random((n, 1, 1)) < 0.5, pixels[:, :, ::-1], pixels)
    padded = np.pad(mirrored, ((0, 0), (MAX_SHIFT, MAX_SHIFT), (MAX_SHIFT, MAX_SHIFT)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    rows, columns = rng.integers(0, 2 * MAX_SHIFT + 1, (2, n))
    return np.asarray(windows[np.arange(n), rows, columns])


def _learning_rate(recipe: Recipe, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if recipe.schedule == "constant":
        return recipe.learning_rate
    warm_up = max(1, round(WARM_UP * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=recipe.learning_rate, warmup_steps=warm_up
    )


def _seed_dropout(model: keras.Model, rng: np.random.Generator) -> None:
    """Set every dropout layer's random state; Keras does not save it with the model."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
            layer.seed_generator.state.assign([int(rng.integers(2**31)), 0])


class _Progress(keras.callbacks.Callback):
    """Reports the faces of each batch as it ends."""

    def __init__(self, on_faces: Callable[[int], object], batch_size: int, faces: int) -> None:
        super().__init__()
        self.on_faces, self.batch_size, self.faces = on_faces, batch_size, faces

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.on_faces(min(self.batch_size, self.faces - batch * self.batch_size))
