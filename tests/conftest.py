"""What several tests need: small faces, the real ones where they are, a project of one's own."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import signal
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from face_files import course_text

from fer_lib.data.faces import Faces, FaceSplits

# A shell ignores Ctrl-C for what it starts in the background, and what these tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

ROOT = Path(__file__).parents[1]
REAL_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    """The folder with make_files.py and fer2013/."""
    if not (REAL_DATA / "fer2013").is_dir():
        pytest.skip(f"the real FER2013 faces are not in {REAL_DATA}")
    return REAL_DATA


def striped_faces(count: int, *, seed: int = 0) -> Faces:
    """Faces that even a tiny network tells apart: stripes whose period is the label's, in noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 7
    waves = np.sin(np.arange(48) * (labels[:, np.newaxis] + 2) / 4)
    pixels = 127 + 60 * waves[:, np.newaxis, :] + rng.normal(0, 10, (count, 48, 48))
    return Faces(pixels.clip(0, 255).astype(np.uint8), labels.astype(np.int64), np.arange(count))


@pytest.fixture(scope="session")
def splits() -> FaceSplits:
    """A small data set, learned in a second."""
    tests = {"public": striped_faces(70, seed=1), "private": striped_faces(70, seed=2)}
    return FaceSplits(striped_faces(280), tests, source="stripes", drawn=True)


def fer_lib_command() -> list[str]:
    """The command line as a user starts it."""
    return [sys.executable, "-m", "fer_lib.cli"]


def outside_make() -> dict[str, str]:
    """The environment, without what a make that runs the tests passes on to another make."""
    return {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}


def write_course_files(folder: Path, train: Faces, test: Faces) -> None:
    """The course's train.csv and test.csv."""
    (folder / "train.csv").write_text(course_text(train))
    (folder / "test.csv").write_text(course_text(Faces(test.pixels, None, test.ids)))
