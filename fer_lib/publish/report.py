"""The whole report: every notebook that is stale, then the document, if anything in it changed."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fer_lib import data
from fer_lib.errors import InputError
from fer_lib.files import write_text
from fer_lib.publish import execute, render
from fer_lib.publish.execute import NOTEBOOKS, ROOT, Scalar
from fer_lib.publish.render import NAME, read_title

OWN = {
    "DATA": "give the data as make DATA=... or --data",
    "LANGUAGE": "give the language as make LANGUAGE=... or --language",
    "PROFILE": "give the profile as make PROFILE=... or --profile",
    "RUN_ROOT": "give the folder of runs as --runs",
    "RUN": "question 1 trains or finds the run that the others look at",
}
"""Parameters that the report sets itself, and what to do instead."""


def make_report(
    source: str,
    *,
    profile: str = "quick",
    language: str = "zh-TW",
    settings: Mapping[str, str] | None = None,
    title: Mapping[str, str] | None = None,
    run_root: Path = ROOT / "runs",
    out: Path = ROOT / "report" / "build",
) -> tuple[Path, Path]:
    """Run what is stale and write `hw3-report.html` and `hw3-report.pdf`.

    Args:
        source: Data file or folder, as `data.load` takes it; "" for drawn faces.
        profile: A file in notebooks/profiles.
        language: `zh-TW` or `en`.
        settings: Parameters over the profile's, see `execute.resolve`.
        title: Entries over those of report/title.yaml, such as `{"name": "..."}`.
        run_root: The folder of all runs.
        out: The folder for the report; executed notebooks lie below it, in `executed/<profile>-<language>`.

    Returns:
        The two files.

    Raises:
        InputError: A parameter, the data or the title cannot be used.
        CellError: A notebook's cell failed.
    """
    settings = dict(settings or {})
    for name in settings:
        if name.rpartition(".")[2] in OWN:
            raise InputError(f"{name} is no parameter of a report: {OWN[name.rpartition('.')[2]]}.")
    parameters = execute.resolve(profile, settings)
    named = read_title(ROOT / "report" / "title.yaml", dict(title or {}))
    shared: execute.Parameters = {
        # As the notebooks see them, and no more of the user's folders than that takes.
        "DATA": os.path.relpath(source, ROOT / "notebooks") if source else "",
        "RUN_ROOT": os.path.relpath(run_root, ROOT / "notebooks"),
        "LANGUAGE": language,
        "PROFILE": ", ".join([profile, *_changes(settings, parameters[NOTEBOOKS[0]])]),
    }
    notebooks = _execute_all(
        parameters, shared, out / "executed" / f"{profile}-{language}", data.source_fingerprint(source)
    )
    key = _key(notebooks, repr(named), language)
    marker, files = out / f".{NAME}.key", (out / f"{NAME}.html", out / f"{NAME}.pdf")
    if not (marker.is_file() and marker.read_text() == key and all(file.is_file() for file in files)):
        _say("setting the report ...\n")
        marker.unlink(missing_ok=True)
        render.render(notebooks, out, language=language, title=named)
        write_text(marker, key)
    return files


def _changes(settings: Mapping[str, str], parameters: execute.Parameters) -> list[str]:
    """The settings that concern one notebook, for a reader."""
    prefix = f"{NOTEBOOKS[0]}."
    return [f"{name}={text}" for name, text in settings.items() if name.removeprefix(prefix) in parameters]


def _execute_all(
    parameters: Mapping[str, execute.Parameters], shared: execute.Parameters, folder: Path, fingerprint: str
) -> list[Path]:
    """Question 1 trains the CNN; the others are told its run."""
    notebooks = []
    for number, name in enumerate(NOTEBOOKS, start=1):
        _say(f"[{number}/{len(NOTEBOOKS)}] {name} ")
        own: dict[str, Scalar] = {key: value for key, value in shared.items() if key in parameters[name]}
        path, ran = execute.execute(name, {**parameters[name], **own}, folder, data_fingerprint=fingerprint)
        _say("done\n" if ran else "is up to date\n")
        if name == NOTEBOOKS[0]:
            shared["RUN"] = execute.facts(path)["run"]["id"]
        notebooks.append(path)
    return notebooks


def _key(notebooks: Sequence[Path], title: str, language: str) -> str:
    """A hash of all that the document depends on beside the executed notebooks' own inputs."""
    report, library = ROOT / "report", ROOT / "fer_lib"
    texts = sorted((report / "text" / language).glob("*.md"))
    code = [*sorted((report / "templates").iterdir()), *sorted((library / "publish").glob("*.py"))]
    digest = hashlib.sha256(title.encode())
    for path in [*notebooks, *texts, *code, library / "fonts.py"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _say(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)
