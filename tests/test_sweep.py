"""A whole sweep on this machine: what it leaves, what it goes on with, what it survives."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import sweep_project

from fer_lib.errors import InputError
from fer_lib.publish.execute import CellError
from fer_lib.publish.sweep import leaderboard, run


@pytest.fixture
def project(tmp_path, monkeypatch):
    return sweep_project.prepared(tmp_path, monkeypatch)


def trained(project: Path) -> list[str]:
    """The runs that were trained, once for each time."""
    file = project / "runs" / "trained.txt"
    return sorted(file.read_text().split()) if file.exists() else []


def board(project: Path) -> pd.DataFrame:
    return pd.read_csv(project / "sweeps" / "sweep" / "leaderboard.csv")


def sweep(plan: run.Plan, workers: int = 2) -> Path:
    return run.run_sweep(plan, run.local_engine(workers), workers=workers)


GRID = "notebook: q1_cnn\ngrid: {EPOCHS: [1, 2], RATE: [0.25, 0.5]}"


def test_leaderboard_has_every_point_the_most_accurate_and_then_the_smallest_first(project):
    path = sweep(sweep_project.plan(project, GRID))
    found = leaderboard.read(path.parent)
    assert found[["rank", "point", "EPOCHS", "RATE", "accuracy", "parameters"]].to_numpy().tolist() == [
        [1, 2, 1, 0.5, 0.5, 10],
        [2, 4, 2, 0.5, 0.5, 20],
        [3, 1, 1, 0.25, 0.25, 10],
        [4, 3, 2, 0.25, 0.25, 20],
    ]
    assert leaderboard.varied(found) == ["EPOCHS", "RATE"]
    assert all((path.parent / notebook).is_file() for notebook in found["notebook"])


def test_page_shows_every_point_and_figures_once_all_have_ended(project):
    folder = sweep(sweep_project.plan(project, GRID)).parent
    text = (folder / "leaderboard.html").read_text()
    assert text.count("<tr") == 5 and text.count("<svg") == 3
    assert "http-equiv" not in text and "http://" not in text.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "")
    assert all(f'href="points/{number}/q1_cnn.ipynb"' in text for number in (1, 2, 3, 4))


def test_only_what_is_missing_is_run(project):
    sweep(sweep_project.plan(project, "notebook: q1_cnn\ngrid: {RATE: [0.25, 0.5]}"))
    assert len(trained(project)) == 2
    path = sweep(sweep_project.plan(project, "notebook: q1_cnn\ngrid: {RATE: [0.25, 0.5, 0.75]}"))
    before = path.read_bytes()
    assert len(trained(project)) == 3
    begun = (project / "runs" / "begun.txt").read_text()
    sweep(sweep_project.plan(project, "notebook: q1_cnn\ngrid: {RATE: [0.25, 0.5, 0.75]}"))
    assert (project / "runs" / "begun.txt").read_text() == begun
    assert path.read_bytes() == before


def test_point_that_fails_is_recorded_with_its_error_and_notebook_and_the_others_run(project):
    plan = sweep_project.plan(project, "notebook: q1_cnn\ngrid: {RATE: [2.0, 0.25, 0.5]}")
    with pytest.raises(CellError, match="1 of 3 points failed"):
        sweep(plan, workers=1)
    last = board(project).iloc[-1]
    assert last["RATE"] == 2.0 and "ValueError: diverged" in last["error"] and pd.isna(last["rank"])
    assert "diverged" in (plan.folder / last["notebook"]).read_text()
    assert board(project)["accuracy"].notna().tolist() == [True, True, False]


def test_kernel_that_dies_is_replaced_once(project):
    plan = sweep_project.plan(project, "notebook: q1_cnn\ngrid: {RATE: [-1.0, -2.0, 0.5]}")
    with pytest.raises(CellError, match="1 of 3 points failed"):
        sweep(plan, workers=1)
    found = board(project).set_index("RATE")
    assert found["accuracy"].notna().to_dict() == {0.5: True, -1.0: True, -2.0: False}
    assert "its kernel died" in found.loc[-2.0, "error"]
    begun = (project / "runs" / "begun.txt").read_text().split()
    assert sorted(begun) == ["cnn-0-2--1.0"] * 2 + ["cnn-0-2--2.0"] * 2 + ["cnn-0-2-0.5"]


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [({"seconds": 5}, "longer than 5 seconds"), ({"memory": 0.5}, "more than 0.5 GiB of memory")],
)
def test_point_that_takes_more_than_it_may_is_ended_and_not_tried_again(project, limits, sentence):
    plan = sweep_project.plan(
        project, "notebook: q1_cnn\nparameters: {WAIT: 60, HOLD: 800}\ngrid: {SEED: [1]}", **limits
    )
    with pytest.raises(CellError):
        sweep(plan, workers=1)
    assert sentence in board(project)["error"][0]
    assert len((project / "runs" / "begun.txt").read_text().split()) == 1


def test_points_of_one_worker_share_a_kernel_that_forgets(project):
    notebook = project / "notebooks" / "q1_cnn.ipynb"
    notebook.write_text(
        notebook.read_text().replace(
            "accuracy =",
            "assert 'left' not in globals()\\nleft = open(Path(RUN_ROOT) / 'pids.txt', 'a')\\n"
            "print(os.getpid(), file=left, flush=True)\\naccuracy =",
        )
    )
    sweep(sweep_project.plan(project, "notebook: q1_cnn\ngrid: {SEED: [1, 2, 3]}"), workers=1)
    pids = (project / "runs" / "pids.txt").read_text().split()
    assert len(pids) == 3 and len(set(pids)) == 1
    assert not psutil.pid_exists(int(pids[0]))


def test_second_process_on_the_same_sweep_is_told_so(project):
    plan = sweep_project.plan(project, GRID)
    with run._alone(plan.folder), pytest.raises(InputError, match="runs already, in another process"):
        sweep(plan)


def start(project: Path, *arguments: object) -> subprocess.Popen[str]:
    """`fer-lib sweep` in a process of its own."""
    command = [sys.executable, sweep_project.__file__, project, project / "sweep.yaml", "--language", "en"]
    command += ["--data", project / "train.csv", "--out", project / "sweeps", "--runs", project / "runs"]
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(
        [str(part) for part in [*command, *arguments]],
        env={**os.environ, **paths},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


SLOW = "notebook: q1_cnn\nparameters: {WAIT: 0.5}\ngrid: {SEED: [1, 2, 3], RATE: [0.25, 0.5]}"


def test_sweep_that_was_killed_goes_on_without_losing_or_repeating_a_point(project):
    plan = sweep_project.plan(project, SLOW)
    process = start(project, "--workers", 2)
    try:
        wait_for(lambda: len(trained(project)) >= 2)
    finally:
        kernels = psutil.Process(process.pid).children()
        process.kill()
        process.wait()
    assert kernels
    psutil.wait_procs(kernels, timeout=30)
    assert not any(kernel.is_running() for kernel in kernels)

    sweep(plan)
    assert trained(project) == sorted(f"cnn-{seed}-2-{rate}" for seed in (1, 2, 3) for rate in (0.25, 0.5))
    assert board(project)["point"].tolist() == [2, 4, 6, 1, 3, 5]


def test_interrupt_stops_cleanly_and_says_how_to_go_on(project):
    sweep_project.plan(project, SLOW)
    process = start(project, "--workers", 1)
    wait_for(lambda: trained(project))
    kernels = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in errors and "the same command goes on" in errors
    assert not any(kernel.is_running() for kernel in kernels)


def test_points_and_time_can_be_seen_before(project, capsys):
    from fer_lib.publish.sweep import estimate

    text = estimate.describe(sweep_project.plan(project, GRID), 2)
    assert "3  EPOCHS=2, RATE=0.25" in text and "4 points, 0 done." in text
