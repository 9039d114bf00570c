"""Gradient ascent and saliency: ours, xplique, tf-keras-vis, and the original's filter by filter, in one run.

usage: explaining.py

The peers are fetched into benchmarks/.peers the first time, without what they depend on (xplique asks for an
older TensorFlow than the one that they run on here).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import packages_distributions, version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from page import machine, write_section
from peers.explainers import (
    FACES,
    FILTERS,
    LAYERS,
    LOOPED,
    METHODS,
    PATCH,
    SIZES,
    STEPS,
    STRIDE,
    cnn,
    work_of,
)  # fmt: skip

PEERS = Path(__file__).parent / ".peers"
PACKAGES = (
    "xplique==2.0.2", "tf-keras-vis==0.8.7", "deprecated", "wrapt", "imageio", "scipy", "scikit-learn",
    "scikit-image", "joblib", "threadpoolctl", "lazy-loader", "narwhals", "opencv-python-headless",
    "tensorflow-probability", "dm-tree", "decorator", "cloudpickle", "einops", "tf-keras",
)  # fmt: skip

ROUNDS, ENOUGH = 15, 12.0
"""A tool does a method in so many rounds, or in fewer once that has taken so many seconds."""
MANY, MANY_FACES = {"smoothgrad": 512, "integrated_gradients": 256, "rise": 2000}, 8
"""So many copies, places and masks that what methods converge to can be compared, for a few faces."""
TOOLS = {"ours": "fer_lib", "xplique": "xplique", "vis": "tf-keras-vis", "loop": "one filter at a time"}

TEXT = f"""## Explaining a model

`make bench BENCH=explaining`: CPU seconds, and in brackets the most memory of the process in MB, each tool in a process
of its own, the tools by turns. {{machine}}, TensorFlow {{tensorflow}}, {{peers}}.

Gradient ascent for {FILTERS} filters, {STEPS} steps each, from white noise, compilation included. The original's way is
a loop over filters, each with a compiled function and {STEPS} calls of its own (without AutoGraph, which would make it
slower): measured for {LOOPED} filters, times {FILTERS // LOOPED}.

| layer of the CNN | {" | ".join(TOOLS.values())} | that by fer_lib | by arithmetic |
|---|---|---|---|---|---|---|
{{ascent}}

The original's layer is `conv2d_1`: there {{times}} the time of `fer_lib`. By arithmetic: how many
times the multiply-adds of `fer_lib` a loop takes, for it computes all filters of the layer to look at one. What stands
before the layer costs both the same, and in a deep layer that is nearly all: there only the calls are saved.

Saliency of {FACES} drawn faces by the CNN of width 0.125 with its initial weights (8 M multiply-adds a face), batches
of 64, compiled before (median of up to {ROUNDS} rounds that take {ENOUGH:.0f} s together):

| method | fer_lib | xplique | tf-keras-vis | xplique by fer_lib | correlation | in the limit |
|---|---|---|---|---|---|---|
{{maps}}

{{slower}} The correlation is that of a face's map with xplique's, the median over the faces; in the
limit: of {MANY_FACES} faces with {MANY["smoothgrad"]} samples of SmoothGrad, {MANY["integrated_gradients"]} steps of
integrated gradients, {MANY["rise"]:,} masks of RISE. SmoothGrad and RISE draw at random, each tool in its own way; for
integrated gradients `fer_lib` adds up midpoints, xplique trapezia. xplique adds up the patches of occlusion where
`fer_lib` takes their mean: that is made up for."""


class Tool:
    """A tool at work in a process of its own, which measures what it is told to."""

    def __init__(self, name: str, folder: Path) -> None:
        """Starts it; the heat that it makes goes to the folder."""
        paths = [str(Path(__file__).parents[1]), str(PEERS), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONWARNINGS": "ignore",
            "PYTHONPATH": os.pathsep.join(paths),
        }
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--child", name, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self.works = self._answer()

    def measure(self, work: str, count: int = 0, *, keep: bool = False) -> tuple[float, float]:
        """CPU seconds and most memory in MB of a work, for the first so many faces or filters (0: all)."""
        print(json.dumps([work, count, keep]), file=self.process.stdin, flush=True)
        seconds, memory = self._answer()
        return seconds, memory

    def end(self) -> None:
        """Let it go."""
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()

    def _answer(self) -> Any:
        for line in self.process.stdout or ():
            if line.startswith("["):
                return json.loads(line)
        raise SystemExit("A tool ended before it was done.")


def child(tool: str, folder: Path) -> None:
    """Measure what standard input asks for; heat goes to the folder, numbers to standard output."""
    works = work_of(tool, SIZES)
    if tool in ("ours", "xplique"):
        many = work_of(tool, MANY)
        works |= {f"{name}-many": many[name] for name in MANY}
    print(json.dumps(list(works)), flush=True)
    for line in sys.stdin:
        name, count, keep = json.loads(line)
        Path("/proc/self/clear_refs").write_text("5")  # forget the highest memory so far
        start = time.process_time()
        result = works[name](count=count) if count else works[name]()  # type: ignore[call-arg]
        seconds = time.process_time() - start
        held = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        if keep:
            np.save(folder / f"{tool}-{name}.npy", result)
        print(json.dumps([seconds, int(held[1]) / 1024 if held else 0.0]), flush=True)


def measured(folder: Path) -> dict[str, dict[str, tuple[float, float]]]:
    """By tool and work CPU seconds and most memory in MB, the tools by turns."""
    tools = {name: Tool(name, folder) for name in TOOLS}
    numbers: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in tools}
    for method in METHODS:
        able = {name: tool for name, tool in tools.items() if method in tool.works}
        for tool in able.values():
            tool.measure(method, 64)  # compiles
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in able}
        for _ in range(ROUNDS):
            for name, tool in able.items():
                if sum(seconds for seconds, _ in found[name]) < ENOUGH:
                    found[name].append(tool.measure(method, keep=True))
        for name, rounds in found.items():
            numbers[name][method] = median(r[0] for r in rounds), max(r[1] for r in rounds)
    for layer in LAYERS:
        for name, tool in tools.items():
            if name == "loop":
                tool.measure(layer, 1)  # what TensorFlow does only once must not count for each
                seconds, memory = tool.measure(layer, LOOPED)
                numbers[name][layer] = seconds * FILTERS / LOOPED, memory
            else:
                numbers[name][layer] = tool.measure(layer)
    for name in ("ours", "xplique"):
        for method in MANY:
            tools[name].measure(f"{method}-many", MANY_FACES, keep=True)
    for tool in tools.values():
        tool.end()
    return numbers


def by_arithmetic(layer: str, width: float) -> float:
    """Multiply-adds of an image for all filters of a layer of the CNN, by those for one filter."""
    import keras

    from fer_lib.models.architectures import multiply_adds

    net = cnn(width)
    part = keras.Model(net.inputs, net.get_layer(layer).output)
    whole, filters = multiply_adds(part), part.output_shape[-1]
    of_layer = int(np.prod(part.output_shape[1:3])) * int(np.prod(net.get_layer(layer).kernel.shape))
    return float(whole / (whole - of_layer + of_layer / filters))


def alike(folder: Path, method: str, which: str = "") -> float:
    """The median correlation of our map of a face with xplique's."""
    first, other = (np.load(folder / f"{tool}-{method}{which}.npy") for tool in ("ours", "xplique"))
    if method == "smoothgrad":  # xplique keeps the sign
        other = np.abs(other)
    if method == "occlusion":  # xplique adds up what we average
        first = first * coverage()
    if method == "grad_cam":
        first = np.maximum(first, 0)
    flat = [(heat - heat.mean(axis=(1, 2), keepdims=True)).reshape(len(heat), -1) for heat in (first, other)]
    scale = np.sqrt(np.square(flat[0]).sum(axis=1) * np.square(flat[1]).sum(axis=1))
    seen = scale > 0
    return float(np.median((flat[0] * flat[1]).sum(axis=1)[seen] / scale[seen]))


def coverage() -> Any:
    """How many patches hide each pixel."""
    line = sum((np.arange(48) >= s) & (np.arange(48) < s + PATCH) for s in range(0, 49 - PATCH, STRIDE))
    return np.outer(line, line)


def table(numbers: dict[str, dict[str, tuple[float, float]]], folder: Path) -> str:
    """The section of the page."""

    def cell(tool: str, name: str) -> str:
        found = numbers[tool].get(name)
        return f"{found[0]:.2f} ({found[1]:,.0f})" if found else "–"

    def by_ours(tool: str, name: str) -> float:
        return numbers[tool][name][0] / numbers["ours"][name][0]

    def correlations(name: str) -> str:
        limit = f"{alike(folder, name, '-many'):.3f}" if name in MANY else ""
        return f"{alike(folder, name):.3f} | {limit}"

    ascent = [
        f"| `{name}`, width {width:g} | {' | '.join(cell(tool, name) for tool in TOOLS)} "
        f"| {by_ours('loop', name):.1f}× | {by_arithmetic(name, width):.1f}× |"
        for name, width in LAYERS.items()
    ]
    maps = [
        f"| {title} | {' | '.join(cell(tool, name) for tool in ('ours', 'xplique', 'vis'))} "
        f"| {by_ours('xplique', name):.2f}× | {correlations(name)} |"
        for name, title in METHODS.items()
    ]
    slower = [
        f"{METHODS[name]} than {TOOLS[tool]} ({1 / by_ours(tool, name):.2f}×)"
        for tool in ("xplique", "vis")
        for name in METHODS
        if name in numbers[tool] and round(by_ours(tool, name), 2) < 1
    ]
    layer = next(iter(LAYERS))
    return TEXT.format(
        machine=machine(),
        tensorflow=version(packages_distributions()["tensorflow"][0]),
        peers=", ".join(package.replace("==", " ") for package in PACKAGES[:2]),
        ascent="\n".join(ascent),
        times=", ".join(
            f"{TOOLS[tool]} takes {by_ours(tool, layer):.1f}×" for tool in TOOLS if tool != "ours"
        ),
        maps="\n".join(maps),
        slower=f"Slower here: {', '.join(slower)}." if slower else "No method is slower than a peer's.",
    )


def fetch_peers() -> None:
    """Fetch the peers, if they are not there."""
    if not (PEERS / "xplique").is_dir():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(PEERS)]
        subprocess.run([*command, *PACKAGES], check=True)


def main() -> None:
    """Measure every tool in a process of its own, and write the section."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]))
        return
    fetch_peers()
    with tempfile.TemporaryDirectory() as folder:
        write_section("explaining", table(measured(Path(folder)), Path(folder)))


if __name__ == "__main__":
    main()
