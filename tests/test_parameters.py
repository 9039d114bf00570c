"""What a parameter may be is checked before anything starts: in settings, profiles, sweeps and edited notebooks."""

import json
from dataclasses import fields

import pytest
from small_project import entered

from fer_lib.errors import InputError
from fer_lib.models.spec import ModelSpec, Recipe
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


def accepts(call, *values, **named):
    try:
        call(*values, **named)
    except InputError:
        return False
    return True


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("VALIDATION=1", "VALIDATION must be a share of at least 0 and below 1, but was 1.0."),
        ("q2_dnn.OPTIMIZER=adam", "Unknown OPTIMIZER: adam; did you mean Adam?"),
        ("METHOD=occlussion", "Unknown METHOD: occlussion; did you mean occlusion?"),
        ("SCHEDULE=step", "Unknown SCHEDULE: step; there are constant, cosine."),
        ("PUBLIC_ACCURACY=61", "PUBLIC_ACCURACY must be a share of 1, such as 0.61, but was 61.0."),
        ("DNN_PUBLIC_ACCURACY=37", "DNN_PUBLIC_ACCURACY must be a share of 1, such as 0.61, but was 37.0."),
        ("KEEP=20", "KEEP must be a share above 0 and at most 1, but was 20.0."),
        ("FACE_LABEL=9", "FACE_LABEL must be from 0 to 6, but was 9."),
        ("WIDTH=-1", "WIDTH must be from 0 to 4, but was -1.0."),
        ("WIDTH=inf", "WIDTH must be a number, but was 'inf'."),
        ("LEARNING_RATE=nan", "LEARNING_RATE must be a number, but was 'nan'."),
        ("q2_dnn.DEPTH=19", "DEPTH must be from 0 to 18, but was 19."),
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


@pytest.mark.parametrize(
    ("kind", "others"), [(Recipe, {"epochs": 50, "augment": True}), (ModelSpec, {"name": "dnn"})]
)
def test_ranges_are_those_of_the_classes_that_take_the_values(kind, others):
    reals = -0.1, 0.0, 0.49, 0.5, 0.99, 1.0, 1.1, 4.0, 4.1, 12.0, 12.1, 45.0, 45.1
    values = dict.fromkeys(parameters._REAL, reals) | dict.fromkeys(parameters._WHOLE, (-1, 0, 1, 18, 19))
    for name in values.keys() & {field.name.upper() for field in fields(kind)}:
        for value in values[name]:
            if value or name not in ("WIDTH", "DEPTH"):  # where 0 is a notebook's word for one that it finds
                wanted = accepts(kind, **{**others, name.lower(): value})
                assert accepts(parameters.as_type, name, value, value) == wanted, (name, value)


@pytest.mark.parametrize("name", execute.chapters())
def test_every_number_and_switch_of_a_notebook_is_known(name):
    committed = {key: type(value) for key, value in execute.declared(name).items() if value is not None}
    numbers = {key: kind for key, kind in committed.items() if kind not in (str, dict)}
    assert numbers.items() <= parameters._TYPES.items()


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
