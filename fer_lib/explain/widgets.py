"""Controls over saliency and gradient ascent, for a notebook: choose, and see."""

from __future__ import annotations

import io
from typing import Any

import ipywidgets as widgets
import keras
import numpy as np
import numpy.typing as npt
from IPython.display import Image, display
from matplotlib.figure import Figure

from fer_lib import explain, plots
from fer_lib.data.faces import Faces
from fer_lib.data.pictures import portrait
from fer_lib.emotions import EMOTION_NAMES
from fer_lib.errors import InputError
from fer_lib.explain import layers
from fer_lib.labels import labels

_PREDICTED = -1
"""Stands for the predicted class in the list of classes; None would be no choice, and show as a blank."""


def saliency_view(
    model: keras.Model,
    face: npt.NDArray[np.uint8],
    *,
    method: str = "occlusion",
    label: int | None = None,
    keep: float = 0.2,
    language: str = "en",
    seed: int = 0,
) -> Figure:
    """A face, its heat map and the face with the low heat masked, headed by the model's answer.

    Args:
        model: A classifier of faces (48, 48, 1) into the seven emotions.
        face: Grey values, uint8 (48, 48).
        method: A key of `explain.METHODS`.
        label: The class that the map is about; None for the answer.
        keep: Share of the pixels that the mask keeps.
        language: Of the labels.
        seed: Decides what a method draws at random.
    """
    names, image = EMOTION_NAMES[language], face[np.newaxis, ..., np.newaxis]
    belief = explain.probabilities(model, image)[0]
    about = int(belief.argmax()) if label is None else label
    heat = explain.saliency_maps(model, image, np.array([about]), method=method, seed=seed)
    masked, _ = explain.mask_low_heat(image, heat, keep=keep)
    title = f"{names[about]} {belief[about]:.0%}"
    return plots.saliency_triptychs(image, heat, masked, [title], across=1, language=language)


def filters_view(
    model: keras.Model,
    layer: str,
    *,
    way: str = "fourier",
    steps: int = 50,
    count: int = 16,
    language: str = "en",
    seed: int = 0,
) -> Figure:
    """The images that excite the first filters of a layer, the most excited first.

    Args:
        model: Any model that `explain.gradient_ascent` takes.
        layer: Name of a layer.
        way: A key of `explain.REGULARIZATIONS`.
        steps: Number of steps.
        count: At most so many filters.
        language: Of the labels.
        seed: Decides the noise to start from.
    """
    found = explain.gradient_ascent(
        model,
        layer,
        filters=range(min(count, explain.filter_count(model, layer))),
        steps=steps,
        regularization=explain.REGULARIZATIONS[way],
        learning_rate=explain.LEARNING_RATES[way],
        start=explain.pink_noise(model.inputs[0].shape[1:], seed=seed) if way == "fourier" else None,
        seed=seed,
    )
    order = found.ranked()
    return plots.filter_grid(
        explain.displayable(found.images[order]), found.activations[order],
        filters=found.filters[order].tolist(), dead=found.dead[order], language=language,
    )  # fmt: skip


def saliency_explorer(
    model: keras.Model, faces: Faces, *, method: str = "occlusion", language: str = "en", seed: int = 0
) -> widgets.Widget:
    """Choose a face (or upload a photograph), a method, a class and a share to keep, and see `saliency_view`.

    Raises:
        InputError: There are no faces to choose from.
    """
    if not len(faces):
        raise InputError("There are no faces to choose from; name a run that held some out, or other data.")
    word, names = labels(language), EMOTION_NAMES[language]

    def show(face: int, upload: Any, method: str, label: int, keep: float) -> None:
        pixels = faces.pixels[face]
        if upload:
            try:
                own = portrait(io.BytesIO(upload[0]["content"]), name=upload[0]["name"])
            except InputError as error:
                print(error)
                return
            pixels = own.pixels
            if not own.found:
                print(word["no_face" if own.searched else "no_detector"])
        about = None if label == _PREDICTED else label
        _show(
            saliency_view(model, pixels, method=method, label=about, keep=keep, language=language, seed=seed)
        )

    chosen = widgets.IntSlider(0, 0, len(faces) - 1, description=word["original"], continuous_update=False)
    photograph = widgets.FileUpload(accept="image/*", description=word["photo"])
    chosen.observe(lambda _: photograph.set_trait("value", ()), "value")
    return widgets.interactive(
        show,
        face=chosen,
        upload=photograph,
        method=widgets.Dropdown(
            options=[(word[name], name) for name in explain.METHODS],
            value=method,
            description=word["method"],
        ),
        label=widgets.Dropdown(
            options=[(word["predicted"], _PREDICTED), *((name, i) for i, name in enumerate(names))],
            value=_PREDICTED,
            description=word["emotion"],
        ),
        keep=widgets.FloatSlider(
            value=0.2, min=0.05, max=1, step=0.05, description=word["masked_share"], continuous_update=False
        ),
    )


def filters_explorer(
    model: keras.Model, *, layer: str = "", language: str = "en", seed: int = 0
) -> widgets.Widget:
    """Choose a layer, a way and a number of steps, and see `filters_view`."""
    word, names = labels(language), layers.convolution_layers(model)

    def show(layer: str, way: str, steps: int) -> None:
        _show(filters_view(model, layer, way=way, steps=steps, language=language, seed=seed))

    return widgets.interactive(
        show,
        layer=widgets.Dropdown(options=names, value=layer or names[-1], description=word["layer"]),
        way=widgets.Dropdown(
            options=[(word[name], name) for name in explain.REGULARIZATIONS],
            value="fourier",
            description=word["method"],
        ),
        steps=widgets.IntSlider(50, 10, 400, 10, description=word["step"], continuous_update=False),
    )


def _show(figure: Figure) -> None:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    display(Image(picture.getvalue(), width=int(96 * figure.get_figwidth())))
