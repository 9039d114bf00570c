"""What claims about heat have to beat: networks that know nothing, and the middle of the picture."""

import keras
import numpy as np
import pytest
from keras import layers

from fer_lib.explain import centre_prior, compare_with_controls, width_like, with_shuffled_weights
from fer_lib.explain.controls import MAX_WIDTH


def test_shuffled_weights_are_the_same_numbers_in_another_order_and_the_model_stays():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(8), layers.Dense(4)])
    before = [weight.copy() for weight in model.get_weights()]
    shuffled = with_shuffled_weights(model, seed=1).get_weights()
    for old, now, new in zip(before, model.get_weights(), shuffled, strict=True):
        np.testing.assert_array_equal(old, now)
        np.testing.assert_array_equal(np.sort(old.ravel()), np.sort(new.ravel()))
    assert not np.array_equal(before[0], shuffled[0])


def test_centre_prior_is_a_gaussian_of_the_distance_from_the_middle():
    blob = centre_prior((5, 7), 2.0)
    assert blob[2, 3] == 1
    np.testing.assert_allclose(blob[0, 3], np.exp(-4 / 8))
    np.testing.assert_allclose(blob[2, 6], np.exp(-9 / 8))
    np.testing.assert_array_equal(blob, blob[::-1, ::-1])


@pytest.mark.parametrize("width", [3.0, 9.0, 22.0])
def test_width_of_a_blob_is_found_again_whatever_the_scale_of_its_maps(width):
    heat = centre_prior((48, 48), width) * np.array([1, 50], np.float32)[:, np.newaxis, np.newaxis]
    assert width_like(heat) == pytest.approx(width, abs=0.01)


def test_blob_is_spread_as_far_as_the_heat_that_it_stands_for():
    heat = np.random.default_rng(0).random((4, 48, 48)).astype(np.float32) ** 8
    heat[:, 10:30, 5:40] *= 6
    blob = centre_prior((48, 48), width_like(heat))
    y, x = np.mgrid[:48, :48] - 23.5
    spread = [np.average(x**2 + y**2, weights=one) for one in heat]
    assert np.average(x**2 + y**2, weights=blob) == pytest.approx(np.mean(spread), rel=1e-3)


@pytest.mark.parametrize(
    "heat", [np.zeros((2, 8, 8)), np.pad(np.zeros((2, 6, 6)), ((0, 0), (1, 1), (1, 1)), constant_values=1)]
)
def test_heat_that_is_nowhere_or_at_the_edge_is_like_an_even_blob(heat):
    assert width_like(heat.astype(np.float32)) == pytest.approx(MAX_WIDTH, abs=0.01)


def test_a_control_is_beaten_only_where_the_paired_interval_lies_above_0():
    rng = np.random.default_rng(0)
    of_face = rng.normal(2, 1, 60)
    measured = np.append(of_face, np.nan)  # a map without heat does not count
    controls = {
        "lower": np.append(of_face - 0.2 + rng.normal(0, 0.1, 60), 1),
        "same": np.append(of_face + rng.normal(0, 0.5, 60), 1),
        "higher": np.append(of_face + 0.3, 1),
    }
    found = compare_with_controls(measured, controls)
    assert found["beaten"].to_dict() == {"trained": False, "lower": True, "same": False, "higher": False}
    assert found.loc["trained", "value"] == pytest.approx(of_face.mean())
    assert found.loc["higher", ["ahead", "ahead_low", "ahead_high"]].tolist() == pytest.approx([-0.3] * 3)
    # The faces differ far more than the pairs: unpaired, "lower" would not be told apart.
    assert found.loc["lower", "value_high"] > found.loc["trained", "value_low"]
