"""Bending: known displacements are undone, ridge regression is a program's optimum, and turned starts pay."""

import jax
import numpy as np
import pytest
from scipy.optimize import minimize

from dood_jax.evaluation.one_shot import registration
from dood_jax.evaluation.one_shot.registration import Fit, Settings

HOOK = np.array([[0.2, 0.2], [0.7, 0.2], [0.7, 0.8], [0.4, 0.8]])
BAR = np.array([[0.2, 0.55], [0.5, 0.5]])
BENT = [HOOK + 0.06 * np.sin(4 * HOOK[:, ::-1]), BAR + np.array([0.03, 0.05])]
QUICK = Settings(fit=Fit(starts=(0.0,)), rank=12)
SIZE = 24


def stacked(*drawings):
    found = [registration.of_curves(drawing, SIZE) for drawing in drawings]
    return registration.Segments(*(np.stack(values) for values in zip(*found, strict=True)))


def turned(curve, angle):
    c, s = np.cos(angle), np.sin(angle)
    return (curve - 0.5) @ np.array([[c, s], [-s, c]]) + 0.5


@pytest.fixture(scope="module")
def evidence():
    """Of a drawing, moved, bent, with a stroke more, and another, against the drawing."""
    others = ([HOOK, BAR], [0.6 * HOOK + 0.1, 0.6 * BAR + 0.1], BENT, [HOOK], [HOOK[::-1, ::-1], BAR])
    return registration.compare(stacked([HOOK, BAR]), stacked(*others), QUICK)


def test_a_drawing_is_nothing_from_itself_wherever_it_stands(evidence):
    for side in evidence:
        for term in side[:2]:
            np.testing.assert_allclose(term[:2], 0, atol=2e-3)
        for term in side[2:5]:
            np.testing.assert_allclose(term[0], term[1], atol=1e-3)
            assert (term[:2] < 0.3 * term[4]).all()
    assert evidence[0].size[1, 0] == pytest.approx(np.log(0.6) ** 2, rel=1e-3)


def test_bending_leaves_less_than_it_found(evidence):
    still = Settings(QUICK.prior._replace(**dict.fromkeys(QUICK.prior._fields, 1e-3)), QUICK.fit, 12)
    rigid, _ = registration.compare(stacked([HOOK, BAR]), stacked(BENT), still)
    assert evidence[0].ahead[2, 0] < 0.5 * rigid.ahead[0, 0]
    assert evidence[0].bending[2, 0] > 0.1


def test_a_missing_stroke_is_seen_by_the_drawing_that_has_it(evidence):
    ahead, back = evidence
    assert ahead.ahead[3, 0] > 2 * ahead.back[3, 0]  # the bar has nothing to meet
    assert back.back[3, 0] > 2 * back.ahead[3, 0]


def test_another_drawing_is_further_than_the_same_bent(evidence):
    for side in evidence:
        assert side.ahead[4, 0] + side.back[4, 0] > 3 * (side.ahead[2, 0] + side.back[2, 0])


def test_turned_starts_find_a_turned_drawing():
    other = stacked([turned(HOOK, 0.9), turned(BAR, 0.9)])
    loose = QUICK.prior._replace(linear=0.5)
    one, _ = registration.compare(stacked([HOOK, BAR]), other, QUICK._replace(prior=loose))
    three = Fit(starts=(0.0, 0.9, -0.9))
    best, _ = registration.compare(stacked([HOOK, BAR]), other, Settings(loose, three, 12))
    assert best.ahead[0, 0] + best.back[0, 0] < one.ahead[0, 0] + one.back[0, 0]


def test_a_step_is_the_optimum_of_its_penalised_squares():
    """One step minimises Σ pull |displaced - goal|² share / reach² + |factors|²; SciPy agrees."""
    fit = Fit(reaches=(0.5,), starts=(0.0,), doubt=0.0)
    one, other = stacked([HOOK, BAR]), stacked([HOOK * 0.9, BAR + 0.1])
    shape, goal = (
        jax.tree_util.tree_map(lambda leaf: leaf[0], registration.shapes(side, QUICK))
        for side in (one, other)
    )
    square, turn = registration._apart(shape.ends, goal.ends)
    far = np.asarray(square + fit.turn**2 * turn) / (2 * 0.25)
    near = np.exp(-far)
    pull = near / near.sum(1, keepdims=True) * shape.weight[:, None] + near / near.sum(0) * goal.weight
    middles, basis, goals = shape.ends.mean(1), shape.basis.mean(1), goal.ends.mean(1)

    def loss(flat):
        factors = flat.reshape(-1, 2)
        square = (((middles + basis @ factors)[:, None] - goals) ** 2).sum(-1)
        return 0.5 * (pull * square).sum() * fit.share / 0.25 + 0.5 * (factors**2).sum()

    best = minimize(loss, np.zeros(24), method="BFGS")
    found = registration._bent_from(0.0, shape, goal, fit)
    assert float(found.bending) == pytest.approx((best.x**2).sum(), rel=1e-2)
