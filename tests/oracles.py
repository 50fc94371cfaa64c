"""Plain NumPy and SciPy forms that the tests compare with, and the published self-check inputs."""

import itertools

import numpy as np
from PIL import Image
from scipy import ndimage

STROKE = np.array([(0.1, 0.5), (0.3, 0.2), (0.5, 0.8), (0.7, 0.3), (0.9, 0.6)], np.float32)
LAYOUT = np.array([0.2, -0.3, 0.5, 0.4], np.float32)
WIDTH = np.float32(0.02)
SLOPE = np.float32(0.5)
SIZE = (50, 50)
RAMP = np.arange(2500, dtype=np.float32).reshape(SIZE) / 2500


def assert_close(actual, expected, tolerance):
    """|a - ref| / (1 + |ref|) of every entry."""
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def assert_close_to_largest(actual, expected, tolerance):
    """|a - ref| of every entry, over the largest |ref|."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def leading(found, golden):
    """The block of `found` that a golden array holds: a thinned set keeps the first image of large arrays."""
    assert np.ndim(found) == np.ndim(golden)
    return np.asarray(found)[tuple(slice(size) for size in np.shape(golden))]


def de_casteljau(control_points, u):
    """Curve points [len(u), 2] by repeated interpolation; point 0 is reached at u = 1, as published."""
    points = np.repeat(np.asarray(control_points, float)[None], len(u), axis=0)
    while points.shape[1] > 1:
        points = u[:, None, None] * points[:, :-1] + (1 - u)[:, None, None] * points[:, 1:]
    return points[:, 0]


def squared_distances(curve, size):
    """[S, H, W] from every curve sample to every pixel at (column / W, row / H)."""
    rows, columns = (np.arange(n) / n for n in size)
    x, y = np.asarray(curve, float).T[:, :, None, None]
    return (x - columns[None, None]) ** 2 + (y - rows[None, :, None]) ** 2


def splat(curve, width, size):
    return np.exp(-squared_distances(curve, size) / (2 * float(width) ** 2)).sum(0)


def polyline_distance(curve, size):
    """[H, W] from every pixel to the nearest point of the polyline, one pixel and one segment at a time."""
    points = [complex(x, y) for x, y in curve]

    def to_segment(pixel, start, end):
        edge = end - start
        share = ((pixel - start) * edge.conjugate()).real / abs(edge) ** 2 if edge else 0
        return abs(start + min(max(share, 0), 1) * edge - pixel)

    def to_polyline(i, j):
        pixel = complex(j / size[1], i / size[0])
        return min(to_segment(pixel, *ends) for ends in itertools.pairwise(points))

    return np.array([[to_polyline(i, j) for j in range(size[1])] for i in range(size[0])])


def distance(curve, width, size):
    return np.exp(-(polyline_distance(curve, size) ** 2) / (2 * float(width) ** 2))


def matrix_of(layout):
    """[2, 3] product of a shift, a scale and a turn."""
    x, y, scale, angle = np.asarray(layout, float)
    shift = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return (shift @ np.diag([scale, scale, 1]) @ turn)[:2]


def warp(image, matrix, size):
    """Bilinear reading of an image at the affine image of a grid over -1..1; zero outside."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
    x, y = np.tensordot(np.asarray(matrix, float), np.stack([x, y, np.ones_like(x)]), axes=1)
    height, width = image.shape
    places = [(y + 1) / 2 * (height - 1), (x + 1) / 2 * (width - 1)]
    return ndimage.map_coordinates(np.asarray(image, float), places, order=1, mode="grid-constant")


def enlarged_by_pil(native: int, size: int, seed: int = 0) -> np.ndarray:
    """An image of `native` pixels a side, enlarged, as the sets hold them: 0..1 in 256 levels."""
    small = np.random.default_rng(seed).integers(0, 256, (native, native)).astype(np.uint8)
    large = Image.fromarray(small).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(large, np.float32) / 255
