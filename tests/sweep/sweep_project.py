"""A project whose two notebooks take no time to train, on a real dask cluster: for what a sweep does around training.

Its `fer_lib` is a link to this one, and PYTHONPATH names its folder: processes that import the library work in it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import ROOT, striped_faces, write_course_files
from distributed import Client
from nbformat.v4 import new_code_cell, new_notebook

from fer_lib import profiles
from fer_lib.report import execute
from fer_lib.sweep import run, spec

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
EPOCHS = EPOCHS or 2  # as profile quick has it
if RUN:
    assert json.loads((Path(RUN_ROOT) / RUN / "run.json").read_text())["seed"] == SEED
run = Path(RUN_ROOT) / f"{'dnn' if RUN else 'cnn'}-{SEED}-{EPOCHS}-{RATE}"
run.mkdir(parents=True, exist_ok=True)
def note(file):
    with (Path(RUN_ROOT) / file).open("a") as lines:
        print(run.name, file=lines)
note("begun.txt")
print("a progress bar", file=sys.stderr)
held = b"x" * HOLD * 2**20
time.sleep(WAIT)
if RATE > 1:
    raise ValueError("diverged")
if (Path(RUN_ROOT) / "begun.txt").read_text().split().count(run.name) <= DEATHS:  # as if out of memory
    os.kill(os.getpid(), signal.SIGKILL)
if not (run / "run.json").exists():
    note("trained.txt")
    (run / "run.json").write_text(json.dumps({"seed": SEED}))
accuracy = {"validation": {"value": RATE, "low": RATE / 2, "high": 1.0}}
facts = {"data": {"fingerprint": "f"}, "settings": SETTINGS, "threads": os.environ["TF_NUM_INTRAOP_THREADS"]}
facts |= {"run": {"id": run.name}, "accuracy": accuracy, "parameters": 10 * EPOCHS, "mega_multiply_adds": 1.0,
         "cpu_seconds": {"training": 1.0, "thousand_predictions": 0.1}}
display({"text/plain": "facts"}, raw=True, metadata={"fer_lib": {"kind": "facts", "facts": facts}})
"""


@dataclass(frozen=True)
class SweepProject:
    """A project in a folder of its own, and a folder for one sweep."""

    root: Path
    sweeps: Path

    @property
    def folder(self) -> Path:
        """The folder of the sweep."""
        return self.sweeps / "sweep"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.root), os.environ.get("PYTHONPATH", "")]),
        }

    def make(self) -> "SweepProject":
        (self.root / "notebooks" / "profiles").mkdir(parents=True)
        for name in ("fer_lib", "report", "requirements.txt"):
            (self.root / name).symlink_to(ROOT / name)
        cells = [
            new_code_cell(PARAMETERS.strip(), id="c0", metadata={"tags": ["parameters"]}),
            new_code_cell(TRAIN.strip(), id="c1"),
        ]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        for name in ("q1_cnn", "q2_dnn"):
            content = new_notebook(cells=cells, metadata={"kernelspec": kernel})
            (self.root / "notebooks" / f"{name}.ipynb").write_text(json.dumps(content))
        (self.root / "notebooks" / "profiles" / "quick.yaml").write_text(
            "q1_cnn: {EPOCHS: 2}\nq2_dnn: {EPOCHS: 2}"
        )
        write_course_files(self.root, striped_faces(28), striped_faces(7))
        return self

    def plan(self, text: str, **options: Any) -> run.Plan:
        """The sweep that a YAML text describes."""
        (self.sweeps / "sweep.yaml").write_text(text)
        sweep = spec.read(self.sweeps / "sweep.yaml")
        places = {"run_root": self.sweeps / "runs", "source": str(self.root / "train.csv")}
        return run.Plan(sweep, self.folder, language="en", **places, **options)

    def start(self, text: str, *arguments: object) -> subprocess.Popen[str]:
        """`fer-lib sweep` on a YAML text, in a process group of its own, as in a terminal."""
        file = self.sweeps / "sweep.yaml"
        file.write_text(text)
        command = [
            sys.executable,
            "-m",
            "fer_lib.cli",
            "sweep",
            file,
            "--data",
            "train.csv",
            "--out",
            self.sweeps,
        ]
        command += ["--language", "en", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(
            list(map(str, command)), cwd=self.root, env=self.environment, start_new_session=True, **pipes
        )

    def runs(self, kind: str) -> list[str]:
        """The runs that were "begun" or "trained", once for each time."""
        file = self.sweeps / "runs" / f"{kind}.txt"
        return sorted(file.read_text().split()) if file.exists() else []

    def board(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "leaderboard.csv")


@contextmanager
def entered(project: SweepProject) -> Iterator[SweepProject]:
    """Have this process work in the project meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "ROOT", project.root)
        patch.setattr(profiles, "FOLDER", project.root / "notebooks" / "profiles")
        execute.declared.cache_clear()
        execute.code_digest.cache_clear()
        yield project
    execute.declared.cache_clear()
    execute.code_digest.cache_clear()


class Cluster:
    """`dask scheduler`, and `dask worker` processes for a project."""

    def __init__(self, project: SweepProject) -> None:
        self.project, self.file = project, project.root / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        wait_for(self.file.exists)
        self.address = str(json.loads(self.file.read_text())["address"])

    def start_worker(self, *, threads: int = 1) -> subprocess.Popen[bytes]:
        return self._start("worker", "--no-nanny", "--no-dashboard", "--nthreads", str(threads))

    def wait(self, workers: int) -> None:
        with Client(self.address, set_as_default=False) as client:
            wait_for(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == workers)

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-m", "dask", *command, "--scheduler-file", str(self.file)]
        environment = {**self.project.environment, "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "false"}
        with (self.project.root / "dask.txt").open("a") as log:
            options = {"cwd": self.project.root, "stdout": log, "stderr": log}
            self.processes.append(subprocess.Popen(arguments, env=environment, **options))
        return self.processes[-1]


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
