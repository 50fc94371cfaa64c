"""In which direction and order a pen would draw the strokes.

Hands start at the upper left and move right and down: of the rules that were measured on human pen strokes
(docs/vectorize.md), the best. What lies apart is taken as figures of a text: row by row, from left to right.
"""

import numpy as np

_DOWN_RIGHT = np.array([1.0, 1.0])  # a stroke is run so that it advances this way
_FIRST = np.array([0.5, 1.0])  # of two strokes of a figure, the one starting less far this way comes first
_CLOSED = 0.15  # a stroke whose ends are nearer than this share of its size has no direction of its own
_APART = 0.5  # figures are further apart than this share of the typical stroke's size


def directed(points: np.ndarray, is_closed: bool, vote: float = 0.0) -> np.ndarray:
    """[n, 2] the points of a stroke from where a pen would start.

    Args:
      points: of a stroke; a closed one comes back to its first point.
      is_closed: it may then start anywhere.
      vote: pixels of other evidence, positive for the direction given.
    """
    if is_closed and len(points) > 3:
        start = int((points[:-1] @ _FIRST).argmin())
        points = np.concatenate([points[start:-1], points[: start + 1]])
        area = (points[:-1, 0] * points[1:, 1] - points[1:, 0] * points[:-1, 1]).sum()
        return points[::-1] if area > 0 else points  # against the clock, as letters are written
    advance = float((points[-1] - points[0]) @ _DOWN_RIGHT) + vote
    return points if advance >= 0 else points[::-1]


def in_order(lines: list[np.ndarray]) -> list[int]:
    """Which stroke comes first, second, …, of [n, 2] points each."""
    low = np.array([line.min(0) for line in lines])
    high = np.array([line.max(0) for line in lines])
    figure = _figures(low, high)
    rank = _reading_order(figure, low, high)
    starts = np.array([line[0] @ _FIRST for line in lines])
    return sorted(range(len(lines)), key=lambda i: (rank[figure[i]], starts[i]))


def _figures(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[N] the figure of each stroke: strokes whose boxes are near hang together."""
    gap = _APART * float(np.median((high - low).max(1)))
    figure = np.arange(len(low))
    for i in range(len(low)):
        apart = np.maximum(low[i] - high[: i + 1], low[: i + 1] - high[i]).max(1)
        joined = np.unique(figure[: i + 1][apart <= gap])
        figure[np.isin(figure, joined)] = i
    return np.unique(figure, return_inverse=True)[1]


def _reading_order(figure: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[figures] rank: rows from the top, in each row from the left."""
    count = int(figure.max()) + 1
    lows, highs = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(lows, figure, low)
    np.maximum.at(highs, figure, high)
    rank = np.empty(count, int)
    left = sorted(range(count), key=lambda i: lows[i, 1])
    place = 0
    while left:
        tallest = max(_overlapping(left, left[0], lows, highs), key=lambda i: highs[i, 1] - lows[i, 1])
        row = sorted({left[0], *_overlapping(left, tallest, lows, highs)}, key=lambda i: lows[i, 0])
        for i in row:
            rank[i] = place
            place += 1
        left = [i for i in left if i not in set(row)]
    return rank


def _overlapping(left: list[int], of: int, lows: np.ndarray, highs: np.ndarray) -> list[int]:
    """Figures of which the middle height lies in that of another."""
    middle = lambda i: (lows[i, 1] + highs[i, 1]) / 2
    return [i for i in left if i == of or lows[of, 1] <= middle(i) <= highs[of, 1]]
