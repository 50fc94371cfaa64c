"""Draws figures of arrays as PNG files; knows no model.

Images are ink in 0..1 and are drawn dark on light paper. Strokes have the colours of a palette that
colour-blind readers can tell apart.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

Line = tuple[list[float], list[float]]  # x and y of its points

_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_PANEL_INCHES = 0.62  # side of an image with a name of its own
_SMALL_INCHES = 0.42  # side of an image among many
_PANELS_A_ROW = 3  # of curves
_STROKE_ON_MAP = 0.065  # size of a stroke's frame, in the map's unit square
_FEW_COLOURS = 128  # make a PNG three times smaller, and the eye does not see it


def step_by_step(
    path: Path,
    images: np.ndarray,
    canvases: np.ndarray,
    title: str = "",
    windows: np.ndarray | None = None,
) -> None:
    """Writes a PNG with a row of targets, and below it a row of drawings after each stroke.

    Args:
      path: the PNG file.
      images: [N, H, W] targets, one in each column.
      canvases: [N, T, H, W] drawings after each stroke.
      title: is written above the figure.
      windows: [N, T, 4, 2] corners of a window for each stroke, in pixels; they are outlined. NaN for none.
    """
    num_strokes = canvases.shape[1]
    added = np.diff(canvases, axis=1, prepend=0)
    rows = [_dark(images)]
    rows += [_coloured(added[:, : k + 1]) for k in range(num_strokes)]
    names = ["target"] + [f"stroke {k}" for k in range(1, num_strokes + 1)]
    outlines = None
    if windows is not None:
        none = np.full_like(windows[:, :1], np.nan)  # for the targets
        outlines = np.swapaxes(np.concatenate([none, windows], axis=1), 0, 1)
    _grid(path, np.stack(rows), names, title, outlines)


def side_by_side(path: Path, images: np.ndarray, canvases: dict[str, np.ndarray]) -> None:
    """Writes a PNG with a row of [N, H, W] targets, and below it a row for each [N, T, H, W] drawings."""
    rows = [_dark(images)]
    rows += [_coloured(np.diff(drawn, axis=1, prepend=0)) for drawn in canvases.values()]
    _grid(path, np.stack(rows), ["target", *canvases])


def histograms(path: Path, heights: dict[str, list[float]], x_name: str, y_name: str) -> None:
    """Writes a PNG with bars at 0, 1, 2 … for each name; the axes are called `x_name` and `y_name`."""
    figure, axis = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
    width = 0.8 / len(heights)
    for which, (name, bars) in enumerate(heights.items()):
        places = np.arange(len(bars)) + (which - (len(heights) - 1) / 2) * width
        axis.bar(places, bars, width, color=colour(which), label=name)
    axis.set_xticks(range(max(len(bars) for bars in heights.values())))
    axis.set_xlabel(x_name)
    axis.set_ylabel(y_name)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    _save(figure, path)


def curves(path: Path, lines: dict[str, Line], x_name: str, y_name: str) -> None:
    """Writes a PNG with a named line for each entry."""
    curve_panels(path, {"": lines}, x_name, y_name)


def curve_panels(path: Path, panels: dict[str, dict[str, Line]], x_name: str, y_name: str) -> None:
    """Writes a PNG with a titled panel for each entry, three in a row, each with named lines."""
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
    """Writes a PNG with a table: each cell is shaded by its number and shows images above drawings.

    Args:
      path: the PNG file.
      values: row name -> column name -> number.
      images: row name -> column name -> [2, N, H, W] images and drawings.
      row_title: what the rows are.
      column_title: what the columns are.
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
        inside = axis.inset_axes((left, bottom, 0.88 / len(columns), 0.66 / len(rows)))
        pairs = np.concatenate(list(images[rows[row]][columns[column]]), axis=1)  # one above the other
        inside.imshow(1 - np.hstack(list(pairs)), cmap="gray", vmin=0, vmax=1)
        inside.axis("off")
    _save(figure, path)


def image_blocks(path: Path, blocks: dict[str, np.ndarray], stacked: bool = False) -> None:
    """Writes a PNG with titled blocks of images.

    Args:
      path: the PNG file.
      blocks: title -> [rows, columns, H, W] ink, or [rows, columns, H, W, 3] colours.
      stacked: whether blocks are one below the other, all with the same number of columns. Otherwise they
        are beside each other.
    """
    rows, columns = ([block.shape[axis] for block in blocks.values()] for axis in (0, 1))
    if stacked:
        size = (max(columns) * _SMALL_INCHES, sum(rows) * _SMALL_INCHES + 0.22 * len(rows))
        figure, axes = plt.subplots(len(rows), 1, figsize=size, height_ratios=rows, squeeze=False)
    else:
        size = (sum(columns) * _SMALL_INCHES, max(rows) * _SMALL_INCHES + 0.25)
        figure, axes = plt.subplots(1, len(rows), figsize=size, width_ratios=columns, squeeze=False)
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    for axis, (title, block) in zip(axes.flat, blocks.items(), strict=True):
        axis.imshow(_joined(block), interpolation="bilinear", vmin=0, vmax=1)
        axis.set_title(title, fontsize=8, pad=3, loc="left")
        axis.axis("off")
    _save(figure, path)
    _lighten(path)


def colour(which: int) -> str:
    """The colour of a stroke by its place in the drawing, as #rrggbb."""
    return _PALETTE[which % len(_PALETTE)]


def coloured_drawings(canvases: np.ndarray) -> np.ndarray:
    """[N, H, W, 3] drawings with each stroke in its colour, of [N, T, H, W] canvases after each stroke."""
    return _coloured(np.diff(canvases, axis=1, prepend=0))


def coloured_completions(start: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """[N, H, W, 3] drawings with the [N, H, W] canvas at the start in black, and what was added in colour."""
    return _coloured(np.stack([np.zeros_like(start), whole - start], 1), _dark(start))


def strokes_on_map(
    path: Path, places: np.ndarray, kinds: np.ndarray, shown: np.ndarray, curves: np.ndarray, title: str
) -> None:
    """Writes a PNG with a dot for each stroke, and some of the strokes drawn at their dots.

    Args:
      path: the PNG file.
      places: [N, 2] of the dots in the unit square.
      kinds: [N] numbers from 0 that choose the colours.
      shown: [M] which strokes are drawn.
      curves: [M, C, 2] points along them in the unit square, y down.
      title: is written above the map.
    """
    figure, axis = plt.subplots(figsize=(5.6, 5.6), layout="constrained")
    palette = (*_PALETTE, "#999999")
    colours = np.array([palette[kind % len(palette)] for kind in kinds])
    axis.scatter(places[:, 0], places[:, 1], s=9, c=colours, alpha=0.35, linewidths=0)
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
    """One image of [rows, columns, H, W] ink or [rows, columns, H, W, 3] colours, divided by light lines."""
    colours = block if block.ndim == 5 else _dark(block)
    framed = np.pad(colours, ((0, 0), (0, 0), (1, 0), (1, 0), (0, 0)), constant_values=0.85)
    rows, columns, height, width, _ = framed.shape
    return framed.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)[1:, 1:]


def _dark(ink: np.ndarray) -> np.ndarray:
    """[..., H, W, 3] black on white, of [..., H, W] ink."""
    return np.repeat(1 - np.clip(ink, 0, 1)[..., None], 3, axis=-1)


def _coloured(ink: np.ndarray, paper: np.ndarray | None = None) -> np.ndarray:
    """[N, H, W, 3] images of [N, T, H, W] ink, each stroke in its colour, on white or [N, H, W, 3] paper."""
    colours = np.array([matplotlib.colors.to_rgb(_PALETTE[k % len(_PALETTE)]) for k in range(ink.shape[1])])
    paper = np.ones((*ink[:, 0].shape, 3)) if paper is None else paper
    for k, colour in enumerate(colours):
        opacity = np.clip(ink[:, k, ..., None], 0, 1)
        paper = paper * (1 - opacity) + colour * opacity
    return paper


def _grid(
    path: Path, panels: np.ndarray, names: list[str], title: str = "", outlines: np.ndarray | None = None
) -> None:
    """Writes a PNG of [rows, columns, H, W, 3] images, with a name for each row.

    `outlines` are [rows, columns, 4, 2] corners in pixels that are drawn over the images, or None.
    """
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
    image = Image.open(path).convert("RGB")
    few = image.quantize(_FEW_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
