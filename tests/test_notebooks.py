"""Cells of the committed notebooks, run with what they need, and the words that they choose."""

from dataclasses import fields

import pandas as pd
import pytest
from conftest import ROOT
from notebook_cells import run_cell

from fer_lib import models
from fer_lib.publish import execute
from fer_lib.publish.answer import Answer
from fer_lib.training import Recipe
from fer_lib.words import words


@pytest.mark.parametrize("language", ["en", "zh-TW"])
@pytest.mark.parametrize(("name", "question"), [("q1_cnn", "q1"), ("q2_dnn", "q2")])
def test_words_of_a_training_tell_every_setting_of_its_recipe(name, question, language):
    text = (ROOT / "report" / "text" / language / f"{question}.md").read_text(encoding="utf-8")
    chosen_by = {"schedule", "augment", "train_limit", "validation"}  # sections, and the faces' counts
    settings = {field.name for field in fields(Recipe)} - chosen_by
    silent = {
        key for key in settings if key.upper() in execute.defaults(name) and f"{{recipe.{key}" not in text
    }
    assert silent == set()


@pytest.mark.parametrize(("name", "question"), [("q1_cnn", "q1"), ("q2_dnn", "q2")])
def test_weight_decay_and_precision_are_told_where_they_are_set(name, question, capsys):
    facts = {
        "recipe": Recipe(weight_decay=0.05, precision="mixed_bfloat16").record,
        "seconds": {"epoch": 1.0},
        "cpu_seconds": {"epoch": 1.0},
        "pretrained": False,
        "faces": {},
        "cnn": {"faces": {}},
    }
    known = {"answer": Answer(question, "en"), "facts": facts}
    for settings in ({}, {"WEIGHT_DECAY": 0.05, "PRECISION": "mixed_bfloat16"}):
        run_cell(name, 'answer.text(f"training.{SCHEDULE}"', upto="answer.figure", **known, **settings)
        shown = capsys.readouterr().out
        assert ("times 0.05" in shown and "mixed_bfloat16" in shown) == bool(settings)


def test_time_of_another_machine_is_not_set_beside_that_of_this_one():
    one = {
        "parameters": 10,
        "mega_multiply_adds": 1.0,
        "cpu_seconds": {"epoch": 9.0, "thousand_predictions": 0.1},
        "accuracy": {"training": {"value": 0.5}, "validation": {"value": 0.4}},
    }
    word = words("en")
    for pretrained, times in ((True, ["", "9.0"]), (False, ["9.0", "9.0"])):
        facts = {**one, "pretrained": False, "cnn": {**one, "pretrained": pretrained}}
        known = {"facts": facts, "word": word, "pd": pd, "answer": Answer("q2", "en")}
        left = run_cell("q2_dnn", "rows = [", upto="answer.source", **known)
        shown = left["comparison"][word["seconds_per_epoch"]]
        assert ["" if pd.isna(time) else f"{time:.1f}" for time in shown] == times


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [(True, True, "as in question 1"), (True, False, "first standardised"), (False, True, "divided by 255")],
)
def test_input_of_the_dense_network_is_told_as_it_is(ours, theirs, words, capsys):
    cnn = {"model": {"standardise": theirs}, "parameters": 10}
    facts = {"cnn": cnn, "model": {"dense_dropout": 0.3, "conv_dropout": 0.0}, "parameters": 10}
    known = {"answer": Answer("q2", "en"), "facts": facts, "STANDARDISE": ours}
    run_cell("q2_dnn", "hidden_layers = ", upto="answer.table", models=models, **known)
    assert words in capsys.readouterr().out
