"""The command line: parse, call, exit code.

0 done, 1 a notebook's cell failed, 2 bad input (one sentence says what, where, what to do), 130 interrupted.
Heavy libraries are imported by the command that needs them, so that a report with nothing to do takes a second.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_lib.emotions import EMOTIONS, LANGUAGES
from fer_lib.errors import InputError, printable
from fer_lib.models.spec import describe
from fer_lib.report import execute
from fer_lib.startup import import_keras


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        options.run_command(options)
    except InputError as error:
        print(f"fer-lib: {error}", file=sys.stderr)
        return 2
    except execute.CellError as error:
        print(f"fer-lib: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(f"fer-lib: {error.strerror or error}{where}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        said = str(stopped) or "stopped; the same command goes on from what was saved"
        print(f"\nfer-lib: {said}.", file=sys.stderr)
        return 130
    return 0


def check_data(options: argparse.Namespace) -> None:
    """Say what a file or folder is and what is wrong with it."""
    from fer_lib.data import check

    summary = check.summarize(check.survey(options.path))
    print(check.as_json(summary) if options.json else check.describe(summary))
    if summary.problems:
        raise InputError(f"{options.path} cannot be used as it is; the problems stand above.")


def convert_data(options: argparse.Namespace) -> None:
    """Write the faces of any source as one .npz file, which DATA may name from then on."""
    from fer_lib import data
    from fer_lib.data.array_faces import write_npz

    if options.out.suffix != ".npz":
        raise InputError(f"--out is {options.out}, but the file that is written must be called ....npz.")
    if data.is_drawn(options.path):
        raise InputError(
            "An .npz file has no room for the masks of drawn faces; name them as DATA wherever you need them."
        )
    data.check_not_overwriting(options.out, options.path)
    splits = data.load(options.path, drop_leaked=options.drop_leaked)
    parts = {"train": splits.train, **splits.tests}
    write_npz(options.out, parts)
    print(
        f"{printable(str(options.out))}: "
        + ", ".join(f"{len(faces):,} {split} faces" for split, faces in parts.items())
    )


def fetch_data(options: argparse.Namespace) -> None:
    """Download FER2013 from Kaggle and name the file."""
    from fer_lib.data import kaggle

    print(kaggle.fetch(options.out))


def train(options: argparse.Namespace) -> None:
    """Train one model, or find it trained."""
    import_keras()
    from fer_lib import data, runs
    from fer_lib.train_one import training_request

    asked = training_request(options.profile, _settings(options), model=options.model)
    splits = data.load(options.data, drop_leaked=options.drop_leaked)
    spec = asked.spec_for(splits.train)
    run = runs.train_or_reuse(splits, spec, asked.recipe, seed=asked.seed, root=options.runs)
    print(f"{run.path}")
    table = runs.accuracies(run, splits).astype(object)
    print(table.where(table.notna(), "").to_string(index=False, float_format="{:.4f}".format))


def predict(options: argparse.Namespace) -> None:
    """Write the answer file of a test file, by one model or the mean of several."""
    from fer_lib import data

    data.check_not_overwriting(options.out, options.data)
    if options.out.suffix == ".keras" and options.out.exists():
        raise InputError(f"{options.out} is a model; name another file to write.")
    faces = data.load_unlabelled(options.data)
    import_keras()
    from fer_lib import runs
    from fer_lib.models import prediction

    members = runs.members(options.runs, options.run, **_form(options))
    for member in members:
        print(f"fer-lib: answers by {member.title}", file=sys.stderr)
    probabilities = [member.answers(faces) for member in members]
    prediction.write_answers(options.out, faces, prediction.ensemble(probabilities))


def evaluate(options: argparse.Namespace) -> None:
    """Say what models are worth on labelled test faces, with intervals, with and without leaked faces."""
    from fer_lib import data

    splits = data.load(options.data)
    if all(faces.labels is None for faces in splits.tests.values()):
        raise InputError(f"{options.data or 'The data'} has no labelled test faces to evaluate models on.")
    import_keras()
    from fer_lib import runs

    table = runs.evaluate(options.runs, options.run, splits, **_form(options))
    strangers = table["model"][table.pop("stranger") & (table["model"] != "")].unique()
    if len(strangers):
        print(
            f"fer-lib: {', '.join(strangers)} may have learned from other faces than the training faces of "
            f"{options.data or 'the drawn data'}, perhaps from its test faces; copies were looked for among those "
            "training faces only.",
            file=sys.stderr,
        )
    table["model"] = table["model"].replace("", "ensemble")
    table["copies"] = table["copies"].map({True: "with", False: "without"})
    print(table.to_string(index=False, float_format="{:.4f}".format, na_rep="–"))


def report(options: argparse.Namespace) -> None:
    """Run the notebooks that are stale and write the report as HTML and PDF."""
    from fer_lib.profiles import default_profile
    from fer_lib.report.build import make_report

    profile = options.profile or default_profile(options.data)
    if profile == "compact" and not options.profile:
        print(
            "fer-lib: these are FER2013's faces: profile compact, whose CNN comes with the package (PROFILE=quick "
            "trains a small one)",
            file=sys.stderr,
        )
    files = make_report(
        options.data,
        profile=profile,
        language=options.language,
        form=options.form,
        settings=_settings(options),
        title=dict(options.title),
        run_root=options.runs,
        out=options.out,
    )
    print(*files, sep="\n")


def sweep(options: argparse.Namespace) -> None:
    """Run the points of a sweep that are missing, or list them."""
    from fer_lib.sweep import run, spec

    asked = spec.read(options.file, quick=options.quick, settings=_settings(options))
    plan = run.Plan(
        asked,
        folder=options.out / asked.name,
        run_root=options.runs or options.out / "runs",
        source=options.data,
        language=options.language,
        timeout=options.timeout,
        memory=options.memory,
    )
    if options.dry_run:
        import_keras()
        print(run.list_points(plan))
    else:
        print(run.run_sweep(plan, workers=options.workers, scheduler=options.scheduler))


def verify(options: argparse.Namespace) -> None:
    """Run the notebooks of a report again and compare their numbers with its, or tell of pages that were handed in."""
    if options.pages:
        from fer_lib.report import handed_in

        table = handed_in.verify_pages(
            options.pages, source=options.data, out=options.report, repeat=options.repeat
        )
        if options.out:
            handed_in.write_table(table, options.out)
        print(handed_in.describe(table))
        return
    from fer_lib.report import verify as again

    verdict = again.verify(options.report, source=options.data)
    print(again.describe(verdict))
    if verdict.differences:
        raise SystemExit(1)


def _settings(options: argparse.Namespace) -> dict[str, str]:
    """The parameters that `--set` gives: `epochs` is `EPOCHS`, `q1_cnn.epochs` is `q1_cnn.EPOCHS`."""
    names = (name.rpartition(".") for name, _ in options.set)
    texts = (_expand_user(text) for _, text in options.set)
    return {
        f"{notebook}{dot}{name.upper()}": text
        for (notebook, dot, name), text in zip(names, texts, strict=True)
    }


class _Parser(argparse.ArgumentParser):
    """Takes ~ for the home folder in every text and path: behind make, or in quotes, no shell does."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.register("type", None, _expand_user)
        self.register("type", Path, lambda text: Path(_expand_user(text)))


def _expand_user(text: str) -> str:
    return os.path.expanduser(text)  # noqa: PTH111 (no path, "" would become ".")


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)


def _cores() -> int:
    return os.cpu_count() or 1


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run", action="append", default=[],
        help="a run's id, a model's file (.keras, .h5, .hdf5) or SavedModel, 'newest' (the last CNN that learned from "
        "such faces) or 'pretrained' (those of the package, the default); several are averaged",
    )  # fmt: skip
    parser.add_argument(
        "--thorough", action="store_true",
        help="show each of several models every face in all the ways of its training (up to ten), not in two",
    )  # fmt: skip
    parser.add_argument(
        "--scale",
        default="0-255",
        help="the pixels that a file's model takes: 0-255 (the default), 0-1 or +-1",
    )
    parser.add_argument(
        "--classes", type=lambda text: text.split(","), default=EMOTIONS, metavar="angry,...",
        help="the emotions of the outputs of a file's model, if others or in another order than ours",
    )  # fmt: skip


def _form(options: argparse.Namespace) -> dict[str, Any]:
    """What `_add_models` says of the models beside their names."""
    return {name: getattr(options, name) for name in ("thorough", "scale", "classes")}


def _add_data_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    path = "a file, folder or archive with faces (docs/data.md lists the forms), or '' for drawn faces"

    check = commands.add_parser("check", help="say what a file or folder is, and what is wrong with it")
    check.add_argument("path", help=path)
    check.add_argument("--json", action="store_true", help="all of it, for machines")
    check.set_defaults(run_command=check_data)

    convert = commands.add_parser("convert", help="write it as one .npz file, which DATA may name")
    convert.add_argument("path", help=path)
    convert.add_argument("--out", type=Path, required=True, metavar="FILE.npz", help="the file to write")
    convert.add_argument(
        "--drop-leaked", action="store_true", help="without test faces that stand in train too"
    )
    convert.set_defaults(run_command=convert_data)

    fetch = commands.add_parser("fetch", help="download FER2013 from Kaggle (needs kagglehub and a token)")
    fetch.add_argument("--out", type=Path, default=execute.ROOT / "data", help="folder to put it in")
    fetch.set_defaults(run_command=fetch_data)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fer-lib",
        description="Facial expression recognition as a course report: looks at faces, trains networks on them, "
        "answers test files, and writes the report.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    _add_data_commands(commands.add_parser("data", help="look at data, convert it, fetch it"))

    training = commands.add_parser(
        "train", help="train one model", formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Parameters, as --set EPOCHS=3:\n{describe()}",
    )  # fmt: skip
    training.add_argument("--model", help="cnn, dnn or compact (default: the profile's)")
    training.add_argument(
        "--drop-leaked", action="store_true", help="test without faces that stand in train too"
    )
    training.set_defaults(run_command=train)

    answers = commands.add_parser("predict", help="write an answer file id,label")
    answers.add_argument("--data", required=True, help="a test file id,feature")
    answers.add_argument("--out", type=Path, required=True, help="the answer file to write")
    _add_models(answers)
    answers.set_defaults(run_command=predict)

    judging = commands.add_parser("evaluate", help="say what models are worth on labelled test faces")
    judging.add_argument(
        "--data", default="", help="file or folder with labelled tests (default: drawn faces)"
    )
    _add_models(judging)
    judging.set_defaults(run_command=evaluate)

    whole = commands.add_parser("report", help="run what is stale, write the report")
    whole.add_argument("--language", choices=[*LANGUAGES, "both"], default="zh-TW")
    whole.add_argument(
        "--form", choices=["full", "short"], default="full", help="a PDF of a few pages, or all"
    )
    whole.add_argument("--out", type=Path, default=execute.ROOT / "report" / "build")
    whole.add_argument(
        "--title", type=_setting, action="append", default=[], metavar="KEY=TEXT",
        help="student_id, department, name or collaborators.q1 ... q5, over report/title.yaml",
    )  # fmt: skip
    whole.set_defaults(run_command=report)

    many = commands.add_parser("sweep", help="run a notebook over many parameters")
    many.add_argument("file", type=Path, help="a file such as those in notebooks/sweeps")
    many.add_argument("--quick", action="store_true", help="take the file's quick form")
    many.add_argument("--dry-run", action="store_true", help="list the points and their sizes")
    many.add_argument(
        "--workers", type=_positive, default=_cores(), help="points at once (default: one a core)"
    )
    many.add_argument("--scheduler", default="", metavar="ADDRESS", help="of a dask cluster to run them on")
    many.add_argument("--timeout", type=float, default=0, metavar="SECONDS", help="that a point may take")
    many.add_argument("--memory", type=float, default=0, metavar="GIB", help="that a point may take")
    many.add_argument("--language", choices=LANGUAGES, default="zh-TW")
    many.add_argument("--data", default="", help="file or folder (default: drawn faces)")
    many.add_argument("--out", type=Path, default=execute.ROOT / "sweeps", help="the folder of all sweeps")
    many.add_argument("--runs", type=Path, help="the folder of trained runs (default: runs in --out)")
    many.add_argument(
        "--set", type=_setting, action="append", default=[], metavar="NAME=VALUE", help="a parameter"
    )
    many.set_defaults(run_command=sweep)

    again = commands.add_parser(
        "verify", help="run a report's notebooks again, compare all numbers; or tell of pages handed in"
    )
    again.add_argument("pages", nargs="*", type=Path, metavar="PAGE", help="hw3-report.html of each student")
    again.add_argument(
        "--report", type=Path, default=execute.ROOT / "report" / "build", metavar="FOLDER",
        help="the report made here, to verify or to compare pages with",
    )  # fmt: skip
    again.add_argument("--data", default="", help="where its faces are now (default: where they were)")
    again.add_argument("--repeat", action="store_true", help="run here what pages were made with, once each")
    again.add_argument("--out", type=Path, metavar="FILE.csv", help="write the table of pages there too")
    again.set_defaults(run_command=verify)

    for command in (training, whole):
        command.add_argument("--data", default="", help="file or folder (default: drawn faces)")
        command.add_argument(
            "--profile",
            default="quick" if command is training else "",
            help="a file in notebooks/profiles (default: quick; of a report on FER2013's faces, compact)",
        )
        command.add_argument(
            "--set", type=_setting, action="append", default=[], metavar="NAME=VALUE", help="a parameter"
        )
    for command in (training, answers, judging, whole):
        command.add_argument(
            "--runs", type=Path, default=execute.ROOT / "runs", help="the folder of all runs"
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
