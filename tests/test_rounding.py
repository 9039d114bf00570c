import keras
import numpy as np
import pytest
from conftest import striped_faces

from fer_lib import models, rounding
from fer_lib.errors import InputError
from fer_lib.spec import ModelSpec

FACES = striped_faces(140).pixels[..., np.newaxis]


@pytest.fixture(scope="module")
def model():
    """Batch norm such as training leaves it; the answers do not depend on the second block's convolutions."""
    built = models.build(ModelSpec("compact", width=0.5), FACES, seed=3)
    rng = np.random.default_rng(3)
    for layer in built.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, gamma.shape),
                    rng.normal(0, 0.3, beta.shape),
                    rng.normal(0, 0.1, mean.shape),
                    rng.uniform(0.5, 1.5, variance.shape),
                ]
            )
    built.get_layer("block2_norm2").gamma.assign(np.zeros(48))
    return built


def moment_of(inputs):
    return inputs.T @ inputs / len(inputs)


def test_outputs_change_less_than_by_rounding_each_weight_for_itself():
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(500, 70)) @ rng.normal(size=(70, 150)) + rng.normal(size=(500, 150))
    kernel = rng.normal(size=(150, 8)).astype(np.float32)
    whole, step = rounding.round_kernel(kernel, moment_of(inputs), steps=3)
    assert whole.dtype == np.int8
    np.testing.assert_allclose(step, np.sqrt(np.square(kernel).mean(axis=0)) / 3, rtol=1e-6)

    def changed(rounded):
        return np.square(inputs @ (rounded - kernel)).mean()

    assert changed(whole * step) < 0.4 * changed(np.rint(kernel / step) * step)


def test_each_input_is_rounded_where_the_best_of_the_rest_leaves_it():
    rng = np.random.default_rng(4)
    inputs = rng.normal(size=(100, 12)) @ rng.normal(size=(12, 12))
    moment, kernel = moment_of(inputs), rng.normal(size=(12, 5)).astype(np.float32)
    whole, step = rounding.round_kernel(kernel, moment, steps=2)
    moment += 0.01 * np.diag(moment).mean() * np.eye(12)
    wanted = kernel / step.astype(np.float64)
    expected = np.empty_like(wanted)
    for i in range(12):
        missing = moment[i:, :i] @ (wanted[:i] - expected[:i])
        expected[i] = np.rint((wanted[i:] + np.linalg.solve(moment[i:, i:], missing))[0])
    np.testing.assert_array_equal(whole, expected)


def test_weights_of_inputs_that_do_not_go_together_are_rounded_each_for_itself():
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(3, 3, 10, 4)).astype(np.float32)
    kernel[..., 1], kernel[0, 0, 0, 2] = 0, 90
    whole, step = rounding.round_kernel(kernel, np.diag(rng.uniform(1, 2, 90)), steps=20)
    assert whole.dtype == np.int16 and step[1] == 0
    np.testing.assert_array_equal(whole[..., 1], 0)
    others = [0, 2, 3]
    np.testing.assert_array_equal(whole[..., others], np.rint(kernel[..., others] / step[others]))


@pytest.mark.parametrize("largest", [127, 128, 32767, 32768])
def test_the_largest_weight_keeps_its_sign(largest):
    kernel = np.array([[largest], [1], [-3]], np.float32)
    steps = np.sqrt(np.square(kernel).mean())
    whole, _ = rounding.round_kernel(kernel, np.eye(3), steps=float(steps))
    np.testing.assert_array_equal(whole, kernel)
    assert whole.itemsize == {127: 1, 128: 2, 32767: 2, 32768: 4}[largest]


def test_a_network_that_diverged_is_refused(model):
    diverged = keras.models.clone_model(model)
    diverged.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(InputError, match="compact answers NaN: its training diverged"):
        rounding.rounded_kernels(diverged, FACES)


def test_inputs_that_are_always_nought_do_no_harm():
    kernel = np.random.default_rng(2).normal(size=(6, 4)).astype(np.float32)
    whole, step = rounding.round_kernel(kernel, np.zeros((6, 6)), steps=8)
    np.testing.assert_array_equal(whole, np.rint(kernel / step))


@pytest.mark.parametrize("name", ["conv2d_stem", "block2_shortcut", "block2_conv1"])
def test_the_second_moment_says_how_strong_the_outputs_of_a_layer_are(model, name):
    layer = model.get_layer(name)
    outputs = keras.Model(model.inputs[0], layer.output).predict(FACES, verbose=0)
    if layer.use_bias:
        outputs = outputs - layer.bias.numpy()
    filters = outputs.shape[-1]
    kernel = layer.kernel.numpy().reshape(-1, filters)
    moment = rounding.second_moment(model, layer, FACES)
    energy = np.einsum("kf,kl,lf->f", kernel, moment, kernel)
    np.testing.assert_allclose(energy, np.square(outputs).reshape(-1, filters).mean(axis=0), rtol=1e-3)


def test_the_second_moment_of_what_a_dense_layer_sees():
    model = models.build(ModelSpec("dnn", width=0.02), FACES, seed=3)
    [first, *_] = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    inputs = keras.Model(model.inputs[0], first.input).predict(FACES, verbose=0)
    np.testing.assert_allclose(
        rounding.second_moment(model, first, FACES), moment_of(inputs), rtol=1e-3, atol=1e-4
    )


def test_answers_change_by_what_is_allowed_and_kernels_that_they_do_not_hang_on_take_few_steps(model):
    before = model.get_weights()
    rounded = rounding.rounded_kernels(model, FACES, change=1e-4)
    for weight, kept in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), kept)
    large = {w.path for w in model.weights if len(w.shape) > 1 and np.prod(w.shape) >= rounding.LARGE}
    assert set(rounded) == large and len(large) == 4
    copy = keras.models.clone_model(model)
    copy.set_weights(
        [
            rounded[w.path][0] * rounded[w.path][1] if w.path in rounded else kept
            for w, kept in zip(model.weights, before, strict=True)
        ]
    )
    others = striped_faces(70, seed=1).pixels[..., np.newaxis]
    change = copy.predict(others, verbose=0) - model.predict(others, verbose=0)
    assert 3e-5 < np.sqrt(np.square(change).mean()) < 2e-4
    largest = {path: int(np.abs(whole).max()) for path, (whole, _) in rounded.items()}
    assert max(largest[f"block2_conv{i}/kernel"] for i in (1, 2)) < 4
    assert min(largest[f"block3_conv{i}/kernel"] for i in (1, 2)) > 4
