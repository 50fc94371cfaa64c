"""Registration: displacements follow their prior, known ones are undone, and energies choose supports."""

import jax
import numpy as np
import pytest
from scipy.optimize import minimize

from dood_jax.evaluation.one_shot import registration, strokes
from dood_jax.evaluation.one_shot.registration import DeformationPrior, EnergyTerms, Registration, Solver

NOTHING = DeformationPrior(shift=0, linear=0, smooth=0, stroke_shift=0, stroke_linear=0, jitter=0)
CROSS = strokes.segments_of_curves(
    [np.array([[0.1, 0.5], [0.9, 0.5]]), np.array([[0.5, 0.2], [0.5, 0.8]])], 20
)


def covariance(prior, rank=20):
    basis = registration.deformation_basis(CROSS, prior, rank)
    flat = basis.reshape(-1, basis.shape[-1])
    return flat @ flat.T


def test_shifts_alone_move_everything_alike():
    np.testing.assert_allclose(covariance(NOTHING._replace(shift=0.3)), 0.09, rtol=1e-3)


def test_linear_maps_move_points_by_where_they_are():
    ends = CROSS.ends.reshape(-1, 2)
    np.testing.assert_allclose(covariance(NOTHING._replace(linear=0.5)), 0.25 * ends @ ends.T, atol=1e-3)


def test_strokes_move_apart_from_each_other():
    found = covariance(NOTHING._replace(stroke_shift=0.2))
    stroke = CROSS.stroke.repeat(2)
    np.testing.assert_allclose(found, 0.04 * (stroke[:, None] == stroke), atol=1e-4)


def test_smooth_displacements_fade_with_distance():
    found = covariance(NOTHING._replace(smooth=0.3, smooth_length=0.7))
    ends = CROSS.ends.reshape(-1, 2)
    square = ((ends[:, None] - ends) ** 2).sum(-1)
    np.testing.assert_allclose(found, 0.09 * np.exp(-square / 0.98), atol=2e-3)


def test_jitter_fades_along_the_stroke_and_not_across():
    found = covariance(NOTHING._replace(jitter=0.1, jitter_length=0.6))
    stroke, arc = CROSS.stroke.repeat(2), CROSS.arc_length.reshape(-1)
    square = (arc[:, None] - arc) ** 2
    expected = 0.01 * np.exp(-square / 0.72) * (stroke[:, None] == stroke)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_fewer_dimensions_keep_the_most_likely_displacements():
    whole, likeliest = (np.trace(covariance(DeformationPrior(), rank)) for rank in (20, 8))
    assert 0.9 * whole < likeliest < whole


@pytest.mark.parametrize("curve", [np.full((2, 2), 0.4), np.array([[0.1, 0.1], [0.9, 0.9]])])
def test_dots_and_lines_can_be_displaced(curve):
    assert np.isfinite(
        registration.deformation_basis(strokes.segments_of_curves([curve], 12), DeformationPrior(), 28)
    ).all()


HOOK = np.array([[0.2, 0.2], [0.7, 0.2], [0.7, 0.8], [0.4, 0.8]])
BAR = np.array([[0.2, 0.55], [0.5, 0.5]])
DEFORMED = [HOOK + 0.06 * np.sin(4 * HOOK[:, ::-1]), BAR + np.array([0.03, 0.05])]
QUICK = Registration(solver=Solver(start_angles=(0.0,)), rank=12)
SIZE = 24


def stacked(*drawings):
    return strokes.stack_segments([strokes.segments_of_curves(drawing, SIZE) for drawing in drawings])


def rotated(curve, angle):
    c, s = np.cos(angle), np.sin(angle)
    return (curve - 0.5) @ np.array([[c, s], [-s, c]]) + 0.5


@pytest.fixture(scope="module")
def terms():
    """Of a drawing and itself, itself moved, deformed, with a stroke less, and another; both ways."""
    others = ([HOOK, BAR], [0.6 * HOOK + 0.1, 0.6 * BAR + 0.1], DEFORMED, [HOOK], [HOOK[::-1, ::-1], BAR])
    return registration.register_all(stacked([HOOK, BAR]), stacked(*others), QUICK)


def test_a_drawing_is_nothing_from_itself_wherever_it_stands(terms):
    for side in terms:
        for term in side[:2]:
            np.testing.assert_allclose(term[:2], 0, atol=2e-3)
        for term in side[2:5]:
            np.testing.assert_allclose(term[0], term[1], atol=1e-3)
            assert (term[:2] < 0.3 * term[4]).all()
    assert terms[0].size[1, 0] == pytest.approx(np.log(0.6) ** 2, rel=1e-3)


def test_deformation_leaves_less_than_a_shift(terms):
    still = QUICK._replace(prior=QUICK.prior._replace(**dict.fromkeys(QUICK.prior._fields, 1e-3)))
    rigid, _ = registration.register_all(stacked([HOOK, BAR]), stacked(DEFORMED), still)
    assert terms[0].distance_to_target[2, 0] < 0.5 * rigid.distance_to_target[0, 0]
    assert terms[0].deformation[2, 0] > 0.1


def test_a_missing_stroke_is_seen_by_the_drawing_that_has_it(terms):
    forward, backward = terms
    assert forward.distance_to_target[3, 0] > 2 * forward.distance_from_target[3, 0]  # the bar meets nothing
    assert backward.distance_from_target[3, 0] > 2 * backward.distance_to_target[3, 0]


def test_another_drawing_is_farther_than_the_same_deformed(terms):
    for side in terms:
        distance = side.distance_to_target + side.distance_from_target
        assert distance[4, 0] > 3 * distance[2, 0]


def test_rotated_starts_find_a_rotated_drawing():
    other = stacked([rotated(HOOK, 0.9), rotated(BAR, 0.9)])
    loose = QUICK.prior._replace(linear=0.5)
    one, _ = registration.register_all(stacked([HOOK, BAR]), other, QUICK._replace(prior=loose))
    three = Solver(start_angles=(0.0, 0.9, -0.9))
    best, _ = registration.register_all(stacked([HOOK, BAR]), other, Registration(loose, three, 12))
    distance = lambda found: found.distance_to_target[0, 0] + found.distance_from_target[0, 0]
    assert distance(best) < distance(one)


def test_a_step_is_the_optimum_of_its_penalised_squares():
    """One step minimises Σ pull |displaced - goal|² fraction / length² + |factors|²; SciPy agrees."""
    solver = Solver(length_scales=(0.5,), start_angles=(0.0,), outlier_penalty=0.0)
    one, other = stacked([HOOK, BAR]), stacked([HOOK * 0.9, BAR + 0.1])
    shape, goal = (
        jax.tree_util.tree_map(lambda leaf: np.asarray(leaf[0]), registration.deformable(side, QUICK))
        for side in (one, other)
    )
    square, angle = registration._pairwise(shape.ends, goal.ends)
    far = np.asarray(square + solver.angle_distance**2 * angle) / (2 * 0.25)
    near = np.exp(-far)
    pull = near / near.sum(1, keepdims=True) * shape.weight[:, None] + near / near.sum(0) * goal.weight
    middles, basis, goals = shape.ends.mean(1), shape.basis.mean(1), goal.ends.mean(1)

    def loss(flat):
        factors = flat.reshape(-1, 2)
        square = (((middles + basis @ factors)[:, None] - goals) ** 2).sum(-1)
        return 0.5 * (pull * square).sum() * solver.independent_fraction / 0.25 + 0.5 * (factors**2).sum()

    best = minimize(loss, np.zeros(24), method="BFGS")
    found = registration._register_from(0.0, shape, goal, solver)
    assert float(found.deformation) == pytest.approx((best.x**2).sum(), rel=1e-2)


def some(rng, shape=(6, 20, 20)):
    return EnergyTerms(*(rng.exponential(size=shape) for _ in EnergyTerms._fields))


def test_energy_is_the_weighted_sum():
    terms = some(np.random.default_rng(0), (2, 3))
    weights = EnergyTerms(1, 2, 3, 4, 5, 6, 7)
    by_hand = sum((k + 1) * term for k, term in enumerate(terms))
    np.testing.assert_allclose(registration.energy(terms, weights), by_hand)


def test_ways_to_draw_are_averaged_as_probabilities():
    energies = np.random.default_rng(1).normal(size=(4, 3, 2))
    np.testing.assert_allclose(np.exp(-registration.average_energy(energies)), np.exp(-energies).mean(0))
    np.testing.assert_allclose(registration.average_energy(energies[:1]), energies[0])


def test_calibration_finds_the_weights_that_made_the_answers():
    rng = np.random.default_rng(2)
    terms = some(rng, (60, 20, 20))
    true = EnergyTerms(2.0, 1.0, 0.5, 3.0, 1.5, 0.3, 0.8)
    gumbel = rng.gumbel(size=terms.distance_to_target.shape)
    answers = (gumbel - registration.energy(terms, true)).argmax(-1)
    found = registration.calibrate(terms, answers)
    np.testing.assert_allclose(found, true, rtol=0.35)
    few = registration.calibrate(terms, answers, ("distance_to_target", "shift"))
    assert few.distance_to_target > 0
    assert few.distance_from_target == few.size == 0


def test_place_and_size_are_compared_with_every_support():
    class Placed:
        centre = np.array([[0.5, 0.5], [0.2, 0.5]])
        size = np.array([0.1, 0.2])

    shift, size = registration.place_and_size_terms(Placed, Placed)
    np.testing.assert_allclose(shift, [[0, 0.09], [0.09, 0]])
    np.testing.assert_allclose(size, np.log(2) ** 2 * np.array([[0, 1], [1, 0]]))


def test_a_constant_term_does_no_harm():
    terms = some(np.random.default_rng(3))._replace(shift=np.zeros((6, 20, 20)))
    found = registration.calibrate(terms, np.zeros((6, 20), int))
    assert np.isfinite(registration.energy(terms, found)).all()
    assert pytest.approx(0) == registration.energy(
        terms._replace(**dict.fromkeys(EnergyTerms._fields, 0)), found
    )
