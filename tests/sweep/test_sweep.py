"""A whole sweep: what it leaves, what it goes on with, what it survives. Processes, workers and kernels are real."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pandas as pd
import psutil
import pytest
from sweep_project import Cluster, SweepProject, entered, wait_for

from fer_lib import cli
from fer_lib.errors import InputError
from fer_lib.files import lock_folder
from fer_lib.report import execute
from fer_lib.report.execute import CellError
from fer_lib.sweep import leaderboard, run

GRID = "notebook: q1_cnn\nparameters: {AUGMENT: true}\ngrid: {EPOCHS: [1, 2], RATE: [0.25, 0.5]}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A dask cluster of two workers, in a project that this process works in too."""
    root = tmp_path_factory.mktemp("project")
    with entered(SweepProject(root, root).make()) as project:
        started = Cluster(project)
        for _ in range(2):
            started.start_worker()
        started.wait(2)
        yield started
        started.stop()


@pytest.fixture
def project(cluster, tmp_path):
    """The same project, with a folder of its own for a sweep."""
    return replace(cluster.project, sweeps=tmp_path)


@pytest.fixture(scope="module")
def swept(cluster):
    """The plan of the sweep `GRID`, which was run to its end."""
    plan = cluster.project.plan(GRID)
    run.run_sweep(plan, scheduler=cluster.address)
    return plan


def test_leaderboard_has_every_point_the_most_accurate_and_then_the_smallest_first(swept):
    found = leaderboard.read(swept.folder)
    assert found[["rank", "point", "EPOCHS", "RATE", "accuracy", "parameters"]].to_numpy().tolist() == [
        [1, 2, 1, 0.5, 0.5, 10],
        [2, 4, 2, 0.5, 0.5, 20],
        [3, 1, 1, 0.25, 0.25, 10],
        [4, 3, 2, 0.25, 0.25, 20],
    ]
    assert leaderboard.varied(found) == ["EPOCHS", "RATE"]


def test_setting_that_the_notebook_does_not_name_reaches_it_and_cores_are_shared_out(swept):
    for notebook in leaderboard.read(swept.folder)["notebook"]:
        facts = execute.facts(swept.folder / notebook)
        assert facts["settings"] == {"AUGMENT": True}
        assert int(facts["threads"]) == max(1, len(os.sched_getaffinity(0)) // 2)


def test_page_shows_every_point_and_figures_once_all_have_ended(swept):
    text = (swept.folder / "leaderboard.html").read_text()
    assert text.count("<tr") == 5 and text.count("<svg") == 3
    assert "http-equiv" not in text and "src=" not in text and "url(http" not in text
    assert all(f'href="points/{number}/q1_cnn.ipynb"' in text for number in (1, 2, 3, 4))


def test_only_what_is_missing_is_run(cluster, swept):
    before = (swept.folder / "leaderboard.csv").read_bytes()
    points = ", ".join(f"{{EPOCHS: {epochs}, RATE: {rate}}}" for epochs in (1, 2) for rate in (0.25, 0.5))
    longer = GRID[: GRID.index("grid")] + f"list: [{points}, {{EPOCHS: 3}}]"
    run.run_sweep(cluster.project.plan(longer), scheduler=cluster.address)
    assert len(cluster.project.board()) == len(cluster.project.runs("begun")) == 5
    run.run_sweep(swept, scheduler="tcp://nobody:1")
    assert (swept.folder / "leaderboard.csv").read_bytes() == before


def test_point_that_fails_is_on_the_leaderboard_with_its_reason_and_the_others_run(project, cluster):
    text = "notebook: q1_cnn\nlist: [{RATE: 2.0}, {DEATHS: 1, SEED: 1}, {DEATHS: 9, SEED: 2}, "
    text += "{WAIT: 60, SEED: 3}, {WAIT: 60, SEED: 4, HOLD: 800}]"
    plan = project.plan(text, timeout=8, memory=0.5)
    with pytest.raises(CellError, match="4 of 5 points failed"):
        run.run_sweep(plan, scheduler=cluster.address)
    rows = project.board().set_index("point")
    assert rows["accuracy"].notna().to_dict() == {1: False, 2: True, 3: False, 4: False, 5: False}
    reasons = {
        1: "ValueError: diverged",
        3: "its kernel died",
        4: "longer than 8 seconds",
        5: "more than 0.5 GiB",
    }
    assert all(reason in rows.loc[point, "error"] for point, reason in reasons.items())
    assert "diverged" in (project.folder / rows.loc[1, "notebook"]).read_text()
    # A kernel that died of itself is tried once more, a point that took too much is not.
    begun = pd.Series(project.runs("begun")).value_counts()
    assert begun.to_dict() == {
        "cnn-0-2-2.0": 1, "cnn-1-2-0.5": 2, "cnn-2-2-0.5": 2, "cnn-3-2-0.5": 1, "cnn-4-2-0.5": 1
    }  # fmt: skip


def test_sweep_that_was_killed_and_interrupted_ends_with_the_same_leaderboard(project, cluster, swept):
    slow = GRID.replace("true", "true, WAIT: 1")
    for number, how in ((1, signal.SIGKILL), (2, signal.SIGINT)):
        process = project.start(slow, "--workers", 1)
        wait_for(lambda number=number: len(project.runs("trained")) >= number)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill() if how == signal.SIGKILL else os.killpg(process.pid, how)  # as a terminal does
        errors = process.communicate(timeout=60)[1]
        psutil.wait_procs(children, timeout=30)
        assert children and not any(child.is_running() for child in children)
    assert process.returncode == 130
    assert "Traceback" not in errors and errors.count("the same command goes on") == 1
    assert "a progress bar" not in errors
    page = (project.folder / "leaderboard.html").read_text()
    assert "http-equiv" not in page and "of 4 points have ended; the same command goes on" in page

    run.run_sweep(project.plan(slow), scheduler=cluster.address)
    assert project.runs("trained") == sorted(f"cnn-0-{e}-{r}" for e in (1, 2) for r in (0.25, 0.5))
    assert project.board().equals(pd.read_csv(swept.folder / "leaderboard.csv"))


def test_each_dense_network_is_compared_with_a_cnn_of_its_seed(project, cluster):
    plan = project.plan("notebook: q2_dnn\ncnn: {EPOCHS: 1}\ngrid: {SEED: [3, 4]}")
    run.run_sweep(plan, scheduler=cluster.address)
    # The notebook itself fails if its CNN has another seed.
    assert project.runs("trained") == ["cnn-3-1-0.5", "cnn-4-1-0.5", "dnn-3-2-0.5", "dnn-4-2-0.5"]


def test_second_process_on_the_same_sweep_is_told_so(project):
    plan = project.plan(GRID)
    with (
        lock_folder(plan.folder, "taken"),
        pytest.raises(InputError, match="runs already, in another process"),
    ):
        run.run_sweep(plan)


def test_point_that_asks_for_more_faces_than_there_are_is_refused_before_any_starts(project):
    plan = project.plan("notebook: q1_cnn\ngrid: {TRAIN_LIMIT: [24, 25]}")
    with pytest.raises(InputError, match="The point TRAIN_LIMIT=25 asks for more than the 24 faces"):
        run.run_sweep(plan)
    assert not plan.folder.exists()


def test_points_and_their_sizes_can_be_seen_before(project):
    plan = project.plan(
        "notebook: q2_dnn\nparameters: {WIDTH: 0}\ncnn: {WIDTH: 0.05}\ngrid: {DEPTH: [2, 3], DENSE_DROPOUT: [0, 0.3]}"
    )
    first, *lines, last = run.list_points(plan).splitlines()
    assert first.startswith("cnn-1  CNN for SEED=0, VALIDATION=0.15: 103,886 parameters, 1.3 million")
    assert lines[0].startswith("1  DEPTH=2, DENSE_DROPOUT=0.0: 104,") and len(lines) == 4
    assert last == "5 models to train, 0 done."
    assert not plan.folder.exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--timeout", "-5"], "TIMEOUT must be at least 1, or 0 for no limit, but was -5."),
        (["--timeout", "nan"], "TIMEOUT must be at least 1, or 0 for no limit, but was nan."),
        (["--memory", "inf"], "MEMORY must be at least 0.25, or 0 for no limit, but was inf."),
    ],
)
def test_limit_that_would_end_every_point_is_refused_at_once(tmp_path, options, sentence, capsys):
    (tmp_path / "sweep.yaml").write_text("notebook: q1_cnn\ngrid: {SEED: [1]}")
    assert cli.main(["sweep", str(tmp_path / "sweep.yaml"), "--out", str(tmp_path), *options]) == 2
    assert sentence in capsys.readouterr().err


# Last, since they leave the cluster without workers.


def test_killed_worker_loses_no_point_and_repeats_none(project, cluster):
    plan = project.plan(
        "notebook: q1_cnn\nparameters: {WAIT: 0.3}\ngrid: {SEED: [0, 1, 2, 3], RATE: [0.25, 0.5]}"
    )

    def kill():
        wait_for(lambda: len(project.runs("trained")) >= 2)
        cluster.processes[1].kill()

    with ThreadPoolExecutor() as other:
        other.submit(kill)
        run.run_sweep(plan, scheduler=cluster.address)
    assert project.board()["point"].tolist() == [2, 4, 6, 8, 1, 3, 5, 7]
    assert project.runs("trained") == sorted(
        f"cnn-{seed}-2-{rate}" for seed in range(4) for rate in (0.25, 0.5)
    )


def test_cluster_that_cannot_run_points_is_refused_with_its_reason(project, cluster, tmp_path_factory):
    plan = project.plan("notebook: q1_cnn\ngrid: {SEED: [99]}")

    def refusal(address: str = cluster.address) -> str:
        with pytest.raises(InputError) as caught:
            run.run_sweep(plan, scheduler=address)
        return str(caught.value)

    assert "No dask scheduler answers at 'tcp://127.0.0.1:9'" in refusal("tcp://127.0.0.1:9")
    for worker in cluster.processes[1:]:
        worker.kill()
    cluster.wait(0)
    assert "has no workers; start some with `dask worker tcp://" in refusal()
    cluster.start_worker(threads=2)
    cluster.wait(1)
    assert "start it with --nthreads 1" in refusal()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with entered(SweepProject(elsewhere, elsewhere).make()):
        assert f"in the same folder, {elsewhere}" in refusal()
