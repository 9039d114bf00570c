"""What a parameter may be is checked before anything starts: in settings, profiles, sweeps and edited notebooks."""

import json
import re

import pytest
from conftest import ROOT
from small_project import entered

from fer_lib.errors import InputError
from fer_lib.models.spec import SETTINGS, describe
from fer_lib.report import execute, parameters
from fer_lib.report.build import make_report
from fer_lib.sweep import spec


@pytest.fixture
def project(tmp_path):
    """The committed notebooks of questions 1 and 2, as a student may edit them."""
    with entered(tmp_path / "project") as made:
        made.take("q1_cnn", "q2_dnn", "q4_saliency")
        made.chapters("q1_cnn", "q2_dnn")
        yield made


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("VALIDATION=1", "VALIDATION must be at least 0 and below 1, but was 1."),
        ("q2_dnn.OPTIMIZER=adam", "Unknown OPTIMIZER: adam; did you mean Adam?"),
        ("METHOD=occlussion", "Unknown METHOD: occlussion; did you mean occlusion?"),
        ("SCHEDULE=step", "Unknown SCHEDULE: step; there are constant, cosine."),
        ("PUBLIC_ACCURACY=61", "PUBLIC_ACCURACY must be at least 0 and at most 1, but was 61."),
        ("DNN_PUBLIC_ACCURACY=37", "DNN_PUBLIC_ACCURACY must be at least 0 and at most 1, but was 37."),
        ("KEEP=20", "KEEP must be above 0 and at most 1, but was 20."),
        ("FACE_LABEL=9", "FACE_LABEL must be at least 0 and at most 6, but was 9."),
        ("WIDTH=-1", "WIDTH must be at least 0 and at most 4, but was -1."),
        ("WIDTH=inf", "WIDTH must be a number, but was 'inf'."),
        ("LEARNING_RATE=nan", "LEARNING_RATE must be a number, but was 'nan'."),
        ("q2_dnn.DEPTH=19", "DEPTH must be at least 0 and at most 18, but was 19."),
    ],
)
def test_value_that_would_fail_after_training_is_refused_at_once(setting, sentence):
    name, _, text = setting.partition("=")
    with pytest.raises(InputError) as caught:
        execute.resolve("seed", {name: text})
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"VALIDATION": "0"}, "A report needs VALIDATION above 0"),
        ({"q1_cnn.SEED": "1"}, "SEED is 1 for q1_cnn and 0 for q2_dnn; give both the same"),
        ({"q2_dnn.VALIDATION": "0.2"}, "VALIDATION is 0.15 for q1_cnn and 0.2 for q2_dnn"),
    ],
)
def test_report_whose_models_could_not_be_compared_is_refused_at_once(settings, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        make_report("", profile="seed", settings=settings, out=tmp_path, run_root=tmp_path)
    assert not list(tmp_path.iterdir())


def test_report_without_question_2_compares_nothing(project):
    found = execute.resolve("quick", {"SEED": "1"}, ["q1_cnn"])
    parameters.require_comparable(found)
    parameters.require_comparable({"mine": {"SEED": 0}})
    found["q1_cnn"]["VALIDATION"] = 0.0
    with pytest.raises(InputError, match="VALIDATION above 0"):
        parameters.require_comparable(found)


def test_training_may_hold_nothing_out():
    assert execute.resolve("seed", {"VALIDATION": "0"})["q1_cnn"]["VALIDATION"] == 0


def test_a_count_that_a_profile_raises_can_be_set_to_what_the_recipe_allows():
    assert execute.resolve("compact", {"SMALL_EPOCHS": "0"})["q1_cnn"]["SMALL_EPOCHS"] == 0


SPOKEN_OF = {"MODEL", "WIDTH", "DEPTH", "EPOCHS", "VALIDATION"} | {
    "BATCH_SIZE", "DENSE_DROPOUT", "LEARNING_RATE", "LIGHT", "TRAIN_LIMIT", "VOTES",
}  # fmt: skip
"""Settings that rules between models or examples speak of, or that have their names from elsewhere."""


def test_a_setting_is_written_once_in_the_library():
    names = re.compile(r"\b(" + "|".join(SETTINGS.keys() - SPOKEN_OF) + r")\b")
    files = (ROOT / "fer_lib").rglob("*.py")
    assert [path.name for path in files if names.search(path.read_text("utf-8"))] == []
    assert all(f"\n  {name} " in f"\n{describe()}" for name in SETTINGS)


@pytest.mark.parametrize("name", execute.chapters())
def test_every_number_and_switch_of_a_notebook_is_known(name):
    committed = {key: type(value) for key, value in execute.declared(name).items() if value is not None}
    numbers = {key: kind for key, kind in committed.items() if kind not in (str, dict)}
    assert numbers.keys() <= parameters.TYPES.keys()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("EPOCHS = None", "EPOCHS = 2 * 6", "EPOCHS must be a number, True, False or a text"),
        ("EPOCHS = None", "EPOCHS = 12 epochs", "EPOCHS must be a number, True, False or a text"),
        ("EPOCHS = None", "EPOCHS = 12.5", "EPOCHS must be a whole number, but was 12.5."),
        ("MODEL = None", 'MODEL = "cmn"', "Unknown MODEL: cmn; did you mean cnn?"),
        ("SEED = 0", "SEED = -1", "SEED must be at least 0, but was -1."),
        ("SETTINGS = {}", 'SETTINGS = {"AUGMENT": 1}', "AUGMENT must be true or false, but was 1."),
        ("SETTINGS = {}", 'SETTINGS = {"AUGMNT": True}', "Unknown setting in q1_cnn.ipynb: AUGMNT; did you mean AUG"),
        ("SETTINGS = {}", "SETTINGS = []", "SETTINGS must be settings by name"),
    ],
)  # fmt: skip
def test_mistake_in_the_parameter_cell_is_one_sentence_with_notebook_and_name(project, old, new, sentence):
    project.edit("q1_cnn", old, new)
    with pytest.raises(InputError) as caught:
        execute.resolve("quick")
    assert "q1_cnn.ipynb" in str(caught.value) and sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ['{"cells": [', "[]", "{}", '{"cells": 3}', "\N{COPYRIGHT SIGN}", ""])
def test_notebook_that_is_damaged_is_one_sentence(project, content):
    (project.root / "notebooks" / "q1_cnn.ipynb").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"q1_cnn\.ipynb is damaged, no notebook"):
        execute.resolve("quick")


def test_notebook_without_a_parameter_cell_is_one_sentence(project):
    path = project.root / "notebooks" / "q1_cnn.ipynb"
    content = json.loads(path.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        cell["metadata"] = {}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="there must be one that holds NAME = value"):
        execute.resolve("quick")


def test_whole_number_in_the_cell_leaves_a_number_what_it_was(project):
    project.edit("q1_cnn", "WIDTH = None", "WIDTH = 1")
    project.edit("q1_cnn", "SETTINGS = {}", 'SETTINGS = {"ROTATE": 10}')
    found = execute.resolve("quick")["q1_cnn"]
    assert [(found[key], type(found[key])) for key in ("WIDTH", "ROTATE")] == [(1.0, float), (10.0, float)]
    assert execute.resolve("compact", {"WIDTH": "0.5"})["q1_cnn"]["WIDTH"] == 0.5


def test_what_is_saved_in_a_cell_does_not_narrow_what_else_may_be_given(project):
    project.edit("q1_cnn", "SEED = 0", "SEED = 7")
    assert execute.resolve("quick", {"SEED": "0"})["q1_cnn"]["SEED"] == 0


def test_sweep_may_vary_what_its_profile_sets_down_to_0(tmp_path):
    file = tmp_path / "sweep.yaml"
    file.write_text("notebook: q1_cnn\nprofile: compact\ngrid: {SMALL_EPOCHS: [0, 9]}")
    assert [point["SMALL_EPOCHS"] for point in spec.read(file).points] == [0, 9]
    file.write_text("notebook: q1_cnn\ngrid:\n  OPTIMIZER: [adam]")
    with pytest.raises(InputError, match="in `grid` Unknown OPTIMIZER: adam; did you mean Adam"):
        spec.read(file)
