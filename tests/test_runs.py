import csv
import json
import re
import shutil
import subprocess
from dataclasses import asdict, replace

import keras
import numpy as np
import pack_weights
import pytest
from conftest import ROOT

from fer_lib import runs
from fer_lib.data.faces import Faces, FaceSplits
from fer_lib.errors import InputError
from fer_lib.models import architectures, checkpoints, prediction, pretrained
from fer_lib.models.augmentation import Augmentation, View, views
from fer_lib.models.spec import ModelSpec, Recipe
from fer_lib.report import execute
from fer_lib.runs import environment, trainer

SPEC = ModelSpec("cnn", width=0.05, conv_dropout=0.1, dense_dropout=0.1)
RECIPE = Recipe(epochs=2, batch_size=64, optimizer="Adam")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(root, splits):
    return runs.train_or_reuse(splits, SPEC, RECIPE, root=root, progress=False)


def test_complete_run_holds_all_artifacts_and_no_checkpoint(run):
    names = {path.name for path in run.path.iterdir() if not path.name.startswith(".")}
    assert names == {"run.json", "history.csv", "metrics.json", "predictions.npz", "model.keras"}
    assert run.record["status"] == "complete"
    assert len(run.history) == 2
    assert set(run.metrics["accuracy"]) == {"training", "validation", "public", "private"}


def test_stored_predictions_are_the_models_and_give_the_stored_accuracy(run, splits):
    probabilities = run.probabilities("public")
    np.testing.assert_allclose(
        prediction.predict(run.model, splits.tests["public"]), probabilities, atol=1e-6
    )
    right = np.mean(probabilities.argmax(axis=1) == splits.tests["public"].labels)
    assert run.metrics["accuracy"]["public"]["value"] == pytest.approx(right)


def test_training_accuracy_is_that_of_the_final_weights(run, splits):
    learned, _ = runs.faces_of(run, splits)
    right = prediction.predict(run.model, learned).argmax(axis=1) == learned.labels
    assert run.metrics["accuracy"]["training"]["value"] == pytest.approx(right.mean())
    table = runs.accuracies(run, splits).set_index("split")
    assert table.loc["training", "accuracy"] == pytest.approx(right.mean())
    facts = run.facts(splits)
    assert facts["gap"] == pytest.approx(
        100 * (right.mean() - facts["accuracy"]["validation"]["value"]), abs=1e-6
    )


def test_run_whose_training_accuracy_was_never_measured_is_measured_when_it_is_found(run, root, splits):
    path = run.path / "metrics.json"
    before = json.loads(path.read_text())
    accuracy = {key: value for key, value in before["accuracy"].items() if key != "training"}
    path.write_text(json.dumps({**before, "accuracy": accuracy}))
    again = runs.train_or_reuse(splits, SPEC, RECIPE, root=root, progress=False)
    assert again.metrics["accuracy"] == before["accuracy"]


def test_repeats_differ_in_their_seed_and_are_never_the_newest(tmp_path, splits):
    tiny = Recipe(epochs=1, batch_size=140, optimizer="Adam")
    found = runs.repeat(splits, ModelSpec("dnn", width=0.02), tiny, seeds=(1, 2), root=tmp_path)
    assert [one.record["seed"] for one in found] == [1, 2]
    listed = runs.runs_table([{"repeats": [runs.brief(one) for one in found]}])
    assert listed["run"].tolist() == [one.id for one in found]
    with pytest.raises(InputError, match="no complete run"):
        runs.find(tmp_path, found[0].id)


def test_run_says_where_it_was_trained(run):
    assert {"python", "fer-lib", "keras", "numpy", "tensorflow"} <= run.record["versions"].keys()
    assert re.fullmatch(r".+, \d+ cores, \d+ GiB, \w+ \w+", run.record["machine"])


def test_commit_is_known_only_of_a_checkout_of_this_project(tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=b"]
    (tmp_path / "fer_lib").mkdir()
    (tmp_path / "fer_lib" / "a.py").write_text("a = 1\n")
    assert environment.code_version(tmp_path) == {}
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    clean = environment.code_version(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{10}", clean["commit"]) and not clean["changed"]
    (tmp_path / "fer_lib" / "a.py").write_text("a = 2\n")
    assert environment.code_version(tmp_path) == {**clean, "changed": True}
    assert environment.code_version(tmp_path / "fer_lib") == {}


def test_same_id_again_trains_nothing(run, root, splits):
    written = (run.path / "model.keras").stat().st_mtime_ns
    again = runs.train_or_reuse(splits, SPEC, RECIPE, root=root, progress=False)
    assert again.id == run.id
    assert (run.path / "model.keras").stat().st_mtime_ns == written


def test_model_recipe_data_and_seed_each_change_the_id(root, run, splits):
    fewer = FaceSplits(splits.train[:140], {}, source="fewer")
    tiny, dnn = Recipe(epochs=1, batch_size=140, optimizer="Adam"), ModelSpec("dnn", width=0.02)
    ids = {
        run.id,
        runs.train_or_reuse(splits, SPEC, tiny, root=root, progress=False).id,
        runs.train_or_reuse(splits, dnn, tiny, root=root, progress=False).id,
        runs.train_or_reuse(splits, dnn, tiny, seed=1, root=root, progress=False).id,
        runs.train_or_reuse(fewer, dnn, tiny, root=root, progress=False).id,
    }
    assert len(ids) == 5


def test_new_tests_are_predicted_without_training_again(root, run, splits):
    other = FaceSplits(splits.train, {"test": splits.tests["public"]}, source="the same faces, unlabelled")
    again = runs.train_or_reuse(other, SPEC, RECIPE, root=root, progress=False)
    assert again.id == run.id
    np.testing.assert_array_equal(again.probabilities("test"), run.probabilities("public"))


def test_faces_held_out_are_those_that_the_stored_probabilities_belong_to(run, splits):
    learned, held_out = runs.faces_of(run, splits)
    np.testing.assert_allclose(
        prediction.predict(run.model, held_out), run.probabilities("validation"), atol=1e-6
    )
    assert len(learned) == run.record["faces"]["train"]
    assert not set(learned.ids) & set(held_out.ids)


def test_faces_of_other_data_are_refused(run, splits):
    other = FaceSplits(splits.train[:100], {}, source="others")
    with pytest.raises(InputError, match="trained on other faces"):
        runs.faces_of(run, other)


def test_models_validated_on_other_faces_are_not_compared(run):
    runs.require_same_validation(run, seed=0, validation=0.15)
    with pytest.raises(InputError, match=r"SEED 0, VALIDATION 0.15\) than this one would be \(SEED 1"):
        runs.require_same_validation(run, seed=1, validation=0.15)


def test_train_limit_takes_a_part_of_the_faces(root, splits):
    recipe = Recipe(epochs=1, batch_size=64, optimizer="Adam", train_limit=100)
    assert (
        runs.train_or_reuse(splits, SPEC, recipe, root=root, progress=False).record["faces"]["train"] == 100
    )


def test_find_takes_the_beginning_of_an_id_and_refuses_what_is_unclear(root, run):
    assert runs.find(root, run.id[:-2]).id == run.id
    with pytest.raises(InputError, match="runs in .* begin with 'cnn-'"):
        runs.find(root, "cnn-")
    with pytest.raises(InputError, match="no complete run 'dnn-0'"):
        runs.find(root, "dnn-0")


def test_find_takes_a_folder_as_the_command_line_prints_it(tmp_path, run):
    assert runs.find(tmp_path, f"{run.path}/").id == run.id
    with pytest.raises(InputError, match="no complete run"):
        runs.find(tmp_path, str(tmp_path / "cnn-0"))


def test_newest_run_on_these_faces_is_a_cnn(root, run, splits):
    assert runs.newest(root, splits).record["model"]["name"] == "cnn"


def test_newest_says_what_to_do_where_there_is_none(tmp_path, splits):
    with pytest.raises(InputError, match=r"train one with `fer-lib train`"):
        runs.newest(tmp_path, splits)


def test_average_stands_in_the_accuracies_only_where_both_tests_are_known(run, root, splits):
    table = runs.accuracies(run, splits).set_index("split")
    both = table.loc[["public", "private"], "accuracy"]
    assert table.loc["average", "accuracy"] == pytest.approx(both.mean())

    alone = FaceSplits(splits.train[:150], {}, source="no tests")
    recipe = Recipe(epochs=1, batch_size=64, optimizer="Adam")
    untested = runs.train_or_reuse(alone, SPEC, recipe, root=root, progress=False)
    assert runs.accuracies(untested, alone)["split"].tolist() == ["training", "validation"]
    given = runs.accuracies(untested, alone, public=0.6, private=0.7).set_index("split")
    assert given.loc["average", "accuracy"] == pytest.approx(0.65)


def test_accuracies_of_a_reused_run_are_of_the_data_at_hand(run, root, splits):
    other = FaceSplits(splits.train, {"test": splits.tests["private"]}, source="the same faces, one test")
    again = runs.train_or_reuse(other, SPEC, RECIPE, root=root, progress=False)
    assert again.id == run.id
    assert runs.accuracies(again, other)["split"].tolist() == ["training", "validation", "test"]
    assert again.facts(other)["data"]["source"] == "the same faces, one test"


def test_kaggle_accuracy_in_percent_is_refused(run, splits):
    with pytest.raises(InputError, match="The public accuracy must be a share"):
        runs.accuracies(run, splits, public=65.9)


def test_kaggle_accuracy_beside_a_measured_one_is_refused(run, splits):
    with pytest.raises(InputError, match="given as 0.61, but the public faces of stripes have labels"):
        runs.accuracies(run, splits, public=0.61)


def test_facts_are_json(run, splits):
    facts = json.loads(json.dumps(run.facts(splits), allow_nan=False))
    assert facts["accuracy"]["average"]["low"] is None
    assert facts["best_epoch"] in (1, 2)


def test_answer_file_has_id_and_label(tmp_path, splits):
    faces = splits.tests["public"]
    prediction.write_answers(tmp_path / "answer.csv", faces, np.eye(7, dtype=np.float32)[faces.labels])
    with (tmp_path / "answer.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["id", "label"]
    assert rows[1:] == [[str(i), str(label)] for i, label in zip(faces.ids, faces.labels, strict=True)]


@pytest.mark.parametrize("name", ["run.json", "model.keras", "predictions.npz", "metrics.json"])
def test_damaged_file_of_a_run_is_named_or_the_run_trained_again(run, tmp_path, name):
    copy = tmp_path / run.id
    shutil.copytree(run.path, copy)
    (copy / name).write_bytes((copy / name).read_bytes()[:40])
    if name == "run.json":
        assert not runs.is_complete(copy)
        return
    damaged = runs.Run(copy)
    with pytest.raises(InputError, match=name):
        damaged.model, damaged.metrics, damaged.probabilities("validation")


def test_run_without_its_model_is_not_complete(run, tmp_path):
    shutil.copytree(run.path, tmp_path / run.id)
    (tmp_path / run.id / "model.keras").unlink()
    assert not runs.is_complete(tmp_path / run.id)
    (tmp_path / run.id / "run.json").write_text("[1]")
    assert not runs.is_complete(tmp_path / run.id)


def test_a_run_without_validation_measures_the_tests_alone(root, splits):
    recipe = Recipe(epochs=1, batch_size=140, optimizer="Adam", validation=0)
    run = runs.train_or_reuse(splits, SPEC, recipe, root=root, progress=False)
    assert set(run.metrics["accuracy"]) == {"training", "public", "private"}
    assert run.record["faces"] == {"train": 280, "validation": 0, "available": 280}
    with pytest.raises(InputError, match="held out no faces"):
        run.facts(splits)
    with pytest.raises(InputError, match="has no validation faces to look at, but public, private"):
        run.probabilities("validation")


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_refused(root, splits, seed):
    with pytest.raises(InputError, match=r"The seed must be at least 0 and below 2\*\*32"):
        runs.train_or_reuse(splits, SPEC, RECIPE, seed=seed, root=root, progress=False)


def test_votes_that_are_wanted_must_be_there(root, splits):
    with pytest.raises(InputError, match=r"stripes comes without; put fer2013new\.csv beside it"):
        runs.train_or_reuse(splits, SPEC, Recipe(votes=0.3), root=root, progress=False)


def test_a_packed_model_answers_as_its_run_and_stands_in_for_training(run, splits, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "weights")
    pack_weights.main(str(run.path))
    assert (tmp_path / "weights" / f"{run.id}.npz").stat().st_size < (
        run.path / "model.keras"
    ).stat().st_size / 2
    taken = runs.train_or_reuse(splits, SPEC, RECIPE, root=tmp_path / "runs", progress=False, ready_made=True)
    assert taken.record["pretrained"]
    assert taken.history["loss"].tolist() == run.history["loss"].tolist()
    np.testing.assert_allclose(taken.probabilities("public"), run.probabilities("public"), atol=5e-3)
    again = runs.train_or_reuse(splits, SPEC, RECIPE, root=tmp_path / "runs", progress=False)
    assert not again.record.get("pretrained")
    np.testing.assert_array_equal(again.probabilities("public"), run.probabilities("public"))
    assert runs.members(tmp_path)[0].title == f"{run.id}, trained for 2 epochs on 238 faces of stripes"


def test_models_of_the_package_fit_their_records_and_one_is_found_in_place_of_its_training():
    repeatable = 0
    for name in pretrained.names():
        record = pretrained.load(name).record
        recipe, spec = Recipe(**record["recipe"]), ModelSpec(**record["model"])
        model = architectures.build(spec, np.zeros((1, 48, 48), np.uint8), precision=recipe.precision)
        assert [w.shape for w in model.weights] == [w.shape for w in pretrained.load(name).weights]
        repeatable += (
            trainer.run_id({**record, "model": spec.record, "recipe": asdict(recipe)}, model) == name
        )
        assert ("started_from" in record) == (name in pretrained.ANSWERING)
    assert repeatable == 1


def test_the_models_of_the_package_take_at_most_six_megabytes():
    assert 0 < sum(path.stat().st_size for path in pretrained.FOLDER.iterdir()) <= 6_000_000


def test_without_names_the_models_of_the_model_card_answer(tmp_path):
    card = (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
    assert set(pretrained.ANSWERING) < set(pretrained.names())
    assert all(f"`{name}`" in card for name in pretrained.names())
    for names in ([], ["pretrained"]):
        assert [member.name for member in runs.members(tmp_path, names)] == list(pretrained.ANSWERING)


def test_the_newest_cnn_answers_only_for_faces_such_as_it_learned_from(run, splits, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "ANSWERING", pretrained.ANSWERING[:1])
    shutil.copytree(run.path, tmp_path / run.id)
    record = run.record

    def answering(*, drawn=False):
        (tmp_path / run.id / "run.json").write_text(json.dumps(record))
        return [one.name for one in runs.members(tmp_path, ["newest"], drawn=drawn)]

    assert splits.drawn and answering(drawn=True) == [run.id]
    assert answering() == list(pretrained.ANSWERING)
    record = record | {"data": record["data"] | {"drawn": False}}
    assert answering() == [run.id]
    record = record | {"model": record["model"] | {"name": "dnn"}}
    assert answering() == list(pretrained.ANSWERING)


def test_the_package_answers_for_itself_where_a_run_has_the_id_of_its_model(
    run, root, splits, tmp_path, monkeypatch
):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    pack_weights.main(str(run.path))
    [packaged, own] = runs.members(root, ["pretrained", run.id])
    np.testing.assert_array_equal(
        packaged.model.get_weights()[0], pretrained.load(run.id).model.get_weights()[0]
    )
    assert own.title == f"{packaged.title} (the run in {root}, not the package's model)"


def test_a_runs_model_file_answers_by_the_views_of_its_run(run, root, tmp_path):
    [whole, file] = runs.members(root, [run.id, str(run.path / "model.keras")])
    assert (file.title, file.views) == (whole.title, whole.views)
    shutil.copy(run.path / "model.keras", tmp_path)
    assert len(runs.members(root, [str(tmp_path / "model.keras")])[0].views) == 1
    record = run.record | {"recipe": run.record["recipe"] | {"augment": True}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert len(runs.members(root, [str(tmp_path / "model.keras")])[0].views) == 10


def test_each_of_several_models_answers_by_two_views_unless_thorough(tmp_path):
    root, names = tmp_path, ["compact-f23caa608ca9"]
    assert [len(one.views) for one in runs.members(root, names)] == [10]
    first, second = (one.views for one in runs.members(root, names * 2))
    assert first == (View(), View(mirror=True))
    assert len(second) == 2 and not set(first) & set(second)
    assert [len(one.views) for one in runs.members(root, names * 2, thorough=True)] == [10, 10]


def test_a_model_with_a_layer_of_somebodys_own_is_refused(tmp_path):
    class Own(keras.layers.Layer):
        def call(self, x):
            return x

    keras.Sequential([keras.Input((48, 48, 1)), Own()]).save(tmp_path / "own.keras")
    with pytest.raises(InputError, match=r"own\.keras has a layer that is none of Keras's own"):
        runs.members(tmp_path, [str(tmp_path / "own.keras")])


def test_profile_compact_shows_single_networks_against_their_ensemble(tmp_path):
    ensemble = execute.resolve("compact")["q1_cnn"]["ENSEMBLE"]
    assert 1 < len(runs.members(tmp_path, str(ensemble).split())) <= 5


def test_without_models_in_the_package_their_ensemble_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    with pytest.raises(InputError, match="No models come with this package"):
        runs.members(tmp_path, ["pretrained"])


def test_an_answer_by_views_is_the_mean_over_them(run, splits):
    faces = splits.tests["public"]
    mirror = Faces(faces.pixels[:, :, ::-1], faces.labels, faces.ids)
    both = (prediction.predict(run.model, faces) + prediction.predict(run.model, mirror)) / 2
    shown = views(Augmentation(shift=0))
    np.testing.assert_allclose(prediction.predict(run.model, faces, shown), both, atol=1e-6)


def test_a_report_goes_on_with_a_training_that_was_stopped(run, splits, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "weights")
    pack_weights.main(str(run.path))

    def write_and_stop(path, checkpoint, write=checkpoints.write):
        write(path, checkpoint)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(checkpoints, "write", write_and_stop)
        runs.train_or_reuse(splits, SPEC, RECIPE, root=tmp_path, progress=False)
    gone_on = runs.train_or_reuse(splits, SPEC, RECIPE, root=tmp_path, progress=False, ready_made=True)
    assert not gone_on.record.get("pretrained")
    np.testing.assert_array_equal(gone_on.probabilities("public"), run.probabilities("public"))


def test_models_and_their_ensemble_are_judged_with_and_without_leaked_faces(run, root, splits):
    leaking = FaceSplits(splits.train, {"public": splits.train[:20]}, source="leaks")
    half = FaceSplits(splits.train[:10], {"public": splits.train[:20]}, source="half leaks", drawn=True)
    assert runs.evaluate(root, [run.id], leaking)["copies"].tolist() == [True]
    table = runs.evaluate(root, [run.id, run.id], half)
    assert table["stranger"].all()
    assert table["model"].tolist() == 2 * [run.id, run.id, ""]
    assert table["faces"].tolist() == 3 * [20] + 3 * [10]
    every = prediction.predict(run.model, half.tests["public"]).argmax(axis=1) == half.tests["public"].labels
    assert table["accuracy"].tolist() == pytest.approx(3 * [every.mean()] + 3 * [every[10:].mean()])
    assert table["happy"].between(0, 1).all()


def test_an_emotion_without_test_faces_was_neither_found_nor_missed(run, root, splits):
    table = runs.evaluate(root, [run.id], replace(splits, tests={"public": splits.tests["public"][:6]}))
    assert table["sad"].notna().all() and table["neutral"].isna().all()


def test_a_model_that_may_have_learned_from_the_test_faces_is_a_stranger(run, root, splits, tmp_path):
    shutil.copy(run.path / "model.keras", tmp_path / "nameless.keras")
    known, nameless = runs.members(root, [run.id, str(tmp_path / "nameless.keras")])
    again = FaceSplits(splits.train[:140], {"test": splits.train[140:160]}, source="split anew", drawn=True)
    assert known.may_have_trained_on(again) and nameless.may_have_trained_on(again)
    assert not known.may_have_trained_on(replace(splits, tests=again.tests))
    assert not known.may_have_trained_on(replace(again, drawn=False))  # no drawing is a photograph's copy


def test_each_run_has_one_row_whatever_notebooks_say_of_it(run, splits):
    facts = run.facts(splits)
    table = runs.runs_table([facts, {"easiest": {"name": "Happy"}}, facts])
    [row] = table.to_dict("records")
    assert row["run"] == run.id
    assert (row["epochs"], row["seed"], row["training_faces"]) == (2, 0, run.record["faces"]["train"])
    assert row["training_seconds"] == run.metrics["seconds"]["training"]
    assert runs.runs_table([{}]).empty


def test_a_run_with_settings_that_are_unknown_here_is_passed_over(run, tmp_path):
    shutil.copytree(run.path, tmp_path / run.id)
    record = run.record | {"recipe": run.record["recipe"] | {"start": ""}}
    (tmp_path / run.id / "run.json").write_text(json.dumps(record))
    assert not runs.is_complete(tmp_path / run.id)
    with pytest.raises(InputError, match="no complete run"):
        runs.find(tmp_path, run.id)
