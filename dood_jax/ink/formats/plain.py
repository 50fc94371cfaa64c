"""JSON with all that is known of every stroke."""

import json

from dood_jax.ink.strokes import Strokes


def encode(drawing: Strokes) -> str:
    """An object: `source`, `width`, `height`, `strokes` in drawing order, lengths in pixels."""
    strokes = [
        {
            "id": f"stroke-{index}",
            "order": index,
            "width": round(stroke.width, 3),
            "closed": stroke.is_closed,
            "confidence": round(stroke.confidence, 4),
            "control_points": stroke.control_points.round(3).tolist(),
        }
        for index, stroke in enumerate(drawing.strokes, start=1)
    ]
    record = {"source": drawing.source, "width": drawing.width, "height": drawing.height, "strokes": strokes}
    return json.dumps(record, indent=1) + "\n"
