"""FER2013 from Kaggle, for those who have an account there."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from fer_lib.errors import InputError
from fer_lib.files import atomic_write

CONTEST = "challenges-in-representation-learning-facial-expression-recognition-challenge"
FILE = "icml_face_data.csv"
"""All 35,887 faces of FER2013 with their Usage, as the contest of 2013 delivers them."""

PAGE = f"https://www.kaggle.com/c/{CONTEST}/data"
BY_HAND = f"download {FILE} from {PAGE} in a browser and give its path, zipped or not, as DATA"


def fetch(folder: Path) -> Path:
    """Download FER2013, unless it is there.

    Needs the package kagglehub, a token (kaggle.json or KAGGLE_USERNAME and KAGGLE_KEY), and that its owner has
    accepted the rules of the contest on its page.

    Args:
        folder: Where to put the file.

    Returns:
        The file, for `data.load`.

    Raises:
        InputError: It cannot be had this way; says how else.
    """
    target = folder / FILE
    if target.exists():
        return target
    try:
        import kagglehub
    except ImportError:
        raise InputError(
            "Downloading needs kagglehub, which is not installed: "
            f"{shlex.quote(sys.executable)} -m pip install kagglehub, or {BY_HAND}."
        ) from None
    # Missing token, rules not accepted, no network: each has its own exception, and the same way out.
    try:
        downloaded = Path(kagglehub.competition_download(CONTEST, path=FILE))
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
        raise InputError(
            f"Kaggle gave nothing ({first}); put your token into ~/.kaggle/kaggle.json (from "
            f"https://www.kaggle.com/settings) and accept the rules of the contest, or {BY_HAND}."
        ) from None
    with atomic_write(target) as temporary:
        shutil.copyfile(downloaded, temporary)
    return target
