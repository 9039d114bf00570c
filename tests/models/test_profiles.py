"""Profiles: named settings, what a notebook's cell puts over them, and the model and recipe that come out."""

import numpy as np
import pytest
from conftest import striped_faces

from fer_lib import profiles
from fer_lib.errors import InputError
from fer_lib.models import pretrained
from fer_lib.models.spec import ModelSpec, Recipe, default_settings, dnn_parameters


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a profile, one of the few in a folder of its own."""
    monkeypatch.setattr(profiles, "FOLDER", tmp_path)

    def written(text: str, name: str = "quick") -> None:
        (tmp_path / f"{name}.yaml").write_text(text)

    return written


def test_profiles_are_the_files_of_their_folder(write):
    for name in ("seed", "compact"):
        write("", name)
    assert profiles.profile_names() == ["compact", "seed"]


def test_settings_of_a_profile_become_model_and_recipe(write):
    write("q1_cnn: {MODEL: compact, WIDTH: 0.5, DEPTH: 4, EPOCHS: 3, LEARNING_RATE: 1e-3, AUGMENT: true}")
    spec, recipe = profiles.settings("quick", "q1_cnn")
    assert spec == ModelSpec("compact", width=0.5, depth=4)
    assert recipe == Recipe(epochs=3, learning_rate=0.001, augment=True)


def test_what_a_profile_leaves_out_is_the_originals(write):
    write("")
    assert profiles.settings("quick", "q1_cnn") == (ModelSpec("cnn"), Recipe())
    spec, recipe = profiles.settings("quick", "q1_cnn", default_settings())
    assert (spec, recipe) == (ModelSpec("cnn"), Recipe())


def test_named_settings_go_before_further_ones_and_those_before_the_profile(write):
    write("q1_cnn: {EPOCHS: 3, BATCH_SIZE: 16, LIGHT: 0.1, SHIFT: 2}")
    _, recipe = profiles.settings("quick", "q1_cnn", {"EPOCHS": 4, "BATCH_SIZE": 8, "LIGHT": 0.2}, EPOCHS=5)
    assert (recipe.epochs, recipe.batch_size, recipe.light, recipe.shift) == (5, 8, 0.2, 2.0)


def test_none_leaves_a_setting_to_the_profile(write):
    write("q1_cnn: {EPOCHS: 3}")
    assert profiles.settings("quick", "q1_cnn", EPOCHS=None, WIDTH=None)[1].epochs == 3


def test_dense_network_of_width_0_gets_as_many_parameters_as_it_shall_match(write):
    write("q2_dnn: {MODEL: dnn, WIDTH: 0}")
    spec, _ = profiles.settings("quick", "q2_dnn", match=100_000)
    assert abs(dnn_parameters(spec.width) - 100_000) < 2000
    deeper, _ = profiles.settings("quick", "q2_dnn", match=100_000, DEPTH=3)
    assert (deeper.depth, abs(dnn_parameters(deeper.width, 3) - 100_000) < 2000) == (3, True)
    assert profiles.settings("quick", "q2_dnn", match=100_000, WIDTH=0.1)[0].width == 0.1


@pytest.mark.parametrize(
    ("further", "named", "message"),
    [
        ({"EPOHCS": 3}, {}, "Unknown setting: EPOHCS; did you mean EPOCHS"),
        ({"DATA": "x"}, {}, "Unknown setting: DATA"),
        ({}, {"EPOCHS": "many"}, "epochs must be a whole number, but was 'many'"),
        ({}, {"EPOCHS": 2.5}, "epochs must be a whole number, but was 2.5"),
        ({}, {"EPOCHS": 0}, "epochs must be at least 1"),
        ({}, {"WIDTH": "big"}, "width must be a number, but was 'big'"),
        ({}, {"WIDTH": 5}, "at most 4"),
        ({}, {"DEPTH": "four"}, "depth must be a whole number"),
        ({"AUGMENT": "yes"}, {}, "augment must be true or false, but was 'yes'"),
        ({"AUGMENT": 1}, {}, "augment must be true or false, but was 1"),
        ({"OPTIMIZER": "Adamm"}, {}, "Unknown optimizer: Adamm; did you mean Adam"),
        ({"OPTIMIZER": 3}, {}, "Unknown optimizer: 3; there are Adam, AdamW"),
        ({"LIGHT": None}, {}, "light must be a number, but was None"),
        ({}, {"MODEL": "vgg"}, "Unknown model: vgg; there are cnn, compact, dnn"),
    ],
)
def test_bad_setting_in_a_notebook_is_one_sentence(further, named, message):
    with pytest.raises(InputError, match=message):
        profiles.settings("quick", "q1_cnn", further, **named)


def test_unknown_profile_names_the_known_ones(write):
    write("")
    with pytest.raises(InputError, match="Unknown profile: quik; did you mean quick"):
        profiles.read_profile("quik")


@pytest.mark.parametrize("content", ["q1_cnn: [1]", "- q1_cnn", "q1_cnn:", "{", "q1_cnn: {EPOCHS: 3"])
def test_file_that_is_no_profile_is_one_sentence_with_its_name(write, content):
    write(content)
    with pytest.raises(
        InputError, match=r"quick\.yaml (is not YAML|must hold settings by notebook)"
    ) as caught:
        profiles.read_profile("quick")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", profiles.profile_names())
@pytest.mark.parametrize("notebook", ["q1_cnn", "q2_dnn"])
def test_committed_profiles_describe_models_and_recipes(name, notebook):
    spec, recipe = profiles.settings(name, notebook, match=1_000_000)
    assert spec.name == "dnn" if notebook == "q2_dnn" else spec.name != "dnn"
    assert 0 < recipe.validation < 1  # a report judges its models by the faces held out


def test_the_networks_of_the_package_learned_from_the_faces_that_choose_their_profile():
    assert {pretrained.load(name).record["data"]["fingerprint"] for name in pretrained.names()} == {
        profiles.FER2013
    }


def test_other_faces_have_the_quick_profile(tmp_path):
    assert profiles.default_profile("") == "quick"
    faces = striped_faces(70)
    np.savez(tmp_path / "faces.npz", pixels=faces.pixels, labels=faces.labels)
    assert profiles.default_profile(str(tmp_path / "faces.npz")) == "quick"


def test_rivals_are_as_large_as_wanted_and_the_same_shape_is_none():
    spec = ModelSpec("dnn", width=0.13, dense_dropout=0.2)
    found = profiles.rivals("3 1 3", spec, match=600_000)
    assert [(one.depth, one.dense_dropout) for one in found] == [(1, 0.2), (3, 0.2)]
    for one in found:
        assert dnn_parameters(one.width, one.depth) == pytest.approx(600_000, rel=0.01)
    assert profiles.rivals("1", found[0], match=600_000) == profiles.rivals("", spec, match=600_000) == []
    assert profiles.rivals("1", spec, match=100) == []  # one unit has more


@pytest.mark.parametrize("depths", ["0", "19", "1,2", "one"])
def test_depths_that_no_rival_can_have_are_refused(depths):
    with pytest.raises(InputError, match="RIVALS must be numbers of hidden layers from 1 to 18"):
        profiles.rivals(depths, ModelSpec("dnn"), match=600_000)
