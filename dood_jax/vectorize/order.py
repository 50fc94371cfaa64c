"""The direction in which a pen draws a stroke, and the order of the strokes.

Hands start at the upper left and move to the right and down. Groups of strokes that lie apart are taken as
the figures of a text, which is read row by row and from left to right. A figure is cut along its gaps into
parts that stand above or beside each other, and the strokes of a part come in the order of their starts.
Figures of several strokes follow the taught order of characters: of two that cross, the level one is first,
and small marks at the upper right, as those of ば and 犬, are last. Figures of two or three strokes may be
letters, which are taught otherwise (`letters.py`); the dots of i and j are last.
"""

import numpy as np

from dood_jax.vectorize import curves, letters

_ADVANCE = np.array([1.0, 1.5])  # a stroke runs so that it advances in this direction
_FIRST = np.array([0.5, 1.0])  # of two strokes of a part, the one that starts less far this way comes first
_ASIDE = 0.05  # weight of its way to the right: of two that start together, the left one comes first
_GAP, _ROUND = 0.35, 2.6  # most gap between the ends of a stroke that comes back, and its least length
_RING = 0.15  # least area of a ring; all three are fractions of the stroke's size
_APART = 0.5  # figures are further apart than this fraction of the typical stroke's size

_TAUGHT = 3  # strokes of a figure from which on the rules of characters hold

# Fractions of the size of the largest stroke of a part
_CLEAR = 0.05  # between the strokes that stand on a line and its lowest point
_OVERLAP = 0.07  # of strokes on both sides of a cut
_WIDER_OVERLAP = 0.15  # of strokes on both sides of a cut between the left and the right, if they are many
_MANY = 3  # strokes

# Fractions of the width of a part
_WIDE = 0.6  # of both rows, if the part is cut into rows where it could be cut into columns
_UNDER = 0.7  # of a stroke that runs under it
_CENTRED = 0.15  # by which a single stroke over the others may lie beside their middle

_UPRIGHT = 2.0  # least height over width of a stroke under a dot without extent
_UPRIGHT_LETTER = 1.2  # the same in letters
_DOT = 0.3  # of the height of the stroke under it: most size of a letter's dot

_MARKED = 7  # most strokes of a figure whose marks come last
_MARK = 0.3  # of the size of the figure's largest stroke: that of a mark
_RIGHT, _UPPER = 0.7, 0.35  # of the figure's width and height: marks lie right of the one, over the other

_NARROW = 1.5  # columns are cut where their gap is wider than this many times that of the rows
_TOUCH = 0.4  # of the size of a stroke: its end touches the start of the next one within it
_SAMPLES = 33  # points of a stroke that crossings are looked for at
_ENDS = 3  # of these steps at either end of a stroke, in which it touches but does not cross
_LEVEL = np.tan(np.deg2rad(35))  # the steepest level stroke


def directed(points: np.ndarray, is_closed: bool) -> np.ndarray:
    """[n, 2] the points of a stroke in the order in which a pen would draw them.

    Args:
      points: [n, 2] in either order; a closed stroke returns to its first point.
      is_closed: a closed stroke may start anywhere, and runs against the clock, as letters are written.
    """
    if is_closed and len(points) > 3:
        start = int((points[:-1] @ _FIRST).argmin())
        points = np.concatenate([points[start:-1], points[: start + 1]])
        area = (points[:-1, 0] * points[1:, 1] - points[1:, 0] * points[:-1, 1]).sum()
        return points[::-1] if area > 0 else points
    if _comes_back(points):
        return points if _turns_left(points) else points[::-1]
    return points if (points[-1] - points[0]) @ _ADVANCE >= 0 else points[::-1]


def _comes_back(points: np.ndarray) -> bool:
    """Whether a stroke is a ring or an eight whose ends do not quite meet."""
    size = np.ptp(points, axis=0).max()
    gap = np.linalg.norm(points[-1] - points[0])
    return bool(gap < _GAP * size and curves.length(points) > _ROUND * size)


def _turns_left(points: np.ndarray) -> bool:
    """Whether a ring runs against the clock, or an eight, which does so in one half, starts to the left."""
    x, y = points.T
    area = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2
    if abs(area) > _RING * np.ptp(points, axis=0).max() ** 2:
        return bool(area < 0)
    even = curves.evenly(points, 4 * _SAMPLES)[:, 0]
    return bool(even[:_SAMPLES].mean() < even[-_SAMPLES:].mean())


def in_order(lines: list[np.ndarray]) -> list[int]:
    """Indices of strokes in drawing order. Each stroke is [n, 2] points that begin where the pen does."""
    low = np.array([line.min(0) for line in lines])
    high = np.array([line.max(0) for line in lines])
    below = _below(low, high)
    low, high = _with_dots(low, high, below)
    bare = np.nonzero(below < 0)[0]
    ranks: list[int] = []
    for figure in figures(low[bare], high[bare]):
        order = _order_in_figure(bare[figure], lines, low, high)
        if 1 < len(order) <= letters.MOST:
            order = [order[k] for k in letters.in_order([lines[index] for index in order])]
        for index in order:
            ranks += [index, *np.nonzero(below == index)[0].tolist()]
    return ranks


def _with_dots(low: np.ndarray, high: np.ndarray, below: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [N, 2] to [N, 2] of strokes, where an upright stroke and the dots over it count as one."""
    low, high, dots = low.copy(), high.copy(), np.nonzero(below >= 0)[0]
    np.minimum.at(low, below[dots], low[dots])
    np.maximum.at(high, below[dots], high[dots])
    return low, high


def _below(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[N] the upright stroke over which each stroke is the dot, or -1; small strokes are dots in letters."""
    under_points = _under_dots(low, high, 0.0, _UPRIGHT)
    below = np.where(under_points < 0, _under_dots(low, high, _DOT, _UPRIGHT_LETTER), under_points)
    below[under_points[under_points >= 0]] = -1  # what has a dot is none
    below[(below >= 0) & (below[below] >= 0)] = -1
    if (below == under_points).all():
        return below
    bare = np.nonzero(below < 0)[0]
    lows, highs = _with_dots(low, high, below)
    for figure in figures(lows[bare], highs[bare]):
        dots = np.nonzero(np.isin(below, bare[figure]))[0]
        if len(figure) + len(dots) > letters.MOST:
            below[dots] = under_points[dots]
    return below


def _under_dots(low: np.ndarray, high: np.ndarray, largest: float, upright: float) -> np.ndarray:
    """[N] the upright stroke under each one that is small enough to be its dot, or -1.

    A dot that has an extent belongs to the stroke that is nearest to it on all sides, or to none.
    """
    size, middle = high - low, (low + high) / 2
    below = np.full(len(low), -1)
    for dot in np.nonzero(size.max(1) <= largest * size[:, 1].max())[0]:
        aside = np.abs(middle[:, 0] - middle[dot, 0])
        above = low[:, 1] - high[dot, 1]
        near = (above > 0) & (np.maximum(above, 2 * aside) < size[:, 1])
        near &= (size[:, 1] > upright * size[:, 0]) & (size[dot].max() <= largest * size[:, 1])
        if near.any():
            below[dot] = np.where(near, above + aside, np.inf).argmin()
        if size[dot].any() and below[dot] >= 0:
            apart = np.maximum(np.maximum(low - high[dot], low[dot] - high), 0).sum(1)
            apart[dot] = np.inf
            below[dot] = below[dot] if apart.argmin() == below[dot] else -1
    return below


def figures(low: np.ndarray, high: np.ndarray) -> list[list[int]]:
    """Figures as indices of strokes, in reading order; strokes of near boxes [N, 2] to [N, 2] share one.

    A page of nothing but dots is one figure.
    """
    size = (high - low).max(1)
    gap = _APART * float(np.median(size[size > 0])) if size.any() else np.inf
    figure = np.arange(len(low))
    for i in range(len(low)):
        is_near = ((low[: i + 1] <= high[i] + gap) & (high[: i + 1] >= low[i] - gap)).all(1)
        joined = np.unique(figure[: i + 1][is_near])
        if len(joined) > 1:
            figure[np.isin(figure, joined)] = i
    figures = [np.nonzero(figure == number)[0].tolist() for number in np.unique(figure)]
    lows = np.array([low[members].min(0) for members in figures])
    highs = np.array([high[members].max(0) for members in figures])
    if len(figures) > 1:  # small figures count as taller, so that they share a row with what is beside them
        grown = np.maximum(gap - (highs - lows)[:, 1], 0) / 2
        lows[:, 1], highs[:, 1] = lows[:, 1] - grown, highs[:, 1] + grown
    return [figures[index] for index in reading_order(lows, highs)]


def reading_order(lows: np.ndarray, highs: np.ndarray) -> list[int]:
    """Indices of boxes [N, 2] to [N, 2] as they are read: rows from the top, in each row from the left."""
    ranks: list[int] = []
    left = sorted(range(len(lows)), key=lambda i: lows[i, 1])
    while left:  # the tallest figure beside the uppermost one decides what is in its row
        tallest = max(_overlapping(left, left[0], lows, highs), key=lambda i: highs[i, 1] - lows[i, 1])
        row = {left[0], *_overlapping(left, tallest, lows, highs)}
        ranks += sorted(row, key=lambda i: lows[i, 0])
        left = [i for i in left if i not in row]
    return ranks


def _overlapping(left: list[int], of: int, lows: np.ndarray, highs: np.ndarray) -> list[int]:
    """Figures whose middle height lies within the height of another, `of`."""
    middle = lambda i: (lows[i, 1] + highs[i, 1]) / 2
    return [i for i in left if i == of or lows[of, 1] <= middle(i) <= highs[of, 1]]


def _order_in_figure(
    figure: np.ndarray, lines: list[np.ndarray], low: np.ndarray, high: np.ndarray
) -> list[int]:
    """The strokes of a figure, part by part."""
    is_taught = len(figure) >= _TAUGHT
    ranks: list[int] = []
    figure, marks = _without_marks(figure, low, high)
    parts = [figure]
    while parts:
        part = parts.pop()
        halves = _enclosed(part, lines, low, high) if is_taught else None
        halves = halves or _halves(part, low, high)
        if halves:
            parts += halves[::-1]
        else:
            ranks += _order_in_part(part.tolist(), lines, low, high, is_taught)
    return [*ranks, *marks]


def _without_marks(figure: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """A figure of some strokes without the small marks at its upper right, and these from the left."""
    if not _TAUGHT <= len(figure) <= _MARKED:
        return figure, []
    corner, extent = low[figure].min(0), np.ptp(np.concatenate([low[figure], high[figure]]), axis=0)
    across, down = ((low[figure] + high[figure]) / 2 - corner).T
    size = (high[figure] - low[figure]).max(1)
    is_mark = (size < _MARK * size.max()) & (across > _RIGHT * extent[0]) & (down < _UPPER * extent[1])
    return figure[~is_mark], figure[is_mark][across[is_mark].argsort(kind="stable")].tolist()


def _halves(part: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """A part cut into the upper and the lower or the left and the right strokes, or None if it has no gap."""
    if len(part) < 2:
        return None
    width = high[part, 0].max() - low[part, 0].min()
    size = float((high[part] - low[part]).max())
    (across, *columns), (above, *rows) = (_widest_gap(part, low[:, axis], high[:, axis]) for axis in (0, 1))
    many = min(len(column) for column in columns) >= _MANY
    beside = across + size * (_WIDER_OVERLAP if many else _OVERLAP)
    above += size * _OVERLAP
    upper, lower = (np.array([low[row, 0].min(), high[row, 0].max()]) for row in rows)
    is_wide = min(np.ptp(upper), np.ptp(lower)) >= _WIDE * width and beside <= _NARROW * above
    is_centred = abs(upper.mean() - lower.mean()) < _CENTRED * np.ptp(lower)
    is_over = len(rows[0]) == 1 and size > 0 and is_centred
    if above > 0 and (beside <= 0 or is_wide or is_over):
        return rows[0], rows[1]
    return (columns[0], columns[1]) if beside > 0 else None


def _widest_gap(part: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The widest gap along an axis, negative if all overlap, and the strokes on both sides of it."""
    along = part[np.argsort(low[part] + high[part], kind="stable")]
    gaps = np.minimum.accumulate(low[along][::-1])[::-1][1:] - np.maximum.accumulate(high[along])[:-1]
    cut = int(gaps.argmax()) + 1
    return float(gaps[cut - 1]), along[:cut], along[cut:]


def _enclosed(
    part: np.ndarray, lines: list[np.ndarray], low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """What stands on a long line that leads on from a few strokes at its left, and these; or None."""
    width = high[part, 0].max() - low[part, 0].min()
    size = float((high[part] - low[part]).max())
    lowest = part[high[part, 1].argmax()]
    if len(part) <= _MANY or (high[lowest] - low[lowest])[0] < _UNDER * width:
        return None
    gap, left, right = _widest_gap(part[part != lowest], low[:, 0], high[:, 0])
    before = left[high[left, 1].argmax()]
    touch = _TOUCH * (high[before] - low[before]).max()
    touches = np.linalg.norm(lines[lowest][0] - lines[before][-1]) < touch
    stands_clear = high[right, 1].max() < high[lowest, 1] - _CLEAR * size
    if not (touches and stands_clear) or gap < -_OVERLAP * size or len(left) >= _MANY or len(right) < 2:
        return None
    return right, np.append(left, lowest)


def _order_in_part(
    part: list[int], lines: list[np.ndarray], low: np.ndarray, high: np.ndarray, is_taught: bool
) -> list[int]:
    """By start; if the rules of characters hold, what crosses a level stroke waits for it."""
    left = sorted(part, key=lambda i: lines[i][0] @ _FIRST + _ASIDE * (lines[i][-1] - lines[i][0])[0])
    if not is_taught:
        return left
    runs = {i: curves.evenly(lines[i], _SAMPLES) for i in left}
    lows, highs = low[left], high[left]
    near = {i: np.flatnonzero(((high[i] >= lows) & (highs >= low[i])).all(axis=1)) for i in left}
    awaited = {
        i: {j for j in (left[k] for k in near[i]) if j != i and _yields(runs[i], runs[j])} for i in left
    }
    ranks: list[int] = []
    done: set[int] = set()
    while left:  # strokes that wait for each other come by start
        ranks.append(next((i for i in left if awaited[i] <= done), left[0]))
        done.add(ranks[-1])
        left.remove(ranks[-1])
    return ranks


def _yields(points: np.ndarray, others: np.ndarray) -> bool:
    """Whether a stroke crosses one that comes first: a level one, or else one that falls more to the left.

    Both are [_SAMPLES, 2] even points.
    """
    step, steps = np.diff(points, axis=0)[:, None], np.diff(others, axis=0)
    between = others[:-1] - points[:-1, None]
    turn = _turn(step, steps)
    turn[turn == 0] = np.inf
    far, fars = _turn(between, steps) / turn, _turn(between, step) / turn
    hits = np.argwhere((far >= 0) & (far < 1) & (fars >= 0) & (fars < 1))
    if not len(hits) or hits[0].min() < _ENDS or hits[0].max() >= _SAMPLES - 1 - _ENDS:
        return False
    return _steepness(points, hits[0, 0]) > _steepness(others, hits[0, 1])


def _steepness(points: np.ndarray, at: int) -> float:
    """-2 if a stroke is level at a point, else from -1 if it falls to the left to 1 if to the right."""
    across, down = points[min(at + 5, _SAMPLES - 1)] - points[max(at - 4, 0)]
    return -2.0 if abs(down) < _LEVEL * across else float(across / np.hypot(across, down))


def _turn(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The cross product of vectors [..., 2]."""
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
