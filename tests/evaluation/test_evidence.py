"""Weights are those of greatest likelihood, and ways to draw count as equally likely."""

import numpy as np
import pytest

from dood_jax.evaluation.one_shot import registration
from dood_jax.evaluation.one_shot.registration import Evidence


def some(rng, shape=(6, 20, 20)):
    return Evidence(*(rng.exponential(size=shape) for _ in Evidence._fields))


def test_energy_is_the_weighted_sum():
    terms = some(np.random.default_rng(0), (2, 3))
    weights = Evidence(1, 2, 3, 4, 5, 6, 7)
    by_hand = sum((k + 1) * term for k, term in enumerate(terms))
    np.testing.assert_allclose(registration.energy(terms, weights), by_hand)


def test_ways_to_draw_are_averaged_as_probabilities():
    energies = np.random.default_rng(1).normal(size=(4, 3, 2))
    np.testing.assert_allclose(np.exp(-registration.over_ways(energies)), np.exp(-energies).mean(0))
    np.testing.assert_allclose(registration.over_ways(energies[:1]), energies[0])


def test_calibration_finds_the_weights_that_made_the_answers():
    rng = np.random.default_rng(2)
    terms = some(rng, (60, 20, 20))
    true = Evidence(2.0, 1.0, 0.5, 3.0, 1.5, 0.3, 0.8)
    gumbel = rng.gumbel(size=terms.ahead.shape)
    answers = (gumbel - registration.energy(terms, true)).argmax(-1)
    found = registration.calibrate(terms, answers)
    np.testing.assert_allclose(found, true, rtol=0.35)
    few = registration.calibrate(terms, answers, ("ahead", "shift"))
    assert few.ahead > 0
    assert few.back == few.size == 0


def test_place_and_size_are_compared_with_every_support():
    class Placed:
        centre = np.array([[0.5, 0.5], [0.2, 0.5]])
        size = np.array([0.1, 0.2])

    shift, size = registration.place_and_size(Placed, Placed)
    np.testing.assert_allclose(shift, [[0, 0.09], [0.09, 0]])
    np.testing.assert_allclose(size, np.log(2) ** 2 * np.array([[0, 1], [1, 0]]))


def test_a_constant_term_does_no_harm():
    terms = some(np.random.default_rng(3))._replace(shift=np.zeros((6, 20, 20)))
    found = registration.calibrate(terms, np.zeros((6, 20), int))
    assert np.isfinite(registration.energy(terms, found)).all()
    assert pytest.approx(0) == registration.energy(
        terms._replace(**dict.fromkeys(Evidence._fields, 0)), found
    )
