"""Gradient ascent against what is known of linear filters, and the outputs of a layer."""

from __future__ import annotations

import logging

import keras
import numpy as np
import pytest
from keras import layers

from fer_lib.errors import InputError
from fer_lib.explain.activation_maximization import (
    LEARNING_RATES,
    REGULARIZATIONS,
    AscentResult,
    displayable,
    evenly_spaced,
    gradient_ascent,
    layer_outputs,
    mean_abs_correlation,
    mean_frequency,
    pink_noise,
    preset,
    white_noise,
)
from fer_lib.explain.adversarial import AdversarialExamples, adversarial_examples
from fer_lib.explain.ascent import Regularization
from fer_lib.explain.layers import convolution_layers

SHAPE = (12, 12, 1)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    image = keras.Input(SHAPE)
    x = layers.Rescaling(1 / 64, offset=-2)(image)
    x = layers.Conv2D(6, 3, activation="relu", name="conv2d_1")(x)
    x = layers.Dropout(0.3, name="dropout_1")(x)
    x = layers.Conv2D(10, 3, activation="relu", name="conv2d_2")(x)
    x = layers.Flatten()(x)
    return keras.Model(image, layers.Dense(7, activation="softmax", name="dense_3")(x))


@pytest.fixture(scope="module")
def dense():
    """Units whose activation is a weighted sum of the pixels."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(SHAPE), layers.Flatten(), layers.Dense(4, name="units")])


def test_mean_frequency_of_a_sine_is_its_cycles_and_of_a_flat_image_nothing():
    sine = 100 + 50 * np.sin(2 * np.pi * 5 * np.arange(48) / 48)
    images = np.stack([np.tile(sine, (48, 1)), np.tile(sine, (48, 1)).T, np.full((48, 48), 9.0)])
    np.testing.assert_allclose(mean_frequency(images[..., np.newaxis]), [5, 5, 0], atol=1e-9)


def test_all_filters_of_a_layer_are_excited_more_than_by_the_noise(model):
    result = gradient_ascent(model, "conv2d_2", steps=20)
    assert result.images.shape == (10, *SHAPE)
    assert result.history.shape == (21, 10)
    np.testing.assert_array_equal(result.filters, np.arange(10))
    np.testing.assert_array_equal(result.activations, result.history[-1])
    assert (result.history[-1] > result.history[0])[~result.dead].all()


def test_ascent_on_a_linear_unit_follows_its_weights_at_a_constant_pace(dense):
    weights = dense.layers[-1].kernel.numpy().T.reshape(4, *SHAPE)
    rms = np.sqrt((weights**2).mean(axis=(1, 2, 3), keepdims=True))
    result = gradient_ascent(dense, "units", steps=6, learning_rate=3.0, seed=4)
    expected = white_noise(SHAPE, seed=4) + 6 * 3.0 * weights / rms
    np.testing.assert_allclose(result.images, expected, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(np.diff(result.history, axis=0).std(axis=0), 0, atol=2e-2)


def test_the_activation_is_the_mean_of_the_filter_s_map_for_its_image(model):
    result = gradient_ascent(model, "conv2d_1", filters=[4, 1], steps=5)
    for image, number, activation in zip(result.images, (4, 1), result.activations, strict=True):
        assert layer_outputs(model, "conv2d_1", image)[number].mean() == pytest.approx(activation, rel=1e-4)


def test_a_filter_s_image_depends_neither_on_the_other_filters_nor_on_the_batch_size(model):
    whole = gradient_ascent(model, "conv2d_2", steps=5)
    chunks = gradient_ascent(model, "conv2d_2", steps=5, batch_size=3)
    one = gradient_ascent(model, "conv2d_2", filters=[7], steps=5)
    np.testing.assert_allclose(chunks.images, whole.images, atol=0.05)
    np.testing.assert_allclose(one.images, whole.images[7:8], atol=0.05)


def test_ascent_repeats_with_its_seed_and_starts_elsewhere_with_another(model):
    def images(seed):
        return gradient_ascent(model, "conv2d_1", steps=2, seed=seed).images

    np.testing.assert_array_equal(images(0), images(0))
    assert np.abs(images(0) - images(1)).mean() > 1


def test_ascent_can_start_from_a_face_and_keep_to_grey_values(model):
    face = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    result = gradient_ascent(
        model, "conv2d_1", filters=[2], steps=1, learning_rate=1e-3, start=face, clip=(0, 255)
    )
    np.testing.assert_allclose(result.images[0], face, atol=0.05)
    far = gradient_ascent(
        model, "conv2d_1", filters=[2], steps=9, learning_rate=90, start=face, clip=(0, 255)
    )
    assert (far.images.min(), far.images.max()) == (0, 255)


def test_each_filter_can_have_its_own_start(dense):
    starts = np.stack([np.full(SHAPE, 10.0), np.full(SHAPE, 200.0)])
    result = gradient_ascent(dense, "units", filters=[0, 1], steps=1, learning_rate=1e-3, start=starts)
    np.testing.assert_allclose(result.images.mean(axis=(1, 2, 3)), [10, 200], atol=0.01)


def test_the_output_layer_s_units_are_the_classes_scores_before_the_softmax(model):
    result = gradient_ascent(model, "dense_3", steps=30)
    assert len(result.filters) == 7
    assert result.activations.max() > 1
    assert model(result.images).numpy().argmax(axis=-1).tolist() == list(range(7))


def model_with_biases(*biases):
    keras.utils.set_random_seed(0)
    convolution = layers.Conv2D(len(biases), 3, activation="relu", name="conv")
    model = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 255), convolution])
    convolution.set_weights([convolution.kernel.numpy(), np.array(biases, np.float32)])
    return model


def test_filters_that_nothing_excites_are_reported_dead():
    result = gradient_ascent(model_with_biases(1.0, -1e6, 1.0), "conv", steps=3)
    np.testing.assert_array_equal(result.dead, [False, True, False])
    assert result.activations[1] == 0


def test_a_filter_that_is_silent_at_the_start_is_led_to_an_image_that_excites_it():
    result = gradient_ascent(model_with_biases(-2.0), "conv", steps=100)
    assert result.history[0] == 0
    assert result.activations[0] > 0
    assert not result.dead[0]


def test_a_gradient_too_small_for_an_epsilon_still_moves_its_image_at_full_pace():
    convolution = layers.Conv2D(2, 3, name="conv")
    model = keras.Sequential([keras.Input(SHAPE), convolution])
    convolution.set_weights([1e-9 * convolution.kernel.numpy(), convolution.bias.numpy()])
    result = gradient_ascent(model, "conv", steps=1, learning_rate=2.0)
    np.testing.assert_allclose(
        np.sqrt(((result.images - white_noise(SHAPE)) ** 2).mean((1, 2, 3))), 2, rtol=1e-3
    )


def test_a_convolution_without_an_activation_is_excited_by_a_pattern_and_not_by_a_grey():
    keras.utils.set_random_seed(0)
    convolution = layers.Conv2D(3, 3, name="conv")
    model = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 64, offset=-2), convolution])
    result = gradient_ascent(model, "conv", steps=5)
    responses = np.maximum(layer_outputs(model, "conv", result.images[2])[2], 0)
    assert result.activations[2] == pytest.approx(responses.mean(), rel=1e-4)
    inside = (result.images - white_noise(SHAPE))[:, 2:-2, 2:-2]
    assert (inside.std(axis=(1, 2, 3)) > 1).all()


def test_white_noise_lies_around_mid_grey():
    noise = white_noise((100, 100, 1), seed=1)
    assert noise.mean() == pytest.approx(127.5, abs=1)
    assert noise.std() == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize("filters", [[6], [-1], []])
def test_filters_that_a_layer_has_not_are_named_with_those_that_it_has(model, filters):
    with pytest.raises(InputError, match="has filters 0 to 5, but the filters asked for were"):
        gradient_ascent(model, "conv2d_1", filters=filters)


@pytest.mark.parametrize("settings", [{"steps": 0}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}])
def test_steps_and_learning_rate_must_be_above_zero(model, settings):
    with pytest.raises(ValueError, match="steps and learning_rate must be above 0"):
        gradient_ascent(model, "conv2d_1", **settings)


def test_an_unknown_layer_is_an_input_error(model):
    with pytest.raises(InputError, match="no layer 'conv2d_9'"):
        gradient_ascent(model, "conv2d_9")


def test_layer_outputs_come_filter_by_filter(model):
    image = white_noise(SHAPE)
    maps = layer_outputs(model, "conv2d_1", image)
    assert maps.shape == (6, 10, 10)
    assert maps.dtype == np.float32
    convolution = model.get_layer("conv2d_1")
    patches = np.lib.stride_tricks.sliding_window_view(image[..., 0] / 64 - 2, (3, 3))
    sums = np.einsum("yxij,ijf->fyx", patches, convolution.kernel.numpy()[:, :, 0])
    np.testing.assert_allclose(maps, np.maximum(sums, 0), rtol=1e-4, atol=1e-5)


def test_a_layer_without_maps_has_no_layer_outputs(model):
    with pytest.raises(InputError, match=r"Layer 'dense_3' gives no maps but values of shape \(7,\)"):
        layer_outputs(model, "dense_3", white_noise(SHAPE))


def test_convolution_layers_are_named_in_order_with_those_of_nested_models(model):
    outer = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(1, 3, padding="same", name="first"), model])
    assert convolution_layers(model) == ["conv2d_1", "conv2d_2"]
    assert convolution_layers(outer) == ["first", "conv2d_1", "conv2d_2"]


def test_convolutions_of_one_pixel_are_named_only_where_there_are_no_others():
    image = keras.Input(SHAPE)
    shortcut = layers.Conv2D(3, 1, name="shortcut")(image)
    pattern = layers.Conv2D(3, 3, padding="same", name="pattern")(image)
    assert convolution_layers(keras.Model(image, layers.Add()([pattern, shortcut]))) == ["pattern"]
    assert convolution_layers(keras.Model(image, shortcut)) == ["shortcut"]


def test_pictures_are_centred_on_mid_grey_whatever_their_range():
    rng = np.random.default_rng(0)
    pictures = displayable(np.stack([rng.normal(1e4, 300, (20, 20, 1)), rng.normal(0, 1e-3, (20, 20, 1))]))
    assert pictures.dtype == np.uint8
    np.testing.assert_allclose(pictures.mean(axis=(1, 2, 3)), 127.5, atol=1.5)
    np.testing.assert_allclose(pictures.std(axis=(1, 2, 3)), 127.5 / 2.5, rtol=0.05)


def test_an_image_of_one_value_becomes_mid_grey():
    np.testing.assert_array_equal(displayable(np.full((1, 4, 4, 3), 9.0)), 128)


def test_snapshots_are_the_images_of_a_shorter_ascent_and_do_not_disturb_it(model):
    settings = {"filters": [0, 3], "regularization": REGULARIZATIONS["fourier"], "seed": 2}
    whole = gradient_ascent(model, "conv2d_1", steps=9, **settings)
    watched = gradient_ascent(model, "conv2d_1", steps=9, snapshots=(0, 2, 5, 99), **settings)
    np.testing.assert_array_equal(watched.steps, [0, 2, 5, 9])
    np.testing.assert_allclose(watched.images, whole.images, rtol=1e-4, atol=0.05)
    np.testing.assert_allclose(watched.history, whole.history, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(watched.snapshots[0], np.stack([white_noise(SHAPE, seed=2)] * 2))
    short = gradient_ascent(model, "conv2d_1", steps=5, **settings)
    np.testing.assert_allclose(watched.snapshots[2], short.images, rtol=1e-4, atol=0.05)


def test_filters_are_ranked_by_what_they_reached_and_dead_ones_stand_last():
    result = gradient_ascent(model_with_biases(1.0, -1e6, 5.0), "conv", steps=2)
    np.testing.assert_array_equal(result.ranked(), [2, 0, 1])


@pytest.mark.parametrize("name", ["regularised", "fourier"])
def test_regularised_ascent_still_excites_its_filters_and_is_coarser(model, name):
    plain = gradient_ascent(model, "conv2d_2", steps=40)
    kept = gradient_ascent(model, "conv2d_2", steps=40, regularization=REGULARIZATIONS[name])
    assert kept.activations.mean() > 1.5 * kept.history[0].mean()
    assert mean_frequency(kept.images).mean() < 0.8 * mean_frequency(plain.images).mean()


def test_a_step_of_coarse_ascent_is_the_gradient_with_its_frequencies_weighted(dense):
    weights = dense.layers[-1].kernel.numpy().T.reshape(4, *SHAPE)[..., 0]
    settings = {"steps": 1, "learning_rate": 2.0, "start": np.zeros(SHAPE)}
    coarse = Regularization(coarse=1.5)
    found = gradient_ascent(dense, "units", regularization=coarse, **settings).images[..., 0]
    frequency = np.maximum(np.hypot(np.fft.fftfreq(12)[:, None], np.fft.fftfreq(12)), 1 / 12)
    step = np.fft.ifft2(np.fft.fft2(weights) * frequency**-1.5).real
    np.testing.assert_allclose(
        found, 2 * step / np.sqrt((step**2).mean((1, 2), keepdims=True)), rtol=1e-3, atol=1e-3
    )


def test_decay_draws_to_mid_grey_and_smoothing_and_blur_even_out(dense):
    start = white_noise(SHAPE)

    def after(**settings):
        return gradient_ascent(
            dense, "units", filters=[0], steps=4, learning_rate=1e-4, start=start,
            regularization=Regularization(**settings),
        ).images[0]  # fmt: skip

    np.testing.assert_allclose(after(decay=0.5) - 127.5, (start - 127.5) / 16, atol=0.01)
    rough = np.abs(np.diff(start, axis=1)).mean()
    blurred = after(blur=1.0)
    assert np.abs(np.diff(blurred, axis=1)).mean() < 0.5 * rough
    assert blurred.mean() == pytest.approx(start.mean(), rel=1e-4)
    np.testing.assert_allclose(after(blur=1.0, blur_every=5), start, atol=0.01)
    smoother = gradient_ascent(
        dense, "units", filters=[0], steps=9, start=start, regularization=Regularization(total_variation=20)
    ).images[0]
    assert np.abs(np.diff(smoother, axis=1)).mean() < 0.5 * rough


def test_pink_noise_is_coarser_than_white_noise_with_the_same_strength():
    white, pink = (noise((48, 48, 1), seed=1) for noise in (white_noise, pink_noise))
    assert pink.mean() == pytest.approx(127.5, abs=1)
    assert pink.std() == pytest.approx(20, rel=0.01)
    assert mean_frequency(pink[None]) < 0.6 * mean_frequency(white[None])


def test_a_face_is_changed_until_it_is_taken_for_each_other_class(model):
    face = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    answer = model(face[None]).numpy().argmax()
    result = adversarial_examples(model, face, max_steps=400)
    assert sorted([*result.targets, answer]) == list(range(7))
    assert result.reached.all()
    np.testing.assert_array_equal(model(result.images).numpy().argmax(axis=1), result.targets)
    np.testing.assert_array_equal(result.images, result.images.round())
    assert result.images.min() >= 0
    assert result.images.max() <= 255
    difference = result.images - face
    np.testing.assert_allclose(result.change, np.sqrt((difference**2).mean(axis=(1, 2, 3))), rtol=1e-5)
    np.testing.assert_allclose(result.max_change, np.abs(difference).max(axis=(1, 2, 3)))
    assert (result.steps > 0).all()


def test_a_target_out_of_reach_is_said_and_the_own_class_needs_no_step(model):
    face = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    answer = int(model(face[None]).numpy().argmax())
    result = adversarial_examples(model, face, [answer, (answer + 1) % 7], max_steps=1, learning_rate=0.01)
    np.testing.assert_array_equal(result.reached, [True, False])
    np.testing.assert_array_equal(result.steps, [0, 1])
    np.testing.assert_array_equal(result.images[0], face)


def test_the_mean_abs_correlation_takes_opposite_patterns_as_alike():
    ramp = np.tile(np.arange(6.0), (6, 1))
    images = np.stack([ramp, 255 - 3 * ramp, ramp.T])[..., np.newaxis]
    assert mean_abs_correlation(images) == pytest.approx(1 / 3)


@pytest.fixture
def result():
    """Three filters, of which number 5 is dead and number 9 the most excited."""
    history = np.array([[0.1, 0, 0.2], [0.5, 0, 0.4], [0.7, 0, 1.234]], np.float32)
    snapshots = np.random.default_rng(0).normal(127.5, 20, (2, 3, *SHAPE)).astype(np.float32)
    dead = np.array([False, True, False])
    return AscentResult("conv", np.array([2, 5, 9]), history, np.array([0, 2]), snapshots, dead)


def test_the_top_of_a_result_are_its_most_excited_filters_with_all_that_belongs_to_them(result):
    top = result.top(2)
    np.testing.assert_array_equal(top.filters, [9, 2])
    np.testing.assert_array_equal(top.history, result.history[:, [2, 0]])
    np.testing.assert_array_equal(top.snapshots, result.snapshots[:, [2, 0]])
    np.testing.assert_array_equal(top.dead, [False, False])
    assert (top.layer, top.steps.tolist()) == ("conv", [0, 2])
    np.testing.assert_array_equal(result.top().filters, [9, 2, 5])


def test_the_pictures_of_a_result_are_its_snapshots_brought_into_range(result):
    assert result.pictures().shape == (2, 3, 12, 12)
    np.testing.assert_array_equal(result.pictures()[1], displayable(result.images)[..., 0])


def test_captions_give_the_activation_at_each_snapshot(result):
    assert result.captions() == [["0.10", "0.00", "0.20"], ["0.70", "0.00", "1.23"]]
    assert result.captions(numbered=True)[1] == ["2: 0.70", "5: 0.00", "9: 1.23"]


def test_a_result_is_summed_up_by_its_last_images(result):
    assert result.median_activation == pytest.approx(0.7)
    assert result.frequency == mean_frequency(result.images).mean()


@pytest.mark.parametrize(("limit", "numbers"), [(2, [0, 1]), (99, [0, 1, 2, 3, 4, 5])])
def test_a_limit_takes_the_first_filters_of_a_layer(model, limit, numbers):
    assert gradient_ascent(model, "conv2d_1", steps=1, limit=limit).filters.tolist() == numbers


@pytest.mark.parametrize("way", REGULARIZATIONS)
def test_a_preset_is_a_way_of_gradient_ascent_and_fourier_starts_coarsely(model, way):
    settings = preset(way, model, seed=5)
    assert settings["regularization"] == REGULARIZATIONS[way]
    assert settings["learning_rate"] == LEARNING_RATES[way]
    found = gradient_ascent(model, "conv2d_1", filters=[0], steps=1, snapshots=[0], **settings)
    noise = pink_noise if way == "fourier" else white_noise
    np.testing.assert_array_equal(found.snapshots[0, 0], noise(SHAPE, seed=5))


def test_an_unknown_way_is_an_input_error_that_names_those_there_are(model):
    with pytest.raises(InputError, match="no way 'wild'.*plain, regularised, fourier"):
        preset("wild", model)


@pytest.mark.parametrize(("count", "expected"), [(1, "a"), (2, "ah"), (4, "acfh"), (99, "abcdefgh")])
def test_evenly_spaced_items_run_from_the_first_to_the_last(count, expected):
    assert "".join(evenly_spaced("abcdefgh", count)) == expected


def test_adversarial_changes_are_summed_up_over_the_targets_that_were_reached():
    targets, reached = np.array([0, 2, 6]), np.array([False, True, True])
    change = np.array([0.5, 3.0, 2.0])
    images, steps = np.zeros((3, *SHAPE), np.float32), np.ones(3, np.int64)
    found = AdversarialExamples(targets, images, reached, steps, change, 4 * change)
    assert found.mean_change == 2.5
    assert found.easiest == 2
    none = AdversarialExamples(targets, images, np.zeros(3, bool), steps, change, 4 * change)
    assert np.isnan(none.mean_change)
    assert none.easiest == 0


def test_a_function_for_each_layer_is_nothing_to_warn_of():
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("tensorflow")
    logger.addHandler(handler)
    try:
        logger.warning("5 out of the last 10 calls to %s triggered tf.function retracing.", "ascent")
        logger.warning("another warning")
    finally:
        logger.removeHandler(handler)
    assert messages == ["another warning"]
