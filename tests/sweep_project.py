"""A project whose two notebooks take no time to train: for what a sweep does around the training.

Run as a program it is `fer-lib sweep` in that project; named to `dask worker --preload`, the worker's side of it.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fer_lib import profiles
from fer_lib.report import execute
from fer_lib.sweep import run, spec

NOTEBOOKS = ("q1_cnn", "q2_dnn")

PARAMETERS = """
DATA = ""
RUN_ROOT = "../runs"
LANGUAGE = "en"
SEED = 0
PROFILE = "quick"
EPOCHS = None
SETTINGS = {}
RATE = 0.5
WAIT = 0.0
HOLD = 0
DEATHS = 0
RUN = ""
"""

TRAIN = """
import json, os, signal, sys, time
from pathlib import Path
assert "left" not in globals()
left = "what the next point must not see"
EPOCHS = EPOCHS or 2  # as profile quick has it
if RUN:
    assert json.loads((Path(RUN_ROOT) / RUN / "run.json").read_text())["seed"] == SEED
run = Path(RUN_ROOT) / f"{'dnn' if RUN else 'cnn'}-{SEED}-{EPOCHS}-{RATE}"
run.mkdir(parents=True, exist_ok=True)
with (Path(RUN_ROOT) / "begun.txt").open("a") as file:
    print(run.name, file=file)
with (Path(RUN_ROOT) / "kernels.txt").open("a") as file:
    print(os.getpid(), file=file)
print(f"cnn: epoch 1/{EPOCHS}: 50% [validation 40.0%]", file=sys.stderr)
held = b'x' * HOLD * 2**20
end = time.monotonic() + WAIT
while time.monotonic() < end and not (Path(RUN_ROOT) / "go.txt").exists():
    time.sleep(0.05)
if RATE > 1:
    raise ValueError("diverged")
if (Path(RUN_ROOT) / "begun.txt").read_text().split().count(run.name) <= DEATHS:  # as if out of memory
    os.kill(os.getpid(), signal.SIGKILL)
if not (run / "run.json").exists():
    with (Path(RUN_ROOT) / "trained.txt").open("a") as file:
        print(run.name, file=file)
    (run / "run.json").write_text(json.dumps({"seed": SEED}))
accuracy = {"validation": {"value": RATE, "low": RATE / 2, "high": 1.0}}
facts = {"data": {"fingerprint": "f"}, "settings": SETTINGS}
facts |= {"run": {"id": run.name}, "accuracy": accuracy, "parameters": 10 * EPOCHS, "mega_multiply_adds": 1.0,
         "cpu_seconds": {"training": 1.0, "thousand_predictions": 0.1}}
display({"text/plain": "facts"}, raw=True, metadata={"fer_lib": {"kind": "facts", "facts": facts}})
"""


@contextmanager
def prepared(root: Path) -> Iterator[Path]:
    """The project with the course's files in it, which `execute` takes for the project meanwhile."""
    from conftest import striped_faces, write_course_files

    make(root)
    write_course_files(root, striped_faces(28), striped_faces(7))
    with entered(root):
        yield root


@contextmanager
def entered(root: Path) -> Iterator[Path]:
    """A project that is there, which `execute` takes for the project meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        yield root
    forget()


def make(root: Path) -> None:
    """Write the project."""
    code = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {"tags": tags}, "source": cell.strip(),
         "outputs": [], "execution_count": None}
        for i, (cell, tags) in enumerate([(PARAMETERS, ["parameters"]), (TRAIN, [])])
    ]  # fmt: skip
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for folder in ("notebooks/profiles", "fer_lib"):
        (root / folder).mkdir(parents=True)
    (root / "requirements.txt").write_text("numpy\n")
    profile = "".join(f"{name}: {{EPOCHS: 2}}\n" for name in NOTEBOOKS)
    (root / "notebooks" / "profiles" / "quick.yaml").write_text(profile)
    content = {"cells": code, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    for name in NOTEBOOKS:
        (root / "notebooks" / f"{name}.ipynb").write_text(json.dumps(content))


def enter(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Make it the project that this process works in."""
    patch.setattr(execute, "ROOT", root)
    patch.setattr(profiles, "FOLDER", root / "notebooks" / "profiles")
    forget()


def forget() -> None:
    """Let the library look at notebooks and code again, which it takes for unchanged while it runs."""
    execute.declared.cache_clear()
    execute.code_digest.cache_clear()


def plan(root: Path, text: str, **limits: float) -> run.Plan:
    """The sweep that a YAML text describes."""
    file = root / "sweep.yaml"
    file.write_text(text)
    return run.Plan(
        spec.read(file),
        folder=root / "sweeps" / "sweep",
        run_root=root / "runs",
        source=str(root / "train.csv"),
        language="en",
        limits=run.limits(limits.get("seconds", 0), limits.get("memory", 0), 2),
    )


if __name__ == "__main__":
    from fer_lib import cli

    enter(Path(sys.argv[1]), pytest.MonkeyPatch())
    sys.exit(cli.main(["sweep", *sys.argv[2:]]))


def dask_setup(worker: object) -> None:
    """Called by `dask worker --preload`."""
    enter(Path(os.environ["SWEEP_PROJECT"]), pytest.MonkeyPatch())
