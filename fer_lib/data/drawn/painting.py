"""Paint faces: light on a relief, layers from the background to a hand before the face, and a camera.

Tones are reflectances, 0 = black to 1 = white; arrays and units are those of `anatomy`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fer_lib.data.drawn.anatomy import (
    EYE_LINE,
    Actions,
    Array,
    Eyes,
    Frame,
    Mouth,
    Person,
    View,
    bell,
    brow_distance,
    cover,
    eye_curves,
    intersect,
    mouth_curves,
    nose_axis,
    nose_distance,
    nose_tip,
    project,
    relief,
    segment,
    union,
)
from fer_lib.emotions import FACE_SIZE

REGION_MARGIN = 0.04
"""How far a region reaches beyond its feature: a pixel, so that it holds the feature's edges."""


def render(
    person: Person, actions: Actions, view: View, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Draw faces.

    Args:
        person: Looks, arrays of shape (n, 1, 1).
        actions: Facial actions, likewise.
        view: Pose, light and camera, likewise.
        rng: Source of textures and noise.

    Returns:
        Pixels, uint8 of shape (n, 48, 48), and region masks, bool of shape (n, 4, 48, 48), in the order of
        `faces.REGIONS`. A mask marks where a feature lies, even where glasses, hair or a hand hide it.
    """
    frame = project(person, actions, view)
    brows = brow_distance(frame, person, actions)
    eyes = eye_curves(frame, person, actions)
    nose = nose_distance(frame, person, actions)
    mouth = mouth_curves(frame, person, actions)
    light = illumination(relief(frame, person, actions), frame, person, view)
    texture = clouds(rng, len(view.x), 16)
    strands = hair_tone(frame, person, texture)

    image = background(frame, view, rng)
    paint_behind(image, frame, person, strands)
    skin = skin_tone(frame, person, actions, texture)
    paint_eyes(skin, frame, person, actions, eyes)
    paint_mouth(skin, frame, person, actions, mouth)
    paint_beard(skin, frame, person, mouth, texture)
    paint_brows(skin, frame, person, brows, texture)
    paint_glasses(skin, frame, person)
    paint(image, skin * light, cover((frame.rim - 1) * person.width, frame.px))
    paint_hair(image, frame, person, light, strands)
    paint_occlusions(image, frame, person, view, light, texture)

    shapes = (brows, eyes.opening, nose, mouth.lips)
    regions = np.stack([(shape < REGION_MARGIN) & (frame.rim < 1) for shape in shapes], axis=1)
    return develop(image, view, rng), regions


WRAP = 0.35
"""How far light reaches around a head: skin and rooms scatter it, so no shadow edge is hard."""


def illumination(height: Array, frame: Frame, person: Person, view: View) -> Array:
    """How much light every pixel sends back, 0.3 to 1.1: Lambert's law and gloss."""
    down, across = np.gradient(height, axis=(1, 2))
    down, across = down / frame.px, across / frame.px
    light_z = np.sqrt(np.maximum(1 - view.light_x**2 - view.light_y**2, 0.05))
    facing = (light_z - view.light_x * across - view.light_y * down) / np.sqrt(1 + down**2 + across**2)
    lambert = np.clip((facing + WRAP) / (1 + WRAP), 0, 1)
    hollow = 0.12 * bell(np.abs(frame.u) - person.eye_gap + 0.08, 0.2) * bell(frame.v + 0.24, 0.1)
    gloss = 0.12 * np.square(np.square(lambert**2))
    return np.asarray(view.ambient + (1 - view.ambient) * lambert + gloss - hollow)


def paint(image: Array, tone: Array | float, coverage: Array) -> None:
    """Lay `tone` over `image`, in place."""
    image += coverage * (tone - image)


def clouds(rng: np.random.Generator, n: int, cells: int) -> Array:
    """Smooth random textures with values 0-1 and about `cells` blotches a side."""
    knots = rng.random((n, cells, cells), dtype=np.float32)
    # Between two knots, one after the other: a matrix product is rounded by each kind of processor in its own way.
    place = np.linspace(0, cells - 1, FACE_SIZE)
    before = np.minimum(place.astype(int), cells - 2)
    near = (np.cos(np.pi / 2 * (place - before)) ** 2).astype(np.float32)
    rows = near[:, None] * knots[:, before] + (1 - near)[:, None] * knots[:, before + 1]
    return np.asarray(near * rows[..., before] + (1 - near) * rows[..., before + 1])


# --- Layers, back to front


def background(frame: Frame, view: View, rng: np.random.Generator) -> Array:
    """A room out of focus: tone, gradient, blotches and an upright edge."""
    n = len(view.x)
    slope = rng.normal(0, 0.12, (2, n, 1, 1)).astype(np.float32)
    edge = cover(frame.x - rng.normal(0, 0.9, (n, 1, 1)).astype(np.float32), 0.15)
    step = rng.normal(0, 0.16, (n, 1, 1)).astype(np.float32) * view.clutter
    image = view.backdrop + slope[0] * frame.x + slope[1] * frame.y + step * edge
    return np.asarray(image + view.clutter * (clouds(rng, n, 6) - 0.5) * 0.5)


def hair_tone(frame: Frame, person: Person, texture: Array) -> Array:
    """Tone of the hair: strands that fan out from the crown."""
    angle = np.arctan2(frame.u + 0.3 * person.hair_part, frame.v + 1.3)
    wave = np.sin(40 * angle + 9 * texture + 6 * person.hair_wave * np.sin(7 * frame.v))
    return np.asarray(person.hair_tone * (1 + 0.22 * wave + 0.5 * (texture - 0.5)) + 0.02)


def paint_behind(image: Array, frame: Frame, person: Person, strands: Array) -> None:
    """Long hair, neck, shoulders and ears."""
    x, y = frame.x, frame.y
    spread = person.width + 0.5 * person.hair_volume + 0.08
    low = np.clip((y + 0.3) / (person.hair_length + 0.3), 0, 1)
    spread = spread * np.sqrt(1 - 0.5 * np.square(low**2))
    mane = intersect(np.abs(x) - spread, -0.5 - y, y - person.hair_length)
    paint(image, 0.6 * strands, cover(mane, 0.12) * person.hair)
    neck_x = x + 0.1 * frame.turn
    throat = 0.58 * person.width + 0.25 * np.maximum(y - 0.8, 0) ** 2
    under_chin = 0.62 + 0.25 * np.clip(y - person.chin, 0, 1)
    paint(image, person.skin * under_chin, cover(intersect(np.abs(neck_x) - throat, 0.5 - y), frame.px))
    shoulders = 1.28 + 0.22 * neck_x**2 - y
    paint(image, person.cloth * (0.8 + 0.2 * np.clip(y - 1, 0, 1)), cover(shoulders, frame.px))
    far_side = np.clip(frame.turn * np.sign(x), 0, 1)
    ear = np.hypot((np.abs(x) - person.width * (1 - 0.1 * far_side) - 0.02) / 0.12, (y + 0.02) / 0.22)
    ear_seen = cover((ear - 1) * 0.12, frame.px) * (person.hair_length < 0)
    paint(image, person.skin * (0.55 + 0.25 * ear), ear_seen)


def skin_tone(frame: Frame, person: Person, actions: Actions, texture: Array) -> Array:
    """Reflectance of the skin, with the lines that expression and age draw on it."""
    lines = brow_lines(frame, person, actions) + eye_lines(frame, person, actions)
    lines += nose_lines(frame, person, actions)
    return np.asarray(person.skin * (0.95 + 0.1 * texture) * np.clip(1 - lines, 0.15, 1))


def brow_lines(frame: Frame, person: Person, actions: Actions) -> Array:
    """How dark the creases of the forehead are: rows above raised brows, two uprights between knit ones."""
    u, v, a = frame.u, frame.v, actions
    raised = np.clip(a.brow_inner + a.brow_outer - 0.5 * a.brow_lower, 0, 2)
    rows = np.cos(20 * (v + 0.12 * u**2)) ** 2 * bell(v + 0.72, 0.17) * bell(u, 0.45)
    uprights = bell(np.abs(u) - 0.07, 0.75 * frame.px) * bell(v + 0.38, 0.1)
    furrows = (0.04 + 0.1 * person.age) * raised * rows
    return np.asarray(furrows + 0.6 * np.minimum(a.brow_lower, 1.2) * uprights)


def eye_lines(frame: Frame, person: Person, actions: Actions) -> Array:
    """How dark crow's feet and the bags below the eyes are, both deepened by raised cheeks."""
    v, beside, cheek = frame.v - EYE_LINE, np.abs(frame.u), np.minimum(actions.cheek, 1.2)
    rays = bell(np.sin(5 * v / np.maximum(beside - 0.5, 0.08)), 0.3)
    feet = rays * bell(beside - 0.68, 0.07) * bell(v - 0.02, 0.12)
    bags = bell(v - 1.35 * person.eye_height, 0.75 * frame.px) * bell(beside - person.eye_gap, 0.13)
    old = 0.25 + 0.6 * person.age
    sunk = 0.1 * old + 0.2 * cheek + 0.12 * actions.lid_tight
    return np.asarray(0.3 * old * cheek * feet + sunk * bags)


def nose_lines(frame: Frame, person: Person, actions: Actions) -> Array:
    """How dark nostrils, edges of the wings, creases of a wrinkled bridge and dimples of a smile are."""
    a, v, beside = actions, frame.v, np.abs(frame.u)
    across, below = np.abs(nose_axis(frame, person)), v - nose_tip(person, actions)
    nostrils = bell(across - 0.55 * person.nose_width - 0.02, 0.045) * bell(below - 0.005, 0.032)
    wings = bell(across - person.nose_width - 0.055, 0.75 * frame.px) * bell(below + 0.04, 0.06)
    bridge = np.cos(30 * (v - 0.3 * beside)) ** 2 * bell(v + 0.14, 0.1) * bell(beside, 0.13)
    dimples = bell(beside - 1.45 * person.mouth_width, 0.05) * bell(v - person.mouth_height + 0.12, 0.09)
    creases = 0.35 * a.nose_wrinkle * bridge + 0.15 * np.minimum(a.corner_up, 1.2) * dimples
    return np.asarray(0.6 * nostrils + (0.18 + 0.2 * a.nose_wrinkle) * wings + creases)


def paint_eyes(skin: Array, frame: Frame, person: Person, actions: Actions, eyes: Eyes) -> None:
    """White, iris, pupil and glint between the lids; lashes and crease around them."""
    side = frame.side
    opening = cover(eyes.opening, frame.px)
    shadow = 0.72 + 0.28 * np.clip((eyes.y - eyes.upper) / 0.09, 0, 1)
    paint(skin, (0.6 + 0.35 * person.skin) * shadow, opening)
    ix = eyes.t * person.eye_width - side * 0.07 * actions.gaze_side
    iy = eyes.y - 0.05 * actions.gaze_down + 0.15 * person.eye_height
    centre = np.hypot(ix, iy)
    paint(skin, person.iris * shadow, cover(centre - 0.092, frame.px) * opening)
    paint(skin, 0.03, cover(centre - 0.045, frame.px) * opening)
    paint(skin, 0.95, 0.8 * cover(np.hypot(ix - 0.03 * side, iy + 0.035) - 0.018, frame.px) * opening)
    inside = np.abs(eyes.t) < 1.12
    upper_lash = cover(np.abs(eyes.y - eyes.upper) - 0.012 - 0.018 * person.lashes, frame.px) * inside
    paint(skin, 0.22 * person.skin, (0.5 + 0.4 * person.lashes) * upper_lash)
    lower_lash = cover(np.abs(eyes.y - eyes.lower) - 0.004, frame.px) * inside
    paint(skin, 0.5 * person.skin, 0.4 * lower_lash)
    crease = bell(eyes.y - eyes.upper + 0.075, 0.9 * frame.px) * bell(eyes.t, 0.9)
    skin *= 1 - 0.22 * crease


def paint_mouth(skin: Array, frame: Frame, person: Person, actions: Actions, mouth: Mouth) -> None:
    """Lips, and what they open on: teeth, tongue and the dark."""
    a, v, middle = actions, frame.v, 0.5 * (mouth.upper + mouth.lower)
    lit_from_above = np.where(v < middle, np.float32(0.9), np.float32(1.06))
    paint(skin, person.skin * person.lip_tone * lit_from_above, 0.9 * cover(mouth.lips, 1.4 * frame.px))
    opening = cover(mouth.inside, frame.px)
    paint(skin, 0.1 * person.skin + 0.02, opening)
    tongue = cover(np.hypot(mouth.t / 0.6, (v - mouth.lower) / 0.12) - 1, 0.4) * np.clip(a.jaw, 0, 1)
    paint(skin, 0.38 * person.skin, 0.7 * tongue * opening)
    teeth = 1 - 0.4 * mouth.t**2
    above = cover(v - mouth.upper - 0.05 - 0.08 * a.part, frame.px)
    shown = np.clip(1.4 * a.part + 0.4 * a.lip_raise + 0.3 * a.corner_up - 0.2 * a.pucker, 0, 1)
    paint(skin, teeth, 0.95 * above * opening * shown)
    below = cover(mouth.lower - 0.06 - v, frame.px)
    bared = np.clip(1.1 * a.stretch + 0.6 * a.lip_raise - 0.6 * a.corner_up, 0, 1)
    paint(skin, 0.85 * teeth, 0.8 * below * opening * bared * shown)
    line = bell(v - middle, 0.9 * frame.px) * cover((np.abs(mouth.t) - 1.02) * 0.3, 0.06)
    closed = np.clip(1 - (mouth.lower - mouth.upper) / 0.06, 0, 1)
    skin *= 1 - 0.62 * line * closed


def paint_beard(skin: Array, frame: Frame, person: Person, mouth: Mouth, texture: Array) -> None:
    """Beard and moustache, from stubble to full."""
    u, v = frame.u, frame.v
    around = cover(-mouth.lips + 0.02, 0.06)
    edge = 0.3 + 0.32 * bell(u, 0.3) - 0.9 * np.clip(np.abs(u) - 0.4, 0, 1)
    beard = cover(edge - v, 0.2) * person.beard
    moustache = np.abs(v - mouth.upper + 0.08 - 0.1 * u**2) - 0.07 * bell(u, 0.32)
    both = np.maximum(beard, cover(moustache, 0.07) * person.moustache * (np.abs(u) < 0.4))
    paint(skin, person.hair_tone * (0.5 + 0.7 * texture) + 0.02, 0.85 * both * around)


def paint_brows(skin: Array, frame: Frame, person: Person, brows: Array, texture: Array) -> None:
    """Eyebrows, faint on bald heads."""
    hairs = cover(brows, 1.3 * frame.px) * (0.8 + 0.4 * texture)
    paint(skin, 0.5 * person.hair_tone + 0.04, 0.85 * hairs * np.minimum(1, 0.4 + person.hair))


def paint_glasses(skin: Array, frame: Frame, person: Person) -> None:
    """Frames that sit in front of the eyes, so they shift when the head turns."""
    u = frame.u - 0.07 * frame.turn
    a, v = np.abs(u), frame.v + 0.17
    lens = np.sqrt(((a - person.eye_gap) / 0.27) ** 2 + np.abs(v / 0.2) * (v / 0.2) ** 2) - 1
    rim = np.abs(lens * 0.2) - 0.018
    bridge = intersect(np.abs(v + 0.04) - 0.022, a - person.eye_gap + 0.25)
    arm = intersect(np.abs(v + 0.06) - 0.022, person.eye_gap + 0.26 - a)
    paint(skin, 0.05, cover(lens * 0.2, frame.px) * person.tint)
    paint(skin, 0.1, 0.85 * cover(union(rim, bridge, arm), frame.px) * person.glasses)


def paint_hair(image: Array, frame: Frame, person: Person, light: Array, strands: Array) -> None:
    """Hair around the face: hairline, fringe, parting, temples, and what stands off the head."""
    u, v, y = frame.u, frame.v, frame.y
    outline = (frame.rim - 1) * person.width
    jagged = 0.035 * np.sin(14 * u + 5 * person.hair_part) * person.hair_wave
    line = (
        person.hairline
        + 0.3 * person.hair_part * u
        + jagged
        + person.hair_side * np.square((u / person.width) ** 2)
    )
    crown = intersect(outline - person.hair_volume * cover(y - 0.1, 0.5), y - 0.25)
    reach = person.width + 0.5 * person.hair_volume + 0.05
    locks = intersect(np.abs(frame.x) - reach, y - person.hair_length, -0.6 - y)
    paint(image, 0.9 * strands, cover(intersect(union(crown, locks), -outline), 0.09) * person.hair)
    lit = strands * np.clip(0.35 + 0.75 * light, 0.4, 1.2)
    paint(image, lit, cover(intersect(v - line, outline), 0.1) * person.hair)


def paint_occlusions(
    image: Array, frame: Frame, person: Person, view: View, light: Array, texture: Array
) -> None:
    """What hides parts of a face: a strand of hair, a scarf, a hand, a bar or banner across the picture."""
    x, y = frame.x, frame.y
    bend = view.strand_x * (0.55 + 0.3 * (y + 0.6) ** 2)
    strand = intersect(np.abs(x - bend) - 0.07 + 0.04 * y, y - 0.75)
    paint(image, person.hair_tone * (0.6 + 0.8 * texture), cover(strand, 0.08) * view.strand)
    scarf = 0.72 + 0.08 * np.cos(3 * x) - 0.05 * np.cos(9 * x) - y
    pleats = 0.85 + 0.15 * np.sin(16 * y + 6 * x**2)
    paint(image, person.cloth * pleats, cover(scarf, frame.px) * view.scarf)
    paint_hand(image, frame, person, view, light)
    bar = np.abs(y + 0.08 * x - view.bar_y) - 0.1
    paint(image, view.bar_tone, cover(bar, frame.px) * view.bar)


FINGERS = ((-0.22, -0.34, 0.46), (-0.07, -0.12, 0.6), (0.08, 0.1, 0.58), (0.22, 0.31, 0.44))
"""Where each finger of a hand starts and ends sideways, and how far it reaches."""


def paint_hand(image: Array, frame: Frame, person: Person, view: View, light: Array) -> None:
    """A hand raised to the mouth or cheek, slanted towards the middle of the face."""
    y = frame.y - view.hand_y
    x = frame.x - view.hand_x + 0.25 * np.sign(view.hand_x) * y
    palm = np.hypot(x, 0.8 * (y - 0.3)) - 0.3
    paint(image, person.skin * (0.6 + 0.25 * light), cover(palm, frame.px) * view.hand)
    for root, tip, length in FINGERS:
        finger = segment(x, y, (root, 0.25), (tip, 0.25 - length)) - 0.078
        tone = person.skin * (0.5 + 0.25 * light + 0.25 * np.clip(-finger / 0.06, 0, 1))
        paint(image, tone, cover(finger, frame.px) * view.hand)


# --- Camera


def develop(image: Array, view: View, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Blur, exposure, gamma and grain, as pictures from the web have them."""
    soft = blur(np.clip(image, 0.0, 1.2), view.blur)
    middle = soft[:, 10:38, 12:36]
    exposure = np.sqrt(0.48 / np.maximum(middle.mean(axis=(1, 2), keepdims=True), 0.05))
    level = np.clip(0.5 + view.contrast * (soft * exposure - 0.5) + view.brightness, 0.004, 2)
    level = np.where(level > 0.75, 1 - 0.25 * np.exp(3 - 4 * level), level)  # highlights saturate softly
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    level = level**view.gamma + view.noise * grain
    return np.asarray(np.rint(np.clip(level, 0, 1) * 255), dtype=np.uint8)


def blur(image: Array, strength: Array) -> Array:
    """Average every pixel with its neighbours; `strength` 0 (sharp) to 1/3 (a box of three)."""
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, 1:-1] + strength * (padded[:, :-2] + padded[:, 2:] - 2 * padded[:, 1:-1])
    return np.asarray(rows[..., 1:-1] + strength * (rows[..., :-2] + rows[..., 2:] - 2 * rows[..., 1:-1]))
