"""The whole report: every notebook that is stale, then the document, if anything in it changed."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from fer_lib import data
from fer_lib.emotions import LANGUAGES
from fer_lib.errors import InputError
from fer_lib.publish import execute, made, render
from fer_lib.publish.assemble import assemble
from fer_lib.publish.document import Report
from fer_lib.publish.execute import NOTEBOOKS, ROOT
from fer_lib.publish.kernel import Kernel
from fer_lib.publish.own import file_for, read_own
from fer_lib.publish.parameters import Parameters, require_comparable
from fer_lib.publish.prose import read_sections
from fer_lib.publish.render import NAME
from fer_lib.publish.sweep import leaderboard
from fer_lib.publish.title import Title, read_title

OWN = {
    "DATA": "give the data as make DATA=... or --data",
    "LANGUAGE": "give the language as make LANGUAGE=... or --language",
    "PROFILE": "give the profile as make PROFILE=... or --profile",
    "RUN_ROOT": "give the folder of runs as --runs",
    "RUN": "question 1 trains or finds the run that the others look at",
    **dict.fromkeys(
        ("NAME", "STUDENT_NAME"), "make takes your name as STUDENT_NAME=..., fer-lib as --title name=TEXT"
    ),
}
"""What the report is told otherwise than by parameters, and how."""


BOTH = "both"
"""The language that is all languages: one page with a switch, a PDF in each."""


def make_report(
    source: str,
    *,
    profile: str = "quick",
    language: str = "zh-TW",
    form: str = "full",
    answers: Path | None = None,
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
        answers: A student's own words, see `publish.own`.
        settings: Parameters over the profile's, see `execute.resolve`.
        title: Entries over those of report/title.yaml, such as `{"name": "..."}`.
        run_root: The folder of all runs.
        out: The folder for the report; executed notebooks lie below it, in `executed/<profile>-<language>`.

    Returns:
        The page and the PDF, or the PDFs: that of the second language is `hw3-report.en.pdf`.

    Raises:
        InputError: A parameter, the data, the title or the words cannot be used.
        CellError: A notebook's cell failed.
    """
    settings = dict(settings or {})
    for name in settings:
        if name.rpartition(".")[2] in OWN:
            raise InputError(f"{name} is no parameter of a report: {OWN[name.rpartition('.')[2]]}.")
    parameters = execute.resolve(profile, settings)
    require_comparable(parameters)
    if sweep := str(parameters[NOTEBOOKS[0]].get("SWEEP", "")):
        parameters[NOTEBOOKS[0]]["SWEEP"] = os.path.relpath(sweep, ROOT / "notebooks")
    named = read_title(ROOT / "report" / "title.yaml", dict(title or {}))
    languages = LANGUAGES[::-1] if language == BOTH else (language,)
    if answers is not None:
        for each in languages:  # before anything is trained
            sections = {
                path.stem: read_sections(path) for path in (ROOT / "report" / "text" / each).glob("*.md")
            }
            read_own(file_for(answers, each), sections)
    fingerprint = data.source_fingerprint(source)
    shared: Parameters = {
        "DATA": execute.seen_from_notebooks(source),
        "RUN_ROOT": os.path.relpath(run_root, ROOT / "notebooks"),
        "PROFILE": ", ".join([profile, *_changes(settings, parameters[NOTEBOOKS[0]])]),
    }
    folders = {each: out / "executed" / f"{profile}-{each}" for each in languages}
    with made.alone(out):
        notebooks = _execute_all(parameters, shared, folders, fingerprint)
        document = Document(
            notebooks, named, form, answers, _commands(source, profile, language, form, answers, settings)
        )
        files, old = document.files(out), made.read(out)
        new = made.Made(
            document.key(),
            str(shared["DATA"]),
            fingerprint,
            {str(path.relative_to(out)): made.digest(path) for path in notebooks[languages[0]]},
        )
        if old is None or old.key != new.key or not all(file.is_file() for file in files):
            _say("setting the report ...\n")
            made.forget(out)
            document.write(out)
        if old != new:
            new.write(out)
    return files


@dataclass(frozen=True)
class Document:
    """What the page and the PDFs are set from.

    Attributes:
        notebooks: Executed notebooks by language.
        title: Who hands it in.
        form: `full`, or `short` for a PDF with what `report/short.yaml` keeps.
        answers: A student's own words, or None.
        commands: What to type to repeat it.
    """

    notebooks: Mapping[str, Sequence[Path]]
    title: Title
    form: str
    answers: Path | None
    commands: Sequence[str]

    def files(self, out: Path) -> tuple[Path, ...]:
        """The page, and a PDF for each language."""
        stem = NAME if self.form == "full" else f"{NAME}-{self.form}"
        papers = [f"{stem}.pdf", *(f"{stem}.{language}.pdf" for language in list(self.notebooks)[1:])]
        return (out / f"{NAME}.html", *(out / name for name in papers))

    def write(self, out: Path) -> None:
        """Set all files; each appears whole or not at all."""
        page, *papers = self.files(out)
        reports = [self._report(language) for language in self.notebooks]
        for language, report, paper in zip(self.notebooks, reports, papers, strict=True):
            if self.form == "short":
                report = self._report(language, keep=_kept())
            render.write_paper(report, paper, short=self.form == "short")
        render.write_page(reports, page)

    def key(self) -> str:
        """A hash of all that the files depend on beside the executed notebooks' own inputs."""
        report, library = ROOT / "report", ROOT / "fer_lib"
        texts = [path for each in self.notebooks for path in sorted((report / "text" / each).glob("*.md"))]
        own = [file_for(self.answers, each) for each in self.notebooks] if self.answers else []
        own += [
            p for file in own for section in read_sections(file).values() for p in section.pictures().values()
        ]
        code = [*sorted((report / "templates").iterdir()), *sorted((library / "publish").glob("*.py"))]
        done = [path for paths in self.notebooks.values() for path in paths]
        digest = hashlib.sha256(repr([self.title, self.form, list(self.notebooks), self.commands]).encode())
        for path in [*done, *texts, *own, *code, report / "short.yaml", library / "fonts.py"]:
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _report(self, language: str, *, keep: Mapping[str, Sequence[str]] | None = None) -> Report:
        return assemble(
            self.notebooks[language],
            ROOT / "report" / "text",
            language,
            self.title,
            own=self.answers,
            keep=keep,
            prefix="" if language == next(iter(self.notebooks)) else f"{language}-",
            commands=self.commands,
        )


def _kept() -> dict[str, list[str]]:
    """What the short form keeps: the parts of each answer."""
    kept: dict[str, list[str]] = yaml.safe_load((ROOT / "report" / "short.yaml").read_text(encoding="utf-8"))
    return kept


def _commands(
    source: str, profile: str, language: str, form: str, answers: Path | None, settings: Mapping[str, str]
) -> list[str]:
    """What to type to repeat the report; of the places of files no more than their names."""
    words = {
        "DATA": source if data.is_drawn(source) else Path(source).resolve().name,
        "PROFILE": profile,
        "LANGUAGE": language,
        "FORM": form,
        "ANSWERS": answers.name if answers else "",
    }
    words = {k: v for k, v in words.items() if v and (k, v) != ("FORM", "full")} | dict(settings)
    return [shlex.join(["make", "report", *(f"{k}={v}" for k, v in words.items())]), "make verify"]


def _changes(settings: Mapping[str, str], parameters: Parameters) -> list[str]:
    """The settings that concern one notebook, for a reader."""
    prefix = f"{NOTEBOOKS[0]}."
    own = parameters.keys() - {"SWEEP"}
    return [f"{name}={text}" for name, text in settings.items() if name.removeprefix(prefix) in own]


def _execute_all(
    parameters: Mapping[str, Parameters],
    shared: Parameters,
    folders: Mapping[str, Path],
    fingerprint: str,
) -> dict[str, list[Path]]:
    """Question 1 trains the CNN, the others are told its run; a second language takes over what the first computed."""
    notebooks: dict[str, list[Path]] = {language: [] for language in folders}
    # Before the kernel starts, which reads the code once.
    codes = {name: execute.code_digest(name) for name in NOTEBOOKS}
    with Kernel() as kernel:
        for number, name in enumerate(NOTEBOOKS, start=1):
            own = {key: value for key, value in shared.items() if key in parameters[name]}
            inputs = fingerprint + _sweep_digest(str(parameters[name].get("SWEEP", "")))
            computed = False
            for language, folder in folders.items():
                _say(f"[{number}/{len(NOTEBOOKS)}] {name} " + (f"({language}) " if len(folders) > 1 else ""))
                path, ran = execute.execute(
                    name,
                    {**parameters[name], **own, "LANGUAGE": language},
                    folder,
                    data_fingerprint=inputs,
                    kernel=kernel,
                    code=codes[name],
                    numbers=not computed,
                )
                computed = computed or ran
                _say("done\n" if ran else "is up to date\n")
                notebooks[language].append(path)
            if name == NOTEBOOKS[0]:
                shared["RUN"] = execute.facts(path)["run"]["id"]
            if computed:
                kernel.forget()
    return notebooks


def _sweep_digest(folder: str) -> str:
    """A hash of the leaderboard that a notebook shows; nothing for none."""
    if not folder:
        return ""
    return made.digest(leaderboard.path_in(ROOT / "notebooks" / folder))


def _say(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)
