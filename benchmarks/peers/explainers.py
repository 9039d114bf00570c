"""What `explaining.py` measures: the same work by fer_lib, xplique, tf-keras-vis, and the original's loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

FACES, FILTERS, STEPS = 512, 64, 190
LOOPED = 2  # of them by the loop, which takes that much longer for all
LAYERS = {"conv2d_1": 1.0, "conv2d_2": 1.0, "conv2d_8": 0.125}
"""Layers whose filters are maximised, and the width of the original CNN that each is taken from."""

PATCH, STRIDE = 8, 4
SIZES = {"smoothgrad": 16, "integrated_gradients": 16, "rise": 50}
"""Noisy copies, places and masks of the methods that add up many, as measured."""
METHODS = {
    "gradient": "Gradient",
    "smoothgrad": f"SmoothGrad, {SIZES['smoothgrad']} samples",
    "gradient_input": "Gradient × input",
    "integrated_gradients": f"Integrated gradients, {SIZES['integrated_gradients']} steps",
    "grad_cam": "Grad-CAM",
    "occlusion": f"Occlusion, patch {PATCH}, stride {STRIDE}",
    "rise": f"RISE, {SIZES['rise']} masks",
}


@cache
def drawn(count: int) -> Any:
    """Drawn faces, uint8 (count, 48, 48)."""
    from fer_lib.data.drawn import sampling

    return sampling.drawn_splits(train=count, test=14).train.pixels


@cache
def cnn(width: float) -> Any:
    """The original CNN with its initial weights."""
    from fer_lib.models import architectures

    return architectures.build(architectures.ModelSpec("cnn", width, initializer="he_normal"), drawn(FACES))


def work_of(tool: str, sizes: dict[str, int]) -> dict[str, Callable[[], Any]]:
    """What a tool is measured at: by name of a layer the images, by name of a method the heat (n, 48, 48)."""
    from fer_lib.explain.layers import score_model

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
    from fer_lib import explain
    from fer_lib.explain.activation_maximization import gradient_ascent

    options: dict[str, dict[str, Any]] = {
        "smoothgrad": {"samples": sizes["smoothgrad"]},
        "gradient_input": {"baseline": 0.0},
        "integrated_gradients": {"steps": sizes["integrated_gradients"], "baseline": 0.0},
        "grad_cam": {"layer": "conv2d_8"},
        "occlusion": {"patch": PATCH, "stride": STRIDE, "baseline": 0.0},
        "rise": {"masks": sizes["rise"], "baseline": 0.0},
    }

    def heat(method: str) -> Callable[[], Any]:
        return lambda count=FACES: explain.attributions(
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

    from fer_lib.explain.activation_maximization import white_noise
    from fer_lib.explain.layers import clone_with_weights

    # It asks layers for their outputs, so they must belong to one model only.
    scores = clone_with_weights(model)
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

    from fer_lib.explain.activation_maximization import white_noise

    def ascent(net: Any, layer: str, count: int) -> Any:
        part = keras.Model(net.inputs, net.get_layer(layer).output)
        found = []
        for number in range(count):

            @tf.function(autograph=False)
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
