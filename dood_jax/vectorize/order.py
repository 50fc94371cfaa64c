"""The direction in which a pen draws a stroke, and the order of the strokes.

Hands start at the upper left and move to the right and down. Of the rules for direction and order that were
measured on human strokes (docs/vectorize.md), these are the best. Groups of strokes that lie apart are taken
as the figures of a text, which is read row by row and from left to right.
"""

import numpy as np

_DOWN_RIGHT = np.array([1.0, 1.0])  # a stroke runs so that it advances in this direction
_FIRST = np.array([0.5, 1.0])  # of two strokes of a figure, the one that starts less far this way comes first
_APART = 0.5  # figures are further apart than this fraction of the typical stroke's size


def directed(points: np.ndarray, is_closed: bool, vote: float = 0.0) -> np.ndarray:
    """[n, 2] the points of a stroke in the order in which a pen would draw them.

    Args:
      points: [n, 2] in either order; a closed stroke returns to its first point.
      is_closed: a closed stroke may start anywhere, and runs against the clock, as letters are written.
      vote: pixels of other evidence, positive for the given order.
    """
    if is_closed and len(points) > 3:
        start = int((points[:-1] @ _FIRST).argmin())
        points = np.concatenate([points[start:-1], points[: start + 1]])
        area = (points[:-1, 0] * points[1:, 1] - points[1:, 0] * points[:-1, 1]).sum()
        return points[::-1] if area > 0 else points
    advance = float((points[-1] - points[0]) @ _DOWN_RIGHT) + vote
    return points if advance >= 0 else points[::-1]


def in_order(lines: list[np.ndarray]) -> list[int]:
    """Indices of strokes in drawing order. Each stroke is [n, 2] points that begin where the pen does."""
    low = np.array([line.min(0) for line in lines])
    high = np.array([line.max(0) for line in lines])
    figure = _figures(low, high)
    rank = _reading_order(figure, low, high)
    starts = np.array([line[0] @ _FIRST for line in lines])
    return sorted(range(len(lines)), key=lambda i: (rank[figure[i]], starts[i]))


def _figures(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[N] number of the figure of each stroke; strokes whose boxes [N, 2] to [N, 2] are near share one."""
    gap = _APART * float(np.median((high - low).max(1)))
    figure = np.arange(len(low))
    for i in range(len(low)):
        apart = np.maximum(low[i] - high[: i + 1], low[: i + 1] - high[i]).max(1)
        joined = np.unique(figure[: i + 1][apart <= gap])
        figure[np.isin(figure, joined)] = i
    return np.unique(figure, return_inverse=True)[1]


def _reading_order(figure: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[figures] rank of each figure: rows from the top, in each row from the left."""
    count = int(figure.max()) + 1
    lows, highs = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(lows, figure, low)
    np.maximum.at(highs, figure, high)
    rank = np.empty(count, int)
    left = sorted(range(count), key=lambda i: lows[i, 1])
    place = 0
    while left:  # the tallest figure beside the uppermost one decides what is in its row
        tallest = max(_overlapping(left, left[0], lows, highs), key=lambda i: highs[i, 1] - lows[i, 1])
        row = sorted({left[0], *_overlapping(left, tallest, lows, highs)}, key=lambda i: lows[i, 0])
        for i in row:
            rank[i] = place
            place += 1
        left = [i for i in left if i not in set(row)]
    return rank


def _overlapping(left: list[int], of: int, lows: np.ndarray, highs: np.ndarray) -> list[int]:
    """Figures whose middle height lies within the height of another, `of`."""
    middle = lambda i: (lows[i, 1] + highs[i, 1]) / 2
    return [i for i in left if i == of or lows[of, 1] <= middle(i) <= highs[of, 1]]
