"""Run folders, `runs/<id>/`: the only place where models, histories and predictions are written and read."""

from fer_lib.runs.comparison import (
    against_best_member,
    brief,
    compare_dnns,
    evaluate,
    evaluate_ensemble,
    paired_with_best,
    ratios,
    require_same_validation,
    runs_table,
    side_by_side,
    without_leaked,
)
from fer_lib.runs.folder import Run, accuracies, find, is_complete, newest, require_unmeasured
from fer_lib.runs.members import Member, members
from fer_lib.runs.trainer import divide, faces_of, repeat, train_or_reuse

__all__ = [
    "Member",
    "Run",
    "accuracies",
    "against_best_member",
    "brief",
    "compare_dnns",
    "divide",
    "evaluate",
    "evaluate_ensemble",
    "faces_of",
    "find",
    "is_complete",
    "members",
    "newest",
    "paired_with_best",
    "ratios",
    "repeat",
    "require_same_validation",
    "require_unmeasured",
    "runs_table",
    "side_by_side",
    "train_or_reuse",
    "without_leaked",
]
