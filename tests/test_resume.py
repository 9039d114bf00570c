"""Training that is stopped, by force or by hand, on the real command line.

KILLS=20 in the environment kills a longer run more often.
"""

import hashlib
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, striped_faces, write_course_files

from fer_lib import data, runs
from fer_lib.errors import InputError
from fer_lib.models import checkpoints
from fer_lib.models.checkpoints import Checkpoint
from fer_lib.models.spec import ModelSpec, Recipe

KILLS = int(os.environ.get("KILLS", "2"))
EPOCHS = 2 * KILLS + 4
SETTINGS = {
    "epochs": EPOCHS, "batch_size": 16, "width": 0.2, "dense_dropout": 0.3, "optimizer": "AdamW",
    "learning_rate": 0.001, "weight_decay": 0.01, "augment": "true", "small_epochs": 1,
}  # fmt: skip
MAIN = "import sys; from fer_lib.cli import main; sys.exit(main())"

# Killed when all is trained, measured and written but for the word that the run is complete.
NEARLY_DONE = (
    """
import os, signal
from fer_lib.runs import trainer
write = trainer.write_json
def die_at_last(path, content):
    if content.get("status") == "complete":
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)
trainer.write_json = die_at_last
"""
    + MAIN
)

HOLD = """
import sys, time, filelock
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(2)
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    write_course_files(folder, striped_faces(700), striped_faces(14, seed=5))
    return folder


@pytest.fixture(scope="module")
def whole(course, tmp_path_factory):
    """The run that nothing disturbed."""
    recipe = Recipe(
        epochs=EPOCHS, batch_size=16, optimizer="AdamW", learning_rate=0.001, weight_decay=0.01, schedule="cosine",
        augment=True, small_epochs=1, train_limit=8000,
    )  # fmt: skip
    spec = ModelSpec("compact", width=0.2, conv_dropout=0.0, dense_dropout=0.3, initializer="he_normal")
    root = tmp_path_factory.mktemp("whole")
    return runs.train_or_reuse(data.load(course), spec, recipe, root=root, progress=False)


def start(course: Path, root: Path, script: str = MAIN) -> subprocess.Popen[str]:
    settings = [f"--set={name}={value}" for name, value in SETTINGS.items()]
    command = [sys.executable, "-c", script, "train", "--model", "compact", "--data", str(course)]
    command += ["--runs", str(root), *settings]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def wait_for(process: subprocess.Popen[str], happened) -> None:
    deadline = time.monotonic() + 200
    while not happened():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def fingerprint(run: runs.Run) -> str:
    digest = hashlib.sha256()
    for array in run.model.get_weights():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def test_killed_and_interrupted_training_ends_with_the_same_weights(course, whole, tmp_path):
    rng, epoch = random.Random(KILLS), whole.history["seconds"].iloc[-1]
    checkpoint = tmp_path / whole.id / "checkpoint.npz"
    for kill in range(KILLS):
        process = start(course, tmp_path)
        before = checkpoint.stat().st_mtime_ns if kill else 0
        wait_for(
            process, lambda before=before: checkpoint.exists() and checkpoint.stat().st_mtime_ns != before
        )
        time.sleep(rng.uniform(0, epoch))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    interrupted = start(course, tmp_path)
    before = checkpoint.stat().st_mtime_ns
    wait_for(interrupted, lambda: checkpoint.stat().st_mtime_ns != before)
    interrupted.send_signal(signal.SIGINT)
    errors = interrupted.communicate(timeout=60)[1]
    assert interrupted.returncode == 130
    assert re.search(rf"of {EPOCHS}; the same command goes on after epoch \d+, which is saved", errors)
    assert "Traceback" not in errors

    nearly_done = start(course, tmp_path, NEARLY_DONE)
    nearly_done.communicate(timeout=200)
    assert nearly_done.returncode == -signal.SIGKILL
    assert (checkpoint.parent / "model.keras").exists() and not runs.is_complete(checkpoint.parent)

    last = start(course, tmp_path)
    errors = last.communicate(timeout=200)[1]
    assert last.returncode == 0, errors
    run = runs.Run(checkpoint.parent)
    assert fingerprint(run) == fingerprint(whole)
    assert run.history["val_loss"].tolist() == whole.history["val_loss"].tolist()
    assert run.metrics["accuracy"] == whole.metrics["accuracy"]
    left = {path.name for path in run.path.iterdir() if path.name != ".lock"}
    assert left == {"run.json", "history.csv", "metrics.json", "predictions.npz", "model.keras"}


def some_checkpoint(value: float) -> Checkpoint:
    return Checkpoint([{"epoch": 1}], [np.full((100, 100), value, np.float32)])


def test_a_full_disk_is_a_sentence_and_leaves_the_last_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.npz"
    checkpoints.write(path, some_checkpoint(1))
    # A limit on the size of files fails a write as a full disk does.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(InputError, match=r"checkpoint\.npz .* cannot be written.*make room"):
            checkpoints.write(path, some_checkpoint(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    found = checkpoints.read(path)
    assert found is not None and found.arrays[0].max() == 1
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "checkpoint.npz"
    checkpoints.write(path, some_checkpoint(1))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"checkpoint\.npz is damaged .* remove the folder"):
        checkpoints.read(path)


def test_the_second_process_on_a_run_says_that_it_waits(course, tmp_path, capsys):
    splits, spec = data.load(course), ModelSpec("dnn", width=0.02)
    recipe = Recipe(epochs=1, batch_size=64)
    first = runs.train_or_reuse(splits, spec, recipe, root=tmp_path, progress=False)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(first.path / ".lock")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    assert runs.train_or_reuse(splits, spec, recipe, root=tmp_path, progress=False).id == first.id
    assert holder.wait() == 0
    assert f"Another process is at work on {first.path}; waiting for it." in capsys.readouterr().err
