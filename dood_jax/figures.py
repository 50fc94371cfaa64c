"""Arrays to images; knows no model.

Ink is dark on light paper. Strokes are told apart by a palette that colour-blind readers can tell apart.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

Line = tuple[list[float], list[float]]  # x and y

_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_PANEL_INCHES = 0.62
_PANELS_A_ROW = 3
_FEW_COLOURS = 128  # a third of the size, and no eye sees it
_STROKE_ON_MAP = 0.065  # size of a stroke's frame, in the map's unit square
_SHEET_INCHES = 0.42  # of an image among many
_ROW_BEFORE = ((1, 0), (0, 0), (0, 0), (0, 0))  # for np.pad


def step_by_step(
    path: Path,
    images: np.ndarray,
    canvases: np.ndarray,
    title: str = "",
    windows: np.ndarray | None = None,
) -> None:
    """Writes a PNG: a row for the targets, then one for the drawing after every stroke.

    Args:
      path: of the PNG.
      images: [N, H, W] targets, 0..1, ink = 1; one column each.
      canvases: [N, T, H, W] after each stroke.
      title: above the image.
      windows: [N, T, 4, 2] corners in pixels of the window of each stroke, outlined; NaN for none.
    """
    num_strokes = canvases.shape[1]
    added = np.diff(canvases, axis=1, prepend=0)
    rows = [np.repeat(1 - images[..., None], 3, axis=-1)]
    rows += [_coloured(added[:, : k + 1]) for k in range(num_strokes)]
    names = ["target"] + [f"stroke {k}" for k in range(1, num_strokes + 1)]
    outlines = None
    if windows is not None:
        outlines = np.pad(np.swapaxes(windows, 0, 1), _ROW_BEFORE, constant_values=np.nan)
    _grid(path, np.stack(rows), names, title, outlines)


def side_by_side(path: Path, images: np.ndarray, canvases: dict[str, np.ndarray]) -> None:
    """Writes a PNG: a row for the [N, H, W] targets, then one for the [N, T, H, W] drawings of each name."""
    rows = [np.repeat(1 - images[..., None], 3, axis=-1)]
    rows += [_coloured(np.diff(drawn, axis=1, prepend=0)) for drawn in canvases.values()]
    _grid(path, np.stack(rows), ["target", *canvases])


def histograms(path: Path, shares: dict[str, list[float]], x_name: str, y_name: str) -> None:
    """Writes a PNG: for every name a bar at 0, 1, 2 … of its share."""
    figure, axis = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
    width = 0.8 / len(shares)
    for which, (name, heights) in enumerate(shares.items()):
        places = np.arange(len(heights)) + (which - (len(shares) - 1) / 2) * width
        axis.bar(places, heights, width, color=colour(which), label=name)
    axis.set_xticks(range(max(len(heights) for heights in shares.values())))
    axis.set_xlabel(x_name)
    axis.set_ylabel(y_name)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    _save(figure, path)


def curves(path: Path, lines: dict[str, Line], x_name: str, y_name: str) -> None:
    """Writes a PNG: for every name a line through its x and y numbers."""
    curve_panels(path, {"": lines}, x_name, y_name)


def curve_panels(path: Path, panels: dict[str, dict[str, Line]], x_name: str, y_name: str) -> None:
    """Writes a PNG: a panel for every title, three a row, with a line for every name."""
    rows, columns = -(-len(panels) // _PANELS_A_ROW), min(len(panels), _PANELS_A_ROW)
    size = (7.2, 3.6) if len(panels) == 1 else (4 * columns, 3.2 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axis, (title, lines) in zip(axes.flat, panels.items(), strict=False):
        for which, (name, (x, y)) in enumerate(lines.items()):
            style = "-" if which < len(_PALETTE) else "--"
            axis.plot(x, y, style, marker=".", color=colour(which), label=name)
        axis.set_title(title)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    figure.supxlabel(x_name, fontsize="medium")
    figure.supylabel(y_name, fontsize="medium")
    _save(figure, path)


def heat_map(
    path: Path,
    values: dict[str, dict[str, float]],
    images: dict[str, dict[str, np.ndarray]],
    row_title: str,
    column_title: str,
) -> None:
    """Writes a PNG: a cell for every row and column, shaded by its number, images above drawings inside.

    Args:
      path: of the PNG.
      values: row name -> column name -> number.
      images: the same -> [2, N, H, W] images and drawings, 0..1, ink = 1.
      row_title: what rows are.
      column_title: what columns are.
    """
    rows, columns = list(values), list(next(iter(values.values())))
    numbers = np.array([[values[row][column] for column in columns] for row in rows])
    size = (1.55 * len(columns) + 1.2, 1.15 * len(rows) + 0.7)
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    low = min(numbers.min(), 0)
    axis.imshow(numbers, cmap="cividis", vmin=low, vmax=max(numbers.max(), low + 1), aspect="auto")
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(rows)), rows)
    axis.set_xlabel(column_title)
    axis.set_ylabel(row_title)
    axis.xaxis.set_label_position("top")
    axis.xaxis.tick_top()
    middle = (low + numbers.max()) / 2
    for (row, column), number in np.ndenumerate(numbers):
        colour = "black" if number > middle else "white"
        axis.text(column, row + 0.38, f"{number:,.0f}", ha="center", va="center", color=colour, fontsize=9)
        left, bottom = (column + 0.06) / len(columns), 1 - (row + 0.72) / len(rows)
        inside = axis.inset_axes([left, bottom, 0.88 / len(columns), 0.66 / len(rows)])
        above_each_other = np.concatenate(images[rows[row]][columns[column]], axis=1)
        inside.imshow(1 - np.hstack(above_each_other), cmap="gray", vmin=0, vmax=1)
        inside.axis("off")
    _save(figure, path)


def sheets(path: Path, blocks: dict[str, np.ndarray], upright: bool = False) -> None:
    """Writes a PNG: blocks of images, each with its title, beside each other or one under the other.

    Args:
      path: of the PNG.
      blocks: title -> [rows, columns, H, W] ink 0..1, or [rows, columns, H, W, 3] colours.
      upright: whether one is under the other; they have as many columns then.
    """
    sheet = {title: _joined(block) for title, block in blocks.items()}
    rows, columns = ([block.shape[axis] for block in blocks.values()] for axis in (0, 1))
    if upright:
        size = (max(columns) * _SHEET_INCHES, sum(rows) * _SHEET_INCHES + 0.22 * len(rows))
        figure, axes = plt.subplots(len(rows), 1, figsize=size, height_ratios=rows, layout="constrained")
    else:
        size = (sum(columns) * _SHEET_INCHES, max(rows) * _SHEET_INCHES + 0.25)
        figure, axes = plt.subplots(1, len(rows), figsize=size, width_ratios=columns, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    for axis, (title, image) in zip(np.atleast_1d(axes), sheet.items(), strict=True):
        axis.imshow(image, interpolation="bilinear", vmin=0, vmax=1)
        axis.set_title(title, fontsize=8, pad=3, loc="left")
        axis.axis("off")
    _save(figure, path)
    _lighten(path)


def colour(which: int) -> str:
    """Of a stroke, by its place in the drawing."""
    return _PALETTE[which % len(_PALETTE)]


def drawn(canvases: np.ndarray) -> np.ndarray:
    """[N, T, H, W] canvases after each stroke -> [N, H, W, 3] the drawings, each stroke in its colour."""
    return _coloured(np.diff(canvases, axis=1, prepend=0))


def taken_further(start: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """[N, H, W] canvases before and after -> [N, H, W, 3]: the former in black, what was added coloured."""
    return _coloured(np.stack([np.zeros_like(start), whole - start], 1), _dark(start))


def strokes_on_map(
    path: Path, places: np.ndarray, kinds: np.ndarray, shown: np.ndarray, curves: np.ndarray, title: str
) -> None:
    """Writes a PNG: a dot a stroke, coloured by kind, with some of the strokes drawn where they lie.

    Args:
      path: of the PNG.
      places: [N, 2] in the unit square.
      kinds: [N] from 0.
      shown: [M] which strokes are drawn.
      curves: [M, C, 2] their points in the unit square, y down.
      title: above the map.
    """
    figure, axis = plt.subplots(figsize=(5.6, 5.6), layout="constrained")
    palette = (*_PALETTE, "#999999")
    colours = np.array([palette[kind % len(palette)] for kind in kinds])
    axis.scatter(*places.T, s=9, c=colours, alpha=0.35, linewidths=0)
    for which, curve in zip(shown, curves, strict=True):
        x, y = (places[which] + _STROKE_ON_MAP * (curve - 0.5) * np.array([1, -1])).T
        axis.plot(x, y, color="white", linewidth=4.4, solid_capstyle="round", zorder=2)
        axis.plot(x, y, color=colours[which], linewidth=2.4, solid_capstyle="round", zorder=3)
    axis.set_title(title, fontsize=9)
    axis.set_aspect("equal")
    axis.axis("off")
    _save(figure, path)
    _lighten(path)


def _joined(block: np.ndarray) -> np.ndarray:
    """[rows, columns, H, W, ...] images -> one image, a light line between them."""
    colours = block if block.ndim == 5 else np.repeat(1 - block[..., None], 3, axis=-1)
    framed = np.pad(colours, ((0, 0), (0, 0), (1, 0), (1, 0), (0, 0)), constant_values=0.85)
    rows, columns, height, width, _ = framed.shape
    return framed.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)[1:, 1:]


def _dark(ink: np.ndarray) -> np.ndarray:
    """[N, H, W] ink -> [N, H, W, 3] black on paper."""
    return np.repeat(1 - np.clip(ink, 0, 1)[..., None], 3, axis=-1)


def _coloured(ink: np.ndarray, paper: np.ndarray | None = None) -> np.ndarray:
    """[N, T, H, W] ink -> [N, H, W, 3] image with each stroke in its colour, on white or other paper."""
    colours = np.array([matplotlib.colors.to_rgb(_PALETTE[k % len(_PALETTE)]) for k in range(ink.shape[1])])
    paper = np.ones((*ink[:, 0].shape, 3)) if paper is None else paper
    for k, colour in enumerate(colours):
        opacity = np.clip(ink[:, k, ..., None], 0, 1)
        paper = paper * (1 - opacity) + colour * opacity
    return paper


def _grid(
    path: Path, panels: np.ndarray, names: list[str], title: str = "", outlines: np.ndarray | None = None
) -> None:
    """Writes [rows, columns, H, W, 3] panels with a name for each row and [rows, columns, 4, 2] outlines."""
    rows, columns = panels.shape[:2]
    size = (columns * _PANEL_INCHES + 0.9, rows * _PANEL_INCHES + (0.4 if title else 0.05))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for row, name in enumerate(names):
        for column in range(columns):
            axis = axes[row, column]
            axis.imshow(panels[row, column], interpolation="bilinear", vmin=0, vmax=1)
            if outlines is not None:
                corners = outlines[row, column]
                axis.fill(*corners.T, fill=False, edgecolor="#777777", linewidth=0.6, clip_on=True)
                axis.set_xlim(-0.5, panels.shape[3] - 0.5)
                axis.set_ylim(panels.shape[2] - 0.5, -0.5)
            axis.set_xticks([])
            axis.set_yticks([])
            for edge in axis.spines.values():
                edge.set_color("#cccccc")
        axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    if title:
        figure.suptitle(title, fontsize=9)
    figure.subplots_adjust(0.9 / size[0], 0.01, 0.995, 1 - (0.35 if title else 0.05) / size[1], 0.05, 0.05)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _lighten(path: Path) -> None:
    """Rewrites a PNG with few colours."""
    few = (
        Image.open(path)
        .convert("RGB")
        .quantize(_FEW_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    )
    few.save(path, optimize=True)
