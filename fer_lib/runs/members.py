"""Models that answer, alone or together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.data.faces import Faces, FaceSplits
from fer_lib.errors import InputError
from fer_lib.models import pretrained
from fer_lib.models.augmentation import View
from fer_lib.models.prediction import load_model, predict
from fer_lib.runs.folder import Run, cnns, find, is_complete, learned_from, views_of


@dataclass(frozen=True)
class Member:
    """A model that answers, alone or with others; `title` says what it learned from.

    `record` is the content of its run.json; None of a file without.
    """

    name: str
    title: str
    model: keras.Model
    views: tuple[View, ...]
    record: Mapping[str, Any] | None = None

    def answers(self, faces: Faces, *, progress: bool = False) -> npt.NDArray[np.float32]:
        """Probabilities (n, 7), the mean over all views."""
        return predict(self.model, faces, self.views, progress=self.name if progress else "")

    def may_have_trained_on(self, splits: FaceSplits) -> bool:
        """Whether it may have learned from other faces than the training faces, and so from test faces."""
        if self.record is None:
            return True
        alike = self.record["data"]["drawn"] == splits.drawn
        return bool(alike and learned_from(self.record) != splits.fingerprint())


def members(root: Path, names: Sequence[str] = (), *, drawn: bool = False) -> list[Member]:
    """Models to answer by.

    Args:
        root: The folder of all runs.
        names: Each the id of a run or of a model that comes with the package, a `.keras` file, "pretrained" (those of
            the package that answer together; the same as no names) or "newest" (the CNN whose run was completed last
            on faces such as are asked about; where there is none, "pretrained"). Of an id that both have, the run
            answers; a run's `model.keras` beside its run.json means the run.
        drawn: Whether drawings are asked about, and not photographs.

    Raises:
        InputError: There is no such run or file.
    """
    return [one for name in names or ["pretrained"] for one in _named(root, name, drawn=drawn)]


def _named(root: Path, name: str, *, drawn: bool) -> list[Member]:
    """The models that a name means."""
    path = Path(name)
    if path.name == "model.keras" and path.with_name("run.json").is_file():
        return [_of_run(Run(path.parent.resolve()))]
    if path.suffix == ".keras":
        return [Member(name, name, load_model(path), (View(),))]
    if name == "newest" and (found := [run for run in cnns(root) if run.record["data"]["drawn"] == drawn]):
        return [_of_run(found[-1])]
    if name not in ("newest", "pretrained"):
        packaged = name in pretrained.names() and not is_complete(root / name)
        return [_of_package(name) if packaged else _of_run(find(root, name))]
    if names := pretrained.answering():
        return [_of_package(each) for each in names]
    raise InputError("No models come with this package; name a run, or train one with `fer-lib train`.")


def _of_run(run: Run) -> Member:
    title = _title(run.id, run.record)
    if run.id in pretrained.names() and not run.record.get("pretrained"):
        title += f" (the run in {run.path.parent}, not the package's model)"
    return Member(run.id, title, run.model, run.views, run.record)


def _of_package(name: str) -> Member:
    found = pretrained.load(name)
    return Member(name, _title(name, found.record), found.model, views_of(found.record), found.record)


def _title(run_id: str, record: Mapping[str, Any]) -> str:
    seen = f"{record['faces']['train']:,} faces of {record['data']['source']}"
    return f"{run_id}, trained for {record['recipe']['epochs']} epochs on {seen}"
