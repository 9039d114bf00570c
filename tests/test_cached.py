"""What was computed of a run's model is kept beside it, and computed anew where anything that counts is other."""

import keras
import numpy as np
import pytest

from fer_lib.models import architectures
from fer_lib.models.spec import ModelSpec
from fer_lib.runs import cached
from fer_lib.runs.cached import FOLDER, load_or_compute
from fer_lib.runs.folder import Run

ONES = np.ones((2, 3), np.float32)
calls = []


def scores(model, inputs, factor=1.0):
    """A function of a model, which notes that it was called."""
    calls.append(factor)
    return {"scores": factor * np.asarray(model(inputs))}


def sums(model, inputs):
    """Another one."""
    calls.append("sums")
    return float(np.asarray(model(inputs)).sum())


@pytest.fixture
def network():
    """Makes networks of one layer whose weights are all the same."""

    def made(weight: float) -> keras.Model:
        layer = keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(weight))
        return keras.Sequential([keras.Input((3,)), layer])

    return made


@pytest.fixture
def ask(network, tmp_path):
    """Asks for what the network of the run in a folder says; gives that, and how often it was computed for it."""
    calls.clear()
    model = network(1.0)

    def asked(*inputs, function=scores, **settings):
        before = len(calls)
        result = load_or_compute(
            tmp_path, settings.pop("model", lambda: model), function, *inputs, **settings
        )
        return result, len(calls) - before

    return asked


def test_result_is_computed_once(ask, tmp_path):
    first, computed = ask(ONES)
    assert (first["scores"].tolist(), computed) == ([[3.0], [3.0]], 1)
    again, computed = ask(ONES.copy())
    assert (again["scores"].tolist(), again["scores"].dtype, computed) == ([[3.0], [3.0]], np.float32, 0)
    assert len(list((tmp_path / FOLDER).iterdir())) == 1


def test_other_arrays_settings_and_functions_have_other_results(ask):
    assert ask(ONES)[1] == 1
    assert ask(2 * ONES)[0]["scores"].tolist() == [[6.0], [6.0]]
    assert ask(ONES, factor=5.0)[0]["scores"].tolist() == [[15.0], [15.0]]
    assert ask(ONES, function=sums) == (6.0, 1)
    assert ask(ONES)[1] == ask(2 * ONES)[1] == ask(ONES, factor=5.0)[1] == ask(ONES, function=sums)[1] == 0


def test_another_model_than_the_runs_has_its_own_result(ask, network):
    assert ask(ONES)[1] == 1
    untrained, computed = ask(ONES, model=network(2.0))
    assert (untrained["scores"].tolist(), computed) == ([[6.0], [6.0]], 1)
    assert ask(ONES, model=network(2.0))[1] == 0
    assert ask(ONES, model=network(3.0))[0]["scores"].tolist() == [[9.0], [9.0]]
    assert ask(ONES)[0]["scores"].tolist() == [[3.0], [3.0]]


@pytest.mark.parametrize("content", [b"", b"no pickle", None])
def test_damaged_file_is_computed_anew(ask, tmp_path, content):
    ask(ONES)
    [file] = (tmp_path / FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:-20] if content is None else content)
    assert ask(ONES)[0]["scores"].tolist() == [[3.0], [3.0]]
    assert len(calls) == 2
    assert ask(ONES)[1] == 0


def test_function_that_fails_leaves_nothing(ask, tmp_path):
    with pytest.raises(TypeError):
        ask(ONES, factor=None)
    assert list(tmp_path.rglob("*.joblib")) == []


def test_other_code_computes_anew_and_takes_the_place_of_what_older_code_left(ask, tmp_path, monkeypatch):
    ask(ONES)
    ask(ONES, function=sums)
    before = set((tmp_path / FOLDER).iterdir())
    monkeypatch.setattr(cached, "_code", lambda module: "newer")
    assert ask(ONES)[1] == 1
    [kept] = before & set((tmp_path / FOLDER).iterdir())
    assert kept.name.startswith(f"{sums.__module__}.sums-")
    assert len(list((tmp_path / FOLDER).glob("*.scores-*"))) == 1


def test_code_of_a_module_is_its_own_and_that_of_all_that_it_uses(tmp_path, monkeypatch):
    codes = {}
    for text in ("X = 1\n", "X = 2\n"):
        (tmp_path / "deeper.py").write_text(text)
        deeper, user, other = (type(cached)(f"fer_lib.{name}") for name in ("deeper", "user", "other"))
        deeper.__file__ = str(tmp_path / "deeper.py")
        user.__file__ = other.__file__ = __file__
        user.deeper = deeper
        for module in (deeper, user, other):
            monkeypatch.setitem(cached.sys.modules, module.__name__, module)
        cached._code.cache_clear()
        codes[text] = cached._code("fer_lib.user"), cached._code("fer_lib.other")
    cached._code.cache_clear()
    (first, same), (second, again) = codes.values()
    assert first != second and same == again


def test_comments_and_docstrings_are_no_code():
    plain, other = "def f(x):\n    return x + 1\n", "def f(x):\n    return x + 2\n"
    told = '"""A module."""\n\n# Why.\ndef f(x):\n    """One more."""\n    return x + 1  # one\n\nX = 1\n"""It."""\n'
    assert (
        cached._statements(told) == cached._statements(plain + "X = 1") != cached._statements(other + "X = 1")
    )


def test_a_run_keeps_results_of_its_model_in_its_own_folder(tmp_path):
    faces = np.zeros((3, 48, 48, 1), np.float32)
    network = architectures.build(ModelSpec("dnn", width=0.01, depth=1), faces[..., 0])
    network.save(tmp_path / "model.keras")
    calls.clear()
    sum_of_probabilities = pytest.approx(3)
    assert Run(tmp_path).cached(sums, faces) == sum_of_probabilities
    assert Run(tmp_path).cached(sums, faces) == sum_of_probabilities
    assert Run(tmp_path).cached(sums, faces, model=network) == sum_of_probabilities
    assert calls == ["sums", "sums"]
    assert len(list((tmp_path / FOLDER).iterdir())) == 2
