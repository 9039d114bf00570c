"""Run folders, `runs/<id>/`: the only place where models, histories and predictions are written and read."""

from fer_lib.runs.comparison import evaluate, ratios, require_same_validation, without_leaked
from fer_lib.runs.folder import Run, accuracies, find, is_complete, newest, require_unmeasured
from fer_lib.runs.members import Member, members
from fer_lib.runs.trainer import faces_of, pack, train_or_reuse

__all__ = [
    "Member",
    "Run",
    "accuracies",
    "evaluate",
    "faces_of",
    "find",
    "is_complete",
    "members",
    "newest",
    "pack",
    "ratios",
    "require_same_validation",
    "require_unmeasured",
    "train_or_reuse",
    "without_leaked",
]
