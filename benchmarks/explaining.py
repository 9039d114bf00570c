"""Gradient ascent and saliency: ours, xplique, tf-keras-vis, and the original's filter by filter, in one run.

usage: explaining.py

The peers are fetched into benchmarks/.peers the first time, without what they depend on (xplique asks for an
older TensorFlow than the one that they run on here).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import packages_distributions, version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from page import machine, write_section

PEERS = Path(__file__).parent / ".peers"
PACKAGES = (
    "xplique==2.0.2", "tf-keras-vis==0.8.7", "deprecated", "wrapt", "imageio", "scipy", "scikit-learn",
    "scikit-image", "joblib", "threadpoolctl", "lazy-loader", "narwhals", "opencv-python-headless",
    "tensorflow-probability", "dm-tree", "decorator", "cloudpickle", "einops", "tf-keras",
)  # fmt: skip

FACES, FILTERS, STEPS = 512, 64, 190
LOOPED = 2  # of them by the loop, which takes that much longer for all
PATCH, STRIDE = 8, 4
SIZES = {"smoothgrad": 16, "integrated_gradients": 16, "rise": 50}
"""Noisy copies, places and masks of the methods that add up many, as measured."""
MANY, MANY_FACES = {"smoothgrad": 512, "integrated_gradients": 256, "rise": 2000}, 8
"""So many that what they converge to can be compared, for a few faces."""
LAYERS = {"conv2d_1": 1.0}
"""Layers whose filters are maximised, and the width of the original CNN that each is taken from."""

TOOLS = {"ours": "fer_lib", "xplique": "xplique", "vis": "tf-keras-vis", "loop": "one filter at a time"}
METHODS = {
    "gradient": "Gradient",
    "smoothgrad": f"SmoothGrad, {SIZES['smoothgrad']} samples",
    "gradient_input": "Gradient × input",
    "integrated_gradients": f"Integrated gradients, {SIZES['integrated_gradients']} steps",
    "grad_cam": "Grad-CAM",
    "occlusion": f"Occlusion, patch {PATCH}, stride {STRIDE}",
    "rise": f"RISE, {SIZES['rise']} masks",
}


TEXT = f"""## Explaining a model

`make bench BENCH=explaining`: CPU seconds, and in brackets the most memory of the process in MB, each tool in a process
of its own, one after another. {{machine}}, TensorFlow {{tensorflow}}, {{peers}}.

Gradient ascent for {FILTERS} filters, {STEPS} steps each, from white noise, compilation included. The original's way is
a loop over filters, each with a compiled function and {STEPS} calls of its own: measured for {LOOPED} filters, times
{FILTERS // LOOPED}.

| layer | {" | ".join(TOOLS.values())} |
|---|---|---|---|---|
{{ascent}}

Against `gradient_ascent` that is {{times}}.

Saliency of {FACES} drawn faces by the CNN of width 0.125 with its initial weights (8 M multiply-adds a face), batches
of 64, compiled before (median of up to 9 runs that take 8 s together):

| method | fer_lib | xplique | tf-keras-vis | xplique by fer_lib | correlation | in the limit |
|---|---|---|---|---|---|---|
{{maps}}

{{slower}} The correlation is that of a face's map with xplique's, the median over the faces; in the
limit: of {MANY_FACES} faces with {MANY["smoothgrad"]} samples of SmoothGrad, {MANY["integrated_gradients"]} steps of
integrated gradients, {MANY["rise"]:,} masks of RISE. SmoothGrad and RISE draw at random, each tool in its own way; for
integrated gradients `fer_lib` adds up midpoints, xplique trapezia. xplique adds up the patches of occlusion where
`fer_lib` takes their mean: that is made up for. Of two tools within a fifth of each other the next run may
find the other quicker."""


def measured(work: Callable[[], Any], *, repeat: bool = True) -> tuple[Any, float, float]:
    """What the work gives, its CPU seconds (median of up to 9 that take 8 s together), and most memory in MB."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest memory so far
    times: list[float] = []
    while not times or (repeat and len(times) < 9 and sum(times) < 8):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    held = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return result, median(times), int(held[1]) / 1024 if held else 0.0


def drawn(count: int) -> Any:
    """Drawn faces, uint8 (count, 48, 48)."""
    from fer_lib import synthetic

    return synthetic.drawn_splits(train=count, test=14).train.pixels


def cnn(width: float) -> Any:
    """The original CNN with its initial weights."""
    from fer_lib import models

    return models.build(models.ModelSpec("cnn", width, initializer="he_normal"), drawn(FACES))


def work_of(tool: str, sizes: dict[str, int]) -> dict[str, Callable[[], Any]]:
    """What a tool is measured at: by name of a layer the images, by name of a method the heat (n, 48, 48)."""
    from fer_lib.networks import score_model

    images = drawn(FACES)[..., np.newaxis].astype(np.float32)
    images -= images.min(axis=(1, 2, 3), keepdims=True)  # from 0 to 255: then all mean the same noise by .15
    images *= 255 / images.max(axis=(1, 2, 3), keepdims=True)
    model = cnn(0.125)
    scores = score_model(model)
    labels = model.predict(images, verbose=0).argmax(axis=1)
    nets = {layer: cnn(width) for layer, width in LAYERS.items()}
    return {"ours": ours, "xplique": xplique, "vis": vis, "loop": loop}[tool](
        model, scores, images, labels, nets, sizes
    )


def ours(
    model: Any, scores: Any, images: Any, labels: Any, nets: Any, sizes: dict[str, int]
) -> dict[str, Callable[[], Any]]:
    """fer_lib."""
    from fer_lib import saliency
    from fer_lib.filters import gradient_ascent

    options: dict[str, dict[str, Any]] = {
        "smoothgrad": {"samples": sizes["smoothgrad"]},
        "gradient_input": {"baseline": 0.0},
        "integrated_gradients": {"steps": sizes["integrated_gradients"], "baseline": 0.0},
        "grad_cam": {"layer": "conv2d_8"},
        "occlusion": {"patch": PATCH, "stride": STRIDE, "baseline": 0.0},
        "rise": {"masks": sizes["rise"], "baseline": 0.0},
    }

    def heat(method: str) -> Callable[[], Any]:
        return lambda count=FACES: saliency.attributions(
            model, images[:count], labels[:count], method=method, **options.get(method, {})
        )

    ascents = {
        layer: (
            lambda net=net, layer=layer: (
                gradient_ascent(net, layer, filters=range(FILTERS), steps=STEPS).images
            )
        )
        for layer, net in nets.items()
    }
    return ascents | {method: heat(method) for method in METHODS}


def xplique(
    model: Any, scores: Any, images: Any, labels: Any, nets: Any, sizes: dict[str, int]
) -> dict[str, Callable[[], Any]]:
    """Xplique, with the same settings."""
    import tensorflow as tf
    from xplique import attributions as a
    from xplique.features_visualizations import Objective, optimize

    targets = np.eye(7, dtype=np.float32)[labels]
    explainers = {
        "gradient": a.Saliency(scores, batch_size=64),
        "smoothgrad": a.SmoothGrad(scores, batch_size=64, nb_samples=sizes["smoothgrad"], noise=0.15 * 255),
        "gradient_input": a.GradientInput(scores, batch_size=64),
        "integrated_gradients": a.IntegratedGradients(
            scores, batch_size=64, steps=sizes["integrated_gradients"], baseline_value=0.0
        ),
        "grad_cam": a.GradCAM(scores, batch_size=64, conv_layer="conv2d_8"),
        "occlusion": a.Occlusion(scores, batch_size=64, patch_size=PATCH, patch_stride=STRIDE),
        "rise": a.Rise(model, batch_size=64, nb_samples=sizes["rise"]),
    }

    def ascent(net: Any, layer: str) -> Any:
        objective = Objective.channel(net, layer, list(range(FILTERS)))
        return optimize(
            objective, nb_steps=STEPS, use_fft=False, std=20.0, image_normalizer="clip", values_range=(0, 255),
            transformations=None, custom_shape=(48, 48), optimizer=tf.keras.optimizers.Adam(1.0),
        )[0][-1]  # fmt: skip

    ascents = {layer: (lambda net=net, layer=layer: ascent(net, layer)) for layer, net in nets.items()}
    return ascents | {
        method: (
            lambda count=FACES, explainer=explainer: np.asarray(
                explainer(images[:count], targets[:count])
            ).squeeze(-1)
        )
        for method, explainer in explainers.items()
    }


def vis(
    model: Any, scores: Any, images: Any, labels: Any, nets: Any, sizes: dict[str, int]
) -> dict[str, Callable[[], Any]]:
    """tf-keras-vis, which has three of the methods."""
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.model_modifiers import ExtractIntermediateLayer, ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    from fer_lib.filters import white_noise
    from fer_lib.networks import untied

    # It asks layers for their outputs, so they must belong to one model only.
    scores = untied(model)
    ReplaceToLinear()(scores)
    saliency, gradcam = Saliency(scores, clone=False), Gradcam(scores, clone=False)

    def batches(explain: Callable[[Any, Any], Any]) -> Callable[[], Any]:
        return lambda count=FACES: np.concatenate(
            [
                explain(CategoricalScore(labels[i : i + 64].tolist()), images[i : i + 64])
                for i in range(0, count, 64)
            ]
        )

    def ascent(net: Any, layer: str) -> Any:
        maximise = ActivationMaximization(net, ExtractIntermediateLayer(layer), clone=False)
        start = np.repeat(white_noise((48, 48, 1))[np.newaxis], FILTERS, axis=0)
        return maximise(
            CategoricalScore(list(range(FILTERS))), seed_input=start, steps=STEPS, input_modifiers=[],
            regularizers=[], input_range=(0, 255),
        )  # fmt: skip

    ascents = {layer: (lambda net=net, layer=layer: ascent(net, layer)) for layer, net in nets.items()}
    return ascents | {
        "gradient": batches(lambda score, x: saliency(score, x, normalize_map=False)),
        "smoothgrad": batches(
            lambda score, x: saliency(
                score, x, smooth_samples=sizes["smoothgrad"], smooth_noise=0.15, normalize_map=False
            )
        ),
        "grad_cam": batches(
            lambda score, x: gradcam(score, x, penultimate_layer="conv2d_8", normalize_cam=False)
        ),
    }


def loop(
    model: Any, scores: Any, images: Any, labels: Any, nets: Any, sizes: dict[str, int]
) -> dict[str, Callable[[], Any]]:
    """As the original's script did it: for each filter a function of one image, called step by step."""
    import keras
    import tensorflow as tf

    from fer_lib.filters import white_noise

    def ascent(net: Any, layer: str, count: int) -> Any:
        part = keras.Model(net.inputs, net.get_layer(layer).output)
        found = []
        for number in range(count):

            @tf.function
            def step(image: Any, number: int = number) -> Any:
                with tf.GradientTape() as tape:
                    tape.watch(image)
                    loss = tf.reduce_mean(part(image, training=False)[..., number])
                gradient = tape.gradient(loss, image)
                return loss, gradient / (tf.sqrt(tf.reduce_mean(tf.square(gradient))) + 1e-5)

            image = white_noise((48, 48, 1))[np.newaxis]
            for _ in range(STEPS):
                _, gradient = step(tf.constant(image))
                image = image + gradient.numpy()
            found.append(image)
        return np.concatenate(found)

    return {
        layer: (lambda net=net, layer=layer, count=LOOPED: ascent(net, layer, count))
        for layer, net in nets.items()
    }


def child(tool: str, folder: Path) -> None:
    """Measure one tool; its heat goes to the folder, its numbers to standard output."""
    numbers = {}
    for name, work in work_of(tool, SIZES).items():
        if name in METHODS:
            work(count=64)  # type: ignore[call-arg] # compiles
        elif tool == "loop":
            work(count=1)  # type: ignore[call-arg] # what TensorFlow does only once must not count for each
        result, seconds, memory = measured(work, repeat=name in METHODS)
        numbers[name] = (seconds * FILTERS / LOOPED if tool == "loop" else seconds, memory)
        if name in METHODS:
            np.save(folder / f"{tool}-{name}.npy", result)
    if tool in ("ours", "xplique"):
        many = work_of(tool, MANY)
        for name in MANY:
            np.save(folder / f"{tool}-{name}-many.npy", many[name](count=MANY_FACES))  # type: ignore[call-arg]
    print(json.dumps(numbers))


def alike(folder: Path, method: str, which: str = "") -> float:
    """The median correlation of our map of a face with xplique's."""
    first, other = (np.load(folder / f"{tool}-{method}{which}.npy") for tool in ("ours", "xplique"))
    if method == "smoothgrad":  # xplique keeps the sign
        other = np.abs(other)
    if method == "occlusion":  # xplique adds up what we average
        first = first * coverage()
    if method == "grad_cam":
        first = np.maximum(first, 0)
    flat = [(heat - heat.mean(axis=(1, 2), keepdims=True)).reshape(len(heat), -1) for heat in (first, other)]
    scale = np.sqrt(np.square(flat[0]).sum(axis=1) * np.square(flat[1]).sum(axis=1))
    seen = scale > 0
    return float(np.median((flat[0] * flat[1]).sum(axis=1)[seen] / scale[seen]))


def coverage() -> Any:
    """How many patches hide each pixel."""
    line = sum((np.arange(48) >= s) & (np.arange(48) < s + PATCH) for s in range(0, 49 - PATCH, STRIDE))
    return np.outer(line, line)


def table(numbers: dict[str, dict[str, list[float]]], folder: Path) -> str:
    """The section of the page."""

    def cell(tool: str, name: str) -> str:
        found = numbers[tool].get(name)
        return f"{found[0]:.2f} ({found[1]:,.0f})" if found else "–"

    def by_ours(tool: str, name: str) -> float:
        return numbers[tool][name][0] / numbers["ours"][name][0]

    def correlations(name: str) -> str:
        limit = f"{alike(folder, name, '-many'):.3f}" if name in MANY else ""
        return f"{alike(folder, name):.3f} | {limit}"

    ascent = [
        f"| `{name}` of the CNN of width {width:g} | {' | '.join(cell(tool, name) for tool in TOOLS)} |"
        for name, width in LAYERS.items()
    ]
    maps = [
        f"| {title} | {' | '.join(cell(tool, name) for tool in ('ours', 'xplique', 'vis'))} "
        f"| {by_ours('xplique', name):.2f}× | {correlations(name)} |"
        for name, title in METHODS.items()
    ]
    slower = [
        f"{METHODS[name]} than {TOOLS[tool]} ({1 / by_ours(tool, name):.2f}×)"
        for tool in ("xplique", "vis")
        for name in METHODS
        if name in numbers[tool] and by_ours(tool, name) < 1
    ]
    layer = next(iter(LAYERS))
    return TEXT.format(
        machine=machine(),
        tensorflow=version(packages_distributions()["tensorflow"][0]),
        peers=", ".join(package.replace("==", " ") for package in PACKAGES[:2]),
        ascent="\n".join(ascent),
        times=", ".join(f"{by_ours(tool, layer):.1f}× ({TOOLS[tool]})" for tool in TOOLS if tool != "ours"),
        maps="\n".join(maps),
        slower=f"Slower here: {', '.join(slower)}." if slower else "No method is slower than a peer's.",
    )


def fetch_peers() -> None:
    """Fetch the peers, if they are not there."""
    if not (PEERS / "xplique").is_dir():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(PEERS)]
        subprocess.run([*command, *PACKAGES], check=True)


def main() -> None:
    """Measure every tool in a process of its own, and write the section."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]))
        return
    fetch_peers()
    paths = [str(Path(__file__).parents[1]), str(PEERS), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONWARNINGS": "ignore",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    with tempfile.TemporaryDirectory() as folder:
        numbers = {}
        for tool in TOOLS:
            command = [sys.executable, __file__, "--child", tool, folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
            numbers[tool] = json.loads(done.stdout.splitlines()[-1])
        write_section("explaining", table(numbers, Path(folder)))


if __name__ == "__main__":
    main()
