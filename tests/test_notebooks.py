"""The committed notebooks: in order, and with a word for every setting of a training."""

import json
from dataclasses import fields

import notebook_hygiene as hygiene
import pytest
from conftest import ROOT

from fer_lib.models.spec import ModelSpec, Recipe
from fer_lib.report.passages import fill


def cells(name: str) -> list[dict]:
    return json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]


def passages(name: str, language: str) -> list[str]:
    start = f"%%prose {language}\n"
    texts = ["".join(cell["source"]) for cell in cells(name)]
    return [text.removeprefix(start) for text in texts if text.startswith(start)]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_committed_in_order(path):
    assert hygiene.problems(json.loads(path.read_text(encoding="utf-8"))) == []


def test_a_notebook_out_of_order_is_found():
    def code(identifier: str, text: str, *tags: str) -> dict:
        return {"cell_type": "code", "id": identifier, "source": text, "metadata": {"tags": list(tags)},
                "outputs": [], "execution_count": None}  # fmt: skip

    notebook = {
        "cells": [
            code("p", "epochs = 3\nLANGUAGE = f()", "parameters"),
            code("f", "%reload_ext x\ndef help():\n    pass"),
            code("zh", "%%prose zh-TW\n{{ a }} [圖](#one)"),
            code("en", "%%prose en\n{{ b }} [the figure](#two)", "full"),
        ]
    }
    found = "\n".join(hygiene.problems(notebook))
    for words in (
        "more than NAME = value",
        "defines a function",
        "differ in names: a, b",
        "links: one, two",
        "tags: full",
    ):
        assert words in found


@pytest.mark.parametrize("language", ["en", "zh-TW"])
@pytest.mark.parametrize("name", ["q1_cnn", "q2_dnn"])
def test_passages_tell_every_setting_of_a_recipe(name, language):
    text = "\n".join(passages(name, language))
    settings = {field.name for field in fields(Recipe)}
    if name == "q2_dnn":
        settings.remove("small_epochs")  # not for dense networks
        settings.remove("validation")  # the same faces as in question 1
    assert {key for key in settings if f"recipe.{key}" not in text} - {"train_limit"} == set()


@pytest.mark.parametrize("language", ["en", "zh-TW"])
def test_weight_decay_and_precision_are_told_where_they_are_set(language):
    for recipe in (Recipe(), Recipe(weight_decay=0.05, precision="mixed_bfloat16")):
        told = [text for text in passages("q1_cnn", language) if "recipe.weight_decay" in text]
        assert len(told) == 1
        known = dict.fromkeys(("warm_up", "small", "grey_levels"), 1.0)
        cnn = {"seconds": {"epoch": 1.0}, "cpu_seconds": {"epoch": 1.0, "training": 1.0}, "pretrained": False}
        shown = fill(told[0], {**known, "recipe": recipe, "cnn": cnn, "spec": ModelSpec("cnn")})
        is_set = recipe.weight_decay > 0
        assert ("0.05" in shown) == is_set and (
            "mixed\\_bfloat16" in shown or "`mixed_bfloat16`" in shown
        ) == is_set
