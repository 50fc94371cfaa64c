"""Tools that make strokes of an image: ours, and its peers.

The peers are given more than we are: which side is ink, and of Otsu's and a local threshold the one whose
mask is nearer to the truth, with specks taken out by the true width of the pen.
"""

import dataclasses
import functools
import re
import time

import autotrace
import numpy as np
import potrace
import skan
import sknw
import svgpathtools
import vtracer
from ink_measures import Found
from ink_sets import Known, draw, fill
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_local, threshold_otsu
from skimage.morphology import skeletonize

from dood_jax import api
from dood_jax.vectorize import order, page, tracing
from dood_jax.vectorize.drawing import InkDrawing

MODEL = "synthetic"
_THINNEST = 0.5  # pixels: a middle line may leave the ink
_POTRACE_SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{}"><path d="{}"/></svg>'


@functools.lru_cache
def api_model(name: str = MODEL) -> api.Model:
    """A released model, the one that the tool takes unasked if none is named."""
    return api.load(name)


def ours(known: Known) -> Found:
    """`model.vectorize`."""
    started = time.perf_counter()
    drawing = api_model().vectorize(known.grey)
    return _found(known, drawing, time.perf_counter() - started)


def without_votes(known: Known) -> Found:
    """The same, without asking the model what runs through a crossing."""
    started = time.perf_counter()
    strokes, l1 = tracing.strokes_of(page.remove_background(known.grey), None, 0)
    seconds = time.perf_counter() - started
    return _found(known, InkDrawing(tuple(strokes), *known.grey.shape[::-1], l1=l1), seconds)


def in_reading_order(known: Known) -> Found:
    """The strokes of `without_votes` as they would be read: boxes in rows, from the left in each."""
    found = without_votes(known)
    boxes = [(line.min(0), line.max(0)) for line in found.strokes]
    ranks = order.reading_order(*map(np.array, zip(*boxes, strict=True))) if boxes else []
    lines, widths = ([of[index] for index in ranks] for of in (found.strokes, found.widths))
    return dataclasses.replace(found, strokes=lines, widths=widths)


def _found(known: Known, drawing: InkDrawing, seconds: float) -> Found:
    lines = [stroke.points(0.5) for stroke in drawing.strokes]
    widths = [stroke.width for stroke in drawing.strokes]
    return Found(lines, widths, draw(lines, widths, known.grey.shape), seconds, len(drawing.to_svg()))


def model_alone(known: Known, name: str = MODEL, is_joined: bool = False) -> Found:
    """The model's drawing of the whole image at its own size, refined there; no lines are followed.

    Its strokes as they are, or joined where they continue each other.
    """
    started = time.perf_counter()
    ink = page.remove_background(known.grey).ink
    small = np.asarray(Image.fromarray(ink).resize((50, 50), Image.Resampling.BILINEAR)).clip(0, 1)[None]
    sketch = api_model(name).optimize(small, api_model(name).infer(small))
    side = known.grey.shape[0]
    (drawing,) = api_model(name).to_ink(sketch, side)
    drawing = drawing.joined() if is_joined else drawing
    seconds = time.perf_counter() - started
    canvas = Image.fromarray(np.asarray(sketch.canvases[0, -1], np.float32))
    drawn = np.asarray(canvas.resize((side, side), Image.Resampling.BICUBIC)).clip(0, 1)
    return Found([stroke.points(0.5) for stroke in drawing.strokes], [], drawn, seconds)


def skeleton(known: Known) -> Found:
    """A threshold, scikit-image's skeleton, one path a branch; widths from the distance to paper."""
    started = time.perf_counter()
    mask = _mask(known)
    lines = skeletonize(mask)
    neighbours = ndimage.convolve(lines.astype(int), np.ones((3, 3), int), mode="constant") - 1
    labels, count = ndimage.label(lines & (neighbours <= 2), np.ones((3, 3)))
    strokes = []
    for window, index in zip(ndimage.find_objects(labels), range(1, count + 1), strict=True):
        rows, columns = np.nonzero(labels[window] == index)
        rows, columns = rows + window[0].start, columns + window[1].start
        strokes.append(_in_order(np.stack([columns, rows], axis=1) + 0.5))
    return _middle_lines(known, mask, strokes, started)


def skan_branches(known: Known) -> Found:
    """A threshold, the same skeleton, and skan's branches."""
    started = time.perf_counter()
    mask = _mask(known)
    branches = skan.Skeleton(skeletonize(mask))
    strokes = [branches.path_coordinates(index)[:, ::-1] + 0.5 for index in range(branches.n_paths)]
    return _middle_lines(known, mask, strokes, started)


def sknw_graph(known: Known) -> Found:
    """A threshold, the same skeleton, and the edges of sknw's graph."""
    started = time.perf_counter()
    mask = _mask(known)
    graph = sknw.build_sknw(skeletonize(mask).astype(np.uint16), multi=True)
    strokes = [edge["pts"][:, ::-1] + 0.5 for _, _, edge in graph.edges(data=True)]
    return _middle_lines(known, mask, strokes, started)


def autotrace_centrelines(known: Known) -> Found:
    """A threshold and autotrace's centre lines."""
    started = time.perf_counter()
    mask = _mask(known)
    bitmap = autotrace.Bitmap(np.repeat(np.where(mask, 0, 255).astype(np.uint8)[..., None], 3, axis=2))
    vector = bitmap.trace(centerline=True, background_color=(255, 255, 255))
    size = len(vector.encode(autotrace.VectorFormat.SVG))
    strokes = []
    for path in vector.paths:
        splines = [[(place.x, place.y) for place in spline.points] for spline in path.splines]
        curves = [_cubic(np.array(spline)) for spline in splines]
        points = np.concatenate([splines[0][:1], *curves])
        strokes.append(np.stack([points[:, 0] + 0.5, len(mask) - points[:, 1] - 0.5], axis=1))
    return _middle_lines(known, mask, strokes, started, size)


def _middle_lines(
    known: Known, mask: np.ndarray, strokes: list[np.ndarray], started: float, size: int = 0
) -> Found:
    """Middle lines with the widths that their distance from paper gives them."""
    radius = ndimage.distance_transform_edt(mask)
    high, wide = mask.shape
    widths = []
    for stroke in strokes:
        columns, rows = np.floor(stroke).astype(int).T
        inside = radius[rows.clip(0, high - 1), columns.clip(0, wide - 1)]
        widths.append(max(2 * float(inside.mean()) - 1, _THINNEST))
    seconds = time.perf_counter() - started
    return Found(strokes, widths, draw(strokes, widths, known.grey.shape), seconds, size)


def outlines(known: Known) -> Found:
    """A threshold and vtracer's outlines; it knows no widths."""
    started = time.perf_counter()
    grey = np.where(_mask(known), 0, 255)
    pixels = [(value, value, value, 255) for value in grey.ravel().tolist()]
    svg = vtracer.convert_pixels_to_svg(pixels, known.grey.shape[::-1], colormode="binary", mode="spline")
    seconds = time.perf_counter() - started
    paths = _outlines_of(svg)
    ink = fill(paths, known.grey.shape)
    return Found([line for path in paths for line in path], [], ink, seconds, len(svg))


def potrace_outlines(known: Known) -> Found:
    """A threshold and potrace's outlines (`potracer`, which is potrace in Python: its time says little)."""
    started = time.perf_counter()
    paths = potrace.Bitmap(~_mask(known)).trace()  # it follows what is false
    seconds = time.perf_counter() - started
    lines, commands = [], []
    for path in paths:
        start = path.start_point
        points, written = [np.array([[start.x, start.y]])], [f"M {start.x:.2f} {start.y:.2f}"]
        for piece in path.segments:
            corners = [piece.c] if piece.is_corner else [piece.c1, piece.c2]
            ends = np.array([[place.x, place.y] for place in (*corners, piece.end_point)])
            last = points[-1][-1:]
            curve = _cubic(np.concatenate([last, ends])) if len(ends) == 3 else ends
            points.append(curve)
            kind = "L" if piece.is_corner else "C"
            written.append(f"{kind} " + " ".join(f"{x:.2f} {y:.2f}" for x, y in ends))
        lines.append(np.concatenate(points))
        commands.append(" ".join([*written, "Z"]))
    size = len(_POTRACE_SVG.format(*known.grey.shape[::-1], " ".join(commands)))
    return Found(lines, [], fill([lines], known.grey.shape), seconds, size)


def _cubic(control_points: np.ndarray) -> np.ndarray:
    """[8, 2] places along a cubic, its start left out."""
    u = np.linspace(0, 1, 9)[1:, None]
    a, b, c, d = control_points
    return (1 - u) ** 3 * a + 3 * u * (1 - u) ** 2 * b + 3 * u**2 * (1 - u) * c + u**3 * d


def _mask(known: Known) -> np.ndarray:
    """Of Otsu's and a local threshold the mask that is nearer to the true ink."""
    dark = 1 - known.grey if known.condition == "inversion" else known.grey
    block = max(known.grey.shape) // 4 | 1
    masks = [dark < threshold_otsu(dark), dark < threshold_local(dark, block, offset=0.1)]
    cleared = [_without_specks(mask, np.nan_to_num(known.width, nan=2.0)) for mask in masks]
    return min(cleared, key=lambda mask: np.abs(mask - known.ink).sum())


def _without_specks(mask: np.ndarray, width: float) -> np.ndarray:
    """Without what is smaller than a third of a dot of the true pen."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    large = np.bincount(labels.ravel(), minlength=count + 1) >= np.pi / 12 * width**2
    return mask & large[labels]


def _in_order(points: np.ndarray) -> np.ndarray:
    """A branch's pixels from one end to the other."""
    left = list(range(len(points)))
    apart = np.abs(points[:, None] - points[None]).max(2)
    ends = np.flatnonzero((apart == 1).sum(1) < 2)
    order = [int(ends[0]) if len(ends) else 0]
    left.remove(order[0])
    while left:
        last = points[order[-1]]
        order.append(left[int(((points[left] - last) ** 2).sum(1).argmin())])
        left.remove(order[-1])
    return points[order]


def _outlines_of(svg: str) -> list[list[np.ndarray]]:
    """[n, 2] outlines of each path, eight points a curve."""
    found = []
    for element in re.findall(r"<path[^>]*>", svg):
        path = svgpathtools.parse_path(re.search(r'\bd="([^"]*)"', element).group(1))
        shift = re.search(r"translate\(([^,)]*)[, ]([^)]*)\)", element)
        offset = np.array([float(shift.group(1)), float(shift.group(2))]) if shift else np.zeros(2)
        lines = []
        for part in path.continuous_subpaths():
            places = [segment.point(u) for segment in part for u in np.linspace(0, 1, 8, endpoint=False)]
            lines.append(np.array([[place.real, place.imag] for place in places]) + offset)
        found.append(lines)
    return found


TOOLS = {
    "dood_jax": ours,
    "without votes": without_votes,
    "model alone": model_alone,
    "skeleton": skeleton,
    "skan": skan_branches,
    "sknw": sknw_graph,
    "autotrace": autotrace_centrelines,
    "vtracer": outlines,
    "potrace": potrace_outlines,
}
