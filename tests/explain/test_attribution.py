"""Saliency maps against closed forms, and what is done with the heat."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from fer_lib.errors import InputError
from fer_lib.explain import (
    METHODS,
    Curve,
    attributions,
    compare_methods,
    completeness,
    deletion,
    insertion,
    maps_by_method,
    mask_low_heat,
    perturbation,
    randomization,
    rank_correlation,
    region_share,
    saliency_maps,
    scale_to_unit,
)
from fer_lib.explain.comparison import Comparison
from fer_lib.explain.grad_cam import resized
from fer_lib.explain.gradients import input_gradients

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
    predicted = linear(images).numpy().argmax(axis=-1)
    assert len(set(predicted)) > 1
    np.testing.assert_array_equal(saliency_maps(linear, images), saliency_maps(linear, images, predicted))


def test_a_normalised_map_has_one_at_its_hottest_pixel(curved):
    images, labels = random_images(3), np.array([0, 1, 2])
    raw = saliency_maps(curved, images, labels)
    heat = saliency_maps(curved, images, labels, normalize=True)
    np.testing.assert_allclose(heat.max(axis=(1, 2)), 1)
    np.testing.assert_allclose(heat, raw / raw.max(axis=(1, 2), keepdims=True), rtol=1e-6)


def test_a_map_without_heat_stays_zero_when_normalised():
    np.testing.assert_array_equal(scale_to_unit(np.zeros((1, 4, 4), np.float32)), 0)


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


@pytest.mark.parametrize("method", METHODS)
def test_no_images_have_no_maps(curved, method):
    assert saliency_maps(curved, random_images(0), method=method).shape == (0, *SHAPE[:2])


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


ALL_METHODS = tuple(METHODS)
CHEAP = {
    "smoothgrad": {"samples": 2},
    "integrated_gradients": {"steps": 4},
    "rise": {"masks": 16, "cells": 3},
}


def classifier(kind):
    """Small convolutional classifiers as users bring them."""
    keras.utils.set_random_seed(1)
    shape = (12, 12, 3) if kind == "colour" else (12, 12, 1)
    body = [
        layers.Rescaling(1 / 64, offset=-2),
        layers.Conv2D(4, 3, activation="relu"),
        layers.MaxPooling2D(),
    ]
    head = [layers.Flatten(), layers.Dense(3, activation=None if kind == "scores" else "softmax")]
    if kind == "nested":
        backbone = keras.Sequential([keras.Input(shape), *body])
        return keras.Sequential([keras.Input(shape), backbone, *head])
    if kind == "functional":
        image = x = keras.Input(shape)
        for layer in (*body, *head):
            x = layer(x)
        return keras.Model(image, x)
    return keras.Sequential([keras.Input(shape), *body, *head])


@pytest.mark.parametrize("kind", ["sequential", "functional", "nested", "scores", "colour"])
def test_every_method_works_on_every_kind_of_model(kind):
    model = classifier(kind)
    images = np.random.default_rng(0).uniform(0, 255, (2, *model.input_shape[1:])).astype(np.float32)
    for method in ALL_METHODS:
        heat = saliency_maps(model, images, method=method, normalize=True, **CHEAP.get(method, {}))
        assert heat.shape == (2, 12, 12), method
        assert heat.dtype == np.float32, method
        assert heat.min() >= 0, method
        # Nothing need speak for a class.
        assert set(heat.max(axis=(1, 2))) <= ({0, 1} if method in ("grad_cam", "occlusion") else {1}), method


def test_gradient_times_input_and_integrated_gradients_of_a_linear_model_are_its_terms(linear):
    images, labels = random_images(2), np.array([3, 1])
    mean = images.mean(axis=(1, 2), keepdims=True)
    expected = ((images - mean) * weights_of(linear)[labels]).sum(axis=-1)
    for method in ("gradient_input", "integrated_gradients"):
        found = attributions(linear, images, labels, method=method)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3, err_msg=method)
    black = attributions(linear, images, labels, method="integrated_gradients", baseline=0.0, steps=1)
    np.testing.assert_allclose(
        black, (images * weights_of(linear)[labels]).sum(axis=-1), rtol=1e-4, atol=1e-3
    )


def test_integrated_gradients_add_up_to_the_rise_of_the_score(curved):
    images, labels = random_images(3), np.array([0, 1, 2])
    fine = attributions(curved, images, labels, method="integrated_gradients", steps=64)
    assert completeness(curved, images, fine, labels).max() < 0.01
    plain = attributions(curved, images, labels, method="gradient_input")
    assert completeness(curved, images, plain, labels).max() > 0.1


def test_few_images_share_a_batch_with_the_same_result(curved):
    images, labels = random_images(3), np.array([0, 1, 2])
    one, many = (
        attributions(curved, images, labels, method="integrated_gradients", steps=7, batch_size=size)
        for size in (3, 64)
    )
    np.testing.assert_allclose(one, many, rtol=1e-4, atol=1e-4)


def test_occlusion_of_a_linear_model_is_what_its_patch_adds_to_the_score(linear):
    images, labels = random_images(2), np.array([3, 1])
    terms = ((images - images.mean(axis=(1, 2), keepdims=True)) * weights_of(linear)[labels]).sum(axis=-1)
    patches = terms.reshape(2, 4, 2, 4, 2).sum(axis=(2, 4))
    found = attributions(linear, images, labels, method="occlusion", patch=2, stride=2)
    np.testing.assert_allclose(found, patches.repeat(2, axis=1).repeat(2, axis=2), rtol=1e-3, atol=2e-2)


def test_overlapping_patches_reach_every_pixel_and_are_averaged(linear):
    images, labels = random_images(1), np.array([0])
    terms = ((images - images.mean(axis=(1, 2), keepdims=True)) * weights_of(linear)[labels]).sum(axis=-1)[0]
    found = attributions(linear, images, labels, method="occlusion", patch=5, stride=2)[0]
    places = (0, 2, 3)
    corner = terms[3:8, 3:8].sum()
    middle = np.mean([terms[y : y + 5, x : x + 5].sum() for y in places for x in places])
    np.testing.assert_allclose([found[7, 7], found[4, 4]], [corner, middle], rtol=1e-3, atol=2e-2)


@pytest.mark.parametrize(("patch", "stride"), [(9, 1), (2, 3), (2, 0)])
def test_a_patch_that_leaves_pixels_out_is_refused(linear, patch, stride):
    with pytest.raises(ValueError, match="1 <= stride <= patch <= 8"):
        saliency_maps(linear, random_images(1), method="occlusion", patch=patch, stride=stride)


def test_rise_is_the_mean_probability_weighted_by_the_masks(curved):
    images, labels = random_images(2), np.array([0, 2])
    masks = perturbation._soft_masks(9, (8, 8), 3, 0.5, 4)
    found = attributions(curved, images, labels, method="rise", masks=9, cells=3, seed=4)
    mean = images.mean(axis=(1, 2), keepdims=True)
    for image, label, grey, heat in zip(images, labels, mean, found, strict=True):
        shown = grey + masks[..., np.newaxis] * (image - grey)
        says = curved(shown).numpy()[:, label]
        np.testing.assert_allclose(heat, np.einsum("m,mhw->hw", says, masks) / masks.sum(axis=0), rtol=1e-3)


def test_masks_of_rise_are_soft_and_keep_their_share_everywhere():
    masks = perturbation._soft_masks(3000, (48, 47), 7, 0.3, 0)
    assert masks.shape == (3000, 48, 47)
    assert 0 <= masks.min() < 0.01 < 0.99 < masks.max() <= 1
    np.testing.assert_allclose(masks.mean(axis=0), 0.3, atol=0.05)
    assert np.abs(np.diff(masks, axis=2)).max() < 0.25


def test_grad_cam_weights_the_maps_by_their_mean_gradient():
    keras.utils.set_random_seed(2)
    convolution, top = layers.Conv2D(3, 3, padding="same", name="maps"), layers.Dense(2)
    model = keras.Sequential([keras.Input((6, 6, 1)), convolution, layers.GlobalAveragePooling2D(), top])
    images = np.random.default_rng(0).random((2, 6, 6, 1)).astype(np.float32)
    found = attributions(model, images, np.array([1, 0]), method="grad_cam")
    maps = convolution(images).numpy()
    for heat, image_maps, label in zip(found, maps, (1, 0), strict=True):
        np.testing.assert_allclose(heat, image_maps @ top.kernel.numpy()[:, label] / 36, rtol=1e-3, atol=1e-6)


def test_a_map_is_enlarged_between_its_middles():
    small = np.array([[[0, 4], [0, 4]]], np.float32)
    np.testing.assert_allclose(resized(small, (2, 8))[0, 0], [0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4])


def test_a_dense_network_has_no_grad_cam(linear):
    with pytest.raises(InputError, match="no convolution"):
        saliency_maps(linear, random_images(1), method="grad_cam")


def test_the_true_weights_delete_and_insert_better_than_random_or_reversed_order(linear):
    images, labels = random_images(6), np.arange(6) % 4
    mean = images.mean(axis=(1, 2), keepdims=True)
    terms = ((images - mean) * weights_of(linear)[labels]).sum(axis=-1)
    good, bad = terms - terms.min(), terms.max() - terms
    assert deletion(linear, images, good, labels).area < deletion(linear, images, bad, labels).area
    assert insertion(linear, images, good, labels).area > insertion(linear, images, bad, labels).area


def test_deletion_starts_at_the_image_and_ends_at_its_mean_and_insertion_ends_at_the_image(curved):
    images, labels = random_images(2), np.array([0, 2])
    heat = np.random.default_rng(0).random((2, 8, 8)).astype(np.float32)
    grey = np.broadcast_to(images.mean(axis=(1, 2), keepdims=True), images.shape)
    says, says_grey = (curved(x).numpy()[[0, 1], labels] for x in (images, grey))
    gone = deletion(curved, images, heat, labels, steps=4)
    back = insertion(curved, images, heat, labels, steps=4)
    np.testing.assert_allclose(gone.shares, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(gone.probabilities[:, [0, -1]], np.stack([says, says_grey], 1), rtol=1e-4)
    np.testing.assert_allclose(back.probabilities[:, -1], says, rtol=1e-4)


def test_deletion_takes_the_hottest_pixels_first(linear):
    images, labels = random_images(1), np.array([2])
    heat = np.zeros((1, 8, 8), np.float32)
    heat[0, 3, 5] = 1
    changed = images.copy()
    changed[0, 3, 5] = images[0].mean(axis=(0, 1))
    curve = deletion(linear, images, heat, labels, steps=64)
    np.testing.assert_allclose(curve.probabilities[0, 1], linear(changed).numpy()[0, 2], rtol=1e-4)


def test_the_area_of_a_curve_is_that_of_its_trapezoids():
    curve = Curve(np.array([0, 0.5, 1]), np.array([[1, 0.5, 0], [1, 1, 1]], np.float32))
    np.testing.assert_allclose(curve.areas, [0.5, 1])
    assert curve.area == pytest.approx(0.75)
    np.testing.assert_allclose(curve.mean, [1, 0.75, 0.5])


def test_a_map_that_follows_the_weights_changes_when_they_are_shuffled_and_one_of_the_image_does_not(curved):
    images, labels = random_images(3), np.array([0, 1, 2])
    before = curved.get_weights()
    found = randomization(
        curved,
        lambda model: {
            "gradient": saliency_maps(model, images, labels),
            "image": images[..., 0],
        },
    )
    assert len(found.layers) == 2
    np.testing.assert_allclose(found.left["image"], 1)
    assert np.abs(found.left["gradient"][-1]).mean() < 0.5
    for weight, untouched in zip(curved.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, untouched)


def test_stages_divide_the_layers_from_the_output_to_the_image():
    keras.utils.set_random_seed(0)
    names = ["one", "two", "three", "four"]
    model = keras.Sequential(
        [keras.Input((2, 2, 1)), layers.Flatten(), *(layers.Dense(3, name=n) for n in names)]
    )
    maps = {"fixed": np.ones((1, 2, 2), np.float32)}
    assert randomization(model, lambda _: maps, stages=2).layers == ("three", "one")
    assert randomization(model, lambda _: maps, stages=9).layers == ("four", "three", "two", "one")


def test_rank_correlation_counts_order_only_and_shares_ties():
    heat = np.array([[[1, 2], [3, 4]], [[0, 0], [0, 0]], [[1, 1], [2, 3]]], np.float32)
    other = np.array([[[1, 8], [27, 64]], [[1, 2], [3, 4]], [[3, 2], [1, 1]]], np.float32)
    ranks = np.corrcoef([1.5, 1.5, 3, 4], [4, 3, 1.5, 1.5])[0, 1]
    np.testing.assert_allclose(rank_correlation(heat, other), [1, 0, ranks], atol=1e-12)


def test_maps_by_method_are_those_of_each_method_with_its_settings():
    model = classifier("sequential")
    images = np.random.default_rng(0).uniform(0, 255, (2, 12, 12, 1)).astype(np.float32)
    labels = np.array([2, 0])
    maps = maps_by_method(model, images, labels, settings=CHEAP, seed=3)
    assert tuple(maps) == ALL_METHODS
    for method, heat in maps.items():
        alone = saliency_maps(model, images, labels, method=method, seed=3, **CHEAP.get(method, {}))
        np.testing.assert_array_equal(heat, alone, err_msg=method)


@pytest.fixture(scope="module")
def compared(linear):
    """Three ways to see a linear model: by its true terms, by their reverse, and by the image alone."""
    images, labels = random_images(6), np.arange(6) % 4
    seen = []

    def maps(model, images, labels, **_):
        seen.append(images)
        mean = images.mean(axis=(1, 2), keepdims=True)
        terms = ((images - mean) * weights_of(model)[labels]).sum(axis=-1)
        return {"terms": terms - terms.min(), "reverse": terms.max() - terms, "image": images[..., 0]}

    features = images[..., 0] > np.quantile(images[..., 0], 0.75, axis=(1, 2), keepdims=True)
    return (
        images,
        labels,
        compare_methods(linear, images, labels, features, maps=maps, shuffled=4, stages=2, seed=7),
        seen,
    )


def test_the_best_method_deletes_and_inserts_best_and_maps_of_the_image_fail_the_check(compared):
    found = compared[2]
    assert (found.ranking[0], found.ranking[-1]) == ("terms", "reverse")
    lead = found.lead("terms", "reverse")
    areas = [found.insertion[name].areas - found.deletion[name].areas for name in ("terms", "reverse")]
    assert lead.value == pytest.approx(np.mean(areas[0] - areas[1])) and lead.above_0
    assert "image" in found.unchanged
    np.testing.assert_allclose(found.correlation["image"], 1)
    assert found.correlation["terms"].shape == (2, 4)  # one layer with weights, four images


def test_the_random_order_is_drawn_before_the_images_whose_weights_are_shuffled(linear, compared):
    images, labels, found, seen = compared
    rng = np.random.default_rng(7)
    order = rng.random(images.shape[:3], np.float32)
    some = rng.permutation(6)[:4]
    assert found.deletion["random"].area == deletion(linear, images, order, labels).area
    assert found.insertion["random"].area == insertion(linear, images, order, labels).area
    np.testing.assert_array_equal(seen[-1], images[some])
    assert found.shuffled == 4


def test_scores_have_intervals_over_images_and_keep_the_sign_of_a_correlation():
    curve = Curve(np.array([0.0, 1.0]), np.array([[1, 0.5], [1, 0.3]], np.float32))
    found = Comparison(
        deletion=dict.fromkeys(("one", "random"), curve),
        insertion=dict.fromkeys(("one", "random"), curve),
        on_features={"one": 2.0, "random": 1.0},
        correlation={"one": np.array([[1.0, 1.0], [-0.4, -0.2]])},
    )
    scores = found.scores()
    assert list(scores.index) == ["one", "random"]
    one = scores.loc["one"]
    assert (one["deletion_area"], one["gain"], one["after_shuffling"]) == pytest.approx((0.7, 0, -0.3))
    assert (one["deletion_area_low"], one["deletion_area_high"]) == pytest.approx((0.65, 0.75))
    assert np.isnan(scores.loc["random", "after_shuffling"])
    assert found.unchanged == ["one"]  # -0.4 is beyond the limit


def test_every_method_is_compared():
    model = classifier("sequential")
    images = np.random.default_rng(0).uniform(0, 255, (3, 12, 12, 1)).astype(np.float32)
    features = np.zeros((3, 12, 12), bool)
    features[:, 3:6] = True
    found = compare_methods(
        model, images, np.array([0, 1, 2]), features, shuffled=2, stages=2, settings=CHEAP
    )
    assert tuple(found.correlation) == ALL_METHODS
    assert tuple(found.scores().index) == (*ALL_METHODS, "random")
    assert {values.shape for values in found.correlation.values()} == {(3, 2)}
