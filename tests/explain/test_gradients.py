"""Gradients against finite differences and closed forms, on every kind of model that users bring."""

from __future__ import annotations

import gc
import weakref
from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from fer_lib.errors import InputError
from fer_lib.explain import gradient_ascent, gradients
from fer_lib.explain.ascent import ascend
from fer_lib.explain.gradients import input_gradients
from fer_lib.explain.layers import layer_model, layers_by_name, score_model

SHAPE = (10, 10, 1)


@cache
def small_cnn(shape=SHAPE, *, classes=7, activation="softmax", seed=0):
    """A CNN with smooth activations, so that finite differences are exact to second order; built once."""
    keras.utils.set_random_seed(seed)
    image = keras.Input(shape)
    x = layers.Rescaling(1 / 64, offset=-2)(image)
    x = layers.Conv2D(5, 3, activation="tanh", name="conv2d_1")(x)
    x = layers.Dropout(0.5, name="dropout_1")(x)
    x = layers.Conv2D(4, 3, activation="tanh", name="conv2d_2")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Flatten()(x)
    return keras.Model(image, layers.Dense(classes, activation=activation, name="dense_3")(x))


@cache
def linear_model(shape=SHAPE, classes=3, activation="softmax"):
    """Scores that are a weighted sum of the pixels: their gradient is the weights."""
    model = keras.Sequential(
        [keras.Input(shape), layers.Flatten(), layers.Dense(classes, activation=activation)]
    )
    weights = model.layers[-1].kernel.numpy().T.reshape(classes, *shape)
    return model, weights


def random_images(n, shape=SHAPE, seed=1):
    return np.random.default_rng(seed).uniform(0, 255, (n, *shape)).astype(np.float32)


def test_the_gradient_of_a_linear_model_is_its_weights():
    model, weights = linear_model()
    targets = np.array([2, 0, 1, 2, 2])
    np.testing.assert_allclose(input_gradients(model, random_images(5), targets), weights[targets], rtol=1e-6)


def test_gradients_equal_finite_differences_of_the_score():
    model, images, targets = small_cnn(), random_images(3), np.array([0, 4, 6])
    direction = np.random.default_rng(2).standard_normal(images.shape).astype(np.float32)
    scores = score_model(model)

    def score(x):
        return scores(x, training=False).numpy()[np.arange(3), targets].astype(np.float64)

    slope = (score(images + direction) - score(images - direction)) / 2
    predicted = (input_gradients(model, images, targets) * direction).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(predicted, slope, rtol=2e-2, atol=1e-4)


@pytest.mark.parametrize("shape", [(10, 10, 1), (9, 12, 3)])
def test_gradients_have_the_shape_of_the_images(shape):
    result = input_gradients(small_cnn(shape), random_images(2, shape), np.array([0, 1]))
    assert result.shape == (2, *shape)
    assert result.dtype == np.float32
    assert np.abs(result).max() > 0


def test_bytes_give_the_same_gradients_as_floats():
    model, images = small_cnn(), random_images(2).astype(np.uint8)
    targets = np.array([1, 5])
    expected = input_gradients(model, images.astype(np.float32), targets)
    np.testing.assert_array_equal(input_gradients(model, images, targets), expected)


def test_no_images_give_no_gradients():
    model, images, targets = small_cnn(), random_images(0), np.array([], np.int64)
    assert input_gradients(model, images, targets).shape == (0, *SHAPE)
    assert gradients.scores(model, images).shape == (0, 7)


def test_the_batch_size_changes_nothing():
    model, images = small_cnn(), random_images(11)
    targets = np.arange(11) % 7
    whole = input_gradients(model, images, targets, batch_size=64)
    parts = input_gradients(model, images, targets, batch_size=4)
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-7)


def test_a_model_is_compiled_once_for_all_full_and_partial_batches():
    model = small_cnn()
    for n in (8, 3, 4, 17):
        input_gradients(model, random_images(n), np.zeros(n, np.int64), batch_size=4)
    assert gradients._COMPILED[model]["scores"].experimental_get_tracing_count() == 1


def test_new_weights_count_without_a_new_compilation():
    model, _ = linear_model.__wrapped__()
    images, targets = random_images(1), np.array([1])
    before = input_gradients(model, images, targets)
    model.set_weights([2 * w for w in model.get_weights()])
    np.testing.assert_allclose(input_gradients(model, images, targets), 2 * before, rtol=1e-6)


def test_a_model_can_be_forgotten_after_its_gradients_were_taken():
    model = small_cnn.__wrapped__()
    input_gradients(model, random_images(1), np.array([0]))
    ascend(model, "conv2d_1", np.array([0]), random_images(1), steps=1, learning_rate=1)
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None


def test_gradients_leave_the_model_savable_and_its_answers_unchanged(tmp_path):
    model, images = small_cnn(), random_images(2)
    before = model(images).numpy()
    input_gradients(model, images, np.array([0, 1]))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images).numpy(), before, rtol=1e-6)


def test_gradients_do_not_vanish_where_the_softmax_is_sure():
    model, weights = linear_model()
    sure = 1e4 * weights[:1]
    assert model(sure).numpy()[0, 0] == pytest.approx(1)
    np.testing.assert_allclose(input_gradients(model, sure, np.array([0])), weights[:1], rtol=1e-6)


def with_softmax_layer(layer):
    return lambda body: keras.Sequential([keras.Input(SHAPE), *body, layers.Dense(7, name="top"), layer])


ENDS = {
    "dense softmax": lambda body: keras.Sequential(
        [keras.Input(SHAPE), *body, layers.Dense(7, activation="softmax", name="top")]
    ),
    "dense softmax without bias": lambda body: keras.Sequential(
        [keras.Input(SHAPE), *body, layers.Dense(7, activation="softmax", use_bias=False, name="top")]
    ),
    "activation layer": with_softmax_layer(layers.Activation("softmax")),
    "softmax layer": with_softmax_layer(layers.Softmax()),
    "logits": lambda body: keras.Sequential([keras.Input(SHAPE), *body, layers.Dense(7, name="top")]),
    "softmax in a nested model": lambda body: keras.Sequential(
        [
            keras.Input(SHAPE),
            *body,
            keras.Sequential([keras.Input((8 * 8 * 5,)), layers.Dense(7, activation="softmax", name="top")]),
        ]
    ),
    "built on its first call": lambda body: called_once(
        keras.Sequential([*body, layers.Dense(7, activation="softmax", name="top")])
    ),
}


def called_once(model):
    model(random_images(1))
    return model


@pytest.mark.parametrize("end", ENDS)
def test_scores_are_the_weighted_sums_before_the_softmax(end):
    body = [layers.Rescaling(1 / 64, offset=-2), layers.Conv2D(5, 3, activation="relu"), layers.Flatten()]
    model = ENDS[end](body)
    images = random_images(4)
    top = layers_by_name(model)["top"]
    if top.use_bias:
        top.bias.assign(np.arange(7.0))
    features = images
    for layer in body:
        features = layer(features)
    expected = features.numpy() @ top.kernel.numpy() + (top.bias.numpy() if top.use_bias else 0)
    np.testing.assert_allclose(score_model(model)(images).numpy(), expected, rtol=1e-4, atol=1e-4)


def test_a_layer_model_equals_the_layers_run_by_hand():
    model, images = small_cnn(), random_images(2)
    x = images
    for name in ("rescaling", "conv2d_1", "conv2d_2"):
        x = next(layer for layer in model.layers if layer.name.startswith(name))(x)
    np.testing.assert_allclose(layer_model(model, "conv2d_2")(images), x, rtol=1e-5)


def test_a_layer_is_found_in_a_nested_model_and_where_another_model_uses_it_too():
    backbone = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(3, 3, name="inner")], name="backbone")
    image = keras.Input(SHAPE)
    model = keras.Model(image, layers.GlobalAveragePooling2D()(backbone(layers.Rescaling(1 / 255)(image))))
    images = random_images(2)
    np.testing.assert_allclose(
        layer_model(model, "inner")(images), backbone.layers[-1](images / 255), rtol=1e-4, atol=1e-5
    )


def test_the_last_of_two_uses_of_a_layer_gives_the_scores():
    twice = layers.Dense(4, activation="softmax")
    model = keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten(), twice, twice])
    images = random_images(3, (2, 2, 1)) / 255
    probabilities = keras.ops.softmax(score_model(model)(images))
    np.testing.assert_allclose(probabilities, model(images), rtol=1e-5)


def test_an_unknown_layer_is_an_error_that_names_the_layers():
    with pytest.raises(InputError, match=r"no layer 'conv9'.*conv2d_1, dropout_1, conv2d_2"):
        layer_model(small_cnn(), "conv9")


@pytest.mark.parametrize(
    ("images", "targets", "message"),
    [
        (np.zeros((2, 10, 10)), [0, 0], r"images must be \(n, 10, 10, 1\), but were \(2, 10, 10\)"),
        (np.zeros((2, 9, 10, 1)), [0, 0], r"but were \(2, 9, 10, 1\)"),
        (np.zeros((2, *SHAPE)), [0], r"targets must be integers \(2,\), but were int64 \(1,\)"),
        (np.zeros((2, *SHAPE)), [0.0, 1.0], "but were float64"),
        (np.zeros((2, *SHAPE)), [0, 7], "targets must be from 0 to 6, but were 0 to 7"),
        (np.zeros((2, *SHAPE)), [-1, 0], "but were -1 to 0"),
    ],
)
def test_what_does_not_fit_is_said_with_what_arrived(images, targets, message):
    with pytest.raises(ValueError, match=message):
        input_gradients(small_cnn(), images, np.array(targets))


def test_a_model_without_a_graph_is_refused():
    with pytest.raises(ValueError, match="functional or Sequential, built"):
        input_gradients(
            keras.Sequential([layers.Flatten(), layers.Dense(2)]), random_images(1), np.array([0])
        )


def test_ascent_equals_a_plain_loop_for_one_filter():
    model, start = small_cnn(), random_images(1)
    images, history = ascend(model, "conv2d_2", np.array([3]), start, steps=4, learning_rate=2.0)
    part = layer_model(model, "conv2d_2")
    x, expected = start.copy(), []
    for step in range(5):
        expected.append(part(x).numpy()[0, :, :, 3].mean())
        if step < 4:
            slope = pixelwise_slope(lambda y: part(y).numpy()[:, :, :, 3].mean(axis=(1, 2)), x)
            x += 2.0 * slope / np.sqrt((slope**2).mean())
    np.testing.assert_allclose(history[:, 0], expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(images, x, atol=0.05)


def pixelwise_slope(function, image, step=0.5):
    """Central differences for each pixel of one image, all in one batch."""
    shifts = step * np.eye(image.size, dtype=np.float32).reshape(-1, *image.shape[1:])
    return ((function(image + shifts) - function(image - shifts)) / (2 * step)).reshape(image.shape)


def test_one_step_of_ascent_moves_each_image_by_the_learning_rate():
    start = random_images(3)
    images, _ = ascend(small_cnn(), "conv2d_1", np.arange(3), start, steps=1, learning_rate=5.0)
    np.testing.assert_allclose(np.sqrt(((images - start) ** 2).mean(axis=(1, 2, 3))), 5.0, rtol=1e-4)


def test_ascent_stays_within_its_bounds():
    images, _ = ascend(
        small_cnn(), "conv2d_1", np.arange(5), random_images(5), steps=9, learning_rate=50.0, clip=(0, 255)
    )
    assert images.min() == 0
    assert images.max() == 255


def test_another_backend_than_tensorflow_is_named(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="runs on jax: set KERAS_BACKEND=tensorflow"):
        input_gradients(small_cnn.__wrapped__(), random_images(1), np.array([0]))


@pytest.mark.parametrize(
    ("depth", "strides", "dilation", "padding"),
    [
        (3, 2, 1, "same"),
        (3, 1, 2, "valid"),
        (3, (1, 2), 1, "same"),
        (6, (2, 1), 1, "valid"),
        (6, 1, 2, "same"),
    ],
)
def test_an_ascent_goes_by_the_maps_of_the_convolution(depth, strides, dilation, padding):
    keras.utils.set_random_seed(0)
    convolution = layers.Conv2D(
        5, (3, 4), strides=strides, dilation_rate=dilation, padding=padding, activation="tanh",
        bias_initializer="normal", name="conv",
    )  # fmt: skip
    model = keras.Sequential([keras.Input((9, 12, depth)), layers.Rescaling(1 / 255), convolution])
    images, channels = random_images(4, (9, 12, depth)), np.array([4, 0, 2, 2])
    moved, history = ascend(model, "conv", channels, images, steps=1, learning_rate=1.0)
    variable = tf.Variable(images)
    with tf.GradientTape() as tape:
        expected = tf.gather(tf.reduce_mean(model(variable), (1, 2)), channels, batch_dims=1)
    slope = tape.gradient(expected, variable).numpy()
    np.testing.assert_allclose(history[0], expected, rtol=1e-3, atol=1e-5)
    rms = np.sqrt(np.square(slope).mean(axis=(1, 2, 3), keepdims=True))
    np.testing.assert_allclose(moved - images, slope / rms, atol=1e-3)


def _own_dense():
    class Cosine(layers.Dense):
        def call(self, x, training=None):
            unit = keras.ops.normalize(self.kernel, axis=0)
            return keras.ops.softmax(8 * keras.ops.matmul(keras.ops.normalize(x, axis=-1), unit))

    return Cosine(7, activation="softmax", use_bias=False)


HEADS = {
    "softmax operation": lambda x: keras.ops.softmax(20 * layers.Dense(7)(x)),
    "softmax, then a reshape": lambda x: layers.Reshape((7,))(layers.Softmax()(layers.Dense(7)(x))),
    "mean of two": lambda x: layers.Average()([layers.Dense(7, activation="softmax")(x) for _ in range(2)]),
    "sigmoid": lambda x: layers.Dense(7, activation="sigmoid")(x),
    "lambda": lambda x: layers.Lambda(keras.ops.softmax)(layers.Dense(7)(x)),
    "a layer of one's own": lambda x: _own_dense()(x),
}


def headed(head, size=SHAPE, dtype="float32"):
    keras.utils.set_random_seed(0)
    image = keras.Input(size, dtype=dtype)
    maps = layers.Conv2D(4, 3, activation="relu", name="conv")(layers.Rescaling(1 / 255)(image))
    return keras.Model(image, head(layers.GlobalAveragePooling2D()(maps)))


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_probabilities_are_the_models_own_answers_whatever_it_ends_in(head):
    model, images = headed(head), random_images(4)
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(gradients.probabilities(model, images), expected, atol=1e-5)


def test_a_quantized_model_keeps_its_answers():
    model, images = headed(lambda x: layers.Dense(7, activation="softmax")(x)), random_images(4)
    model.quantize("int8")
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(gradients.probabilities(model, images), expected, atol=1e-5)


def test_a_sure_sigmoid_has_a_gradient():
    model = headed(lambda x: layers.Dense(1, activation="sigmoid", bias_initializer="ones")(x))
    model.layers[-1].bias.assign([20.0])
    assert np.abs(input_gradients(model, random_images(2), np.zeros(2, np.int64))).max() > 0


def test_layers_of_the_same_name_inside_and_outside_are_told_apart():
    inner = keras.Sequential(
        [keras.Input(SHAPE), layers.Flatten(), layers.Dense(8, name="dense")], name="base"
    )
    image = keras.Input(SHAPE)
    model = keras.Model(image, layers.Dense(7, activation="softmax", name="dense")(inner(image)))
    assert {"base.dense", "dense"} <= layers_by_name(model).keys()
    images = random_images(2)
    np.testing.assert_allclose(layer_model(model, "base.dense")(images), inner(images), rtol=1e-5)
    assert input_gradients(model, images, np.zeros(2, np.int64)).any()
    assert [layer.name for layer in (inner.layers[-1], model.layers[-1])] == ["dense", "dense"]


def test_a_model_of_whole_numbers_has_gradients():
    model = headed(lambda x: layers.Dense(7, activation="softmax")(x), dtype="uint8")
    assert input_gradients(model, random_images(2).astype(np.uint8), np.zeros(2, np.int64)).any()


def test_a_model_of_flat_inputs_is_told_what_maps_need():
    model = keras.Sequential([keras.Input((100,)), layers.Dense(7, activation="softmax")])
    with pytest.raises(ValueError, match=r"maps need a model of images .* takes \(100,\)"):
        input_gradients(model, np.zeros((1, 100), np.float32), np.zeros(1, np.int64))


@pytest.mark.parametrize("size", [SHAPE, (None, None, 1)])
@pytest.mark.parametrize("groups", [1, 2])
def test_ascent_takes_groups_and_open_sizes(size, groups):
    image = keras.Input(size)
    maps = layers.Conv2D(4, 3, groups=groups, name="last")(layers.Conv2D(4, 3)(image))
    model = keras.Model(image, layers.Dense(7)(layers.GlobalAveragePooling2D()(maps)))
    found = gradient_ascent(model, "last", filters=[0], steps=2, start=random_images(1)[0])
    assert found.images.shape == (1, *SHAPE)
    assert found.history[-1] > found.history[0]
