"""What sketch models read: stroke-3 arrays, and the simplified lines of Quick, Draw!"""

import hashlib
import io
import json

import numpy as np

from dood_jax.ink.strokes import Strokes

_STEP = 2.0  # pixels between the points of stroke-3
_QUICKDRAW_SIDE, _QUICKDRAW_TOLERANCE = 255, 2.0  # as published: simplified within 2 of 0..255


def stroke3(drawing: Strokes) -> np.ndarray:
    """float32 [N, 3] (step x, step y, 1 where the pen is lifted afterwards); sums of steps are pixels."""
    lines = [stroke.points(_STEP) for stroke in drawing.strokes]
    lines = [np.repeat(line, 2, axis=0) if len(line) == 1 else line for line in lines]
    points = np.concatenate(lines)
    steps = np.diff(points, axis=0, prepend=np.zeros((1, 2)))
    lifted = np.zeros(len(points))
    lifted[np.cumsum([len(line) for line in lines]) - 1] = 1
    return np.concatenate([steps, lifted[:, None]], axis=1).astype(np.float32)


def stroke3_file(drawing: Strokes) -> bytes:
    """An npz as sketch-rnn reads it: `train[0]` is the drawing; needs no unpickling. `source` names it."""
    strokes = stroke3(drawing)[None]
    file = io.BytesIO()
    np.savez_compressed(
        file, train=strokes, valid=strokes[:0], test=strokes[:0], source=np.array(drawing.source)
    )
    return file.getvalue()


def quickdraw(drawing: Strokes) -> str:
    """One line of ndjson: `drawing` is [[x…], [y…]] a stroke, scaled to 0..255 from the upper left corner."""
    lines = [stroke.points(1.0) for stroke in drawing.strokes]
    low = np.min([line.min(0) for line in lines], axis=0)
    high = np.max([line.max(0) for line in lines], axis=0)
    scale = _QUICKDRAW_SIDE / max(float((high - low).max()), 1e-6)
    simple = [_simplified((line - low) * scale) for line in lines]
    whole = [np.round(line).astype(int).T.tolist() for line in simple]
    key = int.from_bytes(hashlib.sha256(drawing.source.encode(errors="replace")).digest()[:7], "big")
    record = {"word": drawing.source, "key_id": str(key), "recognized": True, "drawing": whole}
    return json.dumps(record) + "\n"


def _simplified(points: np.ndarray) -> np.ndarray:
    """Ramer, Douglas and Peucker: the fewest points of a line that stay within the tolerance."""
    if len(points) < 3:
        return np.repeat(points, 2, axis=0) if len(points) == 1 else points
    keep = np.zeros(len(points), bool)
    keep[[0, -1]] = True
    todo = [(0, len(points) - 1)]
    while todo:
        start, end = todo.pop()
        if end - start < 2:
            continue
        chord = points[end] - points[start]
        size = np.linalg.norm(chord)
        from_start = points[start + 1 : end] - points[start]
        across = np.abs(from_start[:, 0] * chord[1] - from_start[:, 1] * chord[0]) / max(size, 1e-9)
        off = across if size > 1e-9 else np.linalg.norm(from_start, axis=1)
        worst = start + 1 + int(off.argmax())
        if off[worst - start - 1] > _QUICKDRAW_TOLERANCE:
            keep[worst] = True
            todo += [(start, worst), (worst, end)]
    return points[keep]
