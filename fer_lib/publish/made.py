"""What the report in a folder was made from: whether it is up to date, and what `make verify` repeats."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from fer_lib.errors import InputError
from fer_lib.files import held, write_text
from fer_lib.publish.render import NAME


@dataclass(frozen=True)
class Made:
    """What the report in a folder was made from.

    Attributes:
        key: A hash of all that the page and the PDFs depend on.
        source: Where the faces are, as the notebooks' parameter DATA has it.
        fingerprint: Of these faces, see `data.source_fingerprint`.
        notebooks: The executed notebooks of the language that is seen first, by path in the folder: a hash of each.
    """

    key: str
    source: str
    fingerprint: str
    notebooks: Mapping[str, str]

    def write(self, out: Path) -> None:
        """Keep it beside the report, whole or not at all."""
        write_text(_file(out), json.dumps(asdict(self), indent=1))

    def executed(self, out: Path) -> list[Path]:
        """The executed notebooks, in the order of the questions.

        Raises:
            InputError: They are no longer those that the report was made from.
        """
        paths = [out / name for name in self.notebooks]
        if [digest(path) if path.is_file() else "" for path in paths] != list(self.notebooks.values()):
            raise InputError(
                f"The notebooks in {paths[0].parent} are not those of the report in {out} (one that was begun after "
                "it did not come to its end); `make report` again."
            )
        return paths


def read(out: Path) -> Made | None:
    """What the report in a folder was made from; None where none is whole, or an older library made it."""
    try:
        return Made(**json.loads(_file(out).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def alone(out: Path) -> AbstractContextManager[None]:
    """Hold the folder of a report, which no two processes make or verify at once.

    Raises:
        InputError: Another process holds it.
    """
    return held(out, f"Another process is at work on the report in {out}; try again when it has ended.")


def forget(out: Path) -> None:
    """The report is about to change."""
    _file(out).unlink(missing_ok=True)


def digest(path: Path) -> str:
    """A hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _file(out: Path) -> Path:
    return out / f".{NAME}.json"
