"""Scores and their derivatives by the image, batch by batch: what needs TensorFlow, and not just Keras, is here.

Everything runs in inference mode (no dropout, stored batch statistics), so the images of a batch do not
touch each other and one backward pass serves them all. Functions are compiled once for a model and live as
long as it does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from fer_lib.errors import InputError
from fer_lib.explain.layers import Images, check_images, maps_and_scores, score_model, scores_and_link
from fer_lib.startup import mute_retracing

BATCH = 64
"""Most images in memory at once, unless told otherwise."""

mute_retracing()  # each layer and regularization needs a function of its own

_COMPILED: WeakKeyDictionary[keras.Model, dict[str, Callable[..., Any]]] = WeakKeyDictionary()


def scores(model: keras.Model, images: Images, *, batch_size: int = BATCH) -> npt.NDArray[np.float32]:
    """Class scores before the softmax (see `layers.score_model`), float32 (n, classes).

    Args:
        model: A functional or Sequential classifier with one image input; softmax or score outputs.
        images: Array of shape (n, h, w, c), in the units that the model takes.
        batch_size: Most images in memory at once.

    Raises:
        ValueError: The images do not fit the model.
    """
    check_images(model, images)
    if not len(images):
        return np.zeros((0, model.outputs[0].shape[-1]), np.float32)
    function = compiled(model, "forward", lambda: _forward_function(score_model(model)))
    (found,) = batched(function, images, np.zeros(len(images), np.int64), batch_size)
    return found


def probabilities(model: keras.Model, images: Images, *, batch_size: int = BATCH) -> npt.NDArray[np.float32]:
    """The model's answers (n, classes), from its `scores`; of a model that ends in scores their softmax."""
    found = scores(model, images, batch_size=batch_size)
    link = compiled(model, "link", lambda: scores_and_link(model)[1])
    return np.asarray(link(found), np.float32)


def input_gradients(
    model: keras.Model, images: Images, targets: npt.NDArray[np.int64], *, batch_size: int = BATCH
) -> npt.NDArray[np.float32]:
    """How the score of a class answers to each pixel of an image.

    Args:
        model: A functional or Sequential classifier with one image input; softmax or score outputs.
        images: Array of shape (n, h, w, c), in the units that the model takes.
        targets: Class of each image whose score is derived, int array of shape (n,).
        batch_size: Most images in memory at once.

    Returns:
        d score / d pixel, float32 array of the shape of `images`; scores as in `layers.score_model`.

    Raises:
        ValueError: Shapes do not fit the model or each other, or a target is no class of it.
    """
    targets = _check_targets(model, images, targets)
    if not len(images):
        return np.zeros(images.shape, np.float32)
    function = compiled(model, "scores", lambda: _gradient_function(score_model(model)))
    (gradients,) = batched(function, images, targets, batch_size)
    return gradients


def layer_gradients(
    model: keras.Model,
    layer: str,
    images: Images,
    targets: npt.NDArray[np.int64],
    *,
    batch_size: int = BATCH,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The maps of a layer, and how the score of a class answers to each value of them.

    Args:
        model: As in `input_gradients`.
        layer: Name of a layer that gives maps.
        images: As in `input_gradients`.
        targets: As in `input_gradients`.
        batch_size: Most images in memory at once.

    Returns:
        The maps and d score / d map, both float32 (n, h', w', k).

    Raises:
        InputError: The model has no such layer, or the layer gives no maps.
        ValueError: As in `input_gradients`.
    """
    targets = _check_targets(model, images, targets)
    if not len(images):
        none = np.zeros((0, *maps_and_scores(model, layer).outputs[0].shape[1:]), np.float32)
        return none, none
    function = compiled(
        model, f"layer {layer}", lambda: _layer_gradient_function(maps_and_scores(model, layer))
    )
    maps, gradients = batched(function, images, targets, batch_size)
    return maps, gradients


def _forward_function(scores: keras.Model) -> Callable[..., Any]:
    def forward(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor]:
        return (scores(images, training=False),)

    return compile_for(forward, scores)


def _gradient_function(scores: keras.Model) -> Callable[..., Any]:
    def gradients(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = tf.gather(scores(images, training=False), targets, batch_dims=1)
        return (tape.gradient(score, images),)

    return compile_for(gradients, scores)


def _layer_gradient_function(both: keras.Model) -> Callable[..., Any]:
    def gradients(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            maps, scores = both(images, training=False)
            score = tf.gather(scores, targets, batch_dims=1)
        return maps, tape.gradient(score, maps)

    return compile_for(gradients, both)


def compile_for(
    function: Callable[..., Any], model: keras.Model, *settings: tf.TensorSpec
) -> Callable[..., Any]:
    """Compile a function of images, targets and settings once for batches of any size."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise InputError(
            f"Gradients need Keras on TensorFlow, but it runs on {backend}: set KERAS_BACKEND=tensorflow."
        )
    images = tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32)
    targets = tf.TensorSpec((None,), tf.int32)
    compiled: Callable[..., Any] = tf.function(
        function,
        input_signature=(images, targets, *settings),
        autograph=False,  # which would take four fifths of the time of compiling, for nothing
    )
    return compiled


def compiled(model: keras.Model, name: str, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """What `make` gives, kept as long as the model: it may hold the layers, but not the model itself."""
    functions = _COMPILED.setdefault(model, {})
    if name not in functions:
        functions[name] = make()
    return functions[name]


def batched(
    function: Callable[..., Any],
    images: Images,
    targets: npt.NDArray[np.int64],
    batch_size: int,
    *settings: tf.Tensor,
) -> list[npt.NDArray[np.float32]]:
    """Apply a compiled function batch by batch and join what it gives for each image."""
    parts = []
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        given = tf.constant(images[part], tf.float32), tf.constant(targets[part], tf.int32)
        parts.append([result.numpy() for result in function(*given, *settings)])
    return [np.concatenate(results) for results in zip(*parts, strict=True)]


def _check_targets(
    model: keras.Model, images: Images, targets: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    check_images(model, images)
    targets = np.asarray(targets)
    classes = model.outputs[0].shape[-1]
    if targets.shape != (len(images),) or not np.issubdtype(targets.dtype, np.integer):
        raise ValueError(
            f"targets must be integers ({len(images)},), but were {targets.dtype} {targets.shape}"
        )
    if len(targets) and (targets.min() < 0 or targets.max() >= classes):
        raise ValueError(
            f"targets must be from 0 to {classes - 1}, but were {targets.min()} to {targets.max()}"
        )
    return targets
