"""What a sweep costs beside the training: CPU seconds of all processes, side by side in one run.

    .venv/bin/python benchmarks/sweep.py [--points 54 [--bare-points 27]] [--workers 1 2] [--papermill 4]

The same points of notebooks/sweeps/cnn.yaml in its quick form, on drawn faces, are trained, for each number of workers,
- bare: as many processes that have imported everything call `train_or_reuse` for their share, one after another,
- by `fer-lib sweep`,
and some of them by plain `papermill` in a shell loop, which is slow. One thread each, so that they do the same work.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml
from page import machine, write_section

from fer_lib.models.spec import SETTINGS
from fer_lib.profiles import settings
from fer_lib.report.execute import ROOT, declared, source_notebook
from fer_lib.report.parameters import Parameters
from fer_lib.sweep import spec

SWEEP = ROOT / "notebooks" / "sweeps" / "cnn.yaml"
ONE_THREAD = dict.fromkeys(
    ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
)


TEXT = """## Sweeps

`{command}`: points of `notebooks/sweeps/cnn.yaml` in its quick form, on drawn faces. CPU seconds of
all processes for a point, and what of them is not training. Bare training is a loop over `train_or_reuse` that clears
Keras's state in between, in as many processes at once as there are workers; their start and imports are not counted.
Points an hour are by the clock, whatever else the machine does. {machine}.

| way | CPU seconds a point | over bare training | points an hour |
|---|---|---|---|
{rows}

A sweep and a shell loop start a kernel for each point; a shell loop starts papermill too."""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", type=int, default=8)
    parser.add_argument("--bare-points", type=int, help="fewer of them for the bare training")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--papermill", type=int, default=2)
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        train_bare(options.bare, yaml.safe_load(sys.stdin))
        return
    points = chosen(options.points)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = []
        for workers in options.workers:
            alone = chosen(options.bare_points or options.points)
            bare = measure_bare(alone, folder / f"bare-{workers}", workers) / len(alone)
            rows.append(f"| bare training, {workers} at once, {len(alone)} points | {bare:.2f} | | |")
            cost = measure_sweep(points, folder / f"sweep-{workers}", workers)
            rows.append(
                row(f"`fer-lib sweep --workers {workers}`, {len(points)} points", cost, len(points), bare)
            )
        if some := points[: options.papermill]:
            cost = measure_papermill(some, folder / "papermill")
            rows.append(row(f"`papermill` in a shell loop, {len(some)} points", cost, len(some), bare))
    command = shlex.join(["benchmarks/sweep.py", *sys.argv[1:]])
    write_section("sweep", TEXT.format(command=command, machine=machine(), rows="\n".join(rows)))


def row(what: str, cost: tuple[float, float], points: int, bare: float) -> str:
    """A line of the table."""
    cpu, wall = cost
    each = cpu / points
    hour = points / wall * 3600
    return f"| {what} | {each:.2f} | {each - bare:.2f} ({each / bare - 1:.0%}) | {hour:.0f} |"


def chosen(count: int) -> list[Parameters]:
    """So many points, spread over the sweep."""
    points = spec.read(SWEEP, quick=True, settings={}).points
    return [{**points[i * len(points) // count], "LANGUAGE": "en"} for i in range(count)]


def measure_bare(points: Sequence[Parameters], root: Path, processes: int) -> float:
    """CPU seconds of training alone in so many processes, start of Python and imports not counted."""
    shares = [points[number::processes] for number in range(processes)]
    running = [
        subprocess.Popen(
            [sys.executable, __file__, "--bare", root],
            env={**os.environ, **ONE_THREAD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in shares
    ]
    for process, share in zip(running, shares, strict=True):
        assert process.stdin
        process.stdin.write(yaml.safe_dump(share))
        process.stdin.close()
    seconds = 0.0
    for process in running:
        assert process.stdout
        seconds += float(process.stdout.read())
        process.wait()  # else its time counts as that of what is measured next
    return seconds


def train_bare(root: Path, points: Sequence[Parameters]) -> None:
    """Train points one after another; prints the CPU seconds."""
    import keras

    from fer_lib import data, runs

    splits = data.load("", cache=ROOT / "data")
    start = time.process_time()
    for point in points:
        further = {name: value for name, value in point.items() if name in SETTINGS}
        model, recipe = settings("quick", "q1_cnn", further)
        runs.train_or_reuse(splits, model, recipe, seed=int(point["SEED"]), root=root, progress=False)
        keras.utils.clear_session()
    print(time.process_time() - start)


def measure_sweep(points: Sequence[Parameters], folder: Path, workers: int) -> tuple[float, float]:
    """CPU and wall seconds of `fer-lib sweep`, with all processes that it starts."""
    file = folder.with_suffix(".yaml")
    own = [{name: value for name, value in point.items() if name not in spec.RESERVED} for point in points]
    file.write_text(yaml.safe_dump({"notebook": "q1_cnn", "list": own}))
    command = [sys.executable, "-m", "fer_lib.cli", "sweep", file, "--out", folder, "--workers", workers]
    return _measure(shlex.join(map(str, [*command, "--language", "en"])))


def measure_papermill(points: Sequence[Parameters], folder: Path) -> tuple[float, float]:
    """CPU and wall seconds of a shell loop over papermill."""
    folder.mkdir()
    lines = []
    for number, point in enumerate(points):
        named = {name: value for name, value in point.items() if name in declared("q1_cnn")}
        further = {name: value for name, value in point.items() if name not in named}
        given = yaml.safe_dump({**named, "RUN_ROOT": str(folder), "SETTINGS": further})
        out = folder / f"{number}.ipynb"
        lines.append(
            f"{sys.executable} -m papermill --no-progress-bar {source_notebook('q1_cnn')} {out} "
            f"--cwd {ROOT / 'notebooks'} -y {shlex.quote(given)}"
        )
    return _measure("set -e\n" + "\n".join(lines))


def _measure(script: str) -> tuple[float, float]:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        ["sh", "-c", script],
        env={**os.environ, **ONE_THREAD},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - start


if __name__ == "__main__":
    main()
