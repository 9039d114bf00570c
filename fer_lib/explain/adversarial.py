"""How little a face must change to be taken for another emotion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from fer_lib.explain.gradients import input_gradients, scores
from fer_lib.explain.layers import Images


@dataclass(frozen=True)
class AdversarialExamples:
    """Images that a model takes for other classes, found from one image.

    Attributes:
        targets: The class that each is meant to be taken for, int64 (n,).
        images: float32 (n, h, w, c), whole numbers from 0 to 255: what a file can hold.
        reached: Whether the model answers with the target, bool (n,).
        steps: Steps that it took, int64 (n,).
        change: Root mean square of the change of a pixel, float64 (n,), in grey values.
        max_change: The largest change of a pixel, float64 (n,), in grey values.
    """

    targets: npt.NDArray[np.int64]
    images: npt.NDArray[np.float32]
    reached: npt.NDArray[np.bool_]
    steps: npt.NDArray[np.int64]
    change: npt.NDArray[np.float64]
    max_change: npt.NDArray[np.float64]

    @property
    def mean_change(self) -> float:
        """Mean of `change` over the targets that were reached; NaN if none was."""
        return float(self.change[self.reached].mean()) if self.reached.any() else float("nan")

    @property
    def easiest(self) -> int:
        """Position of the target that was reached with the smallest change; 0 if none was."""
        return int(np.argmin(np.where(self.reached, self.change, np.inf)))


def adversarial_examples(
    model: keras.Model,
    image: Images,
    targets: Sequence[int] | None = None,
    *,
    learning_rate: float = 0.25,
    max_steps: int = 200,
) -> AdversarialExamples:
    """Change an image as little as needed, step by step, until the model takes it for each other class.

    A step raises the target's score above the highest other one; an image stays as it is once the model
    answers with its target. Szegedy et al., "Intriguing properties of neural networks" (2013).

    Args:
        model: A functional or Sequential classifier with one image input of raw pixels, 0..255.
        image: Where to start, (h, w, c).
        targets: The classes to be taken for; None for all but the one that the model answers with.
        learning_rate: Root mean square change of a pixel in one step, in grey values.
        max_steps: After so many steps an image has not reached its target.

    Raises:
        ValueError: The image does not fit the model.
    """
    image = np.asarray(image, np.float32)
    answer = int(scores(model, image[np.newaxis]).argmax())
    classes = range(model.outputs[0].shape[-1])
    goals = np.array([c for c in classes if c != answer] if targets is None else targets, np.int64)
    images = np.repeat(image[np.newaxis], len(goals), axis=0)
    steps = np.full(len(goals), max_steps)
    reached = np.zeros(len(goals), bool)
    for step in range(max_steps + 1):
        found = scores(model, np.rint(images))
        steps[~reached & (found.argmax(axis=1) == goals)] = step
        reached |= found.argmax(axis=1) == goals
        if reached.all() or step == max_steps:
            break
        images = np.where(
            reached[:, np.newaxis, np.newaxis, np.newaxis],
            images,
            _step(model, images, goals, found, learning_rate),
        )
    final = np.rint(images)
    difference = final - image
    change = np.sqrt(np.square(difference, dtype=np.float64).mean(axis=(1, 2, 3)))
    return AdversarialExamples(goals, final, reached, steps, change, np.abs(difference).max(axis=(1, 2, 3)))


def _step(
    model: keras.Model,
    images: Images,
    goals: npt.NDArray[np.int64],
    found: npt.NDArray[np.float32],
    learning_rate: float,
) -> npt.NDArray[np.float32]:
    others = found.copy()
    others[np.arange(len(goals)), goals] = -np.inf
    both = input_gradients(model, np.tile(images, (2, 1, 1, 1)), np.r_[goals, others.argmax(axis=1)])
    direction = both[: len(goals)] - both[len(goals) :]
    rms = np.sqrt(np.square(direction).mean(axis=(1, 2, 3), keepdims=True))
    moved = images + learning_rate * np.divide(direction, rms, out=np.zeros_like(direction), where=rms > 0)
    return np.asarray(np.clip(moved, 0, 255), np.float32)
