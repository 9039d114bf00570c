"""Parts of any Keras model: from the image to its scores, or to one of its layers.

Works on functional and Sequential models with one image input and one output, of any number of channels, also
with models inside them, with a softmax or sigmoid at the end, in whatever guise, or none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, NamedTuple, TypeVar

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.emotions import FACE_SIZE
from fer_lib.errors import InputError

Images = npt.NDArray[Any]
"""Images as the model takes them, (n, h, w, c) of any real dtype."""

_LEARNING_NOTHING = (
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.Rescaling,
    keras.layers.Normalization,
    keras.layers.Reshape,
)
_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


_BY_VALUE = (
    keras.activations.linear,
    keras.activations.relu,
    keras.activations.tanh,
    keras.activations.sigmoid,
)

Result = TypeVar("Result")


class _Call(NamedTuple):
    """One layer at work: what it was given and what it made of it."""

    layer: keras.layers.Layer
    given: keras.KerasTensor
    made: keras.KerasTensor


def _with_distinct_names(function: Callable[..., Result]) -> Callable[..., Result]:
    """Let a function of a model take it apart although layers inside and outside a nested model share a name.

    Keras allows that, but not in the flat model that parts are made of: for as long as the function runs, such
    layers have the names that `layers_by_name` gives them.
    """

    @wraps(function)
    def renamed(model: keras.Model, *args: Any) -> Result:
        usual = {layer: layer.name for layer in layers_by_name(model).values()}
        try:
            for name, layer in layers_by_name(model).items():
                if name != layer.name:
                    layer.name = name
            return function(model, *args)
        finally:
            for layer, name in usual.items():
                if name != layer.name:
                    layer.name = name

    return renamed


def score_model(model: keras.Model) -> keras.Model:
    """The same network from image to class scores before the softmax or sigmoid, with the same weights.

    The softmax makes the probability of one class fall when another class's score rises, and its gradient
    vanishes where the model is sure: a map of it would show reasons against the others, or nothing. The score
    has neither fault (Simonyan et al., "Deep Inside Convolutional Networks", 2013, section 2).

    The scores are compared with the model's own answer to two images of noise. Where they do not explain it, but it
    is a distribution over the classes (the mean of several models, a softmax in a layer of somebody's own), the score
    is its log odds. Anything else is taken for scores.

    Raises:
        ValueError: The model is not built, or has not one input and one output.
    """
    return scores_and_link(model)[0]


@_with_distinct_names
def scores_and_link(model: keras.Model) -> tuple[keras.Model, Callable[..., Any]]:
    """A model's `score_model`, and the function that makes probabilities of its scores (softmax or sigmoid).

    Raises:
        ValueError: As in `score_model`.
    """
    image, calls = _calls(model)
    scores, link = _class_scores(model, image, calls)
    return keras.Model(image, scores), link


@_with_distinct_names
def layer_model(model: keras.Model, layer: str) -> keras.Model:
    """The part of a model from the image to a layer, also one inside a nested model, with the same weights.

    Of a layer with a softmax it gives the scores before it, as `score_model` does.

    Raises:
        InputError: The model has no layer of that name.
    """
    image, call = _find(model, layer)
    softmax = _squashing(call.layer) is keras.activations.softmax
    return keras.Model(image, _weighted_sums(call) if softmax else call.made)


@_with_distinct_names
def unactivated(model: keras.Model, layer: str) -> tuple[keras.Model, Callable[[Any], Any]]:
    """The part of a model up to what goes into a layer's activation function, and that function.

    Where it is not known what goes in, the layer's output and the identity; a softmax is left out.

    Raises:
        InputError: The model has no layer of that name.
    """
    image, call = _find(model, layer)
    return keras.Model(image, _weighted_sums(call)), _activation(call.layer)


@_with_distinct_names
def before_convolution(
    model: keras.Model, layer: str
) -> tuple[keras.Model, keras.layers.Conv2D] | tuple[None, None]:
    """The part of a model up to what a plain convolution is given, and that layer; (None, None) for others.

    Plain: one group, images of known size, an activation function of each value by itself.

    Raises:
        InputError: The model has no layer of that name.
    """
    image, (found, given, _) = _find(model, layer)
    plain = type(found) is keras.layers.Conv2D and found.groups == 1 and None not in given.shape[1:]
    if not (plain and found.activation in _BY_VALUE and found.data_format == "channels_last"):
        return None, None
    return keras.Model(image, given), found


@_with_distinct_names
def maps_and_scores(model: keras.Model, layer: str) -> keras.Model:
    """The network from the image to two outputs: a layer's maps (n, h', w', k) and the class scores (n, classes).

    Raises:
        InputError: The model has no such layer, or the layer gives no maps.
    """
    image, calls = _calls(model)
    call = _named(model, calls, layer)
    if len(call.made.shape) != 4:
        raise InputError(f"Layer {layer!r} gives no maps but values of shape {call.made.shape[1:]}.")
    return keras.Model(image, [call.made, _class_scores(model, image, calls)[0]])


@_with_distinct_names
def last_maps(model: keras.Model) -> str:
    """The name of the last layer that still gives maps of more than one position, pooling apart.

    Raises:
        InputError: No layer does: a dense network.
    """
    for layer, _, made in reversed(_calls(model)[1]):
        if isinstance(layer, _LEARNING_NOTHING) or not isinstance(layer, keras.layers.Layer):
            continue
        if len(made.shape) == 4 and made.shape[1] != 1:
            return str(layer.name)
    raise InputError("The model has no layer that gives maps: it has no convolution.")


def convolution_layers(model: keras.Model) -> list[str]:
    """Names of the convolution layers that look for patterns, first to last, those of nested models too.

    A filter of one pixel has no pattern: it mixes channels, as in a shortcut. Such layers are named only where a
    model has no others.
    """
    convolutions = {
        name: layer for name, layer in layers_by_name(model).items() if isinstance(layer, _CONVOLUTIONS)
    }
    wide = [name for name, layer in convolutions.items() if max(layer.kernel_size) > 1]
    return wide or list(convolutions)


def layers_by_name(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """The layers of a model, first to last; in the place of a model inside it, that one's layers.

    Where several share a name, it is preceded by that of the inner model: "base.dense".
    """
    layers = list(_layers(model, ""))
    counts = Counter(layer.name for _, layer in layers)
    return {prefix + layer.name if counts[layer.name] > 1 else layer.name: layer for prefix, layer in layers}


def _layers(model: keras.Model, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer, f"{prefix}{layer.name}.")
        else:
            yield prefix, layer


def clone_with_weights(model: keras.Model) -> keras.Model:
    """A copy of a model with weights of its own, not compiled.

    Raises:
        ValueError: The model is not built, or has not one input and one output.
    """
    check_model(model)
    copy = keras.models.clone_model(keras.Model(model.inputs[0], model.outputs[0]))
    copy.set_weights(model.get_weights())
    return copy


def weighted_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that have weights of their own, from the output back to the image."""
    return [layer for layer in reversed(layers_by_name(model).values()) if layer.weights]


def shuffle_weights(layer: keras.layers.Layer, *, seed: int = 0) -> None:
    """Put the values of each of a layer's weight arrays into random order, in place."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.permutation(w.ravel()).reshape(w.shape) for w in layer.get_weights()])


def check_model(model: keras.Model) -> None:
    """Raise a ValueError unless the model is built and has one input and one output."""
    if len(getattr(model, "inputs", None) or ()) != 1 or len(getattr(model, "outputs", None) or ()) != 1:
        raise ValueError("the model must be functional or Sequential, built, with one input and one output")


def image_shape(model: keras.Model) -> tuple[int, int, int]:
    """Height, width and channels of the images that a model takes; 48 where it leaves a size open.

    Raises:
        ValueError: It takes no images, or is not built, or has not one input and one output.
    """
    check_model(model)
    shape = model.inputs[0].shape[1:]
    if len(shape) != 3:
        raise ValueError(
            f"maps need a model of images (height, width, channels), but it takes {shape}; put a Flatten or Reshape "
            "layer in front of it"
        )
    height, width, channels = (size or FACE_SIZE for size in shape)
    return height, width, channels


def check_images(model: keras.Model, images: Images) -> None:
    """Raise a ValueError unless the model takes images of that shape."""
    image_shape(model)
    expected = model.inputs[0].shape[1:]
    fits = images.ndim == len(expected) + 1 and all(
        size in (None, given) for size, given in zip(expected, images.shape[1:], strict=True)
    )
    if not fits:
        raise ValueError(f"images must be (n, {', '.join(map(str, expected))}), but were {images.shape}")


def _calls(model: keras.Model) -> tuple[keras.KerasTensor, list[_Call]]:
    """The image that goes into a model and the calls of its layers, the output's last.

    The layers are called anew on a fresh input: `layer.output` belongs to the first model that a layer was
    ever part of, which need not be this one.
    """
    calls: list[_Call] = []

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        made = layer(*args, **kwargs)
        calls.append(_Call(layer, next(iter((*args, *kwargs.values()))), made))
        return made

    copy = _rebuilt(_flat(model), call)
    calls.sort(key=lambda call: call.made is copy.outputs[0])
    return copy.inputs[0], calls


def _flat(model: keras.Model) -> keras.Model:
    """The same layers without models inside the model."""
    check_model(model)
    # The bare graph, because cloning a compiled model would allocate an optimizer of twice its size.
    graph = keras.Model(model.inputs[0], model.outputs[0])
    while any(isinstance(layer, keras.Model) for layer in graph.layers):
        # `call` of a model runs its layers one by one, where calling it would make one step of it.
        graph = _rebuilt(graph, _inlined)
    return graph


def _inlined(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
    return layer.call(*args, **kwargs) if isinstance(layer, keras.Model) else layer(*args, **kwargs)


def _rebuilt(graph: keras.Model, call: Callable[..., Any]) -> keras.Model:
    [given] = graph.inputs
    image = keras.Input(
        given.shape[1:], name=given.name
    )  # of floats, whatever it was: integers have no gradient
    return keras.models.clone_model(graph, image, clone_function=lambda layer: layer, call_function=call)


def _find(model: keras.Model, layer: str) -> tuple[keras.KerasTensor, _Call]:
    image, calls = _calls(model)
    return image, _named(model, calls, layer)


def _named(model: keras.Model, calls: list[_Call], layer: str) -> _Call:
    for call in calls:
        if call.layer.name == layer:
            return call
    raise InputError(f"The model has no layer {layer!r}; its layers are {', '.join(layers_by_name(model))}.")


def _class_scores(
    model: keras.Model, image: keras.KerasTensor, calls: list[_Call]
) -> tuple[keras.KerasTensor, Callable[..., Any]]:
    """The scores of a model's classes as `score_model` says, and what makes probabilities of them."""
    answer = calls[-1].made
    scores, link = _before_squashing(calls, calls[-1])
    noise = np.random.default_rng(0).random((2, *image_shape(model)), np.float32)
    noise[1] *= 255
    given = [keras.ops.cast(each, "float32") for each in keras.Model(image, [answer, scores])(noise)]
    if link is not None and np.allclose(link(given[1]), given[0], atol=0.02):  # of bfloat16, too
        return scores, link
    if link is not None or np.allclose(keras.ops.sum(given[0], axis=-1), 1, atol=0.01):
        probability = keras.ops.clip(answer, 1e-7, 1 - 1e-7)
        return keras.ops.log(probability) - keras.ops.log(1 - probability), keras.activations.sigmoid
    return answer, keras.activations.softmax


def _before_squashing(calls: list[_Call], call: _Call) -> tuple[keras.KerasTensor, Callable[..., Any] | None]:
    """What goes into the softmax or sigmoid that a call or those before it end in, and that function, if any."""
    if isinstance(call.layer, (keras.layers.Reshape, keras.layers.Flatten)):
        before = next((each for each in calls if each.made is call.given), None)
        scores, link = (None, None) if before is None else _before_squashing(calls, before)
        return (call.made, None) if link is None else (call.layer(scores), link)
    link = _squashing(call.layer)
    return (call.made, None) if link is None else (_weighted_sums(call), link)


def _weighted_sums(call: _Call) -> keras.KerasTensor:
    """What goes into the layer's activation function; what comes out, where that is not known."""
    layer = call.layer
    if isinstance(layer, (keras.layers.Activation, keras.layers.ReLU)) or _is_operation(layer):
        return call.given
    if not _sums_are_known(layer):
        return call.made
    product = keras.ops.matmul if isinstance(layer, keras.layers.Dense) else layer.convolution_op
    sums = product(call.given, layer.kernel)
    return sums + layer.bias if layer.use_bias else sums


def _activation(layer: keras.layers.Layer) -> Any:
    """What makes a layer's output of its `_weighted_sums`, a softmax left out."""
    if _squashing(layer) is keras.activations.softmax:
        return keras.activations.linear
    if isinstance(layer, keras.layers.ReLU):
        return layer
    if isinstance(layer, keras.layers.Activation) or _sums_are_known(layer):
        return layer.activation
    return keras.activations.linear


def _sums_are_known(layer: keras.layers.Layer) -> bool:
    """Whether a layer is Keras's own product or convolution of its kernel: no subclass, integers or groups."""
    own = type(layer) in (keras.layers.Dense, keras.layers.Conv2D)
    return own and layer.quantization_mode is None and getattr(layer, "groups", 1) == 1


def _squashing(layer: keras.layers.Layer) -> Callable[..., Any] | None:
    """The softmax or sigmoid that a layer ends in, or that it is."""
    functions: tuple[Callable[..., Any], ...] = (keras.activations.softmax, keras.activations.sigmoid)
    for function in functions:
        if getattr(layer, "activation", None) is function or _is_operation(layer, function.__name__):
            return function
    return None


def _is_operation(layer: keras.layers.Layer, *names: str) -> bool:
    """Whether it is a softmax or sigmoid by itself: Keras's layer, or its operation as in `keras.ops.softmax(x)`."""
    return type(layer).__name__.lower() in (names or ("softmax", "sigmoid"))
