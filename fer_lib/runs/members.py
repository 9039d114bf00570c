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
from fer_lib.runs.folder import complete_folders, find, is_complete, newest, views_of


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


def members(root: Path, names: Sequence[str] = ()) -> list[Member]:
    """Models to answer by.

    Args:
        root: The folder of all runs.
        names: Each the id of a run or of a model that comes with the package, a `.keras` file, "newest" (the run
            completed last) or "pretrained" (those of the package that answer together). No names, or "newest"
            without any run: as "pretrained", and "newest" where the package has none.

    Raises:
        InputError: There is no such run or file.
    """
    if not names or (list(names) == ["newest"] and not complete_folders(root)):
        names = ["pretrained"] if pretrained.names() else ["newest"]
    listed = [one for name in names for one in (_packaged() if name == "pretrained" else [name])]
    return [_member(root, name) for name in listed]


def _packaged() -> list[str]:
    names = pretrained.answering()
    if not names:
        raise InputError("No models come with this package; name a run, or train one with `fer-lib train`.")
    return names


def _member(root: Path, name: str) -> Member:
    if Path(name).suffix == ".keras":
        return Member(name, name, load_model(Path(name)), (View(),))
    if name in pretrained.names() and not is_complete(root / name):
        found = pretrained.load(name)
        return Member(name, _title(name, found.record), found.model, views_of(found.record))
    run = newest(root) if name == "newest" else find(root, name)
    return Member(run.id, _title(run.id, run.record), run.model, run.views)


def _title(run_id: str, record: Mapping[str, Any]) -> str:
    seen = f"{record['faces']['train']:,} faces of {record['data']['source']}"
    start = record["recipe"]["start"]
    on_from = f", which went on from {start}" if start else ""
    return f"{run_id}, trained for {record['recipe']['epochs']} epochs on {seen}{on_from}"
