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

from fer_lib import cli
from fer_lib.errors import InputError
from fer_lib.files import held
from fer_lib.report import execute
from fer_lib.report.execute import CellError
from fer_lib.sweep import leaderboard, run


@pytest.fixture
def project(tmp_path):
    with sweep_project.prepared(tmp_path) as project:
        yield project


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A project whose sweep `GRID` was run to its end by one worker."""
    with sweep_project.prepared(tmp_path_factory.mktemp("swept")) as project:
        sweep(sweep_project.plan(project, GRID), workers=1)
    return project


@pytest.fixture
def finished(swept):
    """The same, which `execute` takes for the project."""
    with sweep_project.entered(swept) as project:
        yield project


def trained(project: Path) -> list[str]:
    """The runs that were trained, once for each time."""
    file = project / "runs" / "trained.txt"
    return sorted(file.read_text().split()) if file.exists() else []


def board(project: Path) -> pd.DataFrame:
    return pd.read_csv(project / "sweeps" / "sweep" / "leaderboard.csv")


def sweep(plan: run.Plan, workers: int = 2) -> Path:
    return run.run_sweep(plan, run.local_engine(workers), workers=workers)


GRID = "notebook: q1_cnn\nparameters: {AUGMENT: true}\ngrid: {EPOCHS: [1, 2], RATE: [0.25, 0.5]}"


def test_leaderboard_has_every_point_the_most_accurate_and_then_the_smallest_first(swept):
    folder = swept / "sweeps" / "sweep"
    found = leaderboard.read(folder)
    assert found[["rank", "point", "EPOCHS", "RATE", "accuracy", "parameters"]].to_numpy().tolist() == [
        [1, 2, 1, 0.5, 0.5, 10],
        [2, 4, 2, 0.5, 0.5, 20],
        [3, 1, 1, 0.25, 0.25, 10],
        [4, 3, 2, 0.25, 0.25, 20],
    ]
    assert leaderboard.varied(found) == ["EPOCHS", "RATE"]
    assert all((folder / notebook).is_file() for notebook in found["notebook"])


def test_setting_that_the_notebook_does_not_name_reaches_it_and_only_what_the_profile_does_not_say(swept):
    for notebook in leaderboard.read(swept / "sweeps" / "sweep")["notebook"]:
        facts = execute.facts(swept / "sweeps" / "sweep" / notebook)
        assert facts["settings"] == {"AUGMENT": True}


def test_page_shows_every_point_and_figures_once_all_have_ended(swept):
    text = (swept / "sweeps" / "sweep" / "leaderboard.html").read_text()
    assert text.count("<tr") == 5 and text.count("<svg") == 3
    assert "http-equiv" not in text and "http://" not in text.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "")
    assert all(f'href="points/{number}/q1_cnn.ipynb"' in text for number in (1, 2, 3, 4))


def test_points_of_one_worker_share_a_kernel_that_forgets(swept):
    # The notebook itself fails if it finds what the last point left.
    pids = (swept / "runs" / "kernels.txt").read_text().split()[:4]
    assert len(pids) == 4 and len(set(pids)) == 1
    assert not psutil.pid_exists(int(pids[0]))


def test_only_what_is_missing_is_run(finished):
    before = board(finished)
    again = sweep(sweep_project.plan(finished, GRID)).read_bytes()
    assert trained(finished) == sorted(f"cnn-0-{epochs}-{rate}" for epochs in (1, 2) for rate in (0.25, 0.5))
    assert len((finished / "runs" / "begun.txt").read_text().split()) == 4
    longer = sweep(sweep_project.plan(finished, GRID.replace("[1, 2]", "[1, 2, 3]")), workers=1).read_bytes()
    assert len(trained(finished)) == 6
    assert board(finished).merge(before.drop(columns="rank"))["point"].tolist() == before["point"].tolist()
    assert sweep(sweep_project.plan(finished, GRID)).read_bytes() == again != longer


def test_point_that_fails_is_recorded_with_its_error_and_notebook_and_the_others_run(project):
    plan = sweep_project.plan(project, "notebook: q1_cnn\ngrid: {RATE: [2.0, 0.25, 0.5]}")
    with pytest.raises(CellError, match="1 of 3 points failed"):
        sweep(plan, workers=1)
    last = board(project).iloc[-1]
    assert last["RATE"] == 2.0 and "ValueError: diverged" in last["error"] and pd.isna(last["rank"])
    assert "diverged" in (plan.folder / last["notebook"]).read_text()
    assert board(project)["accuracy"].notna().tolist() == [True, True, False]


def test_kernel_that_dies_is_replaced_once(project):
    text = "notebook: q1_cnn\nlist: [{SEED: 1, DEATHS: 1}, {SEED: 2, DEATHS: 2}]"
    plan = sweep_project.plan(project, text)
    with pytest.raises(CellError, match="1 of 2 points failed"):
        sweep(plan, workers=1)
    found = board(project).set_index("DEATHS")
    assert found["accuracy"].notna().to_dict() == {1: True, 2: False}
    assert "its kernel died" in found.loc[2, "error"]
    begun = (project / "runs" / "begun.txt").read_text().split()
    assert sorted(begun) == ["cnn-1-2-0.5"] * 2 + ["cnn-2-2-0.5"] * 2


def test_point_that_takes_more_than_it_may_is_ended_and_not_tried_again(project):
    text = "notebook: q1_cnn\nlist: [{WAIT: 60, HOLD: 800}, {WAIT: 60, HOLD: 0}]"
    with pytest.raises(CellError):
        sweep(sweep_project.plan(project, text, seconds=8, memory=0.5), workers=1)
    errors = board(project).set_index("HOLD")["error"]
    assert "more than 0.5 GiB of memory" in errors[800] and "longer than 8 seconds" in errors[0]
    assert len((project / "runs" / "begun.txt").read_text().split()) == 2


def test_point_that_asks_for_more_faces_than_there_are_is_refused_before_any_starts(project):
    plan = sweep_project.plan(project, "notebook: q1_cnn\ngrid: {TRAIN_LIMIT: [24, 25]}")
    with pytest.raises(InputError, match="The point TRAIN_LIMIT=25 asks for more than the 24 faces"):
        sweep(plan)
    assert not plan.folder.exists() and not (project / "runs").exists()


def test_limit_that_all_points_share_may_be_above_the_faces_there_are(project):
    text = "notebook: q1_cnn\nparameters: {TRAIN_LIMIT: 99}\ngrid: {EPOCHS: [1]}"
    assert len(run.load_faces(sweep_project.plan(project, text)).train) == 28


def test_second_process_on_the_same_sweep_is_told_so(project):
    plan = sweep_project.plan(project, GRID)
    with held(plan.folder, "taken"), pytest.raises(InputError, match="runs already, in another process"):
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


SLOW = GRID.replace("{AUGMENT: true", "{AUGMENT: true, WAIT: 0.5")


def test_sweep_that_was_killed_goes_on_to_the_leaderboard_of_one_that_was_not(project, swept):
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

    path = sweep(plan)
    assert len(trained(project)) == len(set(trained(project))) == 4
    assert path.read_bytes() == (swept / "sweeps" / "sweep" / "leaderboard.csv").read_bytes()


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
    page = (project / "sweeps" / "sweep" / "leaderboard.html").read_text()
    assert "http-equiv" not in page and "of 4 points have ended; the same command goes on" in page


def test_engine_that_cannot_start_leaves_a_page_that_does_not_follow(project):
    def engine(tasks, hear):
        raise InputError("No scheduler.")
        yield

    plan = sweep_project.plan(project, GRID)
    with pytest.raises(InputError, match="No scheduler"):
        run.run_sweep(plan, engine)
    page = (plan.folder / "leaderboard.html").read_text()
    assert "http-equiv" not in page and "0 of 4 points have ended; the same command goes on" in page


def test_points_and_time_can_be_seen_before(project, capsys):
    from fer_lib.sweep import estimate

    text = estimate.describe(sweep_project.plan(project, GRID), 2)
    assert "3  EPOCHS=2, RATE=0.25" in text and "4 points, 0 done." in text


def test_each_dense_network_is_compared_with_a_cnn_of_its_seed_which_the_estimate_knows(project):
    from fer_lib.sweep import estimate

    plan = sweep_project.plan(project, "notebook: q2_dnn\ncnn: {EPOCHS: 1}\ngrid: {SEED: [3, 4]}")
    before = estimate.describe(plan, 1)
    assert "cnn-2  CNN for SEED=4, VALIDATION=0.15" in before.splitlines()
    assert "2 points and 2 CNNs to compare with, 0 done." in before
    sweep(plan, workers=1)
    # The notebook itself fails if its CNN has another seed.
    assert trained(project) == ["cnn-3-1-0.5", "cnn-4-1-0.5", "dnn-3-2-0.5", "dnn-4-2-0.5"]
    assert "2 points and 2 CNNs to compare with, 4 done." in estimate.describe(plan, 1)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--timeout", "-5"], "TIMEOUT must be at least 1, or 0 for no limit, but was -5."),
        (["--timeout", "nan"], "TIMEOUT must be at least 1, or 0 for no limit, but was nan."),
        (["--memory", "inf"], "MEMORY must be at least 0.25, or 0 for no limit, but was inf."),
        (["--memory", "0.001"], "MEMORY must be at least 0.25, or 0 for no limit, but was 0.001."),
    ],
)
def test_limit_that_would_end_every_point_is_refused_at_once(project, options, sentence, capsys):
    (project / "sweep.yaml").write_text(GRID)
    assert cli.main(["sweep", str(project / "sweep.yaml"), "--out", str(project), *options]) == 2
    assert sentence in capsys.readouterr().err
