"""Faces: what `DATA` may name, read and checked, kept, divided; or drawn."""

from fer_lib.data.faces import Faces, FaceSplits
from fer_lib.data.loading import (
    check_not_overwriting,
    drawing,
    is_drawn,
    load,
    load_unlabelled,
    source_fingerprint,
    split_validation,
)

__all__ = [
    "FaceSplits",
    "Faces",
    "check_not_overwriting",
    "drawing",
    "is_drawn",
    "load",
    "load_unlabelled",
    "source_fingerprint",
    "split_validation",
]
