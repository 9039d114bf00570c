"""Drawn faces: the data when the user has no FER2013, with known emotions and known eyes and mouths.

Each face is someone (random looks) who shows an emotion (actions of the Facial Action Coding System,
mixed with a neighbouring emotion, stronger or weaker) to a camera (random pose, light, noise, things in the
way). Emotions overlap as they do in photographs, so that a model of these faces makes human mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_lib.data.drawn.anatomy import Actions, Array, Person, View
from fer_lib.data.drawn.painting import render
from fer_lib.data.faces import REGIONS, Faces, FaceSplits
from fer_lib.emotions import EMOTIONS, FACE_SIZE

FER2013_COUNTS = (3995, 436, 4097, 7215, 4830, 3171, 4965)
"""Training faces of each emotion in FER2013: the imbalance that drawn faces copy."""

SMALLEST_SHARE = 0.03
"""No emotion gets less than this share, so that a small data set can still teach disgust."""

CHUNK = 64
"""Faces drawn at once: their working arrays then stay in the processor's cache."""

# fmt: off
PROTOTYPES: Mapping[str, tuple[float, ...]] = {
    #                  angry        disgust      fear         happy        sad          surprise     neutral
    "brow_inner":   (   0,    0,    0,    0,    1,    1,    0,    0,   .9,   .9,    1,  1.1,    0,    0),
    "brow_outer":   (   0,    0,    0,    0,   .3,   .4,    0,    0,    0,    0,    1,  1.1,    0,    0),
    "brow_lower":   ( 1.1,  1.1,  .55,   .5,   .5,   .4,    0,    0,  .35,   .5,    0,    0,    0,    0),
    "lid_raise":    (  .3,   .6,    0,    0,   .9,    1,    0,    0,    0,    0,   .8,    1,    0,    0),
    "cheek":        (   0,    0,   .4,   .5,    0,    0,   .6,   .9,    0,   .4,    0,    0,    0,    0),
    "lid_tight":    (  .5,   .4,   .7,   .8,    0,    0,   .1,    0,    0,   .4,    0,    0,    0,    0),
    "nose_wrinkle": (   0,  .35,  1.1,  1.1,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0),
    "lip_raise":    (   0,   .5,   .9,  1.2,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0),
    "corner_up":    (   0,    0,    0,    0,    0,    0,    1,  1.1,    0,    0,    0,    0,    0,    0),
    "corner_down":  (  .3,   .2,   .6,   .5,    0,    0,    0,    0,  1.1,   .9,    0,    0,    0,    0),
    "chin_raise":   (  .4,    0,   .5,    0,    0,    0,    0,    0,   .6,    0,    0,    0,    0,    0),
    "pucker":       (   0,    0,    0,    0,    0,    0,    0,    0,    0,    0,   .6,   .3,    0,    0),
    "stretch":      (   0,  .15,    0,    0,   .8,   .9,    0,    0,    0,   .3,    0,    0,    0,    0),
    "press":        (  .9,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0),
    "part":         (   0,    1,    0,   .5,   .6,   .8,    0,  1.1,    0,   .5,    0,    0,    0,   .2),
    "jaw":          (   0,  .45,    0,  .15,    0,   .5,    0,  .15,    0,   .1,   .5,    1,    0,    0),
    "droop":        (   0,    0,    0,    0,    0,    0,    0,    0,   .7,   .6,    0,    0,    0,  .25),
    "gaze_down":    (   0,    0,    0,    0,    0,    0,    0,    0,   .5,    0,    0,    0,    0,    0),
}
# fmt: on
"""Facial actions of each emotion in two forms, held back (mouth closed) and let out (mouth open).

After the emotion prototypes of Ekman, Friesen and Hager, *Facial Action Coding System* (2002).
"""

NEIGHBOURS: Mapping[str, Mapping[str, float]] = {
    "angry": {"disgust": 3, "neutral": 3, "sad": 2, "fear": 1},
    "disgust": {"angry": 5, "sad": 2, "neutral": 1},
    "fear": {"surprise": 4, "sad": 3, "angry": 1, "neutral": 1},
    "happy": {"neutral": 4, "surprise": 1},
    "sad": {"neutral": 4, "fear": 2, "angry": 2},
    "surprise": {"fear": 4, "happy": 1, "neutral": 1},
    "neutral": {"sad": 4, "happy": 2, "angry": 2, "surprise": 1},
}
"""What an emotion is mixed with, and how often relative to the others: the confusions that people report."""


def draw_faces(
    count: int,
    *,
    seed: int = 0,
    difficulty: float = 1.0,
    labels: npt.ArrayLike | None = None,
    stream: int = 0,
) -> Faces:
    """Draw faces of random people with known emotions.

    Args:
        count: How many.
        seed: Same seed, same faces: to the bit on one machine, while another processor may round a pixel.
        difficulty: 0 draws full expressions seen from the front, 1 is the default data set; mixing, pose,
            light, occlusion and noise grow with it.
        labels: Emotions to draw, shape (count,), in this order; by default FER2013's proportions, shuffled.
        stream: Faces of different streams of a seed are independent of each other.

    Returns:
        Faces with labels, ids 0 to count - 1, and region masks.

    Raises:
        ValueError: `count`, `difficulty` or `labels` is out of range.
    """
    if count < 0 or difficulty < 0:
        raise ValueError(f"count and difficulty must not be negative, but were {count} and {difficulty}")
    rng = np.random.default_rng([seed, stream])
    wanted = shuffled_labels(count, rng) if labels is None else np.asarray(labels, dtype=np.int64)
    if wanted.shape != (count,) or not np.isin(wanted, np.arange(len(EMOTIONS))).all():
        raise ValueError(f"labels must be {count} numbers from 0 to {len(EMOTIONS) - 1}, but were {wanted!r}")
    pixels = np.empty((count, FACE_SIZE, FACE_SIZE), np.uint8)
    regions = np.empty((count, len(REGIONS), FACE_SIZE, FACE_SIZE), np.bool_)
    for start in range(0, count, CHUNK):
        part = slice(start, min(start + CHUNK, count))
        n = part.stop - part.start
        person, view = sample_people(n, rng), sample_views(n, difficulty, rng)
        actions = sample_actions(wanted[part], difficulty, rng)
        pixels[part], regions[part] = render(person, actions, view, rng)
    return Faces(pixels, wanted, np.arange(count, dtype=np.int64), regions)


@dataclass(frozen=True)
class Drawing:
    """What to draw.

    Attributes:
        seed: Same seed, same data.
        train: Faces to learn from.
        test: Faces in each of the two tests.
        difficulty: As in `draw_faces`.
    """

    seed: int = 0
    train: int = 6000
    test: int = 900
    difficulty: float = 1.0


def drawn_splits(*, seed: int = 0, train: int = 6000, test: int = 900, difficulty: float = 1.0) -> FaceSplits:
    """The default data set: drawn faces divided as FER2013 is.

    Args:
        seed: Same seed, same data.
        train: Faces to learn from.
        test: Faces in each of the two tests.
        difficulty: As in `draw_faces`.

    Returns:
        Training faces and the tests "public" and "private", all labelled, of different people.
    """
    public, private = (draw_faces(test, seed=seed, difficulty=difficulty, stream=stream) for stream in (1, 2))
    return FaceSplits(
        train=draw_faces(train, seed=seed, difficulty=difficulty),
        tests={"public": public, "private": private},
        source="drawn faces",
        drawn=True,
    )


def class_shares() -> npt.NDArray[np.float64]:
    """The share of each emotion, float64 (7,), sums to 1: FER2013's with `SMALLEST_SHARE` for the rarest."""
    shares = np.array(FER2013_COUNTS) / sum(FER2013_COUNTS)
    rare = shares < SMALLEST_SHARE
    shares[~rare] *= (1 - SMALLEST_SHARE * rare.sum()) / shares[~rare].sum()
    shares[rare] = SMALLEST_SHARE
    return shares


def shuffled_labels(count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Labels in the proportions of `class_shares`, at least two of each emotion where `count` allows it."""
    least = min(2, count // len(EMOTIONS))
    ends = np.rint(np.cumsum(class_shares()) * (count - least * len(EMOTIONS))).astype(np.int64)
    counts = np.diff(ends, prepend=0) + least
    return np.asarray(rng.permutation(np.repeat(np.arange(len(EMOTIONS)), counts)))


def prototypes() -> npt.NDArray[np.float64]:
    """`PROTOTYPES` as numbers: float64 (7 emotions, 2 forms, actions)."""
    rest = (0.0,) * (2 * len(EMOTIONS))
    return np.array([PROTOTYPES.get(name, rest) for name in Actions._fields]).T.reshape(len(EMOTIONS), 2, -1)


def sample_neighbours(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """For each label an emotion that it is taken for, as often as `NEIGHBOURS` says."""
    weights = np.array([[NEIGHBOURS[own].get(other, 0) for other in EMOTIONS] for own in EMOTIONS])
    ends = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)
    return np.asarray((rng.random((len(labels), 1)) >= ends[labels]).sum(axis=1))


def sample_actions(labels: npt.NDArray[np.int64], difficulty: float, rng: np.random.Generator) -> Actions:
    """Expressions of the labelled emotions: prototype x strength, mixed with a neighbour, and habits."""
    n = len(labels)
    table, form = prototypes(), rng.beta(0.6, 0.6, (n, 1))
    held, shown = table[:, 0], table[:, 1]
    neighbours = sample_neighbours(labels, rng)
    own = (1 - form) * held[labels] + form * shown[labels]
    near = (1 - form) * held[neighbours] + form * shown[neighbours]
    share = np.minimum(0.65 * difficulty * rng.beta(1.3, 2.4, (n, 1)), 0.9)
    strength = np.maximum(1 - difficulty * (1 - rng.triangular(0.45, 1.0, 1.25, (n, 1))), 0.1)
    habits = rng.normal(0, 0.1 * difficulty, own.shape)
    moved = np.maximum(((1 - share) * own + share * near) * strength + habits, 0)
    actions = Actions(**_columns(dict(zip(Actions._fields, moved.T, strict=True))))
    sideways = {"gaze_side": rng.normal(0, 0.5, n), "skew": rng.normal(0, 0.3 * difficulty, n)}
    return actions._replace(**_columns(sideways))


def _columns(values: Mapping[str, npt.NDArray[Any]]) -> dict[str, Array]:
    """Values of shape (n,) as `painting` takes them: float32 (n, 1, 1)."""
    return {name: value.astype(np.float32)[:, None, None] for name, value in values.items()}


def sample_people(n: int, rng: np.random.Generator) -> Person:
    """Random looks. Sex and age pull the traits that go with them, so that the parts fit each other."""
    male, age = rng.random(n) < 0.5, rng.beta(1.3, 1.8, n)
    child = age < 0.12

    def around(mean: npt.NDArray[np.float64] | float, spread: float) -> npt.NDArray[np.float64]:
        return mean + spread * np.clip(rng.standard_normal(n), -2.2, 2.2)

    def chance(p: npt.NDArray[np.floating[Any]] | float) -> npt.NDArray[np.bool_]:
        return rng.random(n) < p

    skin = np.clip(around(0.68, 0.15), 0.28, 0.92)
    grey = chance(np.clip(2 * age - 1.1, 0, 0.9))
    blond = chance(0.25 * (skin > 0.65))
    hair_tone = np.where(grey, around(0.62, 0.1), np.where(blond, around(0.45, 0.08), around(0.13, 0.05)))
    bald = chance(np.where(male, 0.04 + 0.25 * age, 0.01)) & ~child
    long = chance(np.where(male, 0.08, 0.7)) & ~bald
    fringe = chance(np.where(male, 0.15, 0.35)) & ~bald
    grown = male & ~child
    stubble, full = 0.2 * chance(0.3), np.where(chance(0.25), rng.uniform(0.4, 1, n), 0)
    beard = grown * np.maximum(stubble, full)
    moustache = grown * np.where(beard > 0, beard * chance(0.85), 0.9 * chance(0.08))
    glasses = chance(0.12 + 0.15 * age)
    traits = {
        "width": around(0.75, 0.04) + 0.03 * child,
        "jaw_taper": np.clip(around(np.where(male, 0.2, 0.3), 0.07), 0.05, 0.45),
        "jaw_square": np.clip(around(np.where(male, 0.45, 0.2), 0.15), 0, 0.8),
        "chin": around(np.where(male, 1.02, 0.97), 0.04) - 0.06 * child,
        "eye_gap": around(0.365, 0.02),
        "eye_width": around(0.185, 0.012),
        "eye_height": np.clip(around(0.095, 0.014) + 0.012 * ~male + 0.015 * child, 0.05, 0.13),
        "eye_tilt": around(0.04, 0.08),
        "iris": np.clip(around(0.2, 0.1), 0.05, 0.5),
        "brow_height": around(-0.44, 0.025),
        "brow_thick": np.clip(around(np.where(male, 0.047, 0.034), 0.009), 0.016, 0.07),
        "brow_arch": around(np.where(male, 0.02, 0.035), 0.015),
        "nose_width": np.clip(around(0.105, 0.02) - 0.015 * child, 0.06, 0.17),
        "nose_base": around(0.275, 0.03) - 0.03 * child,
        "mouth_height": around(0.53, 0.025) - 0.02 * child,
        "mouth_width": around(0.285, 0.025) - 0.02 * child,
        "lips": np.clip(around(np.where(male, 0.8, 1.05), 0.2), 0.4, 1.6),
        "relief": np.clip(around(np.where(male, 1.1, 0.85), 0.2), 0.4, 1.6),
        "age": age,
        "skin": skin,
        "lip_tone": np.clip(around(np.where(male, 0.75, 0.62), 0.08), 0.4, 0.95),
        "lashes": np.clip(around(np.where(male, 0.25, 0.7), 0.2), 0, 1),
        "hair_tone": np.clip(hair_tone, 0.03, 0.85),
        "hair": np.where(bald, 0.0, 1.0),
        "hairline": np.where(fringe, around(-0.58, 0.05), around(-0.82, 0.06) - 0.12 * age * male),
        "hair_side": np.where(long, around(1.1, 0.3), around(0.75, 0.1)),
        "hair_volume": np.clip(around(np.where(long, 0.14, 0.08), 0.06), 0.02, 0.3),
        "hair_length": np.where(long, rng.uniform(0.5, 1.8, n), -1.0),
        "hair_part": around(0, 0.8),
        "hair_wave": rng.random(n),
        "beard": beard,
        "moustache": moustache,
        "glasses": glasses,
        "tint": glasses * chance(0.08) * 0.9,
        "cloth": rng.uniform(0.08, 0.9, n),
    }
    return Person(**_columns(traits))


def sample_views(n: int, difficulty: float, rng: np.random.Generator) -> View:
    """Random pose, light, background, things in the way, and camera."""

    def spread(sigma: float) -> npt.NDArray[np.float64]:
        return difficulty * sigma * np.clip(rng.standard_normal(n), -2.2, 2.2)

    obstacle = np.where(rng.random(n) < 0.18 * difficulty, rng.integers(4, size=n), -1)
    side = rng.choice([-1.0, 1.0], n)
    traits = {
        "x": spread(1.7),
        "y": spread(1.5),
        "scale": 24.5 * np.exp(spread(0.08)),
        "roll": spread(0.15),
        "yaw": spread(0.25),
        "pitch": spread(0.12),
        "light_x": 0.1 + spread(0.4),
        "light_y": -0.35 + spread(0.2),
        "ambient": np.clip(0.5 + spread(0.1), 0.25, 0.75),
        "backdrop": rng.uniform(0.1, 0.9, n),
        "clutter": np.minimum(difficulty, 1) * rng.random(n),
        "hand": obstacle == 0,
        "hand_x": side * rng.uniform(0.1, 0.75, n),
        "hand_y": rng.uniform(0.6, 1.0, n),
        "strand": obstacle == 1,
        "strand_x": side,
        "bar": obstacle == 2,
        "bar_y": rng.uniform(-1, 1, n),
        "bar_tone": rng.random(n),
        "scarf": obstacle == 3,
        "blur": np.clip(0.08 + np.abs(spread(0.1)), 0, 0.3),
        "gamma": np.exp(spread(0.2)),
        "contrast": np.clip(1.15 + spread(0.2), 0.7, 1.6),
        "brightness": 0.05 + spread(0.08),
        "noise": 0.004 + 0.04 * difficulty * rng.beta(1.2, 3, n),
    }
    return View(**_columns(traits))
