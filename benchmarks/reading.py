"""Reading fer2013.csv: the original report's loop, pandas, and ours, side by side in one run.

usage: reading.py [fer2013.csv]

Without a file, the real faces in ../shared/data are written as one, or else as many random faces.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from page import machine, write_section

from fer_lib import data

MAKE_FILES = Path(__file__).parents[2] / "shared" / "data" / "make_files.py"
ROWS = 35_887
TIMES = {"loop": 1, "pandas": 3, "cold": 3, "cached": 5}


def loop(path: Path, cache: Path) -> None:
    """Line by line, every number a text until the end, as the report's script did."""
    labels, faces = [], []
    with path.open() as file:
        next(file)
        for line in file:
            label, pixels, *_ = line.split(",")
            labels.append(label)
            faces.append(pixels.split(" "))
    np.array(faces).astype(float).reshape(-1, 48, 48, 1), np.array(labels).astype(int)


def pandas(path: Path, cache: Path) -> None:
    """What notebooks on Kaggle do."""
    import pandas as pd

    frame = pd.read_csv(path)
    np.stack([np.fromstring(text, np.uint8, sep=" ") for text in frame["pixels"]]).reshape(-1, 48, 48, 1)
    frame["emotion"].to_numpy()


def ours(path: Path, cache: Path) -> None:
    """With every line checked; from the cache if there is one."""
    data.load(path, cache=cache)


WAYS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "loop": ("the original's loop", loop),
    "pandas": ("pandas, `np.fromstring` a row", pandas),
    "cold": ("`data.load`, the first time", ours),
    "cached": ("`data.load`, from then on", ours),
}


def measure(way: str, path: Path, cache: Path) -> tuple[float, float]:
    """CPU seconds of one read, and the most memory in GB that the process ever held, measured in one of its own."""
    command = [sys.executable, __file__, "--measure", way, str(path), str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, memory = json.loads(done.stdout)
    return seconds, memory


def measured(way: str, path: Path, cache: Path) -> None:
    """Read once and print what it cost; imports do not count."""
    if way == "pandas":
        __import__("pandas")
    start = time.process_time()
    WAYS[way][1](path, cache)
    seconds = time.process_time() - start
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6]))


def source(folder: Path) -> tuple[Path, str]:
    """A file to read, and what it holds."""
    if len(sys.argv) > 1:
        return Path(sys.argv[1]), "the file given"
    if MAKE_FILES.exists():
        subprocess.run([sys.executable, str(MAKE_FILES), str(folder), "kaggle"], check=True)
        return folder / "fer2013.csv", "FER2013's training and public faces"
    rng = np.random.default_rng(0)
    with (folder / "fer2013.csv").open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for _ in range(ROWS):
            file.write(f"0,{' '.join(map(str, rng.integers(0, 256, 2304).tolist()))},Training\n")
    return folder / "fer2013.csv", f"{ROWS:,} random faces"


def main() -> None:
    """Measure every way and write the section."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, what = source(folder)
        costs = {}
        for way, times in TIMES.items():
            caches = [folder / ("warm" if way == "cached" else f"{way}-{i}") for i in range(times)]
            if way == "cached":
                measure("cold", path, folder / "warm")
            costs[way] = [measure(way, path, cache) for cache in caches]
        size = path.stat().st_size / 1e6
    base = median(seconds for seconds, _ in costs["loop"])
    rows = []
    for way, runs in costs.items():
        seconds, memory = median(run[0] for run in runs), max(run[1] for run in runs)
        rows.append(f"| {WAYS[way][0]} | {seconds:.2f} | {base / seconds:.1f}x | {memory:.2f} GB |")
    write_section(
        "reading",
        f"""## Reading fer2013.csv

`make bench BENCH=reading`: {what}, {size:.0f} MB of text. CPU seconds of the reading process
(user and system, without imports; median of {TIMES["pandas"]}, of {TIMES["cached"]} from the cache, the loop once) and
the most memory it held. {machine()}.

| way | CPU seconds | against the loop | memory |
|---|---|---|---|
"""
        + "\n".join(rows)
        + """

The first time every line is checked: labels, Usage, 2,304 numbers from 0 to 255. Later the file is hashed (SHA-256),
which is most of the time that is left, and the faces come from `data/` with their checksums compared.""",
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measured(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
