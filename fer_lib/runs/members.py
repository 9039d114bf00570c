"""Models that answer, alone or together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_lib import pretrained
from fer_lib.augmentation import View
from fer_lib.errors import InputError
from fer_lib.faces import Faces
from fer_lib.prediction import load_model, predict
from fer_lib.runs.folder import cnns, find, is_complete, views_of


@dataclass(frozen=True)
class Member:
    """A model that answers, alone or with others; `title` says what it learned from."""

    name: str
    title: str
    model: keras.Model
    views: tuple[View, ...]

    def answers(self, faces: Faces, *, progress: bool = False) -> npt.NDArray[np.float32]:
        """Probabilities (n, 7), the mean over all views."""
        return predict(self.model, faces, self.views, progress=self.name if progress else "")


def members(root: Path, names: Sequence[str] = (), *, drawn: bool = False) -> list[Member]:
    """Models to answer by.

    Args:
        root: The folder of all runs.
        names: Each the id of a run or of a model that comes with the package, a `.keras` file, "pretrained" (those of
            the package that answer together; the same as no names) or "newest" (the CNN whose run was completed last
            on faces such as are asked about; where there is none, "pretrained").
        drawn: Whether drawings are asked about, and not photographs.

    Raises:
        InputError: There is no such run or file.
    """
    listed = [one for name in names or ["pretrained"] for one in _named(root, name, drawn=drawn)]
    return [_member(root, name) for name in listed]


def _named(root: Path, name: str, *, drawn: bool) -> list[str]:
    """The runs, models of the package and files that a name means."""
    if name == "newest" and (found := [run for run in cnns(root) if run.record["data"]["drawn"] == drawn]):
        return [found[-1].id]
    if name not in ("newest", "pretrained"):
        return [name]
    if names := pretrained.answering():
        return names
    raise InputError("No models come with this package; name a run, or train one with `fer-lib train`.")


def _member(root: Path, name: str) -> Member:
    if Path(name).suffix == ".keras":
        return Member(name, name, load_model(Path(name)), (View(),))
    if name in pretrained.names() and not is_complete(root / name):
        found = pretrained.load(name)
        return Member(name, _title(name, found.record), found.model, views_of(found.record))
    run = find(root, name)
    return Member(run.id, _title(run.id, run.record), run.model, run.views)


def _title(run_id: str, record: Mapping[str, Any]) -> str:
    seen = f"{record['faces']['train']:,} faces of {record['data']['source']}"
    start = record["recipe"]["start"]
    on_from = f", which went on from {start}" if start else ""
    return f"{run_id}, trained for {record['recipe']['epochs']} epochs on {seen}{on_from}"
