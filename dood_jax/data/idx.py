"""The idx format of the original MNIST files: a magic number, the sizes of the axes, then bytes."""

import gzip
import io
import math
import struct
import zlib

import numpy as np

from dood_jax.data.npz import MOST_BYTES
from dood_jax.errors import BadInput


def read(place: str, compressed: bytes) -> np.ndarray:
    """The uint8 array of a gzipped idx file; raises BadInput naming the place if it is damaged."""
    try:
        content = gzip.GzipFile(fileobj=io.BytesIO(compressed)).read(MOST_BYTES)
        zeros, kind, axes = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{axes}I", content, 4)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise BadInput(f"{place} is not a whole gzipped idx file ({error}); fetch it anew") from error
    start = 4 + 4 * axes
    if zeros or kind != 8 or len(content) != start + math.prod(shape):
        raise BadInput(f"{place} is not an idx file of {list(shape)} bytes; fetch it anew")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
