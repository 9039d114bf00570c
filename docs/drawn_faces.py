"""Draw drawn-faces.png: every emotion at four difficulties, and the known regions of a face."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from fer_lib.data.drawn.sampling import draw_faces
from fer_lib.data.faces import REGIONS
from fer_lib.emotions import EMOTIONS

DIFFICULTIES = (0.0, 0.5, 1.0, 2.0)
COLOURS = np.array([(230, 159, 0), (86, 180, 233), (0, 158, 115), (213, 94, 0)])  # Okabe and Ito's
EACH = 3


def sheet() -> Figure:
    """Rows of faces by difficulty, columns by emotion; the last row shows the regions of the first faces."""
    labels = np.repeat(np.arange(len(EMOTIONS)), EACH)
    figure, axes = plt.subplots(len(DIFFICULTIES) + 1, 1, figsize=(12, 3.55), layout="constrained")
    for ax, difficulty in zip(axes, DIFFICULTIES, strict=False):
        faces = draw_faces(len(labels), seed=7, difficulty=difficulty, labels=labels)
        ax.imshow(np.hstack(faces.pixels), cmap="gray", vmin=0, vmax=255)
        ax.set_ylabel(f"{difficulty:g}", rotation=0, ha="right", va="center")
    faces = draw_faces(len(labels), seed=7, labels=labels)
    assert faces.regions is not None
    shown = np.repeat(faces.pixels[..., np.newaxis], 3, axis=-1).astype(float)
    for region, colour in enumerate(COLOURS):
        mask = faces.regions[:, region]
        shown[mask] = 0.45 * shown[mask] + 0.55 * colour
    axes[-1].imshow(np.hstack(shown.astype(np.uint8)))
    axes[-1].set_ylabel("regions", rotation=0, ha="right", va="center")
    axes[0].set_xticks((np.arange(len(EMOTIONS)) + 0.5) * EACH * 48, EMOTIONS)
    axes[0].xaxis.tick_top()
    for ax in axes:
        ax.tick_params(length=0)
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
    for ax in axes[1:]:
        ax.set_xticks([])
    for i, (name, colour) in enumerate(zip(REGIONS, COLOURS, strict=True)):
        axes[-1].text((0.06 + 0.09 * i) * 7 * EACH * 48, 62, name, color=colour / 255, weight="bold", size=9)
    return figure


if __name__ == "__main__":
    sheet().savefig(Path(__file__).with_name("drawn-faces.png"), dpi=110)
