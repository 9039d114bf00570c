import numpy as np
import pytest

from fer_lib.models.augmentation import UNCHANGED, Augmentation, View, apply_view, augmented, views

RAMP = np.tile(np.arange(48, dtype=np.uint8) * 4, (40, 48, 1))


def change(pixels: np.ndarray, how: Augmentation, *, seed: int = 0, size: int = 48) -> np.ndarray:
    return augmented(pixels, how, np.random.default_rng(seed), size=size)


def test_without_changes_faces_stay_as_they_are():
    np.testing.assert_array_equal(change(RAMP, UNCHANGED), RAMP)


def test_mirror_and_shift_only_mirror_and_shift():
    moved = change(RAMP, Augmentation(shift=4))
    middle = moved[:, 24, 24].astype(int)
    straight = moved[:, 24, 30].astype(int) > middle
    assert straight.any() and (~straight).any()
    assert np.abs(middle[straight] - 4 * 24).max() <= 4 * 4 + 2
    assert len(set(middle[straight])) > 2
    assert moved.shape == RAMP.shape and moved.dtype == np.uint8


def test_mirroring_alone_gives_the_face_or_its_mirror_image():
    faces = np.random.default_rng(0).integers(0, 256, (30, 48, 48), np.uint8)
    for face, moved in zip(faces, change(faces, Augmentation(shift=0)), strict=True):
        assert (moved == face).all() or (moved == face[:, ::-1]).all()


def test_rotation_turns_about_the_middle():
    disc = np.hypot(*(np.indices((48, 48)) - 23.5)) < 12
    faces = np.repeat((disc * np.uint8(200))[np.newaxis], 20, axis=0)
    turned = change(faces, Augmentation(mirror=False, shift=0, rotate=30)).astype(int)
    assert np.abs(turned - faces).mean() < 3


def test_zoom_enlarges_and_reduces():
    square = np.zeros((60, 48, 48), np.uint8)
    square[:, 14:34, 14:34] = 255
    areas = (change(square, Augmentation(mirror=False, shift=0, zoom=0.2)) > 127).sum(axis=(1, 2)) / 400
    assert areas.min() < 0.85 and areas.max() > 1.15
    assert areas.min() > 0.6 and areas.max() < 1.6


def test_smaller_faces_hold_the_same_picture():
    small = change(RAMP, UNCHANGED, size=32)
    assert small.shape == (40, 32, 32)
    assert small[0, 16].mean() == pytest.approx(RAMP[0, 24].mean(), abs=2)


def test_light_changes_brightness_and_contrast_and_stays_in_range():
    lit = change(RAMP, Augmentation(mirror=False, shift=0, light=1.0))
    assert lit.mean(axis=(1, 2)).std() > 10
    assert lit.std(axis=(1, 2)).std() > 5
    assert lit.min() == 0 and lit.max() == 255


def test_erasing_blanks_one_rectangle_in_its_share_of_the_faces():
    faces = np.random.default_rng(0).integers(0, 256, (200, 48, 48), np.uint8)
    erased = change(faces, Augmentation(mirror=False, shift=0, erase=0.5))
    areas = (erased != faces).sum(axis=(1, 2))
    assert 0.35 < np.mean(areas > 0) < 0.65
    assert areas[areas > 0].min() > 5 * 5 and areas.max() <= 24 * 24


def test_the_same_generator_gives_the_same_faces():
    how = Augmentation(rotate=10, zoom=0.1, light=0.2, erase=0.5)
    np.testing.assert_array_equal(change(RAMP, how, seed=3), change(RAMP, how, seed=3))
    assert (change(RAMP, how, seed=3) != change(RAMP, how, seed=4)).any()


def test_a_model_is_shown_faces_as_its_training_did_but_half_as_far():
    assert views(UNCHANGED) == (View(),)
    assert views(Augmentation(shift=0)) == (View(), View(mirror=True))
    shown = views(Augmentation(shift=4, rotate=10, zoom=0.1))
    assert len(set(shown)) == 10 and shown[0] == View()
    assert len(views(Augmentation(shift=0, rotate=10))) == 6
    assert {abs(view.right) for view in shown[1:5]} == {2} and {abs(view.rotate) for view in shown[1:5]} == {
        5
    }
    assert sum(view.right for view in shown) == sum(view.down for view in shown) == 0


def test_a_view_moves_turns_enlarges_and_mirrors_all_faces_alike():
    faces = np.zeros((3, 48, 48), np.uint8)
    faces[:, 20:24, 30:34] = 200
    for view, rows, columns in (
        (View(right=5), slice(20, 24), slice(25, 29)),
        (View(down=-3), slice(23, 27), slice(30, 34)),
        (View(mirror=True), slice(20, 24), slice(14, 18)),
        (View(mirror=True, down=2), slice(18, 22), slice(14, 18)),
        (View(rotate=90), slice(14, 18), slice(20, 24)),
    ):
        expected = np.zeros_like(faces)
        expected[:, rows, columns] = 200
        np.testing.assert_array_equal(apply_view(faces, view), expected, err_msg=str(view))
    assert (apply_view(faces, View(zoom=np.log(2))) > 100).sum() == 4 * (faces > 100).sum()
