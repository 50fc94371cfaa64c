"""Arrays to pictures; knows no model.

Ink is dark on light paper. Strokes are told apart by a palette that colour-blind readers can tell apart.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_PANEL_INCHES = 0.62


def step_by_step(path: Path, images: np.ndarray, canvases: np.ndarray, title: str = "") -> None:
    """Writes a PNG: a row for the targets, then one for the drawing after every stroke.

    Args:
      path: of the PNG.
      images: [N, H, W] targets, 0..1, ink = 1; one column each.
      canvases: [N, T, H, W] after each stroke.
      title: above the picture.
    """
    num_strokes = canvases.shape[1]
    added = np.diff(canvases, axis=1, prepend=0)
    rows = [np.repeat(1 - images[..., None], 3, axis=-1)]
    rows += [_coloured(added[:, : k + 1]) for k in range(num_strokes)]
    names = ["target"] + [f"stroke {k}" for k in range(1, num_strokes + 1)]
    _grid(path, np.stack(rows), names, title)


def _coloured(ink: np.ndarray) -> np.ndarray:
    """[N, T, H, W] ink -> [N, H, W, 3] picture with each stroke in its colour."""
    colours = np.array([matplotlib.colors.to_rgb(_PALETTE[k % len(_PALETTE)]) for k in range(ink.shape[1])])
    paper = np.ones((*ink[:, 0].shape, 3))
    for k, colour in enumerate(colours):
        opacity = np.clip(ink[:, k, ..., None], 0, 1)
        paper = paper * (1 - opacity) + colour * opacity
    return paper


def _grid(path: Path, panels: np.ndarray, names: list[str], title: str) -> None:
    """Writes [rows, columns, H, W, 3] panels with a name for each row."""
    rows, columns = panels.shape[:2]
    size = (columns * _PANEL_INCHES + 0.9, rows * _PANEL_INCHES + (0.4 if title else 0.05))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for row, name in enumerate(names):
        for column in range(columns):
            axis = axes[row, column]
            axis.imshow(panels[row, column], interpolation="bilinear", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
            for edge in axis.spines.values():
                edge.set_color("#cccccc")
        axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    if title:
        figure.suptitle(title, fontsize=9)
    figure.subplots_adjust(0.9 / size[0], 0.01, 0.995, 1 - (0.35 if title else 0.05) / size[1], 0.05, 0.05)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)
