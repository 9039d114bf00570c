"""A sweep on a real dask scheduler with real workers, which die."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import sweep_project

from fer_lib.errors import InputError
from fer_lib.report import execute
from fer_lib.sweep import cluster, leaderboard, run

Client = pytest.importorskip("distributed").Client


class Cluster:
    """`dask scheduler` and some `dask worker` processes."""

    def __init__(self, folder: Path, project: Path) -> None:
        self.file, self.folder = folder / "scheduler.json", folder
        paths = os.pathsep.join(path for path in sys.path if path)
        self.environment = {**os.environ, "PYTHONPATH": paths, "SWEEP_PROJECT": str(project)}
        self.processes = [self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")]

    def workers(self, count: int) -> list[psutil.Process]:
        """So many workers that live; those that lack are started."""
        living = [process for process in self.processes[1:] if process.poll() is None]
        options = (
            "--nthreads",
            1,
            "--no-nanny",
            "--no-dashboard",
            "--local-directory",
            self.folder / "local",
        )
        while len(living) < count:
            living.append(self._start("worker", *options, "--preload", sweep_project.__file__))
            self.processes.append(living[-1])
        with Client(scheduler_file=str(self.file), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=120)
        return [psutil.Process(process.pid) for process in living]

    def _start(self, *command: object) -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-m", "dask", *map(str, command), "--scheduler-file", str(self.file)]
        with (self.folder / "log.txt").open("a") as log:
            return subprocess.Popen(arguments, env=self.environment, stdout=log, stderr=log)

    @property
    def address(self) -> str:
        return str(json.loads(self.file.read_text())["address"])

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    with sweep_project.prepared(tmp_path_factory.mktemp("project")) as project:
        yield project


@pytest.fixture(scope="module")
def dask(project, tmp_path_factory):
    started = Cluster(tmp_path_factory.mktemp("dask"), project)
    deadline = time.monotonic() + 120
    while not started.file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield started
    started.stop()


def test_worker_that_does_not_see_our_folders_gets_the_data_and_sends_the_runs(project, dask):
    dask.workers(1)
    text = "notebook: q2_dnn\nlist: [{SEED: 5, RATE: 0.25}, {SEED: 6, RATE: 2.0}]"
    plan = sweep_project.plan(project, text)
    plan = replace(plan, folder=project / "sent", run_root=project / "sent" / "runs")
    address = dask.address

    def engine(tasks, hear):
        options = {"source": plan.source, "run_root": plan.run_root, "shared": False}
        return cluster.run(tasks, address, hear, **options)

    with pytest.raises(execute.CellError, match="1 of 2 points failed"):
        run.run_sweep(plan, engine)
    [found] = leaderboard.read(plan.folder).itertuples()
    assert found.RATE == 0.25
    assert sorted(path.parent.name for path in plan.run_root.glob("*/run.json")) == [
        "cnn-5-2-0.5",
        "cnn-6-2-0.5",
        found.run,
    ]
    assert "diverged" in (plan.folder / "points" / "2" / "q2_dnn.failed.ipynb").read_text()
    # It was trained elsewhere.
    assert not (plan.run_root / "trained.txt").exists()
    assert (dask.folder / "local").is_dir()


def test_sweep_that_ends_leaves_the_kernels_of_another(project, dask):
    dask.workers(2)
    long, short = (
        replace(sweep_project.plan(project, text), folder=project / name)
        for name, text in {
            "long": "notebook: q1_cnn\nlist: [{SEED: 7, WAIT: 60}]",
            "short": "notebook: q1_cnn\nlist: [{SEED: 8}]",
        }.items()
    )
    begun, go = (project / "runs" / name for name in ("begun.txt", "go.txt"))
    with ThreadPoolExecutor() as other:
        running = other.submit(run.run_sweep, long, run.cluster_engine(long, dask.address))
        while not (begun.is_file() and "cnn-7" in begun.read_text()):
            assert not running.done()
            time.sleep(0.1)
        run.run_sweep(short, run.cluster_engine(short, dask.address))
        go.touch()
        running.result()
    go.unlink()
    assert begun.read_text().split().count("cnn-7-2-0.5") == 1


def test_killed_worker_loses_no_point_and_repeats_none(project, dask):
    workers = dask.workers(2)
    text = "notebook: q1_cnn\nparameters: {WAIT: 0.4}\ngrid: {SEED: [1, 2, 3, 4], RATE: [0.25, 0.5]}"
    plan = sweep_project.plan(project, text)
    engine, heard = run.cluster_engine(plan, dask.address), []

    def killing(tasks, hear):
        ended = engine(tasks, lambda *said: (heard.append(said), hear(*said)))
        yield next(ended)
        workers[0].kill()
        yield from ended

    found = leaderboard.read(run.run_sweep(plan, killing, workers=2).parent)
    assert found["point"].tolist() == [2, 4, 6, 8, 1, 3, 5, 7]
    trained = (project / "runs" / "trained.txt").read_text().split()
    assert sorted(name for name in trained if name[4] in "1234") == sorted(
        {f"cnn-{seed}-2-{rate}" for seed in (1, 2, 3, 4) for rate in (0.25, 0.5)}
    )
    assert {worker for worker, _, _ in heard} == {0, 1}
    assert "epoch 1/2, validation 40.0%" in {text for _, _, text in heard}
    # No kernel is left to hold memory.
    assert workers[1].children(recursive=True) == []


def test_scheduler_that_does_not_answer_is_a_sentence(project, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    plan = sweep_project.plan(project, "notebook: q1_cnn\ngrid: {RATE: [0.25]}")
    with pytest.raises(InputError, match=r"No dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        run.run_sweep(plan, run.cluster_engine(plan, "tcp://127.0.0.1:9"))
