import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import bootstrap
import pytest
from conftest import ROOT, outside_make


def set_up(folder: Path, *, path: str, version: tuple[int, int]) -> subprocess.CompletedProcess[str]:
    """Run the set-up as if this Python had another version, with `path` as the only place for programs."""
    code = (
        "import sys, runpy\n"
        f"sys.version_info = ({version[0]}, {version[1]}, 0)\n"
        f"runpy.run_path({str(folder / 'bootstrap.py')!r}, run_name='__main__')\n"
    )
    return subprocess.run([sys.executable, "-c", code], env={"PATH": path}, capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path):
    """The set-up in a project of its own, where it can do no harm."""
    folder = tmp_path / "fer_lib"
    folder.mkdir()
    (folder / "bootstrap.py").write_text((ROOT / "tools" / "bootstrap.py").read_text())
    return folder


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_other_python_gets_one_clear_sentence(copy, tmp_path, version):
    done = set_up(copy, path=str(tmp_path), version=version)
    assert done.returncode == 2
    assert done.stderr.startswith("fer-lib: Python 3.11, 3.12 or 3.13 is needed")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / ".venv").exists()


def test_other_python_hands_over_to_one_that_fits(copy, tmp_path):
    fitting = tmp_path / "bin" / "python3.12"
    fitting.parent.mkdir()
    fitting.write_text('#!/bin/sh\nif [ "$1" != -c ]; then echo "handed over: $1"; fi\n')
    fitting.chmod(0o755)
    done = set_up(copy, path=f"{fitting.parent}{os.pathsep}/usr/bin:/bin", version=(3, 10))
    assert done.stdout == f"handed over: {copy / 'bootstrap.py'}\n"
    assert done.returncode == 0


def test_a_folder_that_can_hold_no_environment_is_one_sentence(tmp_path):
    tools = tmp_path / "HW: 3" / "tools"
    tools.mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "bootstrap.py", tools)
    done = subprocess.run([sys.executable, tools / "bootstrap.py"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "fer-lib: set-up cannot work in this folder, rename it: Refusing to create a venv" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_environment_that_was_copied_or_renamed_is_known(tmp_path, monkeypatch):
    here, there = tmp_path / "a project", tmp_path / "copy"
    venv.create(here, with_pip=False)
    shutil.copytree(here, there, symlinks=True)
    for folder, elsewhere in ((here, False), (there, True), (tmp_path / "none", False)):
        monkeypatch.setattr(bootstrap, "ENVIRONMENT", folder)
        assert bootstrap._made_elsewhere() == elsewhere


@pytest.mark.parametrize(("content", "again"), [("{}/.venv", False), ("/elsewhere/.venv", True), ("", True)])
def test_make_sets_up_again_what_was_not_set_up_here(tmp_path, content, again):
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    for name in ("requirements.txt", "requirements-test.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    (tmp_path / ".venv" / "ready").write_text(content.format(tmp_path.resolve()))
    planned = subprocess.run(
        ["make", "--dry-run", "verify"],
        cwd=tmp_path,
        env=outside_make(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("bootstrap.py" in planned.stdout) == again


def test_version_of_an_environment_is_read_from_its_settings(tmp_path, monkeypatch):
    monkeypatch.setattr(bootstrap, "ENVIRONMENT", tmp_path)
    assert bootstrap._venv_version() is None
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.1\n")
    assert bootstrap._venv_version() == (3, 12)
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.13.0.final.0\n")
    assert bootstrap._venv_version() == (3, 13)
