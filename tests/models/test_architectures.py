import dataclasses
import json
import tracemalloc
from typing import get_args

import keras
import numpy as np
import pytest
from conftest import ROOT

from fer_lib import explain
from fer_lib.errors import InputError
from fer_lib.models import spec as settings
from fer_lib.models import training
from fer_lib.models.architectures import MODELS, architecture, build, multiply_adds, stages
from fer_lib.models.spec import DEFAULT_DEPTHS, DEPTHS, ModelSpec, dnn_width
from fer_lib.report import parameters
from fer_lib.sweep import spec

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 48, 48)).astype(np.uint8)

# The summary tables of the original report. (Its print of conv2d_6 has 590880, which does not add up to its own
# total; 590080 does.)
CNN_TABLE = """
conv2d_1 (Conv2D)|(None, 48, 48, 64)|640
dropout_1 (Dropout)|(None, 48, 48, 64)|0
conv2d_2 (Conv2D)|(None, 48, 48, 64)|36928
dropout_2 (Dropout)|(None, 48, 48, 64)|0
max_pooling2d_1 (MaxPooling2D)|(None, 24, 24, 64)|0
conv2d_3 (Conv2D)|(None, 24, 24, 128)|73856
dropout_3 (Dropout)|(None, 24, 24, 128)|0
conv2d_4 (Conv2D)|(None, 24, 24, 128)|147584
dropout_4 (Dropout)|(None, 24, 24, 128)|0
max_pooling2d_2 (MaxPooling2D)|(None, 12, 12, 128)|0
conv2d_5 (Conv2D)|(None, 12, 12, 256)|295168
dropout_5 (Dropout)|(None, 12, 12, 256)|0
conv2d_6 (Conv2D)|(None, 12, 12, 256)|590080
dropout_6 (Dropout)|(None, 12, 12, 256)|0
max_pooling2d_3 (MaxPooling2D)|(None, 6, 6, 256)|0
conv2d_7 (Conv2D)|(None, 6, 6, 512)|1180160
dropout_7 (Dropout)|(None, 6, 6, 512)|0
conv2d_8 (Conv2D)|(None, 6, 6, 512)|2359808
dropout_8 (Dropout)|(None, 6, 6, 512)|0
max_pooling2d_4 (MaxPooling2D)|(None, 3, 3, 512)|0
flatten_1 (Flatten)|(None, 4608)|0
dropout_9 (Dropout)|(None, 4608)|0
dense_1 (Dense)|(None, 4096)|18878464
dropout_10 (Dropout)|(None, 4096)|0
dense_2 (Dense)|(None, 4096)|16781312
dropout_11 (Dropout)|(None, 4096)|0
dense_3 (Dense)|(None, 7)|28679
Total params||40372679
Trainable params||40372679
Non-trainable params||0
"""
DNN_TABLE = """
dense_1 (Dense)|(None, 256)|590080
dropout_1 (Dropout)|(None, 256)|0
dense_2 (Dense)|(None, 256)|65792
dropout_2 (Dropout)|(None, 256)|0
dense_3 (Dense)|(None, 512)|131584
dropout_3 (Dropout)|(None, 512)|0
dense_4 (Dense)|(None, 512)|262656
dropout_4 (Dropout)|(None, 512)|0
dense_5 (Dense)|(None, 1024)|525312
dropout_5 (Dropout)|(None, 1024)|0
dense_6 (Dense)|(None, 2048)|2099200
dropout_6 (Dropout)|(None, 2048)|0
dense_7 (Dense)|(None, 2048)|4196352
dropout_7 (Dropout)|(None, 2048)|0
dense_8 (Dense)|(None, 4096)|8392704
dropout_8 (Dropout)|(None, 4096)|0
dense_9 (Dense)|(None, 4096)|16781312
dropout_9 (Dropout)|(None, 4096)|0
dense_10 (Dense)|(None, 7)|28679
Total params||33073671
Trainable params||33073671
Non-trainable params||0
"""


def table_text(model: keras.Model) -> str:
    rows = architecture(model).itertuples(index=False)
    return "\n" + "".join("|".join(map(str, row)) + "\n" for row in rows)


@pytest.mark.parametrize(("name", "table"), [("cnn", CNN_TABLE), ("dnn", DNN_TABLE)])
def test_architecture_at_width_one_is_the_originals_line_by_line(name, table):
    assert table_text(build(ModelSpec(name), PIXELS)) == table


def test_dropout_that_drops_nothing_is_not_in_the_table():
    layers = architecture(build(ModelSpec("cnn", width=0.05, conv_dropout=0.0), PIXELS))["layer"]
    assert [name for name in layers if "Dropout" in name] == [f"dropout_{i} (Dropout)" for i in (9, 10, 11)]


def test_original_dropouts_stand_where_the_report_says():
    cnn, dnn = build(ModelSpec("cnn"), PIXELS), build(ModelSpec("dnn"), PIXELS)
    rates = [
        [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
        for model in (cnn, dnn)
    ]
    assert rates == [[0.3] * 8 + [0.5] * 3, [0.3] * 7 + [0.5] * 2]


def kinds(model: keras.Model) -> str:
    """The layers with weights, and the poolings, by their first letters."""
    return "".join(
        type(layer).__name__[0]
        for layer in model.layers
        if layer.weights or "Pooling" in type(layer).__name__
    )


@pytest.mark.parametrize(
    ("depth", "layers"),
    [(4, "CMCMCMCM"), (5, "CMCMCMCCM"), (8, "CCMCCMCCMCCM"), (11, "CCMCCCMCCCMCCCM"), (16, "CCCCM" * 4)],
)
def test_depth_of_the_cnn_is_its_convolutions_in_four_blocks(depth, layers):
    model = build(ModelSpec("cnn", width=0.02, depth=depth), PIXELS)
    assert kinds(model) == layers + "DDD"
    assert model.get_layer("flatten_1").output.shape == (None, 9 * round(512 * 0.02))


@pytest.mark.parametrize(
    ("depth", "units"),
    [(1, [4096]), (2, [256, 4096]), (3, [256, 1024, 4096]), (9, None), (18, None)],
)
def test_depth_of_the_dnn_is_its_hidden_layers_from_narrow_to_wide(depth, units):
    sizes = [layer.units for layer in build(ModelSpec("dnn", width=1 / 64, depth=depth), PIXELS).layers
             if isinstance(layer, keras.layers.Dense)][:-1]  # fmt: skip
    assert len(sizes) == depth and sizes == sorted(sizes)
    assert units is None or [64 * size for size in sizes] == units


@pytest.mark.parametrize(
    ("depth", "blocks"), [(3, [1, 1, 1]), (4, [1, 1, 2]), (5, [1, 2, 2]), (12, [4, 4, 4])]
)
def test_depth_of_compact_is_its_residual_blocks_shared_over_three_stages(depth, blocks):
    model = build(ModelSpec("compact", width=0.1, depth=depth), PIXELS)
    sums = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Add)]
    assert [sum(name.startswith(f"block{stage}") for name in sums) for stage in (1, 2, 3)] == blocks


@pytest.mark.parametrize("name", DEPTHS)
def test_models_own_depth_given_or_not_is_the_same_network(name):
    own = {"cnn": 8, "dnn": 9, "compact": 3}[name]
    given, left = (build(ModelSpec(name, width=0.05, depth=depth), PIXELS) for depth in (own, None))
    assert table_text(given) == table_text(left)


@pytest.mark.parametrize("quick", [False, True])
def test_dense_networks_of_the_depth_sweep_have_the_size_of_its_cnn(quick):
    sweep = spec.read(ROOT / "notebooks" / "sweeps" / "dnn.yaml", quick=quick)
    parameters = build(ModelSpec("cnn", width=sweep.cnns[0]["WIDTH"]), PIXELS).count_params()
    depths = {point["DEPTH"] for point in sweep.points}
    assert {point["WIDTH"] for point in sweep.points} == {0} and len(depths) > 3
    for depth in depths:
        dnn = build(ModelSpec("dnn", width=dnn_width(parameters, depth), depth=depth), PIXELS)
        assert dnn.count_params() == pytest.approx(parameters, rel=0.02)


def test_settings_name_what_there_is():
    assert tuple(MODELS) == settings.MODELS and set(DEPTHS) == set(DEFAULT_DEPTHS) == set(MODELS)
    assert tuple(training.OPTIMIZERS) == get_args(get_args(settings.SETTINGS["OPTIMIZER"])[0])
    assert tuple(explain.METHODS) == parameters.SALIENCY_METHODS


def test_record_leaves_out_the_models_own_depth():
    assert ModelSpec("cnn").record == ModelSpec("cnn", depth=8).record
    assert "depth" not in ModelSpec("dnn", depth=9).record
    assert ModelSpec(**ModelSpec("cnn", depth=5).record) == ModelSpec("cnn", depth=5)


@pytest.mark.parametrize("name", MODELS)
def test_model_turns_raw_uint8_pixels_into_probabilities(name):
    probabilities = build(ModelSpec(name, width=0.1), PIXELS).predict(PIXELS[..., np.newaxis], verbose=0)
    assert probabilities.shape == (32, 7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_first_layer_standardises_with_the_training_pixels():
    model = build(ModelSpec("cnn", width=0.05), PIXELS)
    prepared = model.get_layer("standardisation")(PIXELS.astype(np.float32))
    assert float(keras.ops.mean(prepared)) == pytest.approx(0, abs=1e-4)
    assert float(keras.ops.std(prepared)) == pytest.approx(1, abs=1e-4)


def test_without_standardisation_pixels_are_only_scaled():
    model = build(ModelSpec("cnn", width=0.05, standardise=False), PIXELS)
    assert float(model.get_layer("rescaling")(np.float32(255))) == pytest.approx(1)


def test_constant_training_pixels_do_not_divide_by_zero():
    model = build(ModelSpec("dnn", width=0.05), np.full((4, 48, 48), 7, np.uint8))
    assert np.isfinite(model.predict(PIXELS[..., np.newaxis], verbose=0)).all()


def test_same_seed_gives_same_weights_and_another_seed_others():
    cnn = ModelSpec("cnn", width=0.05)
    first, again, other = (build(cnn, PIXELS, seed=seed).get_weights()[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("parameters", [60_000, 635_135, 2_530_679, 40_372_679])
def test_solver_sizes_a_dnn_within_half_a_percent(parameters):
    dnn = build(ModelSpec("dnn", width=dnn_width(parameters)), PIXELS)
    assert dnn.count_params() == pytest.approx(parameters, rel=0.005)


def test_solver_gives_the_original_width_back():
    assert dnn_width(33_073_671) == pytest.approx(1, abs=1e-3)


def test_solver_refuses_what_no_dense_network_has():
    with pytest.raises(InputError, match=r"about 50 parameters; .*; give q2_dnn.WIDTH, such as 0.01\.$"):
        dnn_width(50)


def test_multiply_adds_of_the_original_cnn():
    convolutions = (
        2304 * (576 + 36864) + 576 * (73728 + 147456) + 144 * (294912 + 589824) + 36 * (1179648 + 2359296)
    )
    assert (
        multiply_adds(build(ModelSpec("cnn"), PIXELS)) == convolutions + 4608 * 4096 + 4096 * 4096 + 4096 * 7
    )


def test_compact_heeds_every_setting_of_its_spec():
    spec = ModelSpec("compact", width=0.1, conv_dropout=0.0, dense_dropout=0.3, initializer="he_normal")
    plain = build(spec, PIXELS)
    dropped = build(dataclasses.replace(spec, conv_dropout=0.2), PIXELS)
    names = [{layer.name for layer in model.layers} for model in (plain, dropped)]
    assert names[1] - names[0] == {"dropout1", "dropout2", "dropout3"}
    glorot = build(dataclasses.replace(spec, initializer="glorot_uniform"), PIXELS)
    kernels = [model.get_layer("block1_conv1").kernel.numpy() for model in (plain, glorot)]
    assert kernels[0].std() > 1.2 * kernels[1].std()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "vgg"}, "Unknown model: vgg"),
        ({"name": "cnn", "width": 0.0}, "width of a model"),
        ({"name": "cnn", "conv_dropout": 1.0}, "conv_dropout must be at least 0 and below 1"),
        ({"name": "cnn", "depth": 3}, "depth of the model cnn must be 4 to 16, but was 3"),
        ({"name": "dnn", "depth": 0}, "depth of the model dnn must be 1 to 18, but was 0"),
        ({"name": "compact", "depth": 13}, "depth of the model compact must be 3 to 12, but was 13"),
    ],
)
def test_impossible_spec_is_refused_in_one_sentence(settings, message):
    with pytest.raises(InputError, match=message):
        ModelSpec(**settings)


def test_a_whole_number_is_the_same_model_as_the_float():
    assert json.dumps(ModelSpec("dnn", width=1).record) == json.dumps(ModelSpec("dnn", width=1.0).record)


def test_faces_are_standardised_by_numpys_deviation_to_the_bit_without_a_copy_in_floats():
    pixels = np.random.default_rng(0).integers(0, 200, (2001, 48, 48)).astype(np.uint8)
    tracemalloc.start()
    layer = build(ModelSpec("dnn", width=0.01), pixels).get_layer("standardisation")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert layer.scale == 1 / float(pixels.std(dtype=np.float64))
    assert peak < 5 * pixels.size


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            ModelSpec("cnn", width=0.125),
            "input 48 1|2 conv 48 8|pool 2 conv 24 16|pool 2 conv 12 32|pool 2 conv 6 64"
            "|flatten 2 dense 1 512|output 1 7",
        ),
        (ModelSpec("dnn", width=0.1, depth=2), "input 48 1|flatten dense 1 26|dense 1 410|output 1 7"),
        (
            ModelSpec("compact", depth=4),
            "input 48 1|conv 48 24|pool residual 24 48|pool residual 12 96|pool 2 residual 6 192|average output 1 7",
        ),
    ],
)
def test_stages_are_what_a_diagram_shows(spec, expected):
    said = [
        " ".join(
            [stage.step] * bool(stage.step)
            + [str(stage.count)] * (stage.count > 1)
            + [stage.kind, str(stage.height), str(stage.channels)]
        )
        for stage in stages(build(spec, PIXELS)).itertuples()
    ]
    assert "|".join(said) == expected
