"""Single cells of the committed notebooks, run with what they need."""

import json

from conftest import ROOT

from fer_lib.publish import execute


def run_cell(name: str, beginning: str, *, upto: str = "", **known: object) -> dict[str, object]:
    """Run the cell of a notebook that begins so, up to a line; what it leaves."""
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    [code] = [code for cell in cells if (code := "".join(cell["source"])).startswith(beginning)]
    variables = {**execute.defaults(name), **known}
    exec(code.partition(upto)[0] if upto else code, variables)
    return variables
