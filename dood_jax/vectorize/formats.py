"""The formats of a drawing: SVG, animated SVG, GIF, InkML, stroke-3, ndjson and JSON.

`WRITERS` at the end holds an encoder for each format by its name. Lengths are in pixels of the image, unless
a format says otherwise.
"""

import bisect
import hashlib
import io
import json
from collections.abc import Callable

import numpy as np

from dood_jax.vectorize.curves import InkStroke, Strokes
from dood_jax.vectorize.gif import gif
from dood_jax.vectorize.inkml import inkml
from dood_jax.vectorize.markup import hex_colour
from dood_jax.vectorize.svg import animated_svg, svg

STROKE3_POINTS = 250  # that sketch-rnn takes of one drawing
_STEP = 1.0  # pixels between the points of a line that is simplified
_FINEST, _COARSEST = 5e-4, 0.02  # tolerances of simplified lines, in longer sides of the image
_TOLERANCES = 16  # that are tried
_QUICKDRAW_SIDE, _QUICKDRAW_TOLERANCE = 255, 2.0  # as published: simplified within 2 of 0..255


def stroke3(drawing: Strokes, most_points: int = STROKE3_POINTS) -> np.ndarray:
    """float32 [N, 3] rows of (step x, step y, 1 if the pen is lifted afterwards), as sketch models read them.

    The first step begins at the origin, so that the sums of the steps are points. Lines are simplified
    (Ramer, Douglas and Peucker) just so much that N is at most `most_points`, but no more than by 2 % of the
    image's longer side: a drawing of very many strokes has more points.
    """
    if not drawing.strokes:
        return np.zeros((0, 3), np.float32)
    side = max(drawing.width, drawing.height)
    tolerances = np.geomspace(_FINEST * side, _COARSEST * side, _TOLERANCES).tolist()
    fine = [_simplified(stroke.points(_STEP), tolerances[0]) for stroke in drawing.strokes]
    simplified = lambda index: [_simplified(line, tolerances[index]) for line in fine]
    fits = lambda index: sum(map(len, simplified(index))) <= most_points
    simple = simplified(bisect.bisect_left(range(_TOLERANCES - 1), True, key=fits))
    points = np.concatenate(simple)
    steps = np.diff(points, axis=0, prepend=np.zeros((1, 2)))
    lifted = np.zeros(len(points))
    lifted[np.cumsum([len(line) for line in simple]) - 1] = 1
    return np.concatenate([steps, lifted[:, None]], axis=1).astype(np.float32)


def stroke3_file(drawing: Strokes, most_points: int = STROKE3_POINTS) -> bytes:
    """An npz as sketch-rnn reads it, but without pickles: `train[0]` is the drawing, `source` its name."""
    strokes = stroke3(drawing, most_points)[None]
    file = io.BytesIO()
    np.savez_compressed(
        file, train=strokes, valid=strokes[:0], test=strokes[:0], source=np.array(drawing.source)
    )
    return file.getvalue()


def quickdraw(drawing: Strokes) -> str:
    """One line of ndjson in the simplified form of Quick, Draw!

    `drawing` holds [[x…], [y…]] for each stroke, as integers 0..255 from the upper left corner of the ink.
    """
    lines = [stroke.points(_STEP) for stroke in drawing.strokes]
    points = np.concatenate(lines) if lines else np.zeros((1, 2))
    low, high = points.min(0), points.max(0)
    scale = _QUICKDRAW_SIDE / max(float((high - low).max()), 1e-6)
    simple = [_simplified((line - low) * scale, _QUICKDRAW_TOLERANCE) for line in lines]
    whole = [np.round(line).astype(int).T.tolist() for line in simple]
    key = int.from_bytes(hashlib.sha256(drawing.source.encode(errors="replace")).digest()[:7], "big")
    record = {"word": drawing.source, "key_id": str(key), "recognized": True, "drawing": whole}
    return json.dumps(record) + "\n"


def _simplified(points: np.ndarray, tolerance: float) -> np.ndarray:
    """The vertices of a [n, 2] line that keep it within a tolerance; at least two, also of a dot."""
    from skimage.measure import approximate_polygon  # noqa: PLC0415 - takes long, and few formats need it

    return np.repeat(points, 2, axis=0) if len(points) == 1 else approximate_polygon(points, tolerance)


def plain_json(drawing: Strokes) -> str:
    """A JSON object with everything that is known of the drawing, as `drawing.schema.json` describes it."""
    head = {"source": drawing.source, "width": drawing.width, "height": drawing.height}
    strokes = [json.dumps(_record(index, stroke)) for index, stroke in enumerate(drawing.strokes, start=1)]
    return json.dumps(head)[:-1] + ', "strokes": [\n ' + ",\n ".join(strokes) + "\n]}\n"


def _record(order: int, stroke: InkStroke) -> dict[str, object]:
    return {
        "id": f"stroke-{order}",
        "order": order,
        "width": round(float(stroke.width), 2),
        "colour": hex_colour(stroke.colour),
        "closed": bool(stroke.is_closed),
        "filled": bool(stroke.is_filled),
        "confidence": round(float(stroke.confidence), 2),
        "control_points": np.asarray(stroke.control_points, np.float64).round(2).tolist(),
        **(stroke.place._asdict() if stroke.place else {}),
    }


WRITERS: dict[str, tuple[str, Callable[[Strokes], bytes]]] = {  # format -> (suffix, encoder)
    "svg": (".svg", lambda drawing: svg(drawing).encode()),
    "animated-svg": (".animated.svg", lambda drawing: animated_svg(drawing).encode()),
    "gif": (".gif", gif),
    "inkml": (".inkml", lambda drawing: inkml(drawing).encode()),
    "stroke3": (".npz", stroke3_file),
    "ndjson": (".ndjson", lambda drawing: quickdraw(drawing).encode()),
    "json": (".json", lambda drawing: plain_json(drawing).encode()),
}
