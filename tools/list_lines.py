"""Write report/shipped.json, by which a report tells the package's text from its author's.

After every change of the notebooks: `.venv/bin/python tools/list_lines.py`; `make lint` asks for it.
"""

import json
from pathlib import Path

from fer_lib.report.authorship import SHIPPED, listing

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))

if __name__ == "__main__":
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in NOTEBOOKS]
    SHIPPED.write_text(listing(contents), encoding="utf-8")
