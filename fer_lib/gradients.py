"""Derivatives with respect to the image: the one place that needs TensorFlow and not just Keras.

Everything runs in inference mode (no dropout, stored batch statistics), so the images of a batch do not
touch each other and one backward pass serves them all. Functions are compiled once for a model and live as
long as it does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from fer_lib.errors import InputError

Images = npt.NDArray[Any]
"""Images as the model takes them, (n, h, w, c) of any real dtype."""

_COMPILED: WeakKeyDictionary[keras.Model, dict[str, Callable[..., Any]]] = WeakKeyDictionary()


class _Call(NamedTuple):
    """One layer at work: what it was given and what it made of it."""

    layer: keras.layers.Layer
    given: keras.KerasTensor
    made: keras.KerasTensor


def input_gradients(
    model: keras.Model, images: Images, targets: npt.NDArray[np.int64], *, batch_size: int = 64
) -> npt.NDArray[np.float32]:
    """How the score of a class answers to each pixel of an image.

    Args:
        model: A functional or Sequential classifier with one image input; softmax or score outputs.
        images: Array of shape (n, h, w, c), in the units that the model takes.
        targets: Class of each image whose score is derived, int array of shape (n,).
        batch_size: Most images in memory at once.

    Returns:
        d score / d pixel, float32 array of the shape of `images`; scores as in `score_model`.

    Raises:
        ValueError: Shapes do not fit the model or each other, or a target is no class of it.
    """
    _check_images(model, images)
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
    if not len(images):
        return np.zeros(images.shape, np.float32)
    function = _compiled(model, "scores", lambda: _gradient_function(score_model(model)))
    (gradients,) = _batched(function, images, targets, batch_size)
    return gradients


def ascend(
    model: keras.Model,
    layer: str,
    channels: npt.NDArray[np.int64],
    images: Images,
    *,
    steps: int,
    learning_rate: float,
    clip: tuple[float, float] | None = None,
    batch_size: int = 64,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Change each image, step by step, so that it excites its own channel of a layer more.

    What is raised is the mean of the channel over all its positions. A step adds `learning_rate` times the
    gradient divided by its root mean square, so that every image moves at the same pace, whatever the size of
    its gradient.

    A channel that a ReLU made zero everywhere has no gradient to leave zero by. Until it responds, its
    largest weighted sum before the ReLU is raised instead, to the same end as the redirected ReLU gradients
    of Lucid (Olah, Mordvintsev and Schubert, "Feature Visualization", 2017).

    Args:
        model: As in `input_gradients`; only its part up to `layer` runs.
        layer: Name of the layer. For a softmax output layer the channels are the classes' scores.
        channels: Channel of the layer (last axis) that each image is to excite, int array of shape (n,).
        images: Where to start, array of shape (n, h, w, c).
        steps: Number of steps.
        learning_rate: Root mean square of the change in one step, in units of the image.
        clip: Lowest and highest value that a pixel may take, or None for no bounds.
        batch_size: Most images in memory at once.

    Returns:
        The images, float32 (n, h, w, c), and the activations before the first and after each step,
        float32 (steps + 1, n).

    Raises:
        InputError: The model has no such layer.
        ValueError: Shapes do not fit the model.
    """
    _check_images(model, images)
    function = _compiled(model, f"ascend {layer}", lambda: _ascent_function(model, layer))
    low, high = clip or (-np.inf, np.inf)
    settings = (tf.constant(steps), *(tf.constant(x, tf.float32) for x in (learning_rate, low, high)))
    images, history = _batched(function, images, channels, batch_size, *settings)
    return images, history.T


def score_model(model: keras.Model) -> keras.Model:
    """The same network from image to class scores before the softmax, with the same weights.

    The softmax makes the probability of one class fall when another class's score rises, and its gradient
    vanishes where the model is sure: a map of it would show reasons against the others, or nothing. The score
    has neither fault (Simonyan et al., "Deep Inside Convolutional Networks", 2013, section 2). A model that
    does not end in a `Dense`, `Activation` or `Softmax` layer with a softmax is taken to give scores already.
    """
    inputs, calls = _calls(model)
    return keras.Model(inputs, _scores(calls[-1]))


def layer_model(model: keras.Model, layer: str) -> keras.Model:
    """The part of a model from the image to a layer, also one inside a nested model, with the same weights.

    Of a layer with a softmax it gives the scores before it, as `score_model` does.

    Raises:
        InputError: The model has no layer of that name.
    """
    return _part(model, layer, _scores)


def layers_by_name(model: keras.Model | keras.layers.Layer) -> dict[str, keras.layers.Layer]:
    """The layers of a model and of the models inside it, first to last; none for a plain layer."""
    found: dict[str, keras.layers.Layer] = {}
    for layer in model.layers if isinstance(model, keras.Model) else ():
        found |= {layer.name: layer} | layers_by_name(layer)
    return found


def _calls(model: keras.Model) -> tuple[keras.KerasTensor, list[_Call]]:
    """The input of a model and the calls of its layers, the output's last.

    The layers are called anew on a fresh input: `layer.output` belongs to the first model that a layer was
    ever part of, which need not be this one.
    """
    _check_model(model)
    calls: list[_Call] = []

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        made = layer(*args, **kwargs)
        calls.append(_Call(layer, next(iter((*args, *kwargs.values()))), made))
        return made

    # The bare graph, because cloning a compiled model would allocate an optimizer of twice its size.
    graph = keras.Model(model.inputs[0], model.outputs[0])
    copy = keras.models.clone_model(graph, clone_function=lambda layer: layer, call_function=call)
    calls.sort(key=lambda call: call.made is copy.outputs[0])
    return copy.inputs[0], calls


def _part(model: keras.Model, layer: str, output: Callable[[_Call], keras.KerasTensor]) -> keras.Model:
    """From the image to what `output` makes of the call of a layer."""
    inputs, calls = _calls(model)
    for call in calls:
        if call.layer.name == layer:
            return keras.Model(inputs, output(call))
        if layer in layers_by_name(call.layer):
            return keras.Model(inputs, _part(call.layer, layer, output)(call.given))
    raise InputError(f"The model has no layer {layer!r}; its layers are {', '.join(layers_by_name(model))}.")


def _scores(call: _Call) -> keras.KerasTensor:
    if isinstance(call.layer, keras.Model):
        return score_model(call.layer)(call.given)
    return _weighted_sums(call) if _has_softmax(call.layer) else call.made


def _weighted_sums(call: _Call) -> keras.KerasTensor:
    """What goes into the layer's activation function; what comes out, where that is not known."""
    layer = call.layer
    if isinstance(layer, (keras.layers.Activation, keras.layers.ReLU, keras.layers.Softmax)):
        return call.given
    if isinstance(layer, keras.layers.Dense):
        sums = keras.ops.matmul(call.given, layer.kernel)
    elif isinstance(layer, keras.layers.Conv2D):
        sums = layer.convolution_op(call.given, layer.kernel)
    else:
        return call.made
    return sums + layer.bias if layer.use_bias else sums


def _activation(layer: keras.layers.Layer) -> Any:
    """What makes a layer's output of its `_weighted_sums`, a softmax left out."""
    if _has_softmax(layer):
        return keras.activations.linear
    if isinstance(layer, keras.layers.ReLU):
        return layer
    if isinstance(layer, (keras.layers.Activation, keras.layers.Dense, keras.layers.Conv2D)):
        return layer.activation
    return keras.activations.linear


def _has_softmax(layer: keras.layers.Layer) -> bool:
    activation = getattr(layer, "activation", None)
    return activation is keras.activations.softmax or isinstance(layer, keras.layers.Softmax)


def _gradient_function(scores: keras.Model) -> Callable[..., Any]:
    def gradients(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = tf.gather(scores(images, training=False), targets, batch_dims=1)
        return (tape.gradient(score, images),)

    return _compile(gradients)


def _ascent_function(model: keras.Model, layer: str) -> Callable[..., Any]:
    sums, activation = _part(model, layer, _weighted_sums), _activation(layers_by_name(model)[layer])

    def of_channel(values: tf.Tensor, channels: tf.Tensor, reduce: Callable[..., tf.Tensor]) -> tf.Tensor:
        positions = list(range(1, values.shape.rank - 1))
        return tf.gather(reduce(tf.cast(values, tf.float32), axis=positions), channels, batch_dims=1)

    def ascent(
        images: tf.Tensor,
        channels: tf.Tensor,
        steps: tf.Tensor,
        rate: tf.Tensor,
        low: tf.Tensor,
        high: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        history = tf.TensorArray(tf.float32, size=steps + 1, element_shape=channels.shape)
        for step in tf.range(steps):
            with tf.GradientTape() as tape:
                tape.watch(images)
                before = sums(images, training=False)
                active = of_channel(activation(before), channels, tf.reduce_mean)
                goal = tf.where(active == 0, of_channel(before, channels, tf.reduce_max), active)
            gradient = tape.gradient(goal, images)
            rms = tf.sqrt(tf.reduce_mean(tf.square(gradient), axis=(1, 2, 3), keepdims=True))
            # Not `/ (rms + epsilon)`: a mean over many positions has gradients as small as any usual epsilon.
            images = tf.clip_by_value(images + rate * tf.math.divide_no_nan(gradient, rms), low, high)
            history = history.write(step, active)
        active = of_channel(activation(sums(images, training=False)), channels, tf.reduce_mean)
        history = history.write(steps, active)
        return images, tf.transpose(history.stack())

    return _compile(ascent)


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise InputError(
            f"Gradients need Keras on TensorFlow, but it runs on {backend}: set KERAS_BACKEND=tensorflow."
        )
    compiled: Callable[..., Any] = tf.function(function)
    return compiled


def _compiled(model: keras.Model, name: str, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """What `make` gives, kept as long as the model: it may hold the layers, but not the model itself."""
    functions = _COMPILED.setdefault(model, {})
    if name not in functions:
        functions[name] = make()
    return functions[name]


def _batched(
    function: Callable[..., Any],
    images: Images,
    targets: npt.NDArray[np.int64],
    batch_size: int,
    *settings: tf.Tensor,
) -> list[npt.NDArray[np.float32]]:
    """Apply a compiled function batch by batch and join what it gives for each image.

    All batches have one size, a power of two or `batch_size`, the last filled up with copies: each new shape
    would cost a compilation.
    """
    size = min(batch_size, 1 << (len(images) - 1).bit_length())
    parts = []
    for start in range(0, len(images), size):
        index = np.minimum(np.arange(start, start + size), len(images) - 1)
        given = tf.constant(images[index], tf.float32), tf.constant(targets[index], tf.int32)
        parts.append([result.numpy()[: len(images) - start] for result in function(*given, *settings)])
    return [np.concatenate(results) for results in zip(*parts, strict=True)]


def _check_model(model: keras.Model) -> None:
    if len(getattr(model, "inputs", ())) != 1 or len(getattr(model, "outputs", ())) != 1:
        raise ValueError("the model must be functional or Sequential, built, with one input and one output")


def _check_images(model: keras.Model, images: Images) -> None:
    _check_model(model)
    expected = model.inputs[0].shape[1:]
    fits = images.ndim == len(expected) + 1 and all(
        size in (None, given) for size, given in zip(expected, images.shape[1:], strict=True)
    )
    if not fits:
        raise ValueError(f"images must be (n, {', '.join(map(str, expected))}), but were {images.shape}")
