"""Training, repeatable and resumable from any step.

What a step learns from depends on the seed, the epoch and the step's place in it alone, so that a run that was
killed and went on from a checkpoint ends with the weights that it would have had. Nothing here knows a backend or
a file: `fer_lib.runs` keeps what is learned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.augmentation import augmented
from fer_lib.data.faces import Faces
from fer_lib.emotions import FACE_SIZE
from fer_lib.errors import InputError
from fer_lib.spec import SMALL, Recipe

OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "Adamax": keras.optimizers.Adamax,
    "Adam": keras.optimizers.Adam,
    "AdamW": keras.optimizers.AdamW,
    "SGD": lambda **settings: keras.optimizers.SGD(momentum=0.9, nesterov=True, **settings),
}
WARM_UP = 0.1
"""Share of all steps in which the cosine schedule climbs to the full learning rate."""

PART = 8192
"""Faces that are made ready at a time, in the background, while the model learns from those before."""

NOT_DECAYED = ["bias", "gamma", "beta"]
"""Variables that weight decay spares."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch measured. Accuracies are shares, times seconds of the training part alone.

    `accuracy` and `loss` are running means over the epoch, with dropout and augmentation at work; `val_accuracy`
    and `val_loss` are measured after it, without, and NaN where no faces are held out.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Position:
    """How far training has come: whole epochs, faces of the next one, and sums over these faces."""

    epochs: int = 0
    faces: int = 0
    loss: float = 0.0
    right: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def compile_model(model: keras.Model, recipe: Recipe, faces: int) -> None:
    """Give a model the loss and optimizer of a recipe, for a training set of so many faces."""
    steps = recipe.epochs * -(-faces // recipe.batch_size)
    settings: dict[str, Any] = {"learning_rate": _learning_rate(recipe, steps)}
    if recipe.weight_decay or recipe.optimizer == "AdamW":  # which decays by 0.004 unless told otherwise
        settings["weight_decay"] = recipe.weight_decay
    optimizer = OPTIMIZERS[recipe.optimizer](**settings)
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    optimizer.build(model.trainable_variables)
    _compile(model, optimizer)


def train(
    model: keras.Model,
    faces: Faces,
    validation: Faces,
    recipe: Recipe,
    *,
    seed: int = 0,
    start: Position | None = None,
    taught: npt.NDArray[np.float32] | None = None,
    on_step: Callable[[Position], object] = lambda position: None,
) -> Iterator[Epoch]:
    """Train a compiled model, yielding after each epoch.

    Args:
        model: From `models.build` and `compile_model`, with the `state` that it had at `start`.
        faces: Labelled training faces.
        validation: Labelled faces to measure on, or none of them.
        recipe: How to train.
        seed: Decides all that is random.
        start: Where to go on; None for the beginning.
        taught: The teachers' probabilities for `faces`, (n, 7), where the recipe has teachers.
        on_step: Called after each step with the position reached; what it raises ends training there.

    Raises:
        InputError: The recipe has `small_epochs`, and the network takes faces of one size only.
    """
    position = start or Position()
    if position.faces == len(faces):
        yield _measured(model, validation, position)
        position = Position(epochs=position.epochs + 1)
    small = _resized(model, SMALL) if position.epochs < recipe.small_epochs else model
    parts = _parts(faces, _targets(faces, recipe, taught), recipe, seed, position)
    with ThreadPoolExecutor(1) as pool:
        following = _submit(pool, parts)
        while following is not None:
            part = following.result()
            following = _submit(pool, parts)
            learner = small if position.epochs < recipe.small_epochs else model
            if part.offset == position.faces:
                _seed_dropout(model, part.dropout_seed)
            skip = position.faces - part.offset
            follower = _Follower(position, recipe.batch_size, len(part.pixels) - skip, on_step)
            learner.fit(
                part.pixels[skip:],
                part.targets[skip:],
                batch_size=recipe.batch_size,
                shuffle=False,
                verbose=0,
                callbacks=[follower],
            )
            position = follower.position
            if position.faces == len(faces):
                yield _measured(model, validation, position)
                position = Position(epochs=position.epochs + 1)


def state(model: keras.Model) -> list[npt.NDArray[Any]]:
    """All that a compiled model knows: weights, the optimizer's variables, the random state of dropout."""
    return [keras.ops.convert_to_numpy(variable) for variable in _variables(model)]


def restore(model: keras.Model, arrays: list[npt.NDArray[Any]]) -> None:
    """Give a compiled model the `state` that another one of the same kind had.

    Raises:
        ValueError: The arrays are not of such a model.
    """
    for variable, array in zip(_variables(model), arrays, strict=True):
        variable.assign(array)


@dataclass(frozen=True)
class _Part:
    """Faces of an epoch, from `offset` on in its order, ready to be learned from."""

    offset: int
    dropout_seed: int
    pixels: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.float32]


def _submit(pool: ThreadPoolExecutor, parts: Iterator[Callable[[], _Part]]) -> Future[_Part] | None:
    make = next(parts, None)
    return None if make is None else pool.submit(make)


def _parts(
    faces: Faces, targets: npt.NDArray[np.float32], recipe: Recipe, seed: int, start: Position
) -> Iterator[Callable[[], _Part]]:
    """What makes each part that is still to be learned from, in order."""
    length = max(1, PART // recipe.batch_size) * recipe.batch_size

    def make(epoch: int, order: npt.NDArray[np.int64], offset: int) -> _Part:
        rng = np.random.default_rng([seed, epoch, offset])
        chosen = order[offset : offset + length]
        size = SMALL if epoch < recipe.small_epochs else FACE_SIZE
        pixels = faces.pixels[chosen]
        if recipe.augment or size != FACE_SIZE:
            pixels = augmented(pixels, recipe.augmentation, rng, size=size)
        return _Part(offset, int(rng.integers(2**31)), pixels[..., np.newaxis], targets[chosen])

    for epoch in range(start.epochs, recipe.epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(faces))
        for offset in range(0, len(faces), length):
            if epoch > start.epochs or offset + length > start.faces:
                yield partial(make, epoch, order, offset)


def _targets(
    faces: Faces, recipe: Recipe, taught: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """The probabilities that the model is to learn, (n, 7)."""
    targets = replace(faces, votes=None).soft_labels()
    if recipe.votes:
        targets = (1 - recipe.votes) * targets + recipe.votes * faces.soft_labels()
    smoothing = recipe.label_smoothing
    targets = (1 - smoothing) * targets + smoothing / targets.shape[1]
    if taught is not None:
        targets = (1 - recipe.distillation) * targets + recipe.distillation * taught
    return np.asarray(targets, np.float32)


def _measured(model: keras.Model, validation: Faces, position: Position) -> Epoch:
    loss = accuracy = float("nan")
    if len(validation):
        targets = replace(validation, votes=None).soft_labels()
        loss, accuracy = model.evaluate(validation.images, targets, batch_size=256, verbose=0)
    n = position.faces
    return Epoch(
        position.epochs + 1, position.loss / n, position.right / n, loss, accuracy,
        position.seconds, position.cpu_seconds,
    )  # fmt: skip


def _learning_rate(recipe: Recipe, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if recipe.schedule == "constant" or steps == 1:  # a climb's first step is from 0
        return recipe.learning_rate
    warm_up = max(1, round(WARM_UP * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=recipe.learning_rate, warmup_steps=warm_up
    )


def _compile(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    # XLA, Keras's choice on TensorFlow, gains nothing on processors and costs batch norm a third (docs/results.md).
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)


def _resized(model: keras.Model, size: int) -> keras.Model:
    """The same layers and optimizer for faces of another size."""
    try:
        small = keras.models.clone_model(
            model, keras.Input((size, size, 1)), clone_function=lambda layer: layer
        )
    except ValueError:
        raise InputError(
            f"The network {model.name} takes faces of one size only; set small_epochs to 0."
        ) from None
    _compile(small, model.optimizer)
    return small


def _dropouts(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout) and layer.rate > 0]


def _variables(model: keras.Model) -> list[keras.Variable]:
    states = [layer.seed_generator.state for layer in _dropouts(model)]
    return [*model.weights, *model.optimizer.variables, *states]


def _seed_dropout(model: keras.Model, seed: int) -> None:
    """Set every dropout layer's random state."""
    rng = np.random.default_rng(seed)
    for layer in _dropouts(model):
        layer.seed_generator.state.assign([int(rng.integers(2**31)), 0])


class _Follower(keras.callbacks.Callback):
    """Keeps the position while `fit` goes through a part."""

    def __init__(
        self, start: Position, batch_size: int, faces: int, on_step: Callable[[Position], object]
    ) -> None:
        super().__init__()
        self.start = self.position = start
        self.batch_size, self.faces, self.on_step = batch_size, faces, on_step
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        means = logs or {}
        _ = self.model  # with JAX, Keras hands the variables back when a callback asks for the model
        seen = min((batch + 1) * self.batch_size, self.faces)
        self.position = Position(
            self.start.epochs,
            self.start.faces + seen,
            self.start.loss + seen * float(means["loss"]),
            self.start.right + seen * float(means["accuracy"]),
            self.start.seconds + time.perf_counter() - self.wall,
            self.start.cpu_seconds + time.process_time() - self.cpu,
        )
        self.on_step(self.position)
