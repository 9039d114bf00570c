import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, fer_lib_command, striped_faces, write_course_files
from face_files import fer2013_text, write
from small_project import entered

from fer_lib import runs
from fer_lib.cli import main


def fer_lib(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [*fer_lib_command(), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must be refused, and gives the one sentence that it says. A traceback would fail the test."""

    def sentence(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        said = capsys.readouterr().err.strip()
        assert said.count("\n") == 0
        return said

    return sentence


@pytest.fixture
def done(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Runs a command that must succeed, and gives what it says and what it says on the side."""

    def said(*arguments: object) -> tuple[str, str]:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert status == 0, captured.err
        return captured.out, captured.err

    return said


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A folder with the course's train.csv and test.csv, and its faces."""
    folder = tmp_path_factory.mktemp("course")
    write_course_files(folder, striped_faces(140), striped_faces(35, seed=5))
    return folder


@pytest.fixture(scope="module")
def trained(course):
    """A folder of runs with one run in it, trained by the command line."""
    root = course / "runs"
    settings = [f"--set={text}" for text in ("epochs=1", "WIDTH=0.05", "batch_size=64")]
    done = fer_lib("train", "--model", "cnn", "--data", course, "--runs", root, *settings)
    assert done.returncode == 0, done.stderr
    return root, done


def test_train_prints_the_run_and_its_accuracies(trained):
    root, done = trained
    [folder] = root.glob("cnn-*")
    assert done.stdout.splitlines()[0] == str(folder)
    assert "validation" in done.stdout and "<NA>" not in done.stdout
    assert runs.find(root, folder.name).record["recipe"]["epochs"] == 1


@pytest.mark.parametrize(
    ("model", "setting", "said"),
    [
        ("cnn", "q2_dnn.EPOCHS=3", "q2_dnn.EPOCHS is no parameter of training a cnn"),
        ("cnn", "MODEL=compact", "MODEL is no parameter of training a cnn: name it by --model alone"),
        ("cnn", "public_accuracy=0.6", "PUBLIC_ACCURACY is no parameter of training a cnn"),
        ("cnn", "DATA=x.csv", "DATA is no parameter of training a cnn: give the data as --data"),
    ],
)
def test_train_refuses_what_it_would_not_look_at(model, setting, said, refused):
    assert said in refused("train", "--model", model, "--data", "missing.csv", "--set", setting)


@pytest.mark.parametrize(
    "arguments",
    [["--set=MODEL=compact"], ["--model=dnn", "--set=q1_cnn.MODEL=compact", "--set=q2_dnn.EPOCHS=3"]],
)
def test_train_takes_what_it_looks_at(arguments, refused):
    assert "There is no file or folder missing.csv" in refused("train", "--data", "missing.csv", *arguments)


def test_train_knows_both_networks_whatever_the_chapters_of_the_report_are(refused, tmp_path):
    with entered(tmp_path / "project") as project:
        project.take("q1_cnn", "q2_dnn")
        project.chapters("q1_cnn")
        for model in ("cnn", "dnn"):
            assert "no file or folder missing.csv" in refused(
                "train", "--model", model, "--data", "missing.csv"
            )


def test_predict_answers_every_face_of_the_test_file(trained, course, tmp_path):
    root, _ = trained
    arguments = ["--data", course / "test.csv", "--out", tmp_path / "answer.csv", "--runs", root]
    done = fer_lib("predict", *arguments, "--run", "newest")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "answer.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [str(i) for i in range(35)]
    assert {row["label"] for row in rows} <= set("0123456")
    [run] = root.glob("cnn-*")
    assert run.name in done.stderr


def test_predict_takes_a_model_file_and_a_run_together(trained, course, done, tmp_path):
    root, _ = trained
    [model] = root.glob("cnn-*/model.keras")
    arguments = ["--data", course / "test.csv", "--out", tmp_path / "a.csv", "--runs", root]
    _, aside = done("predict", *arguments, "--run", model, "--run", model.parent.name)
    assert aside.count("answers by") == 2
    assert (tmp_path / "a.csv").read_text().startswith("id,label\n")


def test_evaluate_warns_of_a_model_that_learned_from_other_faces(trained, tmp_path, capsys):
    root, _ = trained
    [run] = root.glob("cnn-*")
    faces = striped_faces(140)
    tests = (faces.labels < 6) & (faces.ids > 100)
    path = write(
        tmp_path / "anew.csv", fer2013_text(faces, np.where(tests, "PublicTest", "Training").tolist())
    )
    assert main(["evaluate", "--data", str(path), "--runs", str(root), "--run", run.name]) == 0
    printed = capsys.readouterr()
    assert f"{run.name} may have learned from other faces than the training faces of {path}" in printed.err
    assert "stranger" not in printed.out and printed.out.split()[-1] == "–"


def test_data_check_says_what_the_folder_is(course, done):
    said, _ = done("data", "check", course)
    assert "140" in said and "35" in said


def test_leaked_faces_are_left_out_of_what_is_converted(course, done, tmp_path):
    said, _ = done("data", "convert", course, "--out", tmp_path / "faces.npz", "--drop-leaked")
    assert "140 train faces" in said
    found, _ = done("data", "check", tmp_path / "faces.npz", "--json")
    assert json.loads(found)["faces"]["train"] == 140


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["data", "convert", "", "--out", "faces.csv"], "must be called ....npz"),
        (["data", "convert", "drawn:seed=1", "--out", "faces.npz"], "no room for the masks of drawn faces"),
        (["data", "check", "missing.csv"], "missing.csv"),
        (["train", "--model", "vgg"], "Unknown model: vgg; there are cnn, compact, dnn"),
        (["train", "--model", "cnn", "--data", "missing.csv"], "missing.csv"),
        (["train", "--model", "cnn", "--profile", "huge"], "Unknown profile: huge; there are compact"),
        (["train", "--model", "cnn", "--set", "epochs=abc"], "EPOCHS must be a whole number, but was 'abc'"),
        (["report", "--set", "EPOHCS=3"], "Unknown parameter: EPOHCS; did you mean EPOCHS?"),
        (["report", "--set", "EPOCHS=abc"], "EPOCHS must be a whole number, but was 'abc'"),
        (["report", "--set", "RUN=cnn-0"], "RUN is not a parameter of a report"),
        (["report", "--set", "q3_confusion.DATA=x.csv"], "give the data as make DATA="),
        (["report", "--data", "missing.csv"], "missing.csv"),
        (["report", "--title", "nmae=x"], "--title: nothing is known of 'nmae' (did you mean name?)"),
        (["report", "--set", "epohcs=3"], "Unknown parameter: EPOHCS; did you mean EPOCHS?"),
        (["report", "--set", "NAME=王小明"], "make takes your name as STUDENT_NAME=..."),
        (
            ["report", "--set", "STUDENT_NAM=王小明"],
            "Unknown parameter: STUDENT_NAM; did you mean STUDENT_NAME?",
        ),
        (["sweep", ""], "name a sweep's file as SWEEP=...; notebooks/sweeps has augmentation.yaml"),
        (
            ["sweep", ROOT / "notebooks/sweeps/faces.yaml", "--set", "data=x.csv"],
            "DATA is no parameter of a sweep",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(arguments, sentence, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = ["--out", tmp_path / "build"] if arguments[0] == "report" else []
    assert sentence in refused(*arguments, *out)
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    ("cell", "status", "sentence"),
    [
        (
            "from fer_lib.errors import InputError\nraise InputError('train.csv, line 3: pixel 256.')",
            2,
            "fer-lib: q1_cnn.ipynb, cell In [3]: train.csv, line 3: pixel 256.",
        ),
        ("1 / 0", 1, "fer-lib: q1_cnn.ipynb, cell In [3]: ZeroDivisionError: division by zero"),
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
            1,
            "fer-lib: q1_cnn.ipynb: its kernel died",
        ),
    ],
)
def test_cell_that_fails_is_told_with_its_place_and_the_notebook_kept(
    cell, status, sentence, tmp_path, capsys
):
    with entered(tmp_path / "project") as project:
        project.profile("quick", "")
        project.chapters("q1_cnn")
        project.write("q1_cnn", 'LANGUAGE = "en"', cell)
        places = ["--out", str(tmp_path / "build"), "--runs", str(tmp_path / "runs")]
        assert main(["report", "--language", "en", *places]) == status
    said = capsys.readouterr().err
    kept = tmp_path / "build" / "executed" / "quick-en" / "q1_cnn.failed.ipynb"
    assert sentence in said and str(kept) in said and "Traceback" not in said
    assert kept.exists()


def test_verify_without_a_report_is_bad_input(refused, tmp_path):
    assert "holds no report; `make report` first" in refused("verify", "--report", tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "--data", "train.csv", "--out", "train.csv"),
        ("predict", "--data", ".", "--out", "test.csv"),
        ("data", "convert", "faces.npz", "--out", "other.npz"),
    ],
)
def test_no_file_is_written_over_one_that_is_read(command, course, refused, tmp_path, monkeypatch):
    for name in ("train.csv", "test.csv"):
        shutil.copy(course / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces.npz").touch()
    (tmp_path / "other.npz").hardlink_to("faces.npz")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert f"{command[-1]} is a file that faces are read from" in refused(*command)
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize("named", [(), ("--run", "mine.keras"), ("--run", "compact-f23caa608ca9")])
def test_no_model_is_overwritten_by_answers(named, course, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "mine.keras"
    model.write_bytes(b"weights")
    said = refused("predict", "--data", course / "test.csv", *named, "--out", model)
    assert said == f"fer-lib: {model} is a model; name another file to write."
    assert model.read_bytes() == b"weights"


def test_a_folder_is_no_file_to_write(course, refused, tmp_path):
    said = refused("predict", "--data", course / "test.csv", "--out", tmp_path)
    assert said == f"fer-lib: {tmp_path} is a folder; name the file to write."


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "--data=~/no.csv", "--out", "a.csv"),
        ("data", "check", "~/no.csv"),
        ("report", "--data", "~/no.csv"),
        ("sweep", "~/no.csv"),
    ],
)
def test_the_home_folder_may_be_written_as_a_tilde(command, refused, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "no.csv") in refused(*command)


def test_help_says_what_the_command_is_for(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "Facial expression recognition" in capsys.readouterr().out


def test_predict_with_an_unknown_run_names_the_folder(course, refused, tmp_path):
    files = ["--data", course / "test.csv", "--out", tmp_path / "a.csv"]
    assert "no complete run 'cnn-0'" in refused("predict", *files, "--run", "cnn-0", "--runs", tmp_path)
    assert not (tmp_path / "a.csv").exists()


def test_file_that_is_no_model_is_refused(course, refused, tmp_path):
    (tmp_path / "broken.keras").write_text("not a model")
    files = ["--data", course / "test.csv", "--out", tmp_path / "a.csv"]
    said = refused("predict", *files, "--run", tmp_path / "broken.keras")
    assert "broken.keras cannot be read as a Keras model" in said


@pytest.mark.parametrize(
    ("name", "given", "usage"),
    [("hw3_train.sh", [], "<train.csv>"), ("hw3_test.sh", ["test.csv"], "<test.csv> <prediction.csv>")],
)
def test_course_script_says_how_it_is_called_before_anything_is_set_up(name, given, usage, tmp_path):
    shutil.copy(ROOT / name, tmp_path)  # where there is nothing to set up from
    done = subprocess.run([tmp_path / name, *given], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0
    assert done.stderr.strip().endswith(f"usage: {name} {usage}") and "make" not in done.stderr


def test_course_script_answers_a_test_file(course, trained, tmp_path):
    ready = ROOT / ".venv" / "ready"
    if not ready.is_file():
        pytest.skip("the scripts set up .venv, which these tests do not run in")
    [model] = trained[0].glob("cnn-*/model.keras")
    script = [str(ROOT / "hw3_test.sh"), str(course / "test.csv"), str(tmp_path / "prediction.csv")]
    done = subprocess.run(
        script, env={**os.environ, "RUN": str(model)}, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "prediction.csv").read_text().splitlines()) == 36


def test_without_tensorflow_one_sentence_says_what_to_install():
    code = "import sys; sys.modules['tensorflow'] = None; from fer_lib.cli import main; sys.exit(main(['train']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert (
        done.stderr
        == "fer-lib: There is no TensorFlow in this Python; `pip install 'fer-lib[cpu]'` adds it.\n"
    )
