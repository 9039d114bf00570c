"""Training and prediction: what a face costs each network, ours beside plain Keras, the way to the original's.

usage: training.py

Each measurement runs in a process of its own, so that its memory is its own. Random faces do: no number here depends
on what is learned. The one that does, the accuracy of `compact`, is read from the models that come with the package.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from operator import itemgetter
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from page import machine, write_section

BATCH = 128
STEPS = {"cnn": 4, "dnn": 16, "compact": 16}
ROUNDS = 3
"""How often each training is measured, all in turn; the least counts."""

CHANGES: dict[str, Any] = {"augment": True, "rotate": 10.0, "zoom": 0.1, "light": 0.2}
"""Profile compact's augmentation."""

TRAINING_FACES, TEST_FACES = 28_709, 7_178
EPOCHS = 100
"""As the original's curves show."""

ORIGINAL = 0.6624
"""Mean of the original's public and private accuracy."""


def main() -> None:
    """Measure and write the section."""
    peak = measured("peak")["gflops"]
    ways = [*((name, way) for name in STEPS for way in ("plain", "ours")), ("cnn", "original")]
    rounds = [{one: measured("train", *one) for one in ways} for _ in range(ROUNDS)]
    trained = {one: min((found[one] for found in rounds), key=itemgetter("cpu_seconds")) for one in ways}
    script = trained.pop(("cnn", "original"))
    predicted = {name: measured("predict", name) for name in (*STEPS, "views")}
    write_section("training", "\n\n".join([
        "## Training and prediction",
        f"`make bench BENCH=training` on {machine()}. CPU seconds are user + system, of training the least of "
        f"{ROUNDS} measured in turn; batches of {BATCH}; matrix multiplication in float32 (2048×2048, NumPy or "
        f"TensorFlow) reaches {peak:.0f} GFLOP a CPU second here. Plain is Keras's `fit` on arrays as it comes "
        "(XLA); ours is `fer_lib.models.training`, without XLA; what changes compact's faces runs beside the steps and "
        "is a row of its own.",
        training_table(trained, peak, measured("augment")),
        prediction_table(predicted),
        way_to_the_original(script),
    ]))  # fmt: skip


def training_table(
    found: dict[tuple[str, str], dict[str, float]], peak: float, changed: dict[str, float]
) -> str:
    """The throughput of each network, each way, and of what changes faces at random."""
    rows = ["| Network | Way | Faces a CPU second | CPU s an epoch of 28,709 | Share of the peak | Memory |"]
    rows += ["|---|---|---|---|---|---|"]
    for (name, way), one in found.items():
        rate = one["faces"] / one["cpu_seconds"]
        share = 6e-9 * one["multiply_adds"] * rate / peak
        rows.append(
            f"| {name}, {one['parameters']:,.0f} parameters | {way} | {rate:,.0f} | {TRAINING_FACES / rate:,.0f} "
            f"| {share:.0%} | {one['memory']:.1f} GB |"
        )
    rate = changed["faces"] / changed["cpu_seconds"]
    rows.append(
        f"| faces changed at random as for compact | ours | {rate:,.0f} | {TRAINING_FACES / rate:,.1f} | "
        f"| {changed['memory']:.1f} GB |"
    )
    return "\n".join(rows)


def prediction_table(found: dict[str, dict[str, float]]) -> str:
    """The time of a test set."""
    names = {"views": "compact, ten views of each face"}
    rows = [f"| Prediction of {TEST_FACES:,} faces | CPU s | Memory |", "|---|---|---|"]
    rows += [
        f"| {names.get(name, name)} | {one['cpu_seconds']:.1f} | {one['memory']:.1f} GB |"
        for name, one in found.items()
    ]
    return "\n".join(rows)


def way_to_the_original(original: dict[str, float]) -> str:
    """CPU seconds to the original's accuracy: `compact` as measured, the original's script as computed."""
    epoch = TRAINING_FACES * original["cpu_seconds"] / original["faces"]
    rows = [f"| To {ORIGINAL} | CPU s | How known |", "|---|---|---|"]
    rows.append(
        f"| the original's script in plain Keras | {EPOCHS * epoch:,.0f} | computed: {epoch:,.0f} an epoch "
        f"(measured over {original['faces']:.0f} faces) × {EPOCHS} epochs |"
    )
    from fer_lib.models import pretrained

    for name in pretrained.names():
        found = pretrained.load(name)
        if "started_from" in found.record:
            continue
        cpu = sum(row["cpu_seconds"] for row in found.history)
        rows.append(
            f"| `{name}` (profile compact) | {cpu:,.0f} | measured: its whole training, {len(found.history)} epochs; "
            "accuracy in docs/history.md |"
        )
    return "\n".join(rows)


def measured(*arguments: str) -> dict[str, float]:
    """What a function of this file gives in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    print(*arguments, done.stdout.decode().strip(), file=sys.stderr)
    return json.loads(done.stdout)


def peak() -> dict[str, float]:
    """The best rate of float32 matrix multiplication, by NumPy or TensorFlow."""
    import tensorflow as tf

    a = np.random.default_rng(0).random((2048, 2048), np.float32)
    seconds = []
    for factor in 5 * [a, tf.constant(a)]:
        began = time.process_time()
        factor @ factor
        seconds.append(time.process_time() - began)
    return {"gflops": 2 * 2048**3 / 1e9 / min(seconds)}


def train(name: str, way: str) -> dict[str, float]:
    """CPU seconds of one epoch over a few batches."""
    from fer_lib.models import architectures

    faces = some_faces(STEPS[name] * BATCH)
    build = {"plain": plain, "ours": ours, "original": original}[way]
    model, cpu = build(name, faces)
    return {
        "faces": len(faces),
        "cpu_seconds": cpu,
        "parameters": model.count_params(),
        "multiply_adds": architectures.multiply_adds(model),
    }


def ours(name: str, faces: Any) -> tuple[Any, float]:
    """The second of two epochs of our training; the first traces and warms up."""
    from fer_lib.models import training
    from fer_lib.models.architectures import ModelSpec, build

    recipe = training.Recipe(epochs=2, batch_size=BATCH, **(CHANGES if name == "compact" else {}))
    model = build(ModelSpec(name), faces.pixels)
    training.compile_model(model, recipe, len(faces))
    *_, last = training.train(model, faces, faces[:0], recipe)
    return model, last.cpu_seconds


def augment() -> dict[str, float]:
    """CPU seconds of changing faces at random."""
    from fer_lib.models import training
    from fer_lib.models.augmentation import augmented

    faces, rng = some_faces(TEST_FACES), np.random.default_rng(0)
    how = training.Recipe(**CHANGES).augmentation
    began = time.process_time()
    augmented(faces.pixels, how, rng)
    return {"faces": len(faces), "cpu_seconds": time.process_time() - began}


def plain(name: str, faces: Any) -> tuple[Any, float]:
    """The same network by `fit` alone."""
    from fer_lib.models.architectures import ModelSpec, build

    model = build(ModelSpec(name), faces.pixels)
    model.compile("adamax", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, second_epoch(model, faces.images, faces.labels)


def original(name: str, faces: Any) -> tuple[Any, float]:
    """The original's script: standardised arrays, one-hot labels, a Sequential network, Adamax."""
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input((48, 48, 1))])
    for filters in (64, 128, 256, 512):
        for _ in range(2):
            model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
            model.add(layers.Dropout(0.3))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.5))
    for _ in range(2):
        model.add(layers.Dense(4096, activation="relu"))
        model.add(layers.Dropout(0.5))
    model.add(layers.Dense(7, activation="softmax"))
    model.compile("adamax", "categorical_crossentropy", metrics=["accuracy"])
    pixels = (faces.images - faces.pixels.mean()) / faces.pixels.std()
    return model, second_epoch(model, pixels, keras.utils.to_categorical(faces.labels, 7))


def second_epoch(model: Any, pixels: Any, labels: Any) -> float:
    """CPU seconds of an epoch of `fit`, after one that traces and warms up."""
    model.fit(pixels, labels, batch_size=BATCH, verbose=0)
    began = time.process_time()
    model.fit(pixels, labels, batch_size=BATCH, verbose=0)
    return time.process_time() - began


def predict(name: str) -> dict[str, float]:
    """CPU seconds of a test set, after a first small one."""
    from fer_lib.models import augmentation, prediction, training
    from fer_lib.models.architectures import ModelSpec, build

    faces = some_faces(TEST_FACES)
    model = build(ModelSpec("compact" if name == "views" else name), faces.pixels)
    recipe = training.Recipe(**(CHANGES if name == "views" else {}))
    prediction.predict(model, faces[:300])
    began = time.process_time()
    prediction.predict(model, faces, augmentation.views(recipe.augmentation))
    return {"cpu_seconds": time.process_time() - began}


def some_faces(n: int) -> Any:
    """Random pixels and labels."""
    from fer_lib.data.faces import Faces

    rng = np.random.default_rng(0)
    return Faces(rng.integers(0, 256, (n, 48, 48), np.uint8), rng.integers(0, 7, n), np.arange(n))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        found = {"peak": peak, "train": train, "augment": augment, "predict": predict}[sys.argv[1]](
            *sys.argv[2:]
        )
        found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps(found))
    else:
        main()
