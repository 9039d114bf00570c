"""A project of a few small notebooks in the place of the committed ones: for what is done around notebooks.

Run as a program it is `fer-lib` in that project: `python small_project.py ROOT report ...`.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from fer_lib import profiles
from fer_lib.report import build, execute, preprocessors, verify

PROSE = """from fer_lib.report import display, facts, table
get_ipython().register_magic_function(display.prose, "cell")"""
"""What `%reload_ext fer_lib.report` does, without Keras, which takes seconds to import."""

_KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


@dataclass(frozen=True)
class Project:
    """A project in a folder of its own."""

    root: Path

    def write(self, name: str, parameters: str, *cells: str) -> Path:
        """Write a notebook: its cell of parameters, then code cells, or Markdown cells if they begin with a blank."""
        first = new_code_cell(parameters, id="p", metadata={"tags": ["parameters"]})
        rest = [
            new_markdown_cell(cell[1:], id=f"c{i}")
            if cell.startswith(" ")
            else new_code_cell(cell, id=f"c{i}")
            for i, cell in enumerate(cells)
        ]
        path = self.root / "notebooks" / f"{name}.ipynb"
        path.write_text(json.dumps(new_notebook(cells=[first, *rest], metadata={"kernelspec": _KERNEL})))
        execute.declared.cache_clear()
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a notebook, as who saves it in JupyterLab."""
        path = self.root / "notebooks" / f"{name}.ipynb"
        text = path.read_text(encoding="utf-8")
        old, new = (json.dumps(each)[1:-1] for each in (old, new))
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")
        execute.declared.cache_clear()

    def take(self, *names: str) -> None:
        """Copy notebooks of the committed project."""
        for name in names:
            shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", self.root / "notebooks")

    def chapters(self, *names: str) -> None:
        """Write the list of chapters."""
        (self.root / "report" / "chapters.yaml").write_text(yaml.safe_dump(list(names)))

    def profile(self, name: str, text: str) -> None:
        """Write a profile."""
        (self.root / "notebooks" / "profiles" / f"{name}.yaml").write_text(text)


def make(root: Path) -> Project:
    """Write the project, without notebooks."""
    for folder in ("notebooks", "report", "fer_lib"):
        (root / folder).mkdir(parents=True)
    shutil.copytree(ROOT / "notebooks" / "profiles", root / "notebooks" / "profiles")
    for name in ("title.yaml", "tolerances.yaml"):
        shutil.copy(ROOT / "report" / name, root / "report")
    for name in ("requirements.txt", "fer_lib/fonts.py"):
        (root / name).touch()
    return Project(root)


def enter(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Let the library take it for the project."""
    for module in (execute, build, verify):
        patch.setattr(module, "ROOT", root)
    patch.setattr(profiles, "FOLDER", root / "notebooks" / "profiles")
    patch.setattr(preprocessors, "_NOTEBOOKS", root / "notebooks")
    forget()


def forget() -> None:
    """Let the library look at notebooks and code again, which it takes for unchanged while it runs."""
    execute.declared.cache_clear()
    execute.code_digest.cache_clear()


@contextmanager
def entered(root: Path, *, like: Path | None = None) -> Iterator[Project]:
    """A new project, or a copy of one, which the library takes for the project meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        project = Project(Path(shutil.copytree(like, root))) if like else make(root)
        enter(root, patch)
        yield project
    forget()


if __name__ == "__main__":
    from fer_lib import cli

    enter(Path(sys.argv[1]), pytest.MonkeyPatch())
    sys.exit(cli.main(sys.argv[2:]))
