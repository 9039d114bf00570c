"""Saliency maps against closed forms, and what is done with the heat."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from fer_lib.errors import InputError
from fer_lib.gradients import input_gradients
from fer_lib.saliency import mask_low_heat, normalised, region_share, saliency_maps

SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def linear():
    """A model whose score for a class has the class's weights as its gradient everywhere."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(SHAPE), layers.Flatten(), layers.Dense(4, activation="softmax")])


@pytest.fixture(scope="module")
def curved():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Rescaling(1 / 64, offset=-2),
            layers.Conv2D(6, 3, activation="tanh"),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )


def weights_of(linear):
    return linear.layers[-1].kernel.numpy().T.reshape(4, *SHAPE)


def random_images(n, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (n, *SHAPE)).astype(np.float32)


def test_the_map_is_the_largest_absolute_gradient_of_a_pixel_s_channels(linear):
    labels = np.array([3, 0])
    heat = saliency_maps(linear, random_images(2), labels)
    assert heat.dtype == np.float32
    np.testing.assert_allclose(heat, np.abs(weights_of(linear)[labels]).max(axis=-1), rtol=1e-6)


def test_without_labels_the_map_is_about_the_predicted_class(linear):
    images = random_images(20)
    predicted = linear.predict(images, verbose=0).argmax(axis=-1)
    assert len(set(predicted)) > 1
    np.testing.assert_array_equal(saliency_maps(linear, images), saliency_maps(linear, images, predicted))


def test_a_normalised_map_has_one_at_its_hottest_pixel(curved):
    images, labels = random_images(3), np.array([0, 1, 2])
    raw = saliency_maps(curved, images, labels)
    heat = saliency_maps(curved, images, labels, normalise=True)
    np.testing.assert_allclose(heat.max(axis=(1, 2)), 1)
    np.testing.assert_allclose(heat, raw / raw.max(axis=(1, 2), keepdims=True), rtol=1e-6)


def test_a_map_without_heat_stays_zero_when_normalised():
    np.testing.assert_array_equal(normalised(np.zeros((1, 4, 4), np.float32)), 0)


def test_smoothgrad_of_a_linear_model_is_its_gradient(linear):
    images, labels = random_images(2), np.array([1, 2])
    np.testing.assert_allclose(
        saliency_maps(linear, images, labels, method="smoothgrad", samples=7),
        saliency_maps(linear, images, labels),
        rtol=1e-5,
    )


def test_smoothgrad_is_the_mean_over_noisy_copies_of_the_image_s_own_contrast(curved):
    images, labels = random_images(2), np.array([1, 2])
    images[1] = 100 + images[1] / 50
    rng = np.random.default_rng(5)
    copies = []
    for _ in range(6):
        noise = rng.standard_normal(SHAPE, np.float32)
        noisy = np.stack([image + 0.2 * (image.max() - image.min()) * noise for image in images])
        copies.append(input_gradients(curved, noisy, labels))
    expected = np.abs(np.mean(copies, axis=0)).max(axis=-1)
    heat = saliency_maps(curved, images, labels, method="smoothgrad", samples=6, noise=0.2, seed=5)
    np.testing.assert_allclose(heat, expected, rtol=1e-4, atol=1e-7)


def test_smoothgrad_repeats_with_its_seed_and_differs_with_another(curved):
    images, labels = random_images(1), np.array([0])

    def maps(seed):
        return saliency_maps(curved, images, labels, method="smoothgrad", samples=3, seed=seed)

    np.testing.assert_array_equal(maps(1), maps(1))
    assert not np.allclose(maps(1), maps(2), rtol=1e-3)


@pytest.mark.parametrize("method", ["gradient", "smoothgrad"])
def test_a_map_does_not_depend_on_the_other_images(curved, method):
    images, labels = random_images(5), np.array([0, 1, 2, 3, 0])
    together = saliency_maps(curved, images, labels, method=method, batch_size=2)
    alone = saliency_maps(curved, images[3:4], labels[3:4], method=method)
    np.testing.assert_allclose(together[3:4], alone, rtol=1e-4, atol=1e-7)


def test_smoothgrad_without_samples_is_refused(curved):
    with pytest.raises(ValueError, match="samples must be at least 1, but was 0"):
        saliency_maps(curved, random_images(1), method="smoothgrad", samples=0)


def test_an_unknown_method_is_an_error_that_names_the_methods(linear):
    with pytest.raises(InputError, match=r"no saliency method 'magic'.*gradient, smoothgrad"):
        saliency_maps(linear, random_images(1), method="magic")


def test_masking_keeps_the_hottest_share_and_paints_the_rest_in_the_mean():
    images = np.arange(100, dtype=np.uint8).reshape(1, 10, 10)
    heat = np.random.default_rng(0).permutation(100).reshape(1, 10, 10).astype(np.float32)
    masked, kept = mask_low_heat(images, heat, keep=0.2)
    np.testing.assert_array_equal(kept, heat >= 80)
    np.testing.assert_array_equal(masked[kept], images[kept])
    assert set(masked[~kept]) == {int(images.mean())}
    assert masked.dtype == np.uint8


def test_masking_by_threshold_keeps_what_is_hotter_in_each_image():
    images = random_images(2)
    heat = np.stack([np.full((8, 8), 0.4), np.full((8, 8), 0.6)]).astype(np.float32)
    masked, kept = mask_low_heat(images, heat, threshold=0.5)
    assert not kept[0].any()
    np.testing.assert_allclose(masked[0], np.broadcast_to(images[0].mean(axis=(0, 1)), SHAPE), rtol=1e-5)
    np.testing.assert_array_equal(masked[1], images[1])


def test_pixels_without_heat_are_never_kept():
    heat = np.zeros((1, 4, 4), np.float32)
    heat[0, 1, 2] = 1
    _, kept = mask_low_heat(np.zeros((1, 4, 4)), heat, keep=0.5)
    np.testing.assert_array_equal(kept, heat > 0)


@pytest.mark.parametrize("keep", [0, -0.1, 1.1])
def test_a_share_to_keep_must_be_a_share(keep):
    with pytest.raises(InputError, match="share of pixels to keep must be"):
        mask_low_heat(np.zeros((1, 4, 4)), np.ones((1, 4, 4), np.float32), keep=keep)


def test_heat_of_another_size_than_the_images_is_refused():
    with pytest.raises(ValueError, match=r"heat must be \(1, 4, 4\) as the images, but was \(1, 3, 4\)"):
        mask_low_heat(np.zeros((1, 4, 4)), np.ones((1, 3, 4), np.float32))


def test_region_shares_and_ratios_are_right_for_heat_laid_out_by_hand():
    heat = np.zeros((1, 2, 4), np.float32)
    heat[0, 0] = [3, 3, 1, 1]
    regions = np.zeros((1, 2, 2, 4), bool)
    regions[0, 0, 0, :2] = True
    regions[0, 1, :, 3] = True
    result = region_share(heat, regions)
    np.testing.assert_allclose(result.share, [[6 / 8, 1 / 8]])
    np.testing.assert_allclose(result.ratio, [[(6 / 2) / (2 / 6), (1 / 2) / (7 / 6)]])


def test_even_heat_has_ratio_one_everywhere():
    regions = np.random.default_rng(0).random((3, 4, 6, 6)) > 0.6
    result = region_share(np.ones((3, 6, 6), np.float32), regions)
    np.testing.assert_allclose(result.ratio, 1)
    np.testing.assert_allclose(result.share, regions.mean(axis=(2, 3)))


def test_an_empty_region_and_a_map_without_heat_have_no_ratio():
    regions = np.zeros((2, 1, 3, 3), bool)
    regions[1, 0, 1, 1] = True
    result = region_share(np.stack([np.ones((3, 3)), np.zeros((3, 3))]).astype(np.float32), regions)
    assert result.share[0, 0] == 0
    assert np.isnan([result.ratio[0, 0], result.share[1, 0], result.ratio[1, 0]]).all()


def test_regions_of_other_faces_are_refused():
    with pytest.raises(ValueError, match=r"regions must be \(n, r, h, w\) for heat \(2, 3, 3\)"):
        region_share(np.ones((2, 3, 3), np.float32), np.ones((1, 4, 3, 3), bool))
