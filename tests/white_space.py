"""How much of each page of a PDF is empty: `python tests/white_space.py report/build/hw3-report.pdf …`."""

import sys
from pathlib import Path

import numpy as np
import pypdfium2

MARGINS = (0.09, 0.91)
"""Where the text of a page begins and ends, as shares of its height."""

GAP = 0.04
"""What is higher, as a share of the text's height, is a gap and not the distance of two parts."""


def white_space(pdf: Path) -> list[float]:
    """The share of each page's height that gaps take, between its margins; that after the last line counts too."""
    shares = []
    for page in pypdfium2.PdfDocument(pdf):
        pixels = page.render(scale=0.5, grayscale=True).to_numpy().squeeze()
        top, bottom = (round(end * len(pixels)) for end in MARGINS)
        inked = np.flatnonzero((pixels[top:bottom] < 245).any(axis=1))
        gaps = np.diff([-1, *inked, bottom - top]) - 1
        shares.append(float(gaps[gaps > GAP * (bottom - top)].sum() / (bottom - top)))
    return shares


if __name__ == "__main__":
    for name in sys.argv[1:]:
        *found, _ = white_space(Path(name))
        worst = max(found)
        print(
            f"{name}: mean {np.mean(found):.1%} without the last page, {worst:.1%} of page {found.index(worst) + 1}"
        )
