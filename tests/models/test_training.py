import dataclasses
import json

import keras
import numpy as np
import pytest
from conftest import striped_faces

from fer_lib.data.faces import Faces
from fer_lib.errors import InputError
from fer_lib.models import training
from fer_lib.models.architectures import ModelSpec, build
from fer_lib.models.training import Recipe, compile_model, restore, state, train

SPEC = ModelSpec("dnn", width=0.05, conv_dropout=0.2, dense_dropout=0.2, depth=2)
FACES, VALIDATION = striped_faces(140), striped_faces(70, seed=9)


def trained(
    recipe: Recipe, *, seed: int = 0, spec: ModelSpec = SPEC, faces: Faces = FACES
) -> tuple[keras.Model, list[training.Epoch]]:
    model = build(spec, faces.pixels, seed=seed)
    compile_model(model, recipe, len(faces))
    return model, list(train(model, faces, VALIDATION, recipe, seed=seed))


def test_a_network_learns_easy_faces():
    spec = ModelSpec("cnn", width=0.1, conv_dropout=0.0, dense_dropout=0.0)
    recipe = Recipe(epochs=8, batch_size=14, optimizer="Adam", learning_rate=0.002)
    _, epochs = trained(recipe, spec=spec)
    assert [epoch.epoch for epoch in epochs] == list(range(1, 9))
    assert epochs[-1].val_accuracy > 0.8
    assert all(epoch.seconds > 0 and epoch.cpu_seconds > 0 for epoch in epochs)


def test_training_gone_on_with_after_an_epoch_gives_the_same_weights(monkeypatch):
    monkeypatch.setattr(training, "PART", 64)
    recipe = Recipe(epochs=3, batch_size=32, augment=True, rotate=5, schedule="cosine", small_epochs=1)
    spec = ModelSpec("compact", width=0.1)
    whole, resumed = (build(spec, FACES.pixels, seed=seed) for seed in (0, 5))
    for model in (whole, resumed):
        compile_model(model, recipe, len(FACES))
    epochs, states = [], []
    for epoch in train(whole, FACES, VALIDATION, recipe):
        epochs.append(epoch)
        states.append(state(whole))
    for done in (1, 2):
        restore(resumed, states[done - 1])
        rest = list(train(resumed, FACES, VALIDATION, recipe, epochs_done=done))
        assert [epoch.val_loss for epoch in rest] == [epoch.val_loss for epoch in epochs[done:]]
        for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_another_seed_trains_another_model():
    recipe = Recipe(epochs=1, batch_size=32)
    assert trained(recipe, seed=1)[1][0].loss != trained(recipe, seed=2)[1][0].loss


def test_every_face_is_learned_from_once_an_epoch():
    model = build(SPEC, FACES.pixels)
    recipe = Recipe(epochs=2, batch_size=32)
    compile_model(model, recipe, len(FACES))
    steps: list[int] = []
    list(train(model, FACES, VALIDATION, recipe, on_step=steps.append))
    assert steps == 2 * [32, 32, 32, 32, 12]


def test_a_network_of_fixed_size_refuses_smaller_faces():
    with pytest.raises(InputError, match="dnn takes faces of one size only"):
        trained(Recipe(epochs=1, small_epochs=1))


def test_all_faces_may_be_learned_from():
    recipe = Recipe(epochs=1, batch_size=70, validation=0)
    model = build(SPEC, FACES.pixels)
    compile_model(model, recipe, len(FACES))
    [epoch] = train(model, FACES, FACES[:0], recipe)
    assert np.isnan(epoch.val_accuracy)


def test_no_weight_decay_means_none():
    model = build(SPEC, FACES.pixels)
    compile_model(model, Recipe(optimizer="AdamW"), len(FACES))
    assert not model.optimizer.weight_decay
    compile_model(model, Recipe(optimizer="AdamW", weight_decay=0.05), len(FACES))
    assert model.optimizer.weight_decay == 0.05


def test_targets_are_smoothed_and_shared_with_votes():
    votes = np.zeros((140, 10), np.uint8)
    votes[:, 1] = 10  # happiness
    faces = dataclasses.replace(FACES, votes=votes)
    targets = training._targets(faces, Recipe(label_smoothing=0.07, votes=0.4))
    assert targets[0] == pytest.approx([0.01 + 0.93 * share for share in (0.6, 0, 0, 0.4, 0, 0, 0)])
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    assert (targets.argmax(axis=1) == faces.labels).all()


def test_cosine_schedule_climbs_and_ends_at_nothing():
    model = build(SPEC, FACES.pixels)
    compile_model(model, Recipe(epochs=10, batch_size=14, learning_rate=0.01, schedule="cosine"), len(FACES))
    schedule = model.optimizer._learning_rate
    rates = [float(schedule(step)) for step in (0, 5, 10, 50, 100)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(0.01)
    assert rates[2] > rates[3] > rates[4] == pytest.approx(0, abs=1e-6)


def test_a_training_of_one_step_learns_at_the_full_rate():
    model = build(SPEC, FACES.pixels)
    compile_model(
        model, Recipe(epochs=1, batch_size=len(FACES), learning_rate=0.01, schedule="cosine"), len(FACES)
    )
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


def test_a_whole_number_is_the_same_recipe_as_the_float():
    whole, point = Recipe(shift=3, validation=0), Recipe(shift=3.0, validation=0.0)
    assert json.dumps(dataclasses.asdict(whole)) == json.dumps(dataclasses.asdict(point))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "Adagrad"}, "Unknown optimizer: Adagrad"),
        ({"schedule": "step"}, "Unknown schedule: step; there are constant, cosine"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": -1}, "batch_size must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number"),
        ({"validation": 1.0}, "validation must be at least 0 and below 1"),
        ({"votes": 0.5}, "votes must be at least 0 and below 0.5"),
        ({"epochs": 3, "small_epochs": 4}, r"small_epochs must be at most epochs \(3\)"),
        ({"precision": "float8"}, "Unknown precision: float8"),
        ({"augment": True, "rotate": 90}, "rotate must be at least 0 and at most 45"),
        ({"erase": 1.1}, "erase must be at least 0 and at most 1"),
        ({"shift": -1}, "shift must be at least 0 and at most 12"),
    ],
)
def test_impossible_recipe_is_refused_in_one_sentence(settings, message):
    with pytest.raises(InputError, match=message):
        Recipe(**settings)


def test_training_that_diverges_stops_and_says_so():
    with pytest.raises(InputError, match=r"diverged in epoch 1: .* LEARNING_RATE below 1e\+20, .* than SGD"):
        trained(Recipe(epochs=2, batch_size=32, optimizer="SGD", learning_rate=1e20))
