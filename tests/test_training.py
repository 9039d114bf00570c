import keras
import numpy as np
import pytest
from conftest import striped_faces

from fer_lib import training
from fer_lib.errors import InputError
from fer_lib.models import ModelSpec, build
from fer_lib.training import MAX_SHIFT, Recipe, augmented, compile_model, train

SPEC = ModelSpec("cnn", width=0.05, conv_dropout=0.2, dense_dropout=0.2)
FACES, VALIDATION = striped_faces(140), striped_faces(70, seed=9)


def trained(
    recipe: Recipe, *, seed: int = 0, spec: ModelSpec = SPEC
) -> tuple[keras.Model, list[training.Epoch]]:
    model = build(spec, FACES.pixels, seed=seed)
    compile_model(model, recipe, len(FACES))
    return model, list(train(model, FACES, VALIDATION, recipe, seed=seed))


def test_a_network_learns_easy_faces():
    spec = ModelSpec("cnn", width=0.1, conv_dropout=0.0, dense_dropout=0.0)
    recipe = Recipe(epochs=8, batch_size=14, optimizer="Adam", learning_rate=0.002)
    _, epochs = trained(recipe, spec=spec)
    assert [epoch.epoch for epoch in epochs] == list(range(1, 9))
    assert epochs[-1].val_accuracy > 0.8
    assert all(epoch.seconds > 0 and epoch.cpu_seconds > 0 for epoch in epochs)


def test_training_stopped_after_an_epoch_and_gone_on_gives_the_same_weights(tmp_path):
    recipe = Recipe(epochs=3, batch_size=32, augment=True, schedule="cosine")
    whole, epochs = trained(recipe)

    model = build(SPEC, FACES.pixels)
    compile_model(model, recipe, len(FACES))
    next(train(model, FACES, VALIDATION, recipe))
    model.save(tmp_path / "after1.keras")
    resumed = keras.models.load_model(tmp_path / "after1.keras")
    rest = list(train(resumed, FACES, VALIDATION, recipe, done=1))

    assert [epoch.val_loss for epoch in rest] == [epoch.val_loss for epoch in epochs[1:]]
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_seed_trains_another_model():
    recipe = Recipe(epochs=1, batch_size=32)
    assert trained(recipe, seed=1)[1][0].loss != trained(recipe, seed=2)[1][0].loss


def test_every_face_is_reported_once_an_epoch():
    model = build(SPEC, FACES.pixels)
    recipe = Recipe(epochs=2, batch_size=32)
    compile_model(model, recipe, len(FACES))
    seen: list[int] = []
    list(train(model, FACES, VALIDATION, recipe, on_faces=seen.append))
    assert sum(seen) == 2 * len(FACES)
    assert max(seen) == 32


def test_augmentation_only_mirrors_and_shifts():
    ramp = np.tile(np.arange(48, dtype=np.uint8) * 4, (40, 48, 1))
    moved = augmented(ramp, np.random.default_rng(0))
    middle = moved[:, 24, 24].astype(int)
    straight = moved[:, 24, 30].astype(int) > middle
    assert straight.any() and (~straight).any()
    assert np.abs(middle[straight] - 4 * 24).max() <= 4 * MAX_SHIFT
    assert len(set(middle[straight])) > 2
    assert moved.shape == ramp.shape and moved.dtype == np.uint8


def test_cosine_schedule_climbs_and_ends_at_nothing():
    model = build(SPEC, FACES.pixels)
    compile_model(model, Recipe(epochs=10, batch_size=14, learning_rate=0.01, schedule="cosine"), len(FACES))
    schedule = model.optimizer._learning_rate
    rates = [float(schedule(step)) for step in (0, 5, 10, 50, 100)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(0.01)
    assert rates[2] > rates[3] > rates[4] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "Adagrad"}, "no optimizer 'Adagrad'; choose one of Adamax"),
        ({"schedule": "step"}, "no schedule 'step'"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": -1}, "batch_size must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"validation": 1.0}, "validation must be a share"),
    ],
)
def test_impossible_recipe_is_refused_in_one_sentence(settings, message):
    with pytest.raises(InputError, match=message):
        Recipe(**settings)
