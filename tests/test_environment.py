"""What is written down beside the code agrees with it: locked versions, the conda file, the pages for people."""

import re
import subprocess
import tomllib
from pathlib import Path

import bootstrap
import pytest
import yaml
from conftest import ROOT, outside_make
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from fer_lib.profiles import profile_names
from fer_lib.report.parameters import TITLE_VARIABLES

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SUPPORTED = SpecifierSet(PROJECT["requires-python"])
READMES = ("README.md", "README.zh-TW.md")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def conda_dependencies() -> list[str | dict[str, list[str]]]:
    return list(yaml.safe_load(read("environment.yml"))["dependencies"])


def commands(page: str) -> list[str]:
    """The lines of all fenced blocks that are to be typed; trees are ```text, words of one's own ```markdown."""
    blocks = re.findall(r"^ *```(?!text|markdown)\w+\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", read(name), re.MULTILINE))


@pytest.mark.parametrize(
    ("lock", "written"),
    [("requirements.txt", each) for each in PROJECT["dependencies"]]
    + [("requirements-test.txt", each) for each in PROJECT["optional-dependencies"]["dev"]],
)
def test_every_dependency_is_locked_to_a_version_that_it_allows(lock, written):
    wanted = Requirement(written)
    assert pins(lock)[canonicalize_name(wanted.name)] in wanted.specifier


def test_the_lock_of_tests_adds_to_that_of_the_report():
    assert pins("requirements.txt").items() < pins("requirements-test.txt").items()


def test_the_conda_environment_installs_the_lock_and_the_library():
    [pip] = [entry["pip"] for entry in conda_dependencies() if isinstance(entry, dict)]
    assert pip == ["-r requirements.txt", "-e ."]


def test_the_conda_environment_has_a_python_that_the_project_supports():
    [python] = [entry for entry in conda_dependencies() if str(entry).startswith("python=")]
    assert str(python).removeprefix("python=") in SUPPORTED


def test_set_up_accepts_the_pythons_that_the_project_supports():
    accepted = {minor for minor in range(30) if (3, minor) in bootstrap.SUPPORTED}
    assert accepted == {minor for minor in range(30) if f"3.{minor}" in SUPPORTED}


@pytest.mark.parametrize("name", READMES)
def test_readme_names_every_make_target(name):
    listed = subprocess.run(
        ["make", "-s", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = re.findall(r"^  (make [a-z]+) ", listed, re.MULTILINE)
    assert "make report" in targets
    assert [target for target in targets if target not in read(name)] == []


@pytest.mark.parametrize(
    ("asked", "unused"),
    [
        (["verify", "DATA=x.csv"], None),
        (["verify", "PROFILE=seed"], "PROFILE"),
        (["verify", "EPOCHS=3"], "EPOCHS"),
        (["report", "QUICK=1"], "QUICK"),
        (["sweep", "FORM=short"], "FORM"),
        (["report", "verify", "DATA=x.csv", "q1_cnn.EPOCHS=3", "STUDENT_NAME=A B", "PYTHON=python3"], None),
        (["sweep", "WORKERS=2", "EPOCHS=3", "PROFILE=seed"], None),
        (["test", "CI=true"], None),
    ],
)
def test_make_refuses_what_a_target_would_not_look_at(asked: list[str], unused: str | None):
    done = subprocess.run(
        ["make", "--dry-run", *asked], cwd=ROOT, capture_output=True, text=True, env=outside_make()
    )
    assert done.returncode == (2 if unused else 0)
    assert (f"takes no {unused};" in done.stderr) == bool(unused)


def test_hints_know_the_title_variables_of_make():
    [line] = re.findall(r"^TITLE_VARIABLES := (.*)", read("Makefile"), re.MULTILINE)
    assert set(TITLE_VARIABLES) <= set(line.split())


def test_make_refuses_a_benchmark_that_is_not_there():
    done = {
        name: subprocess.run(
            ["make", "--dry-run", "bench", f"BENCH={name}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env=outside_make(),
        )
        for name in ("raeding", "reading", "")
    }
    assert [one.returncode for one in done.values()] == [2, 0, 0]
    assert "no benchmark raeding; there are explaining" in done["raeding"].stderr
    assert "benchmarks/reading.py;" in done["reading"].stdout and "training.py" in done[""].stdout


@pytest.mark.parametrize("name", READMES)
def test_readme_names_every_profile(name):
    assert [profile for profile in profile_names() if f"`{profile}`" not in read(name)] == []


def test_both_readmes_have_the_same_outline():
    english, chinese = (re.findall(r"^(#+) ", read(name), re.MULTILINE) for name in READMES)
    assert english == chinese


def test_both_readmes_have_the_same_commands():
    english, chinese = (commands(read(name)) for name in READMES)
    assert "make report" in english
    assert english == chinese


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path):
    text = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\((?!\w+:)([^)#\s]+)", text)
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_room_table_has_every_room():
    library = ROOT / "fer_lib"
    files = {path.stem for path in library.glob("[!_]*.py")}
    files |= {path.parent.name for path in library.glob("*/__init__.py")}
    rows = re.findall(r"^\| (`.*?`) \|", read("CONTRIBUTING.md"), re.MULTILINE)
    assert {room for row in rows for room in re.findall(r"`(.+?)`", row)} == files
