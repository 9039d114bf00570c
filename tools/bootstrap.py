"""Set up `.venv` with the locked packages: `python3 tools/bootstrap.py`; `… requirements-test.txt STAMP` adds to it.

Standard library only, no root, nothing asked. uv installs in seconds where pip can fetch it; else pip does it in
minutes. Debian's python3 without python3-venv has no ensurepip: then pip comes from its wheel on PyPI.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import venv
from pathlib import Path
from urllib.parse import urljoin

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
SUPPORTED = ((3, 11), (3, 12), (3, 13))
PIP_INDEX = "https://pypi.org/pypi/pip/json"


def main() -> int:
    """Create or update the environment; the file `.venv/ready` says that it is whole, and where."""
    if len(sys.argv) > 1:
        return _add(Path(sys.argv[1]), Path(sys.argv[2]))
    if sys.version_info[:2] not in SUPPORTED:
        other = _supported_python()
        if other:
            return subprocess.call([other, __file__])
        found = ".".join(map(str, sys.version_info[:3]))
        return _fail(
            f"Python 3.11, 3.12 or 3.13 is needed (TensorFlow has no build for others), but python3 is {found}; "
            "install one of them, or name it: make PYTHON=/path/to/python3.12"
        )
    (ENVIRONMENT / "ready").unlink(missing_ok=True)
    if _venv_version() != sys.version_info[:2] or _made_elsewhere():
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    try:
        _create()
        _install("-r", ROOT / "requirements.txt")
        _install("--no-deps", "--editable", ROOT)
    except subprocess.CalledProcessError as error:
        return _fail(f"set-up stopped at `{' '.join(error.cmd)}`; its message stands above.")
    except ValueError as error:  # a colon, which separates the folders of PATH
        return _fail(f"set-up cannot work in this folder, rename it: {error}")
    except OSError as error:
        return _fail(f"set-up needs the network to fetch packages, but {error}.")
    (ENVIRONMENT / "ready").write_text(str(ENVIRONMENT))
    return 0


def _create() -> None:
    if _python().is_file() and _has("pip"):
        return
    print("Setting up .venv (once; about 2.3 GB) ...", file=sys.stderr, flush=True)
    try:
        import ensurepip  # noqa: F401 (Debian splits it off)

        venv.create(ENVIRONMENT, with_pip=True)
    except (ImportError, subprocess.CalledProcessError):
        venv.create(ENVIRONMENT, with_pip=False)
        _install_pip_from_wheel()


def _install_pip_from_wheel() -> None:
    with urllib.request.urlopen(PIP_INDEX, timeout=60) as answer:
        wheels = [file["url"] for file in json.load(answer)["urls"] if file["packagetype"] == "bdist_wheel"]
        url = urljoin(PIP_INDEX, wheels[0])
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder) / url.rsplit("/", 1)[1]
        with urllib.request.urlopen(url, timeout=60) as answer:
            wheel.write_bytes(answer.read())
        # A wheel is a zip that Python can run from.
        _run(_python(), f"{wheel}/pip", "install", "--quiet", "--no-index", wheel)


def _add(requirements: Path, stamp: Path) -> int:
    """Install more locked packages into the environment; the file `stamp` says that they are there."""
    print("Adding what tests need (once) ...", file=sys.stderr, flush=True)
    try:
        _install("-r", requirements)
    except subprocess.CalledProcessError as error:
        return _fail(f"set-up stopped at `{' '.join(error.cmd)}`; its message stands above.")
    stamp.touch()
    return 0


def _install(*what: object) -> None:
    """Install by uv, which takes seconds, or by pip, which takes minutes."""
    pip = [_python(), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    uv = [_python(), "-m", "uv", "pip", "install", "--quiet", "--python", _python()]
    # Behind a proxy only the system knows the certificates.
    os.environ.setdefault("UV_SYSTEM_CERTS", "true")
    if not (_works(*pip, "uv") and _works(*uv, *what)):
        print("uv is not available; falling back to pip, which takes some minutes ...", file=sys.stderr)
        _run(*pip, *what)


def _python() -> Path:
    return ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _venv_version() -> tuple[int, int] | None:
    found = re.search(r"^version\S* *= *(\d+)\.(\d+)", _settings(), re.M)
    return (int(found[1]), int(found[2])) if found else None


def _made_elsewhere() -> bool:
    """Whether it was copied or renamed since: its programs start with the path of the Python that they are for."""
    made = re.search(r"^command *= .* -m venv (?:--\S+ )*(.+)$", _settings(), re.M)
    return made is not None and Path(made[1]) != ENVIRONMENT


def _settings() -> str:
    path = ENVIRONMENT / "pyvenv.cfg"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _has(module: str) -> bool:
    return _works(_python(), "-c", f"import {module}")


def _works(*command: object) -> bool:
    return subprocess.call([str(part) for part in command], stderr=subprocess.DEVNULL) == 0


def _supported_python() -> str | None:
    for major, minor in reversed(SUPPORTED):
        path = shutil.which(f"python{major}.{minor}")
        # A shim may stand on the path with nothing behind it.
        if path and _works(path, "-c", ""):
            return path
    return None


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True)


def _fail(sentence: str) -> int:
    print(f"fer-lib: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
