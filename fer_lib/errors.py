"""The one exception that users see, and hints at the near miss."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Input that cannot be used: one sentence that says what was found, where, and what to do.

    The command line prints the sentence and exits with status 2; no traceback. It stays one line whatever stands in
    it: names of files may hold line ends and worse.
    """

    def __str__(self) -> str:
        return printable(super().__str__())

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in a notebook: the sentence, not the code that raised it."""
        return [f"{type(self).__name__}: {self}"]


def printable(text: str) -> str:
    r"""A text on one line, with what no terminal can show written as in Python: a line end as \n."""
    return (
        text
        if text.isprintable()
        else "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    )


def first_line(error: Exception) -> str:
    """What an exception says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def require_known(name: str, known: Iterable[str], what: str, *, meant: Iterable[str] = ()) -> None:
    """Raise an InputError that names the near miss, unless a name is one of the known; `meant` may be the miss too."""
    names = sorted(known)
    if name not in names:
        near = difflib.get_close_matches(name, [*names, *meant], 1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."
        raise InputError(f"Unknown {what}: {name}; {hint}")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the name that was meant, or nothing."""
    near = difflib.get_close_matches(name, [str(k) for k in known], 1, cutoff=0.6)
    return f" (did you mean {near[0]}?)" if near else ""
