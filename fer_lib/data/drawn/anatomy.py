"""A face as numbers: what a head looks like, what its muscles do, how it is seen, and where all of it lies.

A head is an ellipsoid that has turned before the camera. `project` traces every pixel back to the spot of the
face that it shows; features are curves and signed distances there, so that they follow pose and expression.

Lengths are in face units: the centre of the face is 0, the chin lies near 1, y points down, one unit is
`View.scale` pixels. Parameters have shape (n, 1, 1), what is known of every pixel has shape (n, 48, 48).
"""

from __future__ import annotations

from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fer_lib.emotions import FACE_SIZE

Array = npt.NDArray[Any]
"""float32 everywhere; NumPy's type stubs lose that in arithmetic."""

Point = tuple[Array | float, Array | float]

EYE_LINE = -0.2
"""Height of the eye corners' line."""


class Actions(NamedTuple):
    """How far each facial action goes, 0 (at rest) to about 1; in brackets its FACS action unit."""

    brow_inner: Array  # inner brow raised (1)
    brow_outer: Array  # outer brow raised (2)
    brow_lower: Array  # brows lowered and knit (4)
    lid_raise: Array  # upper lid raised (5)
    cheek: Array  # cheeks raised (6)
    lid_tight: Array  # lids tightened (7)
    nose_wrinkle: Array  # nose wrinkled (9)
    lip_raise: Array  # upper lip raised (10)
    corner_up: Array  # lip corners pulled up (12)
    corner_down: Array  # lip corners pulled down (15)
    chin_raise: Array  # chin and lower lip pushed up (17)
    pucker: Array  # lips rounded (18)
    stretch: Array  # lips stretched sideways (20)
    press: Array  # lips pressed together (24)
    part: Array  # lips parted, teeth seen (25)
    jaw: Array  # jaw dropped (26)
    droop: Array  # upper lids drooping (43)
    gaze_down: Array  # eyes turned down (64)
    gaze_side: Array  # eyes turned to the image's right (62), negative to the left (61)
    skew: Array  # left and right differ: one mouth corner and brow higher


class Person(NamedTuple):
    """What someone looks like at rest. Tones are reflectances, 0 to 1; strengths are 0 (none) to 1."""

    width: Array
    jaw_taper: Array
    jaw_square: Array
    chin: Array
    eye_gap: Array
    eye_width: Array
    eye_height: Array
    eye_tilt: Array
    iris: Array
    brow_height: Array
    brow_thick: Array
    brow_arch: Array
    nose_width: Array
    nose_base: Array
    mouth_height: Array
    mouth_width: Array
    lips: Array
    relief: Array  # how bony the face is
    age: Array  # how deep its folds are
    skin: Array
    lip_tone: Array
    lashes: Array
    hair_tone: Array
    hair: Array
    hairline: Array
    hair_side: Array
    hair_volume: Array
    hair_length: Array
    hair_part: Array
    hair_wave: Array
    beard: Array
    moustache: Array
    glasses: Array
    tint: Array  # of the glasses
    cloth: Array


class View(NamedTuple):
    """How the camera sees the head: angles in radians, shifts in pixels, scale in pixels a face unit."""

    x: Array
    y: Array
    scale: Array
    roll: Array
    yaw: Array
    pitch: Array
    light_x: Array
    light_y: Array
    ambient: Array
    backdrop: Array
    clutter: Array
    hand: Array
    hand_x: Array
    hand_y: Array
    strand: Array
    strand_x: Array
    bar: Array
    bar_y: Array
    bar_tone: Array
    scarf: Array
    blur: Array
    gamma: Array
    contrast: Array
    brightness: Array
    noise: Array


class Frame(NamedTuple):
    """Where each pixel lies, and how the head has turned."""

    x: Array  # place on the picture plane, from the middle of the head to the right
    y: Array  # the same, down
    u: Array  # place on the face, from its middle line to the image's right
    v: Array  # the same, down
    rim: Array  # 0 at the middle of the head, 1 on its outline
    bulge: Array  # height of the bare ellipsoid
    side: Array  # -1 on the image's left half of the face, +1 on its right
    turn: Array  # sine of the yaw
    px: Array  # a pixel in face units


def cover(distance: Array, softness: Array | float) -> Array:
    """How much of each pixel a shape covers, 0-1, from the signed distance to its edge (negative inside)."""
    return np.clip(0.5 - distance / softness, 0, 1)


def bell(x: Array, width: Array | float) -> Array:
    """A Gaussian bump of height 1 around 0."""
    return np.exp(-np.square(x / width))


def intersect(*distances: Array) -> Array:
    """Signed distance to what several shapes share."""
    return reduce(np.maximum, distances)


def union(*distances: Array) -> Array:
    """Signed distance to several shapes together."""
    return reduce(np.minimum, distances)


def segment(x: Array, y: Array, start: Point, end: Point) -> Array:
    """Distance of every point to the line between two points."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    return np.hypot(x - start[0] - along * dx, y - start[1] - along * dy)


def project(person: Person, actions: Actions, view: View) -> Frame:
    """Trace every pixel back to the head and the face."""
    grid = np.arange(FACE_SIZE, dtype=np.float32) - np.float32((FACE_SIZE - 1) / 2)
    right, down = (grid - view.x) / view.scale, (grid[:, None] - view.y) / view.scale
    turn, nod = np.sin(view.yaw), np.sin(view.pitch)
    # Face detectors centre the features, not the skull: it moves the other way when the head turns.
    x = right * np.cos(view.roll) + down * np.sin(view.roll) + 0.5 * person.width * turn
    y = down * np.cos(view.roll) - right * np.sin(view.roll) + 0.35 * nod
    above = np.minimum(y, 0) / 1.25
    below = np.clip(y / (person.chin + 0.13 * actions.jaw), 0, 1.2)
    across = (x - 0.16 * turn * below) / (person.width * (1 - person.jaw_taper * below**2))
    rim2 = across**2 + above**2 + below**2 * (1 + person.jaw_square * (below**2 - 1))
    bulge = person.width * np.sqrt(1 - np.minimum(rim2, 1) * (0.75 + 0.25 * np.minimum(rim2, 1)))
    u = x * np.cos(view.yaw) - bulge * turn
    v = y * np.cos(view.pitch) - bulge * nod
    # Behind the ear the surface comes back towards the middle; unrolled, u goes on growing.
    u = u + 2 * np.sign(u) * np.maximum(-bulge * np.cos(view.yaw) - x * turn, 0)
    return Frame(x, y, u, v, np.sqrt(rim2), bulge, np.sign(u), turn, 1 / view.scale)


def brow_distance(frame: Frame, person: Person, actions: Actions) -> Array:
    """Signed distance to the eyebrows: two curves that grow thinner outwards."""
    a = actions
    inner, outer = 0.13 - 0.04 * a.brow_lower, person.eye_gap + 1.3 * person.eye_width
    across = (np.abs(frame.u) - inner) / (outer - inner)
    t = np.clip(across, 0, 1)
    at_inner = 0.17 * a.brow_inner - 0.16 * a.brow_lower
    at_outer = 0.15 * a.brow_outer - 0.05 * a.brow_lower
    arch = person.brow_arch + 0.05 * a.brow_outer
    lift = at_inner * (1 - t) ** 2 + at_outer * t + 4 * arch * t * (1 - t)
    lift = lift - 0.05 * a.nose_wrinkle * (1 - t) - 0.06 * a.droop * t**2 - 0.05 * a.skew * frame.side
    beyond = (outer - inner) * np.abs(across - t)
    return np.hypot(frame.v - person.brow_height + lift, beyond) - person.brow_thick * (1 - 0.6 * t**2)


class Eyes(NamedTuple):
    """Eye outline, both eyes in one mirrored eye."""

    t: Array  # place across, -1 at the inner corner, +1 at the outer
    y: Array  # place down from the line between the corners
    upper: Array  # that of the upper lid
    lower: Array  # that of the lower lid
    opening: Array  # signed distance to what lies between the lids


def eye_curves(frame: Frame, person: Person, actions: Actions) -> Eyes:
    """The lids of both eyes."""
    a = actions
    t = (np.abs(frame.u) - person.eye_gap) / person.eye_width
    y = frame.v - EYE_LINE + person.eye_tilt * t * person.eye_width
    almond = person.eye_height * (1 - np.clip(t, -1, 1) ** 2)
    rise = 1 + 0.75 * a.lid_raise - 0.45 * a.lid_tight - 0.3 * a.brow_lower - 0.35 * a.cheek - 0.55 * a.droop
    sag = 0.3 * a.droop * np.clip(t, 0, 1) - 0.25 * a.brow_inner * np.clip(-t, 0, 1)
    upper = -almond * (np.clip(rise, 0.12, 1.9) - sag)
    fall = 1 + 0.25 * a.lid_raise - 0.55 * a.lid_tight - 0.8 * a.cheek
    lower = np.maximum(0.6 * almond * np.clip(fall, -0.3, 1.4), upper + 0.012)
    # A lid's slope makes the vertical distance to it longer than the shortest one.
    between = 0.85 * intersect(upper - y, y - lower)
    return Eyes(t, y, upper, lower, intersect(between, (np.abs(t) - 1) * person.eye_width))


def nose_tip(person: Person, actions: Actions) -> Array:
    """Height of the lower end of the nose."""
    return person.nose_base - 0.04 * actions.nose_wrinkle


def nose_axis(frame: Frame, person: Person) -> Array:
    """Sideways place on the nose, which stands out and so moves further than the face when the head turns."""
    along = np.clip((frame.v - EYE_LINE) / (person.nose_base - EYE_LINE), 0, 1)
    return np.asarray(frame.u - 0.2 * frame.turn * along * cover(frame.v - person.nose_base - 0.1, 0.2))


def nose_distance(frame: Frame, person: Person, actions: Actions) -> Array:
    """Signed distance to the nose, from the bridge between the eyes to under the nostrils."""
    base = nose_tip(person, actions)
    along = np.clip((frame.v - EYE_LINE) / (base - EYE_LINE), 0, 1)
    beside = np.abs(nose_axis(frame, person)) - 0.055 - person.nose_width * along**2
    return intersect(beside, EYE_LINE - frame.v, frame.v - base - 0.05)


class Mouth(NamedTuple):
    """Mouth outline."""

    t: Array  # place across, -1 and +1 at the corners
    upper: Array  # where the upper lip ends and the opening starts
    lower: Array  # where the lower lip starts
    lips: Array  # signed distance to the lips and what they enclose
    inside: Array  # signed distance to the opening between them


def mouth_curves(frame: Frame, person: Person, actions: Actions) -> Mouth:
    """The edges of the lips, as heights above and below the line on which they meet."""
    a, v = actions, frame.v
    wider = 0.32 * a.corner_up + 0.25 * a.stretch + 0.05 * a.lip_raise - 0.3 * a.pucker - 0.18 * a.jaw
    half = person.mouth_width * (1 + wider)
    t = frame.u / half
    t2 = np.minimum(t**2, 1)
    parabola = 1 - t2
    arch = parabola * (1 + np.clip(0.7 * a.stretch + 0.6 * a.lip_raise + 0.3 * a.part, 0, 0.9) * t2)
    bowl = arch + np.clip(1.2 * a.jaw + 0.5 * a.pucker, 0, 1) * (np.sqrt(parabola) - arch)
    corners = 0.1 * a.corner_down - 0.16 * a.corner_up + 0.04 * a.stretch
    middle = person.mouth_height + 0.03 * (a.corner_up - a.corner_down)
    line = middle + corners * t2 + 0.05 * a.skew * t
    up = 0.035 * a.part + 0.075 * a.lip_raise + 0.05 * a.jaw + 0.02 * a.chin_raise
    down = 0.075 * a.part + 0.3 * a.jaw - 0.06 * a.lip_raise * (1 - a.part) - 0.04 * a.chin_raise
    upper = line - up * arch
    lower = np.maximum(line + down * bowl, upper)
    fullness = person.lips * np.clip(1 - 0.75 * a.press, 0.1, 1) * (1 + 0.4 * a.pucker) * parabola
    top = upper - 0.085 * fullness * (1 - 0.3 * a.corner_up) * (1 - 0.25 * bell(t, 0.16))
    bottom = lower + 0.11 * fullness * (1 + 0.25 * a.chin_raise)
    beyond = (np.abs(t) - 1) * half
    return Mouth(
        t, upper, lower, intersect(top - v, v - bottom, beyond), intersect(upper - v, v - lower, beyond)
    )


def relief(frame: Frame, person: Person, actions: Actions) -> Array:
    """Height of the face above the picture plane: the skull and what rises and sinks on it."""
    height = frame.bulge + nose_relief(frame, person, actions) + mouth_relief(frame, person, actions)
    return np.asarray(height + person.relief * bone_relief(frame, person, actions))


def nose_relief(frame: Frame, person: Person, actions: Actions) -> Array:
    """Height of the ridge, which rises and widens downwards, and of the wings."""
    v, across, base = frame.v, nose_axis(frame, person), nose_tip(person, actions)
    along = np.clip((v + 0.3) / (base + 0.3), 0, 1)
    ridge = along * cover(v - base + 0.02, 0.16) * bell(across, 0.085 + 0.5 * person.nose_width * along)
    wings = bell(np.abs(across) - 0.8 * person.nose_width - 0.03, 0.07) * bell(v - base + 0.04, 0.09)
    return 0.17 * ridge + 0.06 * wings


def bone_relief(frame: Frame, person: Person, actions: Actions) -> Array:
    """Height of brow bones, sockets, eyeballs and cheeks."""
    v, beside = frame.v, np.abs(frame.u)
    brows = bell(beside - 0.32, 0.3) * bell(v + 0.4, 0.1)
    sockets = bell(beside - person.eye_gap, 0.2) * bell(v - EYE_LINE + 0.02, 0.14)
    eyeballs = bell(beside - person.eye_gap, 0.13) * bell(v - EYE_LINE, 0.1)
    full = 0.035 + 0.09 * actions.cheek + 0.03 * actions.corner_up
    cheeks = full * bell(beside - 0.42, 0.2) * bell(v - 0.22 + 0.08 * actions.cheek, 0.19)
    return 0.05 * brows - 0.1 * sockets + 0.04 * eyeballs + cheeks


def mouth_relief(frame: Frame, person: Person, actions: Actions) -> Array:
    """Height of lips and chin, less the hollow below the lips and the folds from nose to mouth."""
    a, u, v = actions, frame.u, frame.v - person.mouth_height
    lips = bell(u, person.mouth_width) * (bell(v, 0.16) - bell(v - 0.2, 0.07))
    chin = (0.05 + 0.03 * a.chin_raise) * bell(u, 0.2) * bell(v - 0.33 - 0.15 * a.jaw, 0.11)
    pull = np.clip(a.corner_up + 0.6 * a.nose_wrinkle + 0.5 * a.lip_raise + 0.35 * a.stretch, 0, 1.3)
    nostril = (0.16, nose_tip(person, a) - person.mouth_height - 0.02)
    corner = (person.mouth_width * (1.25 + 0.25 * a.corner_up), -0.02)
    folds = bell(segment(np.abs(u), v, nostril, corner), 0.05)
    return np.asarray(0.05 * lips + chin - (0.012 + 0.025 * person.age + 0.05 * pull) * folds)
