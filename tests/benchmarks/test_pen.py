"""Drawings of pens come back from the images that the benchmark makes of them, and its measures are right."""

import itertools

import numpy as np
import pen_measures
import pen_sets
import pytest
from ink_measures import Found

from dood_jax.errors import BadInput
from dood_jax.vectorize import page, tracing

STROKES = [np.array([[30.0, 0], [30, 70]]), np.array([[5.0, 20], [60, 20]])]  # a cross
SQUARES = [b"M 25 0 L 35 0 L 35 70 L 25 70 Z", b"M 5 15 L 60 15 L 60 25 L 5 25 Z"]  # their outlines


@pytest.fixture(params=["lines", "pressure", "brush"])
def pack(request, tmp_path):
    arrays = {
        "xy": np.concatenate(STROKES).astype(np.float32),
        "stroke_start": np.array([0, 2, 4]),
        "drawing_start": np.array([0, 2]),
        "writer": np.array([7]),
    }
    if request.param == "pressure":
        arrays["pressure"] = np.array([0, 1, 0.5, 0.5], np.float16)
    if request.param == "brush":
        pytest.importorskip("svgpathtools")
        starts = np.cumsum([0, *map(len, SQUARES)])
        arrays |= {"outline": np.frombuffer(b"".join(SQUARES), np.uint8), "outline_start": starts}
    np.savez(tmp_path / "crosses.npz", **arrays)
    return tmp_path / "crosses.npz"


def by_rules(pen):
    strokes, _ = tracing.strokes_of(page.remove_background(pen.grey), None, 0)
    return Found([stroke.points(0.5) for stroke in strokes], [], pen.ink, 0.1)


def test_a_cross_is_two_strokes_in_order_at_every_size(pack):
    drawn = list(pen_sets.drawings(pack, 5))
    assert [(one.side, one.condition) for one in drawn] == list(
        zip(pen_sets.SIDES, ("clean", "shading", "clean"), strict=True)
    )
    for one in drawn:
        inked = np.argwhere(one.ink > 0.5) / one.side
        assert 0.03 < inked.min() < 0.15 and 0.85 < inked.max() < 0.97
        values = pen_measures.measures(one, by_rules(one))
        right = ("count_right", "strokes_ratio", "matched", "direction", "order")
        assert {key: values[key] for key in right} == dict.fromkeys(right, 1)
        assert (values["lost"], values["undetected"], values["hallucinated"]) == (0, 0, 0)
        assert values["ldtw"] < 0.02 and values["dtw_segments"] < 0.02 and values["aiou"] > 0.75


def test_pressure_makes_a_line_wider(pack):
    if pack and "pressure" in np.load(pack):
        clean = list(pen_sets.drawings(pack, 1))[-1]
        across = (clean.ink[[60, 200]] > 0.5).sum(1)  # of the upright stroke, near its start and its end
        assert across[1] > 1.8 * across[0] > 0


def test_warping_is_that_of_all_paths():
    """Enumerated: the least sum of distances over all monotone paths, over the length of that path."""
    random = np.random.default_rng(0)
    for shape in ((1, 3), (3, 2), (4, 4)):
        apart = random.random(shape)
        best = (np.inf, 1)
        for moves in itertools.product([(1, 1), (1, 0), (0, 1)], repeat=sum(shape) - 2):
            i = j = 0
            total, length = apart[0, 0], 1
            for a, b in moves:
                if (i, j) == (shape[0] - 1, shape[1] - 1):
                    break
                i, j = i + a, j + b
                if i >= shape[0] or j >= shape[1]:
                    break
                total, length = total + apart[i, j], length + 1
            if (i, j) == (shape[0] - 1, shape[1] - 1) and total < best[0]:
                best = (total, length)
        assert pen_measures.warped(apart) == pytest.approx(best[0] / best[1])


def of(strokes: list) -> pen_sets.Pen:
    lines = [np.array(line, float) for line in strokes]
    ink = pen_sets.ink_sets.draw(lines, [3.0] * len(lines), (64, 64))
    return pen_sets.Pen(1 - ink, ink, lines, 3.0, "ours", "clean", 64)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ([[(10, 30), (50, 30)], [(30, 10), (30, 50)]], {"lost": 0, "undetected": 0, "hallucinated": 0}),
        ([[(10, 30), (50, 30)]], {"lost": 0.5, "undetected": 1}),
        # two corners touch where lines cross
        ([[(10, 30), (30, 30), (30, 10)], [(50, 30), (30, 30), (30, 50)]], {"lost": 0, "undetected": 1}),
        (
            [[(10, 30), (50, 30)], [(30, 10), (30, 50)], [(10, 20), (50, 20)]],
            {"lost": 0, "undetected": 0, "hallucinated": 0.5},
        ),
        ([], {"lost": 1, "matched": 0, "count_right": 0}),
    ],
)
def test_lost_strokes_and_crossings(found, wanted):
    lines = [np.array(line, float) for line in found]
    truth = of([[(10, 30), (50, 30)], [(30, 10), (30, 50)]])
    values = pen_measures.measures(truth, Found(lines, [], truth.ink, 0.0))
    assert {key: values[key] for key in wanted} == wanted


def test_errors_are_of_writers_where_they_are_known():
    """Two writers, one always right and one never: the mean of two draws of them has a deviation of 0.35."""
    row = {"tool": "a", "size": 64, "background": "clean", "strokes": "1"}
    rows = [{**row, "writer": writer, "count_right": float(writer)} for writer in (0, 1) for _ in range(50)]
    known = pen_measures.tables_of(rows)["a"]["all"]["count_right"]
    assert known[0] == 0.5 and known[1] == pytest.approx(0.35, abs=0.05)
    unknown = pen_measures.tables_of([{**one, "writer": -1} for one in rows])["a"]["all"]["count_right"]
    assert unknown[1] == pytest.approx(0.05, abs=0.01)


def test_a_tool_that_draws_nothing_has_lost_all():
    def refuses(_):
        raise BadInput("nothing is drawn here")

    (row,) = pen_measures.rows_of([of([[(10, 30), (50, 30)]])], {"none": refuses})
    assert (row["lost"], row["matched"], row["count_right"]) == (1, 0, 0)


def test_strokes_in_reading_order_are_those_of_the_rules_row_by_row(monkeypatch):
    for needed in ("autotrace", "potrace", "skan", "sknw", "svgpathtools", "vtracer"):
        pytest.importorskip(needed)
    import ink_tools

    lines = [np.array([[x, y], [x + 5.0, y + 8]]) for x, y in ((20, 30), (50, 1), (0, 0), (0, 33))]
    found = Found(lines, [1.0, 2.0, 3.0, 4.0], np.zeros((40, 60), np.float32), 0.1)
    monkeypatch.setattr(ink_tools, "without_votes", lambda known: found)
    read = ink_tools.in_reading_order(None)
    assert read.widths == [3.0, 2.0, 4.0, 1.0]
    assert [line[0].tolist() for line in read.strokes] == [[0, 0], [50, 1], [0, 33], [20, 30]]
