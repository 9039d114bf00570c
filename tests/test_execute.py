"""Notebooks by papermill: which parameters they get, when they are stale, how they fail. Kernels are real."""

import json
import signal
import sys
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from small_project import PROSE, Project, entered, forget

from fer_lib import profiles
from fer_lib.errors import InputError
from fer_lib.report import execute
from fer_lib.report.execute import CellError, KernelDied

PARAMETERS = 'DATA = ""\nRUN_ROOT = "../runs"\nLANGUAGE = "en"\nSEED = 0\nRATE = 0.5\n'
TRAINS = f'{PARAMETERS}PROFILE = "quick"\nEPOCHS = None\nWIDTH = None\nSETTINGS = {{}}\n'
SAYS = "from fer_lib import profiles\nspec, recipe = profiles.settings(PROFILE, 'q1_cnn', SETTINGS, EPOCHS=EPOCHS)"
SAYS += "\nprint(recipe.epochs, recipe.augment, recipe.light)"


@dataclass
class Notebook:
    """A project of one notebook, `q1_cnn`, and a kernel that outlives it."""

    project: Project
    patch: pytest.MonkeyPatch
    kernel: object

    def write(self, *cells: str, parameters: str = PARAMETERS) -> None:
        self.project.write("q1_cnn", parameters, *cells)

    def tag_the_last_cell(self) -> None:
        path = self.project.root / "notebooks" / "q1_cnn.ipynb"
        content = json.loads(path.read_text("utf-8"))
        content["cells"][-1]["metadata"]["tags"] = ["full"]
        path.write_text(json.dumps(content), "utf-8")

    def run(self, *, fingerprint: str = "f0", own_kernel: bool = False, **changes: object) -> bool:
        """Execute the notebook; whether it was stale."""
        given = {**execute.resolve("quick")["q1_cnn"], "RUN_ROOT": str(self.project.root / "runs"), **changes}
        with self.patch.context() as patch:
            if not own_kernel:
                patch.setattr(execute, "_kernel", lambda: nullcontext(self.kernel))
            return execute.execute("q1_cnn", given, self.out, fingerprint=fingerprint)[1]

    @property
    def out(self) -> Path:
        return self.project.root / "out"

    def printed(self) -> str:
        cells = json.loads((self.out / "q1_cnn.ipynb").read_text())["cells"]
        return "".join("".join(o.get("text", "")) for cell in cells for o in cell.get("outputs", []))


@pytest.fixture(scope="module")
def kernel():
    with execute._kernel() as manager:
        yield manager


@pytest.fixture
def notebook(tmp_path, kernel, monkeypatch):
    with entered(tmp_path / "project") as project:
        project.chapters("q1_cnn")
        project.profile("quick", "q1_cnn: {RATE: 1e-3}\n")
        made = Notebook(project, monkeypatch, kernel)
        made.write("print(RATE)")
        yield made


# Which parameters a notebook gets


@pytest.mark.parametrize(
    ("cell", "given", "epochs"),
    [
        ("None", {}, 12),
        ("3", {}, 3),
        ("None", {"EPOCHS": "5"}, 5),
        ("3", {"EPOCHS": "5"}, 5),
        ("3", {"q1_cnn.EPOCHS": "12"}, 12),
    ],
)
def test_command_line_goes_before_the_cell_and_the_cell_before_the_profile(notebook, cell, given, epochs):
    notebook.project.profile("quick", "q1_cnn: {EPOCHS: 12}")
    notebook.write(SAYS, parameters=TRAINS.replace("EPOCHS = None", f"EPOCHS = {cell}"))
    parameters = execute.resolve("quick", given)["q1_cnn"]
    assert parameters["EPOCHS"] == epochs
    given = execute._injected("q1_cnn", parameters)
    told = {**execute.declared("q1_cnn"), **given}
    _, recipe = profiles.settings("quick", "q1_cnn", told["SETTINGS"], EPOCHS=told["EPOCHS"])
    assert recipe.epochs == epochs


def test_settings_without_a_place_in_the_cell_reach_the_notebook(notebook):
    notebook.project.profile(
        "quick", "q1_cnn: {EPOCHS: 12}"
    )  # as the kernel, which is of this very package, reads it
    notebook.write(SAYS, parameters=TRAINS.replace("{}", '{"AUGMENT": True}'))
    assert notebook.run()
    assert notebook.printed() == "12 True 0.0\n"
    assert notebook.run(AUGMENT=False, LIGHT=0.3, EPOCHS=2)
    assert notebook.printed() == "2 False 0.3\n"


def test_other_parameters_of_a_cell_give_way_to_the_profile(notebook):
    notebook.project.profile("quick", "q1_cnn: {RATE: 1e-3, SEED: 4}")
    found = execute.resolve("quick", {"q1_cnn.SEED": "7"})["q1_cnn"]
    assert (found["RATE"], found["SEED"]) == (0.001, 7)


def test_notebook_without_a_recipe_may_name_a_parameter_like_a_setting(notebook):
    notebook.write("print(EPOCHS, LIMIT)", parameters=f"{PARAMETERS}EPOCHS = 200\nLIMIT = None\n")
    found = execute.resolve("quick", {"EPOCHS": "3", "LIMIT": "x"})["q1_cnn"]
    assert (found["EPOCHS"], found["LIMIT"]) == (3, "x")
    assert notebook.run(EPOCHS=3)
    assert notebook.printed() == "3 None\n"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"EPOHCS": "3"}, "Unknown parameter: EPOHCS; did you mean EPOCHS?"),
        ({"STUDENT_NAM": "x"}, "did you mean STUDENT_NAME?"),
        ({"XYZZY": "3"}, "Unknown parameter: XYZZY; there are AUGMENT, BATCH_SIZE,"),
        ({"q2_dmm.SEED": "3"}, "Unknown notebook: q2_dmm"),
        ({"q1_cnn.RATTE": "3"}, "did you mean RATE?"),
        ({"EPOCHS": "abc"}, "EPOCHS must be a whole number, but was 'abc'."),
        ({"EPOCHS": "2.5"}, "EPOCHS must be a whole number"),
        ({"EPOCHS": "0"}, "EPOCHS must be at least 1, but was 0."),
        ({"SEED": "-1"}, "SEED must be at least 0, but was -1."),
        ({"RATE": "fast"}, "RATE must be a number, but was 'fast'."),
        ({"AUGMENT": "maybe"}, "AUGMENT must be true or false, but was 'maybe'."),
        ({"NAMES": "a"}, "NAMES is ['a', 'b'], which no text can be"),
    ],
)
def test_bad_setting_is_one_sentence_with_the_near_miss(notebook, settings, message):
    notebook.write(parameters=f'{TRAINS}NAMES = ["a", "b"]\n')
    with pytest.raises(InputError) as caught:
        execute.resolve("quick", settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q1_cnn: {EPOHCS: 3}", "parameter of q1_cnn in quick.yaml: EPOHCS; did you mean EPOCHS?"),
        ("q9: {EPOCHS: 3}", "notebook in quick.yaml: q9"),
        ("q1_cnn: {EPOCHS: many}", "quick.yaml, q1_cnn: EPOCHS must be a whole number, but was 'many'."),
        ("q1_cnn: {EPOCHS: [1]}", "EPOCHS must be a whole number, but was [1]."),
        ("q1_cnn: {EPOCHS: true}", "EPOCHS must be a whole number, but was True."),
    ],
)
def test_bad_profile_is_one_sentence_that_names_it(notebook, content, message):
    notebook.write(parameters=TRAINS)
    notebook.project.profile("quick", content)
    with pytest.raises(InputError) as caught:
        execute.resolve("quick")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", profiles.profile_names())
def test_every_profile_that_comes_with_the_project_can_be_used(name):
    assert execute.resolve(name)["q1_cnn"]["PROFILE"] == "quick"
    assert list(execute.edited(name)) == []


def test_what_a_trial_left_in_a_cell_is_told(notebook):
    notebook.project.profile("quick", "q1_cnn: {EPOCHS: 12, WIDTH: 0.5}")
    changed = TRAINS.replace("EPOCHS = None", "EPOCHS = 3").replace("WIDTH = None", "WIDTH = 0.5")
    notebook.write(parameters=changed.replace("{}", '{"AUGMENT": True}'))
    assert list(execute.edited("quick")) == [
        "notebooks/q1_cnn.ipynb: AUGMENT is True, not False as in profile quick",
        "notebooks/q1_cnn.ipynb: EPOCHS is 3, not 12 as in profile quick",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[q1_cn]", "Unknown notebook in .*chapters.yaml: q1_cn; did you mean q1_cnn?"),
        ("q1_cnn: true", "There is no list of chapters in .*git clone.*`make report`"),
        ("", "There is no list of chapters"),
        (None, "There is no list of chapters"),
    ],
)
def test_list_of_chapters_that_is_none_is_one_sentence(notebook, content, message):
    path = notebook.project.root / "report" / "chapters.yaml"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InputError, match=message):
        execute.resolve("quick")


# When it is stale


def test_notebook_runs_with_its_parameters_and_then_is_up_to_date(notebook):
    assert notebook.run(RATE=0.25)
    assert notebook.printed() == "0.25\n"
    assert not notebook.run(RATE=0.25)


def test_only_what_a_notebook_depends_on_makes_it_stale(notebook):
    assert notebook.run()
    assert not notebook.run(DATA="/moved/elsewhere.csv", RUN_ROOT="/moved/runs")
    (notebook.project.root / "notebooks" / "another.ipynb").write_text("{}")
    assert not notebook.run()

    library, lock = notebook.project.root / "fer_lib", notebook.project.root / "requirements.txt"
    changes = (
        lambda: (library / "used.py").write_text("X = 2\n"),
        lambda: (library / "weights.npz").write_bytes(b"trained"),
        lambda: lock.write_text("numpy==9\n"),
        lambda: notebook.write("print(RATE)", " My own words."),
        notebook.tag_the_last_cell,
    )
    for change in changes:
        change()
        forget()
        assert notebook.run()
        assert not notebook.run()
    assert notebook.run(fingerprint="other faces")
    assert notebook.run(fingerprint="other faces", SEED=4)
    assert notebook.run(fingerprint="other faces", SEED=4, LANGUAGE="zh-TW")


def test_notebook_whose_run_was_deleted_is_stale(notebook):
    notebook.write(PROSE, 'facts(run={"id": "cnn-1"})')
    record = notebook.project.root / "runs" / "cnn-1" / "run.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    assert notebook.run()
    assert not notebook.run()
    record.unlink()
    assert notebook.run()


def test_damaged_executed_notebook_is_one_sentence(notebook):
    notebook.out.mkdir()
    (notebook.out / "q1_cnn.ipynb").write_text('{"cells": ')
    with pytest.raises(InputError, match=r"q1_cnn\.ipynb is damaged, no notebook"):
        notebook.run()


def test_files_and_variables_of_the_user_change_nothing(notebook, tmp_path, monkeypatch):
    files = {
        "jupyter/kernels/python3/kernel.json": '{"argv": ["false"], "display_name": "Python 3", "language": "python"}',
        "ipython/profile_default/startup/mine.py": "print('mine')",
        "ipython/profile_default/ipython_config.py": "c.InteractiveShell.ast_node_interactivity = 'all'",
        "matplotlib/matplotlibrc": "text.usetex: True\nimage.origin: lower\nfigure.facecolor: black",
        "keras/keras.json": '{"backend": "theano", "image_data_format": "channels_first", "floatx": "float16"}',
    }
    for name, content in files.items():
        path = tmp_path / "user" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    variables = {
        "JUPYTER_PATH": "jupyter",
        "IPYTHONDIR": "ipython",
        "MPLCONFIGDIR": "matplotlib",
        "KERAS_HOME": "keras",
    }
    for name, folder in variables.items():
        monkeypatch.setenv(name, str(tmp_path / "user" / folder))
    for name, value in {"KERAS_BACKEND": "jax", "LC_ALL": "POSIX", "JUPYTER_PREFER_ENV_PATH": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HOME", raising=False)
    notebook.write(
        "import sys\n'no output'\nimport matplotlib as mpl",
        "from fer_lib import plots\nfrom fer_lib.models import architectures\nimport keras\nplots.use_style('en')",
        "found = [keras.backend.backend(), keras.config.image_data_format(), keras.config.floatx()]\n"
        "found += [mpl.rcParams[key] for key in ('text.usetex', 'image.origin', 'figure.facecolor')]\n"
        "print(sys.executable, *found)",
    )
    assert notebook.run(own_kernel=True)
    seen = [sys.executable, "tensorflow", "channels_last", "float32", False, "upper", "white"]
    assert notebook.printed() == " ".join(map(str, seen)) + "\n"


def test_braces_in_the_names_of_folders_are_no_parameters(tmp_path):
    with entered(tmp_path / "{HW} #3") as project:
        project.chapters("a")
        project.profile("quick", "")
        project.write("a", PARAMETERS, "print(SEED)")
        given = execute.resolve("quick")["a"]
        assert execute.execute("a", given, project.root / "{out}", fingerprint="")[1]


def test_notebook_without_a_parameter_for_it_is_told_the_language(notebook):
    notebook.project.profile("quick", "")
    notebook.write("print(LANGUAGE)", parameters="SEED = 0")
    assert notebook.run(LANGUAGE="zh-TW")
    assert notebook.printed() == "zh-TW\n"


def test_progress_bars_are_not_kept(notebook):
    notebook.write(r"import sys; print('\repoch 1/2', file=sys.stderr)", "print('a result')")
    assert notebook.run()
    assert notebook.printed() == "a result\n"


# How it fails


def test_failing_cell_is_named_and_the_executed_notebook_kept(notebook):
    assert notebook.run()
    before = (notebook.out / "q1_cnn.ipynb").read_bytes()
    notebook.write("x = 1", "1 / 0")
    threads = threading.active_count()
    with pytest.raises(
        CellError, match=r"q1_cnn\.ipynb, cell In \[4\]: ZeroDivisionError: division"
    ) as caught:
        notebook.run(own_kernel=True)
    kept = notebook.out / "q1_cnn.failed.ipynb"
    assert str(kept) in str(caught.value)
    assert "ZeroDivisionError" in kept.read_text()
    assert threading.active_count() == threads
    assert {path.name for path in notebook.out.iterdir()} == {"q1_cnn.ipynb", kept.name}
    assert (notebook.out / "q1_cnn.ipynb").read_bytes() == before

    notebook.write("x = 1")
    assert notebook.run()
    assert not kept.exists()


def test_bad_input_found_by_a_cell_is_its_sentence_with_notebook_and_cell(notebook):
    notebook.write(PROSE, "accuracy = 0.5", "%%prose en\nAccuracy is {{ acuracy | pct }}.")
    with pytest.raises(InputError) as caught:
        notebook.run(own_kernel=True)
    said = str(caught.value)
    assert said.startswith("q1_cnn.ipynb, cell In [5]: In the passage «Accuracy is")
    assert "'acuracy' is undefined" in said and "did you mean accuracy?" in said
    assert str(notebook.out / "q1_cnn.failed.ipynb") in said


def test_interrupt_reaches_the_cell_which_saves_and_says_where_it_stopped(notebook):
    notebook.write(
        "import os, signal, time\nfrom pathlib import Path",
        "class Interrupted(KeyboardInterrupt): pass\n"
        "asked = []\n"
        "signal.signal(signal.SIGINT, lambda *_: asked.append(True))\n"
        "os.kill(os.getppid(), signal.SIGINT)\n"
        "while not asked:\n"
        "    time.sleep(0.01)\n"
        "time.sleep(0.5)\n"
        "Path(RUN_ROOT).mkdir()\n"
        "(Path(RUN_ROOT) / 'saved').write_text(str(os.getpid()))\n"
        "raise Interrupted('stopped in epoch 2')",
    )
    usual = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=r"^stopped in epoch 2$"):
        notebook.run(own_kernel=True)
    assert signal.getsignal(signal.SIGINT) is usual
    assert not psutil.pid_exists(int((notebook.project.root / "runs" / "saved").read_text()))
    assert list(notebook.out.iterdir()) == []


def test_kernel_that_died_is_said_and_the_notebook_up_to_there_kept(notebook):
    notebook.write("print('before')", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(KernelDied, match=r"q1_cnn\.ipynb: its kernel died \(killed, or out of memory\)"):
        notebook.run(own_kernel=True)
    assert "before" in (notebook.out / "q1_cnn.failed.ipynb").read_text()
    notebook.write("print('again')")
    assert notebook.run()


# What an executed notebook says


def test_facts_of_later_outputs_go_over_earlier_ones(notebook):
    notebook.write(PROSE, "facts(a=1, b=1)", "facts(b=2)\nX = 5", "%%prose en\n{{ X }}")
    assert notebook.run()
    assert execute.facts(notebook.out / "q1_cnn.ipynb") == {"a": 1, "b": 2}


@pytest.mark.parametrize("source", ["", "drawn:seed=3,difficulty=0.5"])
def test_drawn_faces_lie_nowhere(source):
    assert execute.seen_from_notebooks(source) == execute.seen_from_here(source) == source


def test_a_file_is_found_from_the_notebooks_and_back(tmp_path):
    source = str(tmp_path / "fer2013.csv")
    assert execute.seen_from_here(execute.seen_from_notebooks(source)) == source
