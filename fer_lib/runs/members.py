"""Models that answer, alone or together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.data.faces import Faces, FaceSplits
from fer_lib.errors import InputError
from fer_lib.models import pretrained
from fer_lib.models.augmentation import View
from fer_lib.models.prediction import MODEL_FILES, load_model, predict
from fer_lib.runs.folder import Run, cnns, find, is_complete, learned_from, views_of


@dataclass(frozen=True)
class Member:
    """A model that answers, alone or with others.

    Attributes:
        name: A run's id or a file.
        title: What it learned from.
        model: From raw pixels to probabilities.
        views: How it is shown each face.
        record: The content of its run.json; None of a file without.
    """

    name: str
    title: str
    model: keras.Model
    views: tuple[View, ...]
    record: Mapping[str, Any] | None = None

    def answers(self, faces: Faces, kept_by: Run | None = None) -> npt.NDArray[np.float32]:
        """Probabilities (n, 7), the mean over all views; a run may keep them, so that they are computed once."""
        if kept_by:
            return kept_by.cached(predict, faces, self.views, model=self.model, progress=self.name)
        return predict(self.model, faces, self.views, progress=self.name)

    def may_have_trained_on(self, splits: FaceSplits) -> bool:
        """Whether it may have learned from other faces than the training faces, and so from test faces."""
        if self.record is None:
            return True
        alike = self.record["data"]["drawn"] == splits.drawn
        return bool(alike and learned_from(self.record) != splits.fingerprint())


def members(
    root: Path,
    names: Sequence[str] = (),
    *,
    drawn: bool = False,
    thorough: bool = False,
    **form: Any,
) -> list[Member]:
    """Models to answer by.

    One alone is shown each face in all the ways of its run's own accuracies (up to ten). Several share these: each gets
    one of them and its mirror image, which takes a fifth of the time. Their answers are closer to those of all views
    than if each saw the plain face and its mirror image (docs/results.md).

    Args:
        root: The folder of all runs.
        names: Each the id of a run or of a model that comes with the package, a model's file (see `load_model`),
            "pretrained" (those of the package that answer together; the same as no names) or "newest" (the CNN whose
            run was completed last on faces such as are asked about; where there is none, "pretrained"). Of an id that
            both have, the run answers; a run's `model.keras` beside its run.json means the run.
        drawn: Whether drawings are asked about, and not photographs.
        thorough: Whether each of several gets all its views, too.
        **form: `scale` and `classes` of models in files, as in `load_model`.

    Raises:
        InputError: There is no such run or file.
    """
    found = [one for name in names or ["pretrained"] for one in _named(root, name, drawn=drawn, **form)]
    if thorough or len(found) == 1:
        return found
    return [replace(one, views=_pair(one.views, number)) for number, one in enumerate(found)]


def _pair(views: tuple[View, ...], number: int) -> tuple[View, ...]:
    """One of a model's views that are not mirrored, another one for each number, and its mirror image."""
    plain = [view for view in views if not view.mirror]
    chosen = plain[number % len(plain)]
    return tuple(view for view in views if replace(view, mirror=False) == chosen)


def _named(root: Path, name: str, *, drawn: bool, **form: Any) -> list[Member]:
    """The models that a name means."""
    path = Path(name)
    if path.name == "model.keras" and path.with_name("run.json").is_file():
        return [_of_run(Run(path.parent.resolve()))]
    if path.suffix in MODEL_FILES or (path / "saved_model.pb").is_file():
        return [Member(name, name, load_model(path, **form), (View(),))]
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
