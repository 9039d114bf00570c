"""Drawn faces: reproducible, labelled, varied, and true to the places that they claim."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_lib.data.drawn import painting, sampling
from fer_lib.data.drawn.anatomy import Actions, Person, View
from fer_lib.data.drawn.sampling import draw_faces, drawn_splits
from fer_lib.data.faces import REGIONS, Faces
from fer_lib.emotions import EMOTIONS

EACH = 40
LABELS = np.repeat(np.arange(len(EMOTIONS)), EACH)


@pytest.fixture(scope="module")
def faces() -> Faces:
    return draw_faces(len(LABELS), labels=LABELS)


@pytest.fixture(scope="module")
def clear_faces() -> Faces:
    return draw_faces(len(LABELS), labels=LABELS, difficulty=0.0)


def region_masks(faces: Faces, name: str, emotion: str | None = None) -> npt.NDArray[np.bool_]:
    assert faces.regions is not None
    chosen = np.ones(len(faces), bool) if emotion is None else faces.labels == EMOTIONS.index(emotion)
    return faces.regions[chosen, REGIONS.index(name)]


def centres(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Mean row and column of each mask, shape (n, 2)."""
    return np.array([np.argwhere(mask).mean(axis=0) for mask in masks])


def mean_area(faces: Faces, name: str, emotion: str) -> float:
    return float(region_masks(faces, name, emotion).sum(axis=(1, 2)).mean())


def mean_width(faces: Faces, name: str, emotion: str) -> float:
    return float(region_masks(faces, name, emotion).any(axis=1).sum(axis=1).mean())


def brow_lift(faces: Faces, emotion: str) -> float:
    """How many rows the brows lie above the eyes."""
    brows, eyes = (centres(region_masks(faces, name, emotion)) for name in ("brows", "eyes"))
    return float((eyes - brows)[:, 0].mean())


def portrait(n: int = 8, difficulty: float = 0.0) -> tuple[Person, Actions, View]:
    """Neutral people to draw in variations."""
    rng = np.random.default_rng(5)
    neutral = np.full(n, EMOTIONS.index("neutral"))
    return (
        sampling.sample_people(n, rng),
        sampling.sample_actions(neutral, difficulty, rng),
        sampling.sample_views(n, difficulty, rng),
    )


def drawn(
    person: Person, actions: Actions, view: View
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    pixels, regions = painting.render(person, actions, view, np.random.default_rng(0))
    return pixels.astype(np.int64), regions


# --- Reproducible


def test_same_seed_draws_the_same_faces() -> None:
    first, second = draw_faces(70, seed=3), draw_faces(70, seed=3)
    assert first.fingerprint() == second.fingerprint()
    np.testing.assert_array_equal(first.regions, second.regions)


def test_another_seed_draws_other_faces() -> None:
    labels = np.zeros(8, int)
    one, two = draw_faces(8, seed=1, labels=labels), draw_faces(8, seed=2, labels=labels)
    assert (one.pixels != two.pixels).mean() > 0.5


def test_another_stream_draws_other_faces() -> None:
    labels = np.zeros(8, int)
    one, two = draw_faces(8, stream=1, labels=labels), draw_faces(8, stream=2, labels=labels)
    assert (one.pixels != two.pixels).mean() > 0.5


# --- Shapes and labels


def test_arrays_have_the_shapes_and_types_of_faces() -> None:
    faces = draw_faces(sampling.CHUNK + 3)
    n = sampling.CHUNK + 3
    assert (faces.pixels.shape, faces.pixels.dtype) == ((n, 48, 48), np.uint8)
    assert faces.known_labels.dtype == np.int64
    assert faces.regions is not None
    assert (faces.regions.shape, faces.regions.dtype) == ((n, 4, 48, 48), np.bool_)
    np.testing.assert_array_equal(faces.ids, np.arange(n))


def test_no_faces_can_be_drawn() -> None:
    assert len(draw_faces(0)) == 0


def test_fourteen_faces_show_every_emotion_twice() -> None:
    np.testing.assert_array_equal(draw_faces(14).class_counts(), 2)


def test_emotions_are_as_frequent_as_in_fer2013_with_disgust_at_three_percent() -> None:
    counts = np.bincount(sampling.shuffled_labels(20_000, np.random.default_rng(0)))
    shares = counts / counts.sum()
    fer2013 = np.array([3995, 436, 4097, 7215, 4830, 3171, 4965]) / 28709
    assert shares[EMOTIONS.index("disgust")] == pytest.approx(0.03, abs=0.001)
    np.testing.assert_allclose(shares, fer2013, atol=0.016)


def test_emotions_come_in_no_order() -> None:
    labels = sampling.shuffled_labels(700, np.random.default_rng(0))
    assert np.abs(np.corrcoef(labels, np.arange(700))[0, 1]) < 0.15


def test_wanted_labels_are_drawn_in_their_order() -> None:
    np.testing.assert_array_equal(draw_faces(3, labels=[6, 0, 3]).labels, [6, 0, 3])


@pytest.mark.parametrize("labels", [[0, 1], [0, 1, 7], [0, 1, -1]])
def test_labels_that_do_not_fit_are_refused(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="labels must be 3 numbers from 0 to 6"):
        draw_faces(3, labels=labels)


@pytest.mark.parametrize(("count", "difficulty"), [(-1, 1.0), (1, -0.5)])
def test_negative_counts_and_difficulties_are_refused(count: int, difficulty: float) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        draw_faces(count, difficulty=difficulty)


def test_faces_use_the_grey_scale_and_differ_from_each_other(faces: Faces) -> None:
    assert len(np.unique(faces.copy_groups())) == len(faces)
    assert np.median(np.ptp(faces.pixels.reshape(len(faces), -1), axis=1)) > 150


# --- Regions


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), difficulty=st.floats(0, 1.5))
def test_every_region_of_every_face_is_in_the_picture(seed: int, difficulty: float) -> None:
    regions = draw_faces(14, seed=seed, difficulty=difficulty).regions
    assert regions is not None
    assert regions.any(axis=(2, 3)).all()
    assert not regions.sum(axis=(2, 3)).max() > 48 * 48 / 4


def test_regions_lie_in_the_order_of_a_face(faces: Faces) -> None:
    rows = np.array([centres(region_masks(faces, name))[:, 0] for name in REGIONS])
    brows_above, nose_below, mouth_below = (np.diff(rows, axis=0) > 0).mean(axis=1)
    assert brows_above > 0.99
    assert nose_below > 0.99
    assert mouth_below > 0.99


def test_regions_move_with_the_face() -> None:
    person, actions, view = portrait()
    _, here = drawn(person, actions, view)
    _, there = drawn(person, actions, view._replace(x=view.x + 4, y=view.y - 3))
    np.testing.assert_array_equal(there[:, :, 3:-6, 7:-3], here[:, :, 6:-3, 3:-7])


def test_a_turned_nose_moves_further_than_the_eyes() -> None:
    person, actions, view = portrait()
    _, ahead = drawn(person, actions, view)
    _, turned = drawn(person, actions, view._replace(yaw=view.yaw + np.float32(0.35)))
    shift = {
        name: (centres(turned[:, i]) - centres(ahead[:, i]))[:, 1].mean() for i, name in enumerate(REGIONS)
    }
    assert shift["nose"] > shift["eyes"] + 0.5


def test_a_tilted_head_tilts_its_eyes() -> None:
    person, actions, view = portrait()
    _, regions = drawn(person, actions, view._replace(roll=view.roll + np.float32(0.3)))
    eyes = regions[:, REGIONS.index("eyes")]
    left, right = centres(eyes & (np.arange(48) < 24)), centres(eyes & (np.arange(48) >= 24))
    assert ((right - left)[:, 0] > 2).all()


@pytest.mark.parametrize(
    ("region", "action"),
    [("brows", "brow_inner"), ("eyes", "lid_raise"), ("nose", "nose_wrinkle"), ("mouth", "jaw")],
)
def test_an_action_changes_the_picture_most_in_its_region(region: str, action: str) -> None:
    person, actions, view = portrait()
    person = person._replace(glasses=0 * person.glasses, tint=0 * person.tint)
    before, regions = drawn(person, actions, view)
    after, moved = drawn(person, actions._replace(**{action: getattr(actions, action) + 1}), view)
    inside = (regions | moved)[:, REGIONS.index(region)]
    change = np.abs(after - before)
    assert change[inside].mean() > 3 * change[~inside].mean()


# --- Emotions


def test_a_surprised_mouth_is_larger_than_a_neutral_one(clear_faces: Faces) -> None:
    assert mean_area(clear_faces, "mouth", "surprise") > 1.4 * mean_area(clear_faces, "mouth", "neutral")


def test_a_happy_mouth_is_wider_than_a_surprised_one(clear_faces: Faces) -> None:
    assert mean_width(clear_faces, "mouth", "happy") > 1.2 * mean_width(clear_faces, "mouth", "surprise")


def test_frightened_eyes_are_wider_than_sad_ones(clear_faces: Faces) -> None:
    assert mean_area(clear_faces, "eyes", "fear") > 1.2 * mean_area(clear_faces, "eyes", "sad")


def test_surprise_lifts_the_brows_and_anger_lowers_them(clear_faces: Faces) -> None:
    lifts = {emotion: brow_lift(clear_faces, emotion) for emotion in ("surprise", "neutral", "angry")}
    assert lifts["surprise"] > lifts["neutral"] + 1
    assert lifts["neutral"] > lifts["angry"] + 1


def test_every_prototype_action_exists_and_has_two_forms_of_each_emotion() -> None:
    assert set(sampling.PROTOTYPES) <= set(Actions._fields)
    assert {len(row) for row in sampling.PROTOTYPES.values()} == {2 * len(EMOTIONS)}


def test_no_emotion_is_mixed_with_itself() -> None:
    labels = np.repeat(np.arange(len(EMOTIONS)), 200)
    neighbours = sampling.sample_neighbours(labels, np.random.default_rng(0))
    assert (neighbours != labels).all()


def test_fear_is_mixed_with_surprise_most_often() -> None:
    fear = np.full(2000, EMOTIONS.index("fear"))
    neighbours = sampling.sample_neighbours(fear, np.random.default_rng(0))
    assert np.bincount(neighbours).argmax() == EMOTIONS.index("surprise")


def test_expressions_of_an_emotion_are_nearer_to_its_prototypes_than_to_the_rest_mostly_but_not_always() -> (
    None
):
    table = sampling.prototypes()
    actions = np.stack(sampling.sample_actions(LABELS, 1.0, np.random.default_rng(0)), axis=-1)[:, 0, 0]
    moves = [i for i, name in enumerate(Actions._fields) if name in sampling.PROTOTYPES]
    forms = np.linspace(0, 1, 5)[:, None, None]
    between = (1 - forms) * table[:, 0] + forms * table[:, 1]
    gaps = np.square(actions[:, None, None, moves] - between[None, ..., moves]).sum(axis=-1).min(axis=1)
    assert 0.75 < (gaps.argmin(axis=1) == LABELS).mean() < 0.98


# --- Difficulty


def test_difficulty_spreads_the_places_of_mouths() -> None:
    labels = np.tile(np.arange(7), 12)
    spreads = [
        centres(region_masks(draw_faces(84, labels=labels, difficulty=difficulty), "mouth"))[:, 1].std()
        for difficulty in (0.0, 0.5, 1.0)
    ]
    assert spreads[0] < spreads[1] < spreads[2]


def test_difficulty_adds_noise() -> None:
    labels = np.tile(np.arange(7), 12)
    grain = []
    for difficulty in (0.0, 0.5, 1.0):
        corner = draw_faces(len(labels), labels=labels, difficulty=difficulty).pixels[:, :6, :6].astype(int)
        grain.append(np.abs(np.diff(corner, n=2, axis=2)).mean())
    assert grain[0] < grain[1] < grain[2]


# --- Splits


def test_splits_are_labelled_drawn_and_named_as_in_fer2013() -> None:
    splits = drawn_splits(train=21, test=14)
    assert (splits.source, splits.drawn, set(splits.tests)) == ("drawn faces", True, {"public", "private"})
    assert [len(splits.train), *map(len, splits.tests.values())] == [21, 14, 14]
    assert all(test.labels is not None and test.regions is not None for test in splits.tests.values())


def test_splits_share_no_face() -> None:
    splits = drawn_splits(train=70, test=70)
    parts = [splits.train, *splits.tests.values()]
    assert len({face.tobytes() for part in parts for face in part.pixels}) == 210


def test_the_seed_decides_the_splits() -> None:
    prints = [drawn_splits(seed=seed, train=14, test=7).fingerprint() for seed in (1, 1, 2)]
    assert prints[0] == prints[1] != prints[2]


def test_processors_draw_the_same_textures():
    code = (
        "import numpy as np\nfrom fer_lib.data.drawn.painting import clouds\n"
        "print(hash(clouds(np.random.default_rng(0), 20, 16).tobytes()))"
    )
    others = {
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX AVX512_ICL AVX2 FMA3",
    }
    said = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env={**os.environ, "PYTHONHASHSEED": "0", **changed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for changed in ({}, others)
    }
    assert len(said) == 1
