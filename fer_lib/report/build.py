"""The whole report: every notebook that is stale, then the page and the PDFs, if anything in them changed."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer_lib import data
from fer_lib.emotions import LANGUAGES
from fer_lib.errors import InputError
from fer_lib.files import atomic_write, digest, lock_folder, write_text
from fer_lib.report import authorship, execute
from fer_lib.report.execute import ROOT
from fer_lib.report.notes import METADATA
from fer_lib.report.parameters import Parameters, require_comparable
from fer_lib.report.record import decisive
from fer_lib.report.title import Title, read_title

NAME = "hw3-report"
"""File name of the report, without its suffix."""

BOTH = "both"
"""The language that is all languages: one page with a switch, a PDF in each."""

RESERVED = {
    "DATA": "give the data as make DATA=... or --data",
    "LANGUAGE": "give the language as make LANGUAGE=... or --language",
    "PROFILE": "give the profile as make PROFILE=... or --profile",
    "RUN_ROOT": "give the folder of runs as --runs",
    "RUN": "question 1 trains or finds the run that the others look at",
    "SETTINGS": "give each setting by its name, such as EPOCHS=3",
    "COLLABORATORS": "give them as make COLLABORATORS_Q1=... or --title collaborators.q1=TEXT",
    **dict.fromkeys(("EXECUTED", "COMMANDS"), "`make report` sets it"),
    **dict.fromkeys(
        ("NAME", "STUDENT_NAME"), "make takes your name as STUDENT_NAME=..., fer-lib as --title name=TEXT"
    ),
}
"""Parameters that the report sets itself, and what to do instead."""


@dataclass(frozen=True)
class BuildRecord:
    """What the report in a folder was built from.

    Attributes:
        key: A hash of all that the page and the PDFs depend on.
        language: The one that is seen first.
        source: Where the faces are, as the notebooks' parameter DATA has it.
        fingerprint: Of these faces, see `data.source_fingerprint`.
        notebooks: The executed notebooks of that language, by path in the folder: a hash of each.
        parameters: All parameters of each notebook.
    """

    key: str
    language: str
    source: str
    fingerprint: str
    notebooks: Mapping[str, str]
    parameters: Mapping[str, Parameters]

    def executed(self, out: Path) -> list[Path]:
        """The executed notebooks, in the order of the report.

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


def read_record(out: Path) -> BuildRecord | None:
    """What the report in a folder was built from; None where there is no whole one."""
    try:
        return BuildRecord(**json.loads((out / f".{NAME}.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def lock(out: Path) -> AbstractContextManager[None]:
    """Hold the folder of a report, which no two processes build or verify at once.

    Raises:
        InputError: Another process holds it.
    """
    return lock_folder(
        out, f"Another process is at work on the report in {out}; try again when it has ended."
    )


def make_report(
    source: str,
    *,
    profile: str = "quick",
    language: str = "zh-TW",
    form: str = "full",
    settings: Mapping[str, str] | None = None,
    title: Mapping[str, str] | None = None,
    run_root: Path = ROOT / "runs",
    out: Path = ROOT / "report" / "build",
) -> tuple[Path, ...]:
    """Run what is stale and write `hw3-report.html` and `hw3-report.pdf`.

    Args:
        source: Data file or folder, as `data.load` takes it; "" for drawn faces.
        profile: A file in notebooks/profiles.
        language: `zh-TW`, `en` or `both`.
        form: `full`, or `short` for a PDF of a few pages, `hw3-report-short.pdf`.
        settings: Parameters over the profile's, see `execute.resolve`.
        title: Entries over those of report/title.yaml, such as `{"name": "..."}`.
        run_root: The folder of all runs.
        out: The folder for the report; executed notebooks lie below it, in `executed/<profile>-<language>`.

    Returns:
        The page and the PDF, or the PDFs: that of the second language is `hw3-report.en.pdf`.

    Raises:
        InputError: A parameter, the data, the title or a passage cannot be used.
        CellError: A notebook's cell failed.
    """
    settings = dict(settings or {})
    for name in settings:
        if (reason := RESERVED.get(name.rpartition(".")[2])) is not None:
            raise InputError(f"{name} is not a parameter of a report: {reason}.")
    parameters = execute.resolve(profile, settings)
    require_comparable(parameters)
    who = read_title(ROOT / "report" / "title.yaml", dict(title or {}))
    languages = LANGUAGES[::-1] if language == BOTH else (language,)
    fingerprint = data.source_fingerprint(source)
    for name, values in parameters.items():
        shared: Parameters = {
            "DATA": execute.seen_from_notebooks(source),
            "RUN_ROOT": os.path.relpath(run_root, ROOT / "notebooks"),
            "PROFILE": profile,
            "COLLABORATORS": who.collaborators.get(name.partition("_")[0], "")
            or values.get("COLLABORATORS", ""),
            "COMMANDS": "\n".join(_commands(source, profile, language, form, settings)),
        }
        if values.get("SWEEP"):
            shared["SWEEP"] = os.path.relpath(str(values["SWEEP"]), ROOT / "notebooks")
        values |= {key: value for key, value in shared.items() if key in values}
    for line in execute.edited(profile):
        _say(f"{line}\n")
    folders = {each: out / "executed" / f"{profile}-{each}" for each in languages}
    with lock(out):
        notebooks = run_notebooks(parameters, folders, fingerprint)
        executed = [path for paths in notebooks.values() for path in paths]
        made = {"profile": profile, "fingerprint": fingerprint, "parameters": decisive(parameters)}
        old = read_record(out)
        new = BuildRecord(
            digest([asdict(who), form, languages], *executed, *_layout()),
            languages[0],
            execute.seen_from_notebooks(source),
            fingerprint,
            {str(path.relative_to(out)): digest(path) for path in notebooks[languages[0]]},
            parameters,
        )
        files = _files(out, languages, form)
        if old is None or old.key != new.key or not all(file.is_file() for file in files):
            _say("setting the report ...\n")
            for file, content in zip(files, set_report(notebooks, who, form, made), strict=True):
                with atomic_write(file) as temporary:
                    temporary.write_bytes(content)
            if old is None or _findings(old) != _findings(new):  # papers of other forms say something else
                for other in set(out.glob(f"{NAME}*")) - set(files):
                    other.unlink()
        if old != new:
            write_text(out / f".{NAME}.json", json.dumps(asdict(new), indent=1))
    _say("".join(_found(path) for path in notebooks[languages[0]]))
    return files


def set_report(
    notebooks: Mapping[str, Sequence[Path]],
    title: Title,
    form: str = "full",
    made: Mapping[str, Any] | None = None,
) -> list[bytes]:
    """The page, and a PDF for each language.

    Args:
        notebooks: Executed notebooks by language.
        title: Who hands it in.
        form: `full`, or `short` for a PDF without the cells tagged `full`.
        made: With which settings on which faces, for the page's record.
    """
    from fer_lib.report.exporters import ReportExporter, ReportPDFExporter

    who = asdict(title)
    page, _ = ReportExporter(title=who, made=dict(made or {})).from_notebook_node(merge(notebooks))
    exporter = ReportPDFExporter(title=who, short=form == "short")
    papers = [exporter.from_notebook_node(merge({each: paths}))[0] for each, paths in notebooks.items()]
    return [page.encode(), *papers]


def run_notebooks(
    parameters: Mapping[str, Parameters], folders: Mapping[str, Path], fingerprint: str
) -> dict[str, list[Path]]:
    """Execute the notebooks of a report, each in every language: those that look at what the others found last.

    The first notebook that states a `run` tells it to all after it that have the parameter RUN.

    Args:
        parameters: Of each notebook, in the order of the report.
        folders: For the executed notebooks, by language.
        fingerprint: Of the faces.

    Returns:
        The executed notebooks by language, in the order of the report.
    """
    for folder in folders.values():
        for stray in folder.glob("*.ipynb"):
            if stray.stem not in parameters:
                stray.unlink()
    order = sorted(parameters, key=lambda name: "EXECUTED" in parameters[name])
    run = ""
    for number, name in enumerate(order, start=1):
        own = dict(parameters[name])
        if "RUN" in own:
            own["RUN"] = own["RUN"] or run
        for language, folder in folders.items():
            _say(f"[{number}/{len(order)}] {name} " + (f"({language}) " if len(folders) > 1 else ""))
            inputs = fingerprint + _sweep_digest(str(own.get("SWEEP", "")))
            if "EXECUTED" in own:
                own["EXECUTED"] = os.path.relpath(folder, ROOT / "notebooks")
                # What they state: it does not change with their words.
                inputs += digest([execute.facts(folder / f"{other}.ipynb") for other in order[: number - 1]])
            path, ran = execute.execute(name, {**own, "LANGUAGE": language}, folder, fingerprint=inputs)
            _say("done\n" if ran else "is up to date\n")
        run = run or str(execute.facts(path).get("run", {}).get("id", ""))
    return {
        language: [folder / f"{name}.ipynb" for name in parameters] for language, folder in folders.items()
    }


def merge(notebooks: Mapping[str, Sequence[Path]]) -> Any:
    """One notebook of several, whose cells know their notebook and language.

    Args:
        notebooks: Executed notebooks by language, in the order of the report.
    """
    import nbformat

    cells, metadata = [], {}
    for language, paths in notebooks.items():
        for path in paths:
            notebook = nbformat.read(path, as_version=4)
            metadata = dict(notebook.metadata)
            for number, cell in enumerate(notebook.cells):
                cell.metadata[METADATA] = {
                    "notebook": path.stem,
                    "language": language,
                    "id": cell.get("id", ""),
                }
                cell["id"] = f"{language}-{path.stem}-{number}"
            cells += notebook.cells
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def _files(out: Path, languages: Sequence[str], form: str) -> tuple[Path, ...]:
    """The page, and a PDF for each language."""
    stem = NAME if form == "full" else f"{NAME}-{form}"
    papers = [f"{stem}.pdf", *(f"{stem}.{language}.pdf" for language in languages[1:])]
    return (out / f"{NAME}.html", *(out / name for name in papers))


def _layout() -> list[Path]:
    """The files that say how notebooks are set."""
    own = [ROOT / "fer_lib" / "fonts.py", *(ROOT / "fer_lib" / "report").glob("*.py")]
    report = ROOT / "report"
    shared = [*(report / "templates").rglob("*"), *(report / "labels").glob("*.yaml"), *report.glob("*.bib")]
    shared.append(authorship.SHIPPED)
    return sorted(path for path in own + shared if path.is_file())


def _commands(source: str, profile: str, language: str, form: str, settings: Mapping[str, str]) -> list[str]:
    """What to type to repeat the report; of the places of files no more than their names."""
    words = {
        "DATA": source if data.is_drawn(source) else Path(source).resolve().name,
        "PROFILE": profile,
        "LANGUAGE": language,
        "FORM": form,
    }
    words = {k: v for k, v in words.items() if v and (k, v) != ("FORM", "full")} | dict(settings)
    return [shlex.join(["make", "report", *(f"{k}={v}" for k, v in words.items())]), "make verify"]


def _found(notebook: Path) -> str:
    """The accuracies that an executed notebook states of its model, in a line; nothing where it has none."""
    shares = execute.facts(notebook).get("accuracy")
    by_split = shares if isinstance(shares, dict) else {}
    listed = ", ".join(
        f"{split} {one['value']:.1%}"
        for split, one in by_split.items()
        if isinstance(one, dict) and "value" in one
    )
    return f"{notebook.stem}: accuracy {listed}\n" if listed else ""


def _findings(record: BuildRecord) -> dict[str, str]:
    """The hashes of notebooks but those that name the command, which differs between the forms of one report."""
    return {k: v for k, v in record.notebooks.items() if "COMMANDS" not in record.parameters[Path(k).stem]}


def _sweep_digest(folder: str) -> str:
    """A hash of the leaderboard that a notebook shows; nothing for none."""
    if not folder:
        return ""
    path = (ROOT / "notebooks" / folder / "leaderboard.csv").resolve()
    if not path.is_file():
        raise InputError(f"There is no leaderboard {path}; make it with `make sweep`, name its folder.")
    return digest(path)


def _say(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)
