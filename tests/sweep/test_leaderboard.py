"""What a report and a page say of a leaderboard."""

import pandas as pd
import pytest

from fer_lib import plots
from fer_lib.errors import InputError
from fer_lib.sweep import leaderboard

FACES = "1234567890123456"  # a fingerprint that looks like a number


def board(accuracies: list[float], costs: list[float]) -> pd.DataFrame:
    rows = [
        {
            "point": number,
            "WIDTH": 0.1 * number,
            "OPTIMIZER": "SGD" if number % 2 else "Adam",
            "accuracy": accuracy,
            "low": accuracy - 0.05,
            "high": accuracy + 0.05,
            "cpu_seconds": cost,
            "parameters": 100,
            "mega_multiply_adds": 1.0,
            "thousand_predictions": 0.1,
            "run": f"cnn-{number}",
            "data": FACES,
            "notebook": f"points/{number}/q1_cnn.ipynb",
        }
        for number, (accuracy, cost) in enumerate(zip(accuracies, costs, strict=True), start=1)
    ]
    return leaderboard.table(rows, ["WIDTH", "OPTIMIZER"])


def test_front_has_the_models_that_no_cheaper_one_equals():
    found = board([0.5, 0.6, 0.6, 0.4, 0.7, 0.65], [1, 2, 3, 4, 50, 50])
    assert found["point"][leaderboard.pareto_front(found)].tolist() == [5, 2, 1]


def test_facts_count_the_models_that_cannot_be_told_from_the_best():
    facts = leaderboard.facts(board([0.5, 0.62, 0.66, 0.4], [1, 2, 3, 4]))
    assert (facts["models"], facts["front"]) == (4, 3)
    assert facts["settings"] == "WIDTH=0.30000000000000004, OPTIMIZER=SGD"
    assert facts["best"]["accuracy"] == 0.66 and facts["worst"]["accuracy"] == 0.4


def test_leaderboard_is_read_as_it_was_written_without_the_points_that_failed(tmp_path):
    found = board([0.5, 0.6], [1, 2])
    failed = leaderboard.failed_row(3, {"WIDTH": 9.0, "OPTIMIZER": "SGD"}, "no memory", "")
    rows = [*found.drop(columns="rank").to_dict("records"), failed]
    leaderboard.write(leaderboard.table(rows, ["WIDTH", "OPTIMIZER"]), tmp_path)
    assert leaderboard.read(tmp_path)["point"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [(None, "There is no leaderboard"), ("a,b\n1,2\n", "has no column"), ("failed", "every point failed")],
)
def test_leaderboard_that_cannot_be_used_is_a_sentence(text, sentence, tmp_path):
    if text == "failed":
        leaderboard.write(leaderboard.table([leaderboard.failed_row(1, {}, "no", "")], []), tmp_path)
    elif text:
        (tmp_path / "leaderboard.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        leaderboard.read(tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("notebook", "points/1/q2_dnn.ipynb", "is a sweep of q2_dnn; one of q1_cnn is wanted here"),
        ("data", "other", "learned from other faces than these; sweep with the same DATA"),
    ],
)
def test_question_1_refuses_a_sweep_of_another_question_or_of_other_faces(column, value, sentence, tmp_path):
    found = board([0.5, 0.6], [1, 2])
    leaderboard.write(found, tmp_path)
    assert len(leaderboard.read(tmp_path, notebook="q1_cnn", faces=FACES)) == 2
    leaderboard.write(found.assign(**{column: value}), tmp_path)
    with pytest.raises(InputError, match=sentence):
        leaderboard.read(tmp_path, notebook="q1_cnn", faces=FACES)


@pytest.mark.parametrize("language", ["en", "zh-TW"])
def test_figures_name_every_parameter_and_the_ranks_of_the_front(language):
    found = board([0.5, 0.6, 0.7], [1, 2, 30])
    cost = plots.cost_and_accuracy(found, leaderboard.pareto_front(found), language=language)
    assert {text.get_text() for text in cost.axes[0].texts} == {"#1", "#2", "#3"}
    assert cost.axes[0].get_xscale() == "log"
    names = ["WIDTH", "OPTIMIZER"]
    effects = plots.parameter_effects(found, names, language=language)
    assert [ax.get_xlabel() for ax in effects.axes[:2]] == names
    assert [label.get_text() for label in effects.axes[1].get_xticklabels()] == ["Adam", "SGD"]
    lines = plots.parallel_coordinates(found, names, language=language)
    assert [label.get_text() for label in lines.axes[0].get_xticklabels()][:2] == names
