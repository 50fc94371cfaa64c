"""What the model's curves say about the lines of a page: what runs through a crossing, and which way."""

import itertools

import numpy as np
from scipy.spatial import cKDTree

from dood_jax.ink import curves
from dood_jax.ink.crossings import Path, Votes, edge_end
from dood_jax.ink.graph import Graph
from dood_jax.ink.recognition import Curves

_NEAR = 0.75  # pen widths within which a curve follows a line
_INSIDE = 0.36  # of a window's side around its centre, within which crossings are judged
_WEIGHT = 0.25  # of all windows agreement, where 1 is a straight continuation


def crossing_votes(graph: Graph, drawn: Curves, pen_width: float) -> Votes:
    """For every pair of lines that meet: how many of the windows around have a curve run through both."""
    votes: Votes = {}
    by_window = [np.flatnonzero(drawn.window == i) for i in range(len(drawn.centres))]
    for node, meeting in graph.at().items():
        if len(meeting) < 3:
            continue
        place = graph.places[node]
        off = np.abs(drawn.centres - place).max(1)
        judges = [i for i in np.flatnonzero(off < _INSIDE * drawn.side) if len(by_window[i])]
        if not judges and len(drawn.centres) == 1:
            judges = [0]
        ends = sorted(edge_end(*one) for one in meeting)
        stubs = np.array([_stub(graph, end, 1.1 * graph.radii[node] + 0.75 * pen_width) for end in ends])
        for window in judges:
            for a, b in _run_through(drawn.points[by_window[window]], stubs, place, _NEAR * pen_width):
                key = (node, ends[a], ends[b])
                votes[key] = votes.get(key, 0.0) + _WEIGHT / len(judges)
    return votes


def _stub(graph: Graph, end: int, reach: float) -> np.ndarray:
    """[2] the point of a line at some distance from its crossing."""
    points = graph.edges[end // 2].points
    points = points[::-1] if end % 2 else points
    far = np.concatenate([[0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
    reach = min(reach, 0.6 * far[-1])
    return np.array([np.interp(reach, far, points[:, axis]) for axis in (0, 1)])


def _run_through(
    points: np.ndarray, stubs: np.ndarray, place: np.ndarray, near: float
) -> set[tuple[int, int]]:
    """Pairs of stubs that one of [M, C, 2] curves passes, with the crossing between them."""
    found = set()
    to_stubs = np.linalg.norm(points[:, :, None] - stubs[None, None], axis=3)  # [M, C, stubs]
    to_place = np.linalg.norm(points - place, axis=2)
    nearest, at = to_stubs.min(1), to_stubs.argmin(1)
    for curve in range(len(points)):
        passed = [k for k in range(len(stubs)) if nearest[curve, k] < near]
        for a, b in itertools.combinations(passed, 2):
            first, last = sorted((at[curve, a], at[curve, b]))
            if to_place[curve, first : last + 1].min() < 1.5 * near:
                found.add((a, b))
    return found


def directions(paths: list[Path], drawn: Curves, pen_width: float) -> tuple[np.ndarray, np.ndarray]:
    """How each path is run by the model's curves.

    Returns:
      [paths] pixels of curves that run along it, less those that run against it; and the mean rank of those
      curves in their windows, NaN if there are none.
    """
    lines = [curves.evenly(path.points, max(int(curves.length(path.points)), 2)) for path in paths]
    owner = np.repeat(np.arange(len(paths)), [len(line) for line in lines])
    place = np.concatenate([np.arange(len(line)) for line in lines])
    tree = cKDTree(np.concatenate(lines))
    along, rank, seen = np.zeros(len(paths)), np.zeros(len(paths)), np.zeros(len(paths))
    first = np.searchsorted(drawn.window, drawn.window)
    for index, points in enumerate(drawn.points):
        distance, nearest = tree.query(points)
        of, at = owner[nearest], place[nearest]
        steps = np.diff(at)
        same = (of[1:] == of[:-1]) & (np.maximum(distance[1:], distance[:-1]) < _NEAR * pen_width)
        same &= np.abs(steps) < 4 * pen_width + 4
        np.add.at(along, of[1:][same], steps[same])
        np.add.at(rank, of[1:][same], np.abs(steps[same]) * (index - first[index]))
        np.add.at(seen, of[1:][same], np.abs(steps[same]))
    return along, np.where(seen > 0, rank / np.maximum(seen, 1e-9), np.nan)
