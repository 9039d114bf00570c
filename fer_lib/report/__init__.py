"""What a notebook shows, and the report that nbconvert makes of it.

In a notebook:

    %reload_ext fer_lib.report
    from fer_lib.report import facts, figure, source, table

and passages in cells that begin with `%%prose en` or `%%prose zh-TW`. (`%load_ext` would complain when it is
run again.)
"""

from __future__ import annotations

from typing import Any

from fer_lib.report.display import facts, figure, source, table
from fer_lib.report.notes import read_facts

__all__ = ["facts", "figure", "load_ipython_extension", "read_facts", "source", "table"]


def load_ipython_extension(shell: Any) -> None:
    """What `%reload_ext fer_lib.report` does: the magic `%%prose`, the house style of figures, a quiet TensorFlow."""
    from fer_lib import plots
    from fer_lib.report import display
    from fer_lib.startup import mute_compiled_code

    shell.register_magic_function(display.prose, "cell")
    mute_compiled_code()
    plots.use_style(display.language())
