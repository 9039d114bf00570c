"""What a terminal or a notebook sees while something starts or takes long: no chatter, one progress bar."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from fer_lib.errors import InputError


def import_keras() -> None:
    """Import Keras without what TensorFlow's C++ side says to standard error while it starts.

    Raises:
        InputError: There is no TensorFlow.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "keras" in sys.modules:
        return
    standard_error = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123 (a descriptor is wanted)
            os.dup2(nothing.fileno(), 2)
        import keras  # noqa: F401
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "tensorflow":
            raise
        raise InputError(
            "There is no TensorFlow in this Python; `pip install 'fer-lib[cpu]'` adds it."
        ) from None
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)


def set_up_keras() -> None:
    """Give Keras the settings that this package's networks are written for, whatever ~/.keras/keras.json says.

    Raises:
        InputError: Keras was imported before with another backend.
    """
    import keras

    if keras.config.backend() != "tensorflow":
        raise InputError(
            f"Keras runs on {keras.config.backend()}, but this package needs TensorFlow; import fer_lib before keras."
        )
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")


def mute_compiled_code() -> None:
    """In a notebook, drop what compiled code such as TensorFlow's writes to standard error; Python writes elsewhere."""
    if "ipykernel" in sys.modules:
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123 (a descriptor is wanted)
            os.dup2(nothing.fileno(), 2)


def mute_retracing() -> None:
    """Drop TensorFlow's warning of "retracing": each of several models needs a compiled function of its own."""
    logging.getLogger("tensorflow").addFilter(_is_no_retracing)


def _is_no_retracing(record: logging.LogRecord) -> bool:
    return "retracing" not in record.getMessage()


def progress_options(description: str) -> dict[str, Any]:
    """Options for `tqdm`: on standard error in a terminal, gone at its end from a notebook, which shows that on red."""
    in_notebook = "ipykernel" in sys.modules
    file = sys.stdout if in_notebook else sys.stderr
    return {"desc": description, "file": file, "leave": not in_notebook, "mininterval": 0.5}
