"""Parts of any Keras model: from the image to its scores, or to one of its layers.

Works on functional and Sequential models with one image input and one output, of any number of channels, also
with models inside them, with or without a softmax at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

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


class _Call(NamedTuple):
    """One layer at work: what it was given and what it made of it."""

    layer: keras.layers.Layer
    given: keras.KerasTensor
    made: keras.KerasTensor


def score_model(model: keras.Model) -> keras.Model:
    """The same network from image to class scores before the softmax, with the same weights.

    The softmax makes the probability of one class fall when another class's score rises, and its gradient
    vanishes where the model is sure: a map of it would show reasons against the others, or nothing. The score
    has neither fault (Simonyan et al., "Deep Inside Convolutional Networks", 2013, section 2). A model that
    does not end in a `Dense`, `Activation` or `Softmax` layer with a softmax is taken to give scores already.

    Raises:
        ValueError: The model is not built, or has not one input and one output.
    """
    image, calls = _calls(model)
    return keras.Model(image, _scores(calls[-1]))


def layer_model(model: keras.Model, layer: str) -> keras.Model:
    """The part of a model from the image to a layer, also one inside a nested model, with the same weights.

    Of a layer with a softmax it gives the scores before it, as `score_model` does.

    Raises:
        InputError: The model has no layer of that name.
    """
    image, call = _find(model, layer)
    return keras.Model(image, _scores(call))


def unactivated(model: keras.Model, layer: str) -> tuple[keras.Model, Callable[[Any], Any]]:
    """The part of a model up to what goes into a layer's activation function, and that function.

    Where it is not known what goes in, the layer's output and the identity; a softmax is left out.

    Raises:
        InputError: The model has no layer of that name.
    """
    image, call = _find(model, layer)
    return keras.Model(image, _weighted_sums(call)), _activation(call.layer)


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


def maps_and_scores(model: keras.Model, layer: str) -> keras.Model:
    """The network from the image to two outputs: a layer's maps (n, h', w', k) and the class scores (n, classes).

    Raises:
        InputError: The model has no such layer, or the layer gives no maps.
    """
    image, calls = _calls(model)
    call = _named(model, calls, layer)
    if len(call.made.shape) != 4:
        raise InputError(f"Layer {layer!r} gives no maps but values of shape {call.made.shape[1:]}.")
    return keras.Model(image, [call.made, _scores(calls[-1])])


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
    """The layers of a model, first to last; in the place of a model inside it, that one's layers."""
    found: dict[str, keras.layers.Layer] = {}
    for layer in model.layers:
        found |= layers_by_name(layer) if isinstance(layer, keras.Model) else {layer.name: layer}
    return found


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


def check_images(model: keras.Model, images: Images) -> None:
    """Raise a ValueError unless the model takes images of that shape."""
    check_model(model)
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
    return keras.models.clone_model(graph, clone_function=lambda layer: layer, call_function=call)


def _find(model: keras.Model, layer: str) -> tuple[keras.KerasTensor, _Call]:
    image, calls = _calls(model)
    return image, _named(model, calls, layer)


def _named(model: keras.Model, calls: list[_Call], layer: str) -> _Call:
    for call in calls:
        if call.layer.name == layer:
            return call
    raise InputError(f"The model has no layer {layer!r}; its layers are {', '.join(layers_by_name(model))}.")


def _scores(call: _Call) -> keras.KerasTensor:
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
