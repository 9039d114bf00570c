"""The sweep's file: what it may say, and how it is refused."""

from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_lib.errors import InputError
from fer_lib.report import execute
from fer_lib.sweep import spec


def read(folder: Path, text: str, **options):
    file = folder / "mine.yaml"
    file.write_text(text)
    return spec.read(file, **options)


def test_grid_has_all_combinations_over_the_fixed_parameters(tmp_path):
    sweep = read(
        tmp_path,
        "notebook: q1_cnn\nparameters: {EPOCHS: 3}\ngrid: {WIDTH: [0.25, 1], AUGMENT: [true, false]}",
    )
    assert (sweep.name, sweep.notebook, sweep.varied) == ("mine", "q1_cnn", ("WIDTH", "AUGMENT"))
    found = [(point["WIDTH"], point["AUGMENT"]) for point in sweep.points]
    assert found == [(0.25, True), (0.25, False), (1.0, True), (1.0, False)]
    assert {point["EPOCHS"] for point in sweep.points} == {3}
    assert {point["LEARNING_RATE"] for point in sweep.points} == {0.001}  # the notebook's own


def test_list_has_its_points_and_what_one_leaves_open_is_the_fixed_value(tmp_path):
    sweep = read(tmp_path, "notebook: q1_cnn\nprofile: compact\nlist:\n- {EPOCHS: 30}\n- {WIDTH: 0.5}")
    fixed = execute.resolve("compact")["q1_cnn"]
    assert [(p["EPOCHS"], p["WIDTH"], p["MODEL"]) for p in sweep.points] == [
        (30, fixed["WIDTH"], "compact"),
        (fixed["EPOCHS"], 0.5, "compact"),
    ]


RANDOM = """
notebook: q1_cnn
random:
  points: 40
  seed: {seed}
  over:
    LEARNING_RATE: {{log: [1e-4, 1e-2]}}
    DENSE_DROPOUT: {{uniform: [0, 0.5]}}
    EPOCHS: {{uniform: [2, 4]}}
    OPTIMIZER: [Adam, SGD]
"""


def test_random_points_lie_where_they_may_and_follow_from_the_seed(tmp_path):
    points = read(tmp_path, RANDOM.format(seed=0)).points
    assert (
        points == read(tmp_path, RANDOM.format(seed=0)).points != read(tmp_path, RANDOM.format(seed=1)).points
    )
    assert len(points) == 40
    rates = [p["LEARNING_RATE"] for p in points]
    assert 1e-4 <= min(rates) < 3e-4 and 3e-3 < max(rates) <= 1e-2  # spread over the decades
    assert all(0 <= p["DENSE_DROPOUT"] <= 0.5 for p in points)
    assert {p["EPOCHS"] for p in points} == {2, 3, 4}
    assert {p["OPTIMIZER"] for p in points} == {"Adam", "SGD"}


QUICK = """
notebook: q1_cnn
parameters: {EPOCHS: 30, SEED: 7}
grid: {WIDTH: [0.5, 1.0], DENSE_DROPOUT: [0.0, 0.5]}
quick:
  parameters: {EPOCHS: 2}
  grid: {WIDTH: [0.03]}
"""


def test_quick_form_goes_over_the_file(tmp_path):
    sweep = read(tmp_path, QUICK, quick=True)
    assert sweep.name == "mine-quick"
    assert [(p["EPOCHS"], p["SEED"], p["WIDTH"], p["DENSE_DROPOUT"]) for p in sweep.points] == [
        (2, 7, 0.03, 0.0),
        (2, 7, 0.03, 0.5),
    ]


def test_settings_go_over_the_fixed_parameters(tmp_path):
    assert {p["EPOCHS"] for p in read(tmp_path, QUICK, settings={"EPOCHS": "5"}).points} == {5}


def test_number_may_be_0_where_the_notebook_has_0_whatever_the_profile_or_the_file_say(tmp_path):
    grid = "notebook: q1_cnn\nprofile: compact\ngrid: {SMALL_EPOCHS: [0, 9]}"
    assert [point["SMALL_EPOCHS"] for point in read(tmp_path, grid).points] == [0, 9]
    fixed = "notebook: q1_cnn\nparameters: {DEPTH: 4}\ngrid: {WIDTH: [0.05]}"
    assert [point["DEPTH"] for point in read(tmp_path, fixed, settings={"DEPTH": "0"}).points] == [0]


def test_dense_networks_are_compared_with_cnns_on_the_same_validation_faces(tmp_path):
    text = "notebook: q2_dnn\nparameters: {SEED: 4}\ncnn: {EPOCHS: 1}\ngrid: {VALIDATION: [0.1, 0.2], WIDTH: [0, 1]}"
    found = [
        (cnn["SEED"], cnn["VALIDATION"], cnn["EPOCHS"], cnn["MODEL"]) for cnn in read(tmp_path, text).cnns
    ]
    assert found == [(4, 0.1, 1, "cnn"), (4, 0.2, 1, "cnn")]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the file is empty"),
        ("{", "this is not YAML that can be read"),
        ("notebook: q1_cnn\ngrid:\n  MODEL: [2017-02-30]", "this is not YAML that can be read"),
        ("notebook: q1_cnn\ngrid: {SEED: [1], SEED: [2]}", "SEED occurs twice"),
        ("[1]", "names with values are wanted, such as `EPOCHS: 3`, but it was [1]."),
        ("grid: {WIDTH: [1]}", "no notebook is named"),
        ("notebook: q1_cnn\nparameters: {EPOCHS: 3}", "which points to run; there is none"),
        ("notebook: q1_cnn\ngrid: {WIDTH: [1]}\nlist: [{WIDTH: 1}]", "there is grid and list"),
        ("notebook: q3_confusion\ngrid: {}", "Unknown notebook of a sweep: q3_confusion"),
        ("notebook: q1_cnn\nprofile: huge\ngrid: {}", "Unknown profile: huge"),
        ("notebook: q1_cnn\ngird: {WIDTH: [1]}", "Unknown entry: gird; did you mean grid?"),
        ("notebook: q1_cnn\ngrid: {EPOHCS: [1]}", "in `grid` Unknown parameter: EPOHCS; did you mean EPOCHS?"),
        ("notebook: q1_cnn\ngrid: {EPOCHS: [1, many]}", "in `grid` EPOCHS must be a whole number, but was 'many'."),
        ("notebook: q1_cnn\ngrid: {EPOCHS: [1, true]}", "EPOCHS must be a whole number, but was True"),
        ("notebook: q1_cnn\ngrid: {EPOCHS: [0]}", "EPOCHS must be at least 1, but was 0."),
        ("notebook: q1_cnn\ngrid: {WIDTH: [.inf]}", "WIDTH must be a number, but was inf."),
        ("notebook: q1_cnn\ngrid: {WIDTH: [0]}", "the point WIDTH=0.0 cannot be: The width"),
        ("notebook: q1_cnn\ngrid: {DEPTH: [3]}", "the point DEPTH=3 cannot be: The depth"),
        ("notebook: q1_cnn\ngrid: {}", "the grid has 0 points"),
        ("notebook: q1_cnn\ngrid: {EPOCHS: []}", "EPOCHS must be a list, such as [1, 2], but was []."),
        ("notebook: q1_cnn\ngrid: {EPOCHS: 3}", "EPOCHS must be a list, such as [1, 2], but was 3."),
        ("notebook: q1_cnn\ngrid: {WIDTH: [1, 1.0]}", "WIDTH has 1.0 twice."),
        ("notebook: q1_cnn\nlist:\n- {EPOCHS: 12}\n- {WIDTH: 0.125}", "are the same: EPOCHS=12, WIDTH=0.125."),
        ("notebook: q1_cnn\nparameters: {SEED: 1}\ngrid: {SEED: [1, 2]}", "SEED is fixed under `parameters`, but"),
        ("notebook: q1_cnn\ngrid: {DATA: [x.csv]}", "DATA is no parameter of a sweep: give the data as make"),
        ("notebook: q1_cnn\ncnn: {}\ngrid: {SEED: [1]}", "`cnn` describes what q2_dnn compares with"),
        ("notebook: q2_dnn\ncnn: {SEED: 1}\ngrid: {WIDTH: [1]}", "in `cnn` SEED is no parameter of `cnn`"),
        ("notebook: q1_cnn\ngrid: {SEED: &a " + str([*range(101)]) + ", SMALL_EPOCHS: *a}", "1 to 10,000"),
        ("notebook: q1_cnn\ngrid: {VALIDATION: [0.15, 0]}", "VALIDATION must be above 0"),
        ("notebook: q1_cnn\nrandom: {over: {}}", "in `random` a random search needs `points`."),
        ("notebook: q1_cnn\nrandom: {points: 0, over: {SEED: [1]}}", "points must be a whole number from 1"),
        ("notebook: q1_cnn\nrandom: {points: 5, over: {SEED: [1, 2]}}", "only about 2 different points"),
        ("notebook: q1_cnn\nrandom: {points: 1, over: {LEARNING_RATE: {log: [0, 1]}}}", "above 0"),
        ("notebook: q1_cnn\nrandom: {points: 1, over: {LEARNING_RATE: {log: [1, 2, 3]}}}", "needs two ends"),
        ("notebook: q1_cnn\nrandom: {points: 1, over: {MODEL: {log: [1, 2]}}}", "MODEL must be a list"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_sentence_that_says_where(text, sentence, tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "mine.yaml"))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_form_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="there is no quick form"):
        read(tmp_path, "notebook: q1_cnn\ngrid: {SEED: [1]}", quick=True)
    with pytest.raises(
        InputError, match="other.yaml: there is no such sweep; notebooks/sweeps has augmentation.yaml"
    ):
        spec.read(tmp_path / "other.yaml")


def test_setting_that_the_sweep_varies_is_refused(tmp_path):
    with pytest.raises(InputError, match="SEED is what the sweep varies"):
        read(tmp_path, "notebook: q1_cnn\ngrid: {SEED: [1]}", settings={"SEED": "3"})
    with pytest.raises(InputError, match="did you mean EPOCHS"):
        read(tmp_path, "notebook: q1_cnn\ngrid: {SEED: [1]}", settings={"EPOHCS": "3"})


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates()
_names = st.sampled_from(["SEED", "EPOCHS", "WIDTH", "MODEL", "points", "over", "log", "seed", "DATA", "x"])
_trees = st.recursive(
    _scalars, lambda t: st.lists(t, max_size=3) | st.dictionaries(_names, t, max_size=3), max_leaves=8
)
_entries = st.sampled_from(["notebook", "profile", "parameters", "grid", "list", "random", "cnn", "quick"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(_entries, _trees | st.sampled_from(["q1_cnn", "q2_dnn", "quick"])), st.booleans())
def test_whatever_a_file_holds_is_read_or_refused_with_a_sentence(tmp_path_factory, content, quick):
    try:
        sweep = read(
            tmp_path_factory.getbasetemp(), yaml.safe_dump({"notebook": "q1_cnn", **content}), quick=quick
        )
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert len({tuple(sorted(point.items())) for point in sweep.points}) == len(sweep.points) > 0


@pytest.mark.parametrize(
    "file", sorted((ROOT / "notebooks" / "sweeps").glob("*.yaml")), ids=lambda file: file.stem
)
@pytest.mark.parametrize("quick", [False, True])
def test_sweeps_that_come_with_the_project_can_be_read(file, quick):
    assert len(spec.read(file, quick=quick).points) > 1
