"""Controls over saliency and gradient ascent, for a notebook: choose, and see."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any

import ipywidgets as widgets
import keras
import numpy as np
import numpy.typing as npt
from IPython.display import HTML, Image, display
from matplotlib.figure import Figure
from PIL import Image as Picture

from fer_lib import explain, plots
from fer_lib.data.faces import Faces
from fer_lib.data.pictures import portrait
from fer_lib.emotions import EMOTION_NAMES
from fer_lib.errors import InputError
from fer_lib.explain import layers
from fer_lib.labels import labels

_ANY = -1
"""Stands for the predicted class, or for all, in a list of classes; None would be no choice, and show as a blank."""

CARDS = 12
"""Faces of the gallery that are seen at once."""


def saliency_view(
    model: keras.Model,
    face: npt.NDArray[np.uint8],
    *,
    methods: Sequence[str] = ("occlusion",),
    label: int | None = None,
    keep: float = 0.2,
    language: str = "en",
    seed: int = 0,
) -> Figure:
    """A face by one method or several, side by side: the face, its heat map, and the face with the low heat masked.

    Args:
        model: A classifier of faces (48, 48, 1) into the seven emotions.
        face: Grey values, uint8 (48, 48).
        methods: Keys of `explain.METHODS`; with the class they head the maps.
        label: The class that the maps are about; None for the predicted one.
        keep: Share of the pixels that the mask keeps.
        language: Of the labels.
        seed: Decides what a method draws at random.
    """
    image = face[np.newaxis, ..., np.newaxis]
    about = explain.scores(model, image).argmax(axis=1) if label is None else np.array([label])
    heat = [explain.saliency_maps(model, image, about, method=method, seed=seed) for method in methods]
    images, maps = np.repeat(image, len(methods), axis=0), np.concatenate(heat)
    masked, _ = explain.mask_low_heat(images, maps, keep=keep)
    titles = [f"{labels(language)[method]} · {EMOTION_NAMES[language][about[0]]}" for method in methods]
    return plots.saliency_triptychs(images, maps, masked, titles, across=len(methods), language=language)


def probability_bars(
    probabilities: npt.NDArray[np.float32], *, label: int | None = None, language: str = "en"
) -> str:
    """The seven probabilities as HTML bars, the true class marked.

    Args:
        probabilities: Of the seven emotions, (7,).
        label: The true class, where it is known.
        language: Of the labels.
    """
    true = f" ({labels(language)['true']})"
    rows = "".join(
        f'<tr><th scope="row" style="text-align: right">{name}{true if i == label else ""}</th>'
        f'<td style="width: 14em; background: #8882"><div style="width: {share:.1%}; height: 0.8em; '
        f'background: {plots.PALETTE[0]}"></div></td><td style="text-align: right">{share:.1%}</td></tr>'
        for i, (name, share) in enumerate(zip(EMOTION_NAMES[language], probabilities, strict=True))
    )
    return f"<table>{rows}</table>"


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
    models: Mapping[str, keras.Model],
    faces: Faces,
    *,
    drawn: Collection[str] = (),
    photographs: bool = False,
    methods: tuple[str, str] = ("occlusion", "grad_cam"),
    language: str = "en",
    seed: int = 0,
) -> widgets.Widget:
    """Choose a face, or upload a photograph, and see what a model answers and where it looks, by two methods.

    Args:
        models: The models to choose from, by name; the first to begin with.
        faces: The faces to choose from, with labels.
        drawn: The models that know drawn faces only. Another takes over when a photograph is uploaded.
        photographs: Whether `faces` are photographs.
        methods: The methods to begin with, keys of `explain.METHODS`.
        language: Of the labels.
        seed: Decides what a method draws at random.

    Raises:
        InputError: There are no faces to choose from.
    """
    if not len(faces):
        raise InputError("There are no faces to choose from; name other data.")
    word = labels(language)
    probabilities = cache(lambda name: explain.probabilities(models[name], faces.images))

    def show(face: int, upload: Any, model: str, method: str, other: str, label: int, keep: float) -> None:
        pixels, true, belief = faces.pixels[face], int(faces.known_labels[face]), probabilities(model)[face]
        if upload:
            try:
                own = portrait(io.BytesIO(upload[0]["content"]), name=upload[0]["name"])
            except InputError as error:
                print(error)
                return
            if not own.found:
                print(word["no_face" if own.searched else "no_detector"])
            pixels, true = own.pixels, _ANY
            belief = explain.probabilities(models[model], pixels[np.newaxis, ..., np.newaxis])[0]
        if model in drawn and (upload or photographs):
            print(word["drawn_model"])
        display(HTML(probability_bars(belief, label=true, language=language)))
        about = None if label == _ANY else label
        _show(
            saliency_view(
                models[model],
                pixels,
                methods=(method, other),
                label=about,
                keep=keep,
                language=language,
                seed=seed,
            )
        )

    ways = [(word[name], name) for name in explain.METHODS]
    panel = widgets.interactive(
        show,
        face=widgets.BoundedIntText(0, 0, len(faces) - 1, description=word["face"]),
        upload=widgets.FileUpload(accept="image/*", description=word["photo"]),
        model=widgets.Dropdown(options=list(models), description=word["model"]),
        method=widgets.Dropdown(options=ways, value=methods[0], description=f"{word['method']} 1"),
        other=widgets.Dropdown(options=ways, value=methods[1], description=f"{word['method']} 2"),
        label=_classes(word["predicted"], word["emotion"], language),
        keep=widgets.FloatSlider(
            value=0.2, min=0.05, max=1, step=0.05, description=word["masked_share"], continuous_update=False
        ),
    )
    face, upload, model, *others, output = panel.children

    def choose(number: int) -> None:
        upload.value = ()
        face.value = number

    def leave_drawn(change: Any) -> None:
        if change["new"] and model.value in drawn:
            model.value = next((name for name in models if name not in drawn), model.value)

    upload.observe(leave_drawn, "value")
    face.observe(lambda _: upload.set_trait("value", ()), "value")
    gallery = _gallery(
        faces, face, model, choose, lambda: probabilities(model.value).argmax(axis=1), language
    )
    controls = widgets.VBox([model, face, upload, *others], layout={"flex": "0 0 auto"})
    return widgets.VBox([gallery, widgets.HBox([controls, output])])


def _classes(first: str, description: str, language: str) -> widgets.Dropdown:
    options = [(first, _ANY), *((name, i) for i, name in enumerate(EMOTION_NAMES[language]))]
    return widgets.Dropdown(options=options, value=_ANY, description=description)


def _gallery(
    faces: Faces,
    face: widgets.BoundedIntText,
    model: widgets.Dropdown,
    choose: Callable[[int], None],
    answers: Callable[[], npt.NDArray[np.int64]],
    language: str,
) -> widgets.Widget:
    """Faces of a class, under each its label and the model's answer where it is another; a way to the next mistake."""
    word, names, true = labels(language), EMOTION_NAMES[language], faces.known_labels
    of_class = _classes(word["all"], word["true_emotion"], language)
    page = widgets.BoundedIntText(1, 1, 1, description=word["page"], layout={"width": "12em"})
    mistake = widgets.Button(description=word["next_mistake"])
    cards = widgets.HBox(layout={"flex_flow": "row wrap"})

    def members() -> npt.NDArray[np.int64]:
        return np.flatnonzero((true == of_class.value) | (of_class.value == _ANY))

    def card(number: int, answer: int) -> widgets.Widget:
        picture = io.BytesIO()
        Picture.fromarray(faces.pixels[number]).save(picture, "PNG")
        words = names[true[number]] + (f" → {names[answer]}" if answer != true[number] else "")
        button = widgets.Button(
            description=words, tooltip=f"{word['face']} {number}", layout={"width": "10em"}
        )
        button.on_click(lambda _: choose(number))
        shown = widgets.Image(value=picture.getvalue(), width=72)
        return widgets.VBox([shown, button], layout={"align_items": "center"})

    def fill(_: Any = None) -> None:
        there, answered = members(), answers()
        page.max = max(1, math.ceil(len(there) / CARDS))
        now = there[(page.value - 1) * CARDS : page.value * CARDS]
        cards.children = [card(int(number), int(answered[number])) for number in now]

    def next_mistake(_: Any) -> None:
        there = members()
        wrong = there[answers()[there] != true[there]]
        if len(wrong):
            choose(int(wrong[(wrong > face.value).argmax()]))  # after the last comes the first

    of_class.observe(lambda _: page.set_trait("value", 1), "value")
    for control in (of_class, page, model):
        control.observe(fill, "value")
    mistake.on_click(next_mistake)
    fill()
    return widgets.VBox([widgets.HBox([of_class, page, mistake]), cards])


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
