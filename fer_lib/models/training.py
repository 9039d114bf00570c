"""Training by Keras's `fit`, repeatable and resumable after each epoch.

Nothing here knows a file: `fer_lib.runs` keeps what is learned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.data.faces import Faces
from fer_lib.emotions import FACE_SIZE
from fer_lib.errors import InputError
from fer_lib.models.augmentation import augmented
from fer_lib.models.spec import SMALL, Recipe

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
    epochs_done: int = 0,
    targets: npt.NDArray[np.float32] | None = None,
    on_step: Callable[[int], object] = lambda faces: None,
) -> Iterator[Epoch]:
    """Train a compiled model, yielding after each epoch.

    Order, augmentation and dropout follow from (seed, epoch), so that a training that goes on from the `state` after an
    epoch comes to the same weights as one that was never interrupted.

    Args:
        model: From `architectures.build` and `compile_model`, with the `state` that it had after `epochs_done`.
        faces: Labeled training faces.
        validation: Labeled faces to measure on, or none of them.
        recipe: How to train.
        seed: Decides all that is random.
        epochs_done: How many epochs the model has behind it.
        targets: Probabilities (n, 7) to learn in place of what the recipe makes of the labels.
        on_step: Called after each step with the number of its faces; what it raises ends training there.

    Raises:
        InputError: The recipe has `small_epochs`, and the network takes faces of one size only; or training diverged.
    """
    small = _resized(model, SMALL) if epochs_done < recipe.small_epochs else model
    totals = np.zeros(4)  # loss, right answers, seconds, CPU seconds
    targets = _targets(faces, recipe) if targets is None else targets
    for part in _one_ahead(_parts(faces, targets, recipe, seed, epochs_done)):
        learner = small if part.epoch < recipe.small_epochs else model
        _seed_dropout(model, part.dropout_seed)
        totals += _fit(learner, part, recipe.batch_size, on_step)
        if not np.isfinite(totals[0]):
            raise InputError(
                f"Training diverged in epoch {part.epoch + 1}: the loss is no number any more. Set LEARNING_RATE below "
                f"{recipe.learning_rate:g}, or take another optimizer than {recipe.optimizer}."
            )
        if part.is_last:
            yield _measured(model, validation, part.epoch + 1, totals, len(faces))
            totals = np.zeros(4)


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
    """Some faces of an epoch, ready to be learned from."""

    epoch: int
    is_last: bool
    dropout_seed: int
    pixels: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.float32]


def _one_ahead(parts: Iterator[Callable[[], _Part]]) -> Iterator[_Part]:
    """What the functions make, each made in the background while the one before is used."""
    with ThreadPoolExecutor(1) as pool:
        following = None
        for make in parts:
            ready, following = following, pool.submit(make)
            if ready:
                yield ready.result()
        if following:
            yield following.result()


def _parts(
    faces: Faces, targets: npt.NDArray[np.float32], recipe: Recipe, seed: int, epochs_done: int
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
        is_last = offset + length >= len(order)
        return _Part(epoch, is_last, int(rng.integers(2**31)), pixels[..., np.newaxis], targets[chosen])

    for epoch in range(epochs_done, recipe.epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(faces))
        for offset in range(0, len(faces), length):
            yield partial(make, epoch, order, offset)


def _fit(
    model: keras.Model, part: _Part, batch_size: int, on_step: Callable[[int], object]
) -> npt.NDArray[np.float64]:
    """Learn from a part: the sums of loss and right answers over its faces, seconds and CPU seconds."""
    n = len(part.pixels)

    def step(batch: int, logs: object) -> None:
        on_step(min(batch_size, n - batch * batch_size))

    wall, cpu = time.perf_counter(), time.process_time()
    found = model.fit(
        part.pixels,
        part.targets,
        batch_size=batch_size,
        shuffle=False,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=step)],
    ).history
    times = time.perf_counter() - wall, time.process_time() - cpu
    return np.array([n * found["loss"][0], n * found["accuracy"][0], *times])


def _targets(faces: Faces, recipe: Recipe) -> npt.NDArray[np.float32]:
    """The probabilities that the model is to learn, (n, 7)."""
    targets = replace(faces, votes=None).soft_labels()
    if recipe.votes:
        targets = (1 - recipe.votes) * targets + recipe.votes * faces.soft_labels()
    smoothing = recipe.label_smoothing
    targets = (1 - smoothing) * targets + smoothing / targets.shape[1]
    return np.asarray(targets, np.float32)


def _measured(
    model: keras.Model, validation: Faces, epoch: int, totals: npt.NDArray[np.float64], faces: int
) -> Epoch:
    val_loss = val_accuracy = float("nan")
    if len(validation):
        targets = replace(validation, votes=None).soft_labels()
        val_loss, val_accuracy = model.evaluate(validation.images, targets, batch_size=256, verbose=0)
    loss, right, seconds, cpu_seconds = map(float, totals)
    return Epoch(epoch, loss / faces, right / faces, val_loss, val_accuracy, seconds, cpu_seconds)


def _learning_rate(recipe: Recipe, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if recipe.schedule == "constant" or steps == 1:  # a climb's first step is from 0
        return recipe.learning_rate
    warm_up = max(1, round(WARM_UP * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=recipe.learning_rate, warmup_steps=warm_up
    )


def _compile(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    # XLA, Keras's choice on TensorFlow, gains nothing on processors and costs batch norm a third (docs/history.md).
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
