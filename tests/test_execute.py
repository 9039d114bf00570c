import json
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from fer_lib.errors import InputError
from fer_lib.publish import execute
from fer_lib.publish.execute import CellError, KernelDied
from fer_lib.publish.kernel import Kernel

PARAMETERS = (
    'DATA = ""\nRUN_ROOT = "../runs"\nLANGUAGE = "en"\nSEED = 0\nEPOCHS = 2\nRATE = 0.5\nAUGMENT = False\n'
)


def notebook(*cells: str) -> dict:
    code = [
        {
            "cell_type": "code",
            "id": f"c{i}",
            "metadata": {},
            "source": cell,
            "outputs": [],
            "execution_count": None,
        }
        for i, cell in enumerate([PARAMETERS, *cells])
    ]
    code[0]["metadata"]["tags"] = ["parameters"]
    for cell in code:
        if cell["source"].startswith("# numbers"):
            cell["metadata"]["tags"] = ["numbers"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return {"cells": code, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


@dataclass
class Project:
    """A project of its own with one notebook, a profile, and a library of three modules."""

    root: Path
    kernel: Kernel

    def write(self, *cells: str) -> None:
        (self.root / "notebooks" / "q1_cnn.ipynb").write_text(json.dumps(notebook(*cells)))

    def run(self, *, data: str = "d0", **changes: object) -> bool:
        """Execute the notebook; whether it was stale."""
        parameters = {**execute.defaults("q1_cnn"), "RUN_ROOT": str(self.root / "runs"), **changes}
        return execute.execute(
            "q1_cnn", parameters, self.root / "out", data_fingerprint=data, kernel=self.kernel
        )[1]

    def outputs(self) -> str:
        cells = json.loads((self.root / "out" / "q1_cnn.ipynb").read_text())["cells"]
        return "".join("".join(o.get("text", "")) for cell in cells for o in cell["outputs"])


@pytest.fixture(scope="module")
def kernel():
    with Kernel() as made:
        yield made


@pytest.fixture
def project(kernel, tmp_path, monkeypatch):
    for folder in ("notebooks/profiles", "fer_lib"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "requirements.txt").write_text("numpy\n")
    for name, code in (
        ("__init__", ""),
        ("used", "from fer_lib import deeper"),
        ("deeper", ""),
        ("other", ""),
    ):
        (tmp_path / "fer_lib" / f"{name}.py").write_text(code)
    (tmp_path / "notebooks" / "profiles" / "quick.yaml").write_text("q1_cnn: {EPOCHS: 3, RATE: 1e-3}\n")
    monkeypatch.setattr(execute, "ROOT", tmp_path)
    monkeypatch.setattr(execute, "NOTEBOOKS", ("q1_cnn",))
    kernel.forget()
    made = Project(tmp_path, kernel)
    made.write("print(EPOCHS)")
    return made


def test_profile_goes_over_the_defaults_and_settings_over_the_profile(project):
    found = execute.resolve("quick", {"AUGMENT": "true", "q1_cnn.SEED": "7"})["q1_cnn"]
    assert (found["EPOCHS"], found["RATE"], found["AUGMENT"], found["SEED"]) == (3, 0.001, True, 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"EPOHCS": "3"}, "Unknown parameter: EPOHCS; did you mean EPOCHS?"),
        ({"XYZZY": "3"}, "Unknown parameter: XYZZY; there are AUGMENT, DATA, EPOCHS, LANGUAGE"),
        ({"q2_dmm.SEED": "3"}, "Unknown notebook: q2_dmm"),
        ({"q1_cnn.RATTE": "3"}, "did you mean RATE?"),
        ({"EPOCHS": "abc"}, "EPOCHS must be a whole number, but was 'abc'."),
        ({"EPOCHS": "2.5"}, "EPOCHS must be a whole number"),
        ({"EPOCHS": "0"}, "EPOCHS must be at least 1, but was 0."),
        ({"SEED": "-1"}, "SEED must be at least 0, but was -1."),
        ({"RATE": "fast"}, "RATE must be a number, but was 'fast'."),
        ({"AUGMENT": "maybe"}, "AUGMENT must be true or false, but was 'maybe'."),
    ],
)
def test_bad_setting_is_one_sentence_with_the_near_miss(project, settings, message):
    with pytest.raises(InputError) as caught:
        execute.resolve("quick", settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_profile_that_comes_with_the_project_can_be_used():
    assert {execute.resolve(name)["q1_cnn"]["TRAIN_LIMIT"] for name in execute.profile_names()} >= {0}


def test_a_count_that_a_profile_raises_can_be_set_to_what_the_notebook_allows():
    resolved = execute.resolve("compact", {"SMALL_EPOCHS": "0"})
    assert resolved["q1_cnn"]["SMALL_EPOCHS"] == 0


def test_unknown_profile_names_the_known_ones(project):
    with pytest.raises(InputError, match="no profile 'quik'; the profiles are quick"):
        execute.resolve("quik")


def test_package_without_the_project_says_where_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(execute, "ROOT", tmp_path)
    with pytest.raises(InputError, match=r"needs the project's notebooks.*git clone.*`make report`"):
        execute.resolve("quick")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q1_cnn: {EPOHCS: 3}", "parameter of q1_cnn in quick.yaml: EPOHCS; did you mean EPOCHS?"),
        ("q9: {EPOCHS: 3}", "notebook in quick.yaml: q9"),
        ("q1_cnn: {EPOCHS: many}", "EPOCHS must be a whole number, but was 'many'."),
        ("q1_cnn: {EPOCHS: [1]}", "EPOCHS must be a whole number, but was [1]."),
        ("q1_cnn: {EPOCHS: true}", "EPOCHS must be a whole number, but was True."),
        ("q1_cnn: [1]", "quick.yaml"),
        ("{", "quick.yaml"),
    ],
)
def test_bad_profile_is_one_sentence(project, content, message):
    (project.root / "notebooks" / "profiles" / "quick.yaml").write_text(content)
    with pytest.raises(InputError) as caught:
        execute.resolve("quick")
    assert message in str(caught.value)


def test_notebook_runs_with_its_parameters_and_then_is_up_to_date(project):
    assert project.run(EPOCHS=5)
    assert project.outputs() == "5\n"
    assert not project.run(EPOCHS=5)


def test_only_what_a_notebook_depends_on_makes_it_stale(project):
    project.write("if False:\n    from fer_lib import used")
    assert project.run()
    (project.root / "fer_lib" / "other.py").write_text("Y = 2\n")
    assert not project.run(DATA="/moved/elsewhere.csv")

    changes = [
        lambda: (project.root / "fer_lib" / "deeper.py").write_text("X = 2\n"),
        lambda: (project.root / "requirements.txt").write_text("numpy==9\n"),
        lambda: project.write("1 + 1"),
    ]
    for change in changes:
        change()
        assert project.run()
        assert not project.run()
    assert project.run(data="d1")
    assert project.run(data="d1", SEED=4)


def test_notebook_whose_run_was_deleted_is_stale(project):
    project.write(
        "from IPython.display import display",
        "note = {'fer_lib': {'facts': {'run': {'id': 'cnn-1'}}}}",
        "display({'text/plain': ''}, raw=True, metadata=note)",
    )
    record = project.root / "runs" / "cnn-1" / "run.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    assert project.run()
    assert not project.run()
    record.unlink()
    assert project.run()


def test_failing_cell_is_named_and_the_executed_notebook_kept(project):
    project.write("x = 1", "1 / 0")
    with pytest.raises(
        CellError, match=r"q1_cnn\.ipynb, cell In \[4\]: ZeroDivisionError: division by zero"
    ) as caught:
        project.run()
    kept = project.root / "out" / "q1_cnn.failed.ipynb"
    assert str(kept) in str(caught.value)
    assert "ZeroDivisionError" in kept.read_text()
    assert not (project.root / "out" / "q1_cnn.ipynb").exists()

    project.write("x = 1")
    assert project.run()
    assert not kept.exists()


def test_bad_input_found_by_a_cell_is_its_sentence_and_nothing_is_left(project):
    project.write(
        "from fer_lib.errors import InputError", "raise InputError('train.csv, line 3: pixel 256.')"
    )
    with pytest.raises(InputError, match=r"^train.csv, line 3: pixel 256\.$"):
        project.run()
    assert list((project.root / "out").iterdir()) == []


def test_another_language_in_the_same_kernel_takes_over_the_numbers(project):
    project.write("print(LANGUAGE)", "# numbers\nprint('computing')\nx = 6 * 7", "print(x)")
    parameters = {**execute.defaults("q1_cnn"), "RUN_ROOT": str(project.root / "runs")}
    for language, numbers in (("en", True), ("zh-TW", False)):
        execute.execute(
            "q1_cnn",
            {**parameters, "LANGUAGE": language},
            project.root / "out",
            data_fingerprint="d0",
            kernel=project.kernel,
            numbers=numbers,
        )
        assert project.outputs() == ("en\ncomputing\n42\n" if numbers else "zh-TW\n42\n")


def test_interrupt_reaches_the_cell_which_saves_and_says_where_it_stopped(project):
    project.write(
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
    with Kernel() as kernel, pytest.raises(KeyboardInterrupt, match=r"^stopped in epoch 2$"):
        replace(project, kernel=kernel).run()
    assert signal.getsignal(signal.SIGINT) is usual
    assert not psutil.pid_exists(int((project.root / "runs" / "saved").read_text()))
    assert list((project.root / "out").iterdir()) == []


def test_kernel_that_died_is_replaced_by_the_next_notebook(project):
    project.write("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with Kernel() as kernel:
        mine = replace(project, kernel=kernel)
        with pytest.raises(KernelDied, match="its kernel died"):
            mine.run()
        assert not kernel.forget()
        project.write("print('again')")
        assert mine.run()


def test_imported_files_are_found_through_imports_of_any_form():
    code = "import fer_lib.words\nfrom fer_lib import faces\nfrom fer_lib.publish.answer import Answer"
    names = {path.relative_to(execute.ROOT / "fer_lib").as_posix() for path in execute.imported_files(code)}
    assert {
        "words.py",
        "faces.py",
        "emotions.py",
        "publish/answer.py",
        "publish/prose.py",
        "errors.py",
    } <= names
    assert "models.py" not in names


def test_facts_of_later_outputs_go_over_earlier_ones(tmp_path):
    def output(facts: dict) -> dict:
        return {"output_type": "display_data", "data": {}, "metadata": {"fer_lib": {"facts": facts}}}

    content = notebook("x")
    content["cells"][1]["outputs"] = [output({"a": 1, "b": 1}), output({"b": 2})]
    (tmp_path / "n.ipynb").write_text(json.dumps(content))
    assert execute.facts(tmp_path / "n.ipynb") == {"a": 1, "b": 2}


@pytest.mark.parametrize("source", ["", "drawn:seed=3,difficulty=0.5"])
def test_drawn_faces_lie_nowhere(source):
    assert execute.seen_from_notebooks(source) == execute.seen_from_here(source) == source


def test_a_file_is_found_from_the_notebooks_and_back(tmp_path):
    source = str(tmp_path / "fer2013.csv")
    assert execute.seen_from_here(execute.seen_from_notebooks(source)) == source
