"""Drawings as files that other tools read; `WRITERS` has them by the name of the format."""

from collections.abc import Callable

from dood_jax.ink.formats import gif, inkml, plain, sketches, svg
from dood_jax.ink.strokes import Strokes

WRITERS: dict[str, tuple[str, Callable[[Strokes], bytes]]] = {  # format -> suffix, encoder
    "svg": (".svg", lambda drawing: svg.still(drawing).encode()),
    "animated-svg": (".animated.svg", lambda drawing: svg.animated(drawing).encode()),
    "gif": (".gif", gif.encode),
    "inkml": (".inkml", lambda drawing: inkml.encode(drawing).encode()),
    "stroke3": (".npz", sketches.stroke3_file),
    "ndjson": (".ndjson", lambda drawing: sketches.quickdraw(drawing).encode()),
    "json": (".json", lambda drawing: plain.encode(drawing).encode()),
}
