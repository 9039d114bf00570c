"""Runs side by side: their costs in a table, and ensembles on the labelled tests."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fer_lib import runs
from fer_lib.data.faces import FaceSplits
from fer_lib.errors import InputError
from fer_lib.models.prediction import correct_when_shifted, predict
from fer_lib.models.spec import ModelSpec, Recipe

RECIPE = Recipe(epochs=1, batch_size=64, optimizer="Adam")


def written_run(folder, **record):
    folder.mkdir()
    metrics = {
        "parameters": 10,
        "multiply_adds": 2_000_000,
        "accuracy": {"training": {"value": 0.6}, "validation": {"value": 0.5}},
        "cpu_seconds": {"epoch": 9.0, "thousand_predictions": 0.25},
    }
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return runs.Run(folder)


def test_runs_side_by_side_have_sizes_costs_and_accuracies(tmp_path):
    table = runs.side_by_side({"CNN": written_run(tmp_path / "a"), "DNN": written_run(tmp_path / "b")})
    assert table["model"].tolist() == ["CNN", "DNN"]
    expected = {
        "parameters": 10,
        "mega_multiply_adds": 2.0,
        "seconds_per_epoch": 9.0,
        "thousand_predictions": 0.25,
        "training": 0.6,
        "validation": 0.5,
    }
    assert table.drop(columns="model").iloc[0].to_dict() == expected


@pytest.mark.parametrize("packaged", [(True, False), (True, True)])
def test_time_of_another_machine_is_not_set_beside_that_of_this_one(tmp_path, packaged):
    both = {str(i): written_run(tmp_path / str(i), pretrained=one) for i, one in enumerate(packaged)}
    seconds = runs.side_by_side(both)["seconds_per_epoch"]
    assert [pd.isna(time) for time in seconds] == list(packaged)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def photographs(splits):
    return replace(splits, drawn=False)


@pytest.fixture(scope="module")
def pair(root, photographs):
    spec = ModelSpec("dnn", width=0.02)
    return [
        runs.train_or_reuse(photographs, spec, RECIPE, seed=seed, root=root, progress=False)
        for seed in (0, 1)
    ]


def test_ensemble_stands_below_its_members_for_each_labelled_test(root, pair, photographs):
    names = [run.id for run in pair]
    judged = runs.evaluate_ensemble(root, names, photographs)
    assert judged["model"].tolist() == [*names, ""] * 2
    assert judged["split"].unique().tolist() == ["public", "private"]
    mean = (pair[0].probabilities("public") + pair[1].probabilities("public")) / 2
    right = mean.argmax(axis=1) == photographs.tests["public"].labels
    assert judged.loc[2, "accuracy"] == pytest.approx(np.mean(right))


def test_answers_kept_by_a_run_are_those_computed_without(root, pair, photographs):
    names = [run.id for run in pair]
    for _ in range(2):
        kept = runs.evaluate_ensemble(root, names, photographs, kept_by=pair[0])
        pd.testing.assert_frame_equal(kept, runs.evaluate_ensemble(root, names, photographs))
    assert len(list((pair[0].path / "computed").glob("*.predict-*"))) == 4


@pytest.mark.parametrize("wanted", ["nothing", "one model", "drawn faces", "unlabelled tests"])
def test_ensemble_of_nothing_has_no_rows(root, pair, photographs, wanted):
    names = [run.id for run in pair]
    unlabelled = FaceSplits(
        photographs.train, {name: replace(faces, labels=None) for name, faces in photographs.tests.items()}
    )
    asked = {
        "nothing": ([], photographs),
        "one model": (names[:1], photographs),
        "drawn faces": (names, replace(photographs, drawn=True)),
        "unlabelled tests": (names, unlabelled),
    }
    judged = runs.evaluate_ensemble(root, *asked[wanted])
    assert judged.empty
    assert {"model", "stranger", "split", "accuracy", "low", "high", "faces"} <= set(judged.columns)


def test_division_is_that_of_the_run(pair, photographs):
    train, validation = runs.divide(photographs, RECIPE, seed=1)
    learned, held_out = runs.faces_of(pair[1], photographs)
    assert train.fingerprint() == learned.fingerprint()
    assert validation.fingerprint() == held_out.fingerprint()


def test_division_without_validation_holds_nothing_out(photographs):
    train, validation = runs.divide(photographs, replace(RECIPE, validation=0.0), seed=0)
    assert (len(train), len(validation)) == (len(photographs.train), 0)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_division_by_an_impossible_seed_is_refused(photographs, seed):
    with pytest.raises(InputError, match="The seed must be"):
        runs.divide(photographs, RECIPE, seed=seed)


def test_dnns_are_compared_with_a_cnn_on_the_same_faces(pair, photographs):
    truth = runs.faces_of(pair[0], photographs)[1].known_labels
    found = runs.compare_dnns(pair[0], pair, truth)
    assert found["layers"].tolist() == [9, 9]
    right = [run.probabilities("validation").argmax(axis=1) == truth for run in pair]
    assert found["accuracy"].tolist() == [np.mean(one) for one in right]
    assert found["ahead"].tolist() == pytest.approx([0, right[0].mean() - right[1].mean()])
    assert (found["ahead_low"] <= found["ahead"]).all() and found.loc[0, "verdict"] == "similar"


def test_shifted_faces_are_answered_in_four_directions(pair, photographs):
    faces = photographs.train[:20]
    shares = correct_when_shifted(pair[0].model, faces, [0, 3])
    assert shares.shape == (20, 2)
    assert shares[:, 0].mean() == np.mean(predict(pair[0].model, faces).argmax(axis=1) == faces.labels)
    rolled = [np.pad(faces.pixels, ((0, 0), (3, 3), (3, 3)), mode="edge")[:, y : y + 48, x : x + 48]
              for y, x in ((0, 3), (6, 3), (3, 0), (3, 6))]  # fmt: skip
    answers = [predict(pair[0].model, replace(faces, pixels=one)).argmax(axis=1) for one in rolled]
    np.testing.assert_allclose(shares[:, 1], np.mean([one == faces.labels for one in answers], axis=0))
