"""Revised drawings: what each move changes, that only better drawings stay, and that the bound is one."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.errors import BadInput
from dood_jax.inference import bounds, infer
from dood_jax.inference.revisions import revised
from dood_jax.model import dood
from dood_jax.model.drawing import render, sample_iterated
from dood_jax.model.sampling import sample
from dood_jax.objectives import iwae
from dood_jax.objectives.elbo import log_likelihood
from dood_jax.rendering import compositing
from dood_jax.runtime.parallel import DeviceGroup
from dood_jax.test_time import revision
from dood_jax.test_time.revision import Keys
from dood_jax.types import Start


@pytest.fixture(scope="module")
def config(tiny):
    return dataclasses.replace(tiny, iterations=2, settle=True)


@pytest.fixture(scope="module")
def moving(config, lively):
    """The lively model with a corrector that moves strokes."""
    fresh = jax.device_get(jax.jit(lambda key: dood.init(config, key)["corrector"])(jax.random.key(0)))
    kernel = 0.2 * jax.random.normal(jax.random.key(3), fresh["out"]["kernel"].shape)
    return {**lively, "corrector": {**fresh, "out": {**fresh["out"], "kernel": np.asarray(kernel)}}}


@pytest.fixture(scope="module")
def key_data(keys):
    return np.asarray(jax.random.key_data(keys))


@pytest.fixture(scope="module")
def start(draw, lively, images, keys):
    """Drawings of one, two and three strokes."""
    first = draw(lively, images, keys)
    bits = np.float32(np.arange(3) <= np.arange(8)[:, None] % 3)
    return Start(first.strokes._replace(presence=bits), first.brush, first.posterior)


@pytest.fixture(scope="module")
def found(config, moving, images, start, key_data):
    return revised(config, moving, images, start, key_data, config.iterations, 0, DeviceGroup.local())


@pytest.fixture(scope="module")
def proposed(config, moving, images, found, keys):
    """The move -> what it makes of the drawings."""

    @functools.lru_cache
    def of(move):
        one = functools.partial(revision.proposal, config, moving, move=move)
        propose = lambda image, found, key: one(image, found, key=key)
        return jax.device_get(jax.jit(jax.vmap(propose))(images, found, keys))

    return of


def numbers_of(strokes, brush, which, places):
    """Layouts, points and brushes of some strokes of one drawing."""
    leaves = (strokes.layout, strokes.control_points, brush.ink_width, brush.ink_slope)
    return [np.asarray(leaf)[which][places] for leaf in leaves]


def test_a_stroke_is_added_after_the_others_if_there_is_room(found, proposed):
    strokes, brush = proposed("add")
    before = jax.device_get(jax.vmap(lambda one: one.strokes)(found))
    for k, drawn in enumerate(found.presence.sum(1).astype(int)):
        assert strokes.presence[k].tolist() == [1] * min(drawn + 1, 3) + [0] * (2 - drawn)
        old = numbers_of(before, found.posterior.brush, k, slice(drawn))
        for ours, theirs in zip(numbers_of(strokes, brush, k, slice(drawn)), old, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        if drawn < 3:
            assert np.abs(strokes.layout[k, drawn] - before.layout[k, drawn]).max() > 1e-3


def test_the_stroke_goes_without_which_the_image_is_likeliest(config, moving, images, found, proposed):
    """Against drawings that are rendered without each stroke in turn; the others stay in order."""
    strokes, brush = proposed("remove")
    before = jax.device_get(jax.vmap(lambda one: one.strokes)(found))
    weigh = jax.jit(
        lambda image, strokes, brush: log_likelihood(
            config, moving, image, render(config, moving, strokes, brush)[-1]
        )
    )
    own = found.posterior.brush
    for k, drawn in enumerate(found.presence.sum(1).astype(int)):
        stay = list(range(drawn))
        if drawn > 1:
            one = jax.tree_util.tree_map(lambda leaf, k=k: leaf[k], (before, own))
            without = [one[0]._replace(presence=found.presence[k] * (np.arange(3) != i)) for i in stay]
            stay.remove(int(np.argmax([weigh(images[k], rest, one[1]) for rest in without])))
        assert strokes.presence[k].sum() == len(stay)
        kept = numbers_of(strokes, brush, k, slice(len(stay)))
        for ours, theirs in zip(kept, numbers_of(before, own, k, stay), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_replaced_stroke_leaves_as_many(found, proposed):
    strokes, _ = proposed("replace")
    drawn = found.presence.sum(1)
    np.testing.assert_array_equal(strokes.presence.sum(1), np.where(drawn == 1, 2, drawn))


def one_by_one(config, params, image, start, key_data, turns):
    """Revisions of one drawing by its own program, in which no stroke is left out."""
    keys = Keys.of(key_data)
    refine = functools.partial(
        revision.refined, config, params, image, key=keys.score, iterations=config.iterations
    )
    found, scores = refine(start.strokes, start.brush), []
    for turn in range(turns):
        key, move = jax.random.fold_in(keys.moves, turn), revision.MOVES[turn % 4]
        other = refine(*revision.proposal(config, params, image, found, move, key))
        scores.append((found.score, other.score))
        choose = functools.partial(jnp.where, other.score > found.score)
        found = jax.tree_util.tree_map(choose, other, found)
    return found, jnp.array(scores)


@pytest.mark.slow
def test_revisions_by_stroke_count_are_those_of_one_program(config, moving, images, start, key_data):
    """What is better stays, turn after turn."""
    one = functools.partial(one_by_one, config, moving, turns=5)
    wanted, scores = jax.device_get(jax.jit(jax.vmap(one))(images, start, key_data))
    found = revised(config, moving, images, start, key_data, config.iterations, 5, DeviceGroup.local())
    is_better = scores[..., 1] > scores[..., 0]
    assert 0.1 < is_better.mean() < 0.9
    np.testing.assert_array_equal(found.presence, wanted.presence)
    np.testing.assert_allclose(found.score, wanted.score, rtol=1e-3)
    np.testing.assert_allclose(found.score, scores.max((1, 2)), rtol=1e-3)
    drawn = found.presence > 0
    means = (found.posterior.points.mean, wanted.posterior.points.mean)
    np.testing.assert_allclose(*(mean[drawn] for mean in means), atol=1e-3)


@pytest.mark.slow
def test_revised_drawings_are_nearer_and_weigh_as_their_density_says(config, moving, images, keys):
    """`infer` and `bounds` against samples of the revised posteriors, whose bits are charged by the prior."""
    rough = infer.infer(config, moving, images, keys, infer.Effort())
    fine = infer.infer(config, moving, images, keys, infer.Effort(revisions=4))
    error = lambda sketch: np.abs(images - sketch.canvases[:, -1]).sum((1, 2))
    assert error(fine).mean() < error(rough).mean() - 1
    settings = EvaluationConfig(num_particles=2, samples_per_posterior=2, revisions=2, num_strokes=3)
    group = DeviceGroup.local()
    weights = bounds.bound(config, moving, images, keys, settings, group)
    _, first, key_data = infer.first_drawings(config, moving, images, keys, 1, 3, group)
    found = revised(config, moving, images, first, key_data, config.iterations, 2, group)

    def elbos(image, found, key_data):
        def of_sample(key):
            drawing = sample_iterated(config, moving, found.start, found.posterior, key)
            bits, prior, posterior = drawing.strokes.presence, drawing.prior, drawing.posterior
            canvas = compositing.composite(drawing.ink.sum(0), drawing.brush.canvas_slope)
            drawn = bits.sum().astype(int)
            goes_on = jnp.where(bits > 0, prior.on, 0)
            stop = jnp.where(drawn < 3, prior.off[jnp.minimum(drawn, 2)], 0)
            densities = jnp.where(bits > 0, prior.of_stroke - posterior.of_stroke, 0)
            likelihood = log_likelihood(config, moving, image, canvas)
            return likelihood + goes_on.sum() + stop + densities.sum()

        return jax.lax.map(of_sample, jax.random.split(Keys.of(key_data).sample, 2))

    wanted = jax.device_get(jax.jit(jax.vmap(elbos))(images, found, key_data))
    np.testing.assert_allclose(weights.elbo, wanted.mean(1), rtol=1e-3)
    np.testing.assert_array_equal(weights.strokes, found.presence.sum(1))


class Toy:
    """A model of one stroke, whose p(x, T) is the mean likelihood of its samples that have T strokes."""

    count = 20_000

    def __init__(self, tiny, image, **changes):
        self.config = dataclasses.replace(
            tiny, prior="autoregressive", num_points=2, num_strokes=1, iterations=1, image_size=10, **changes
        )
        self.image = image
        params = jax.device_get(jax.jit(functools.partial(dood.init, self.config))(jax.random.key(2)))
        first = params["prior_first_stroke"]  # which begins with gaps between its components
        params["prior_first_stroke"] = jax.tree_util.tree_map(lambda leaf: 0.2 * leaf, first)
        wide = np.array(params["corrector"]["out"]["bias"])
        wide[4:8], wide[12:16], wide[-5:] = 0.5, 3.3, 1.1  # widths of layouts, points, brushes
        params["corrector"]["out"]["bias"] = wide
        likelihood = params["likelihood"]
        params["likelihood"] = jax.tree_util.tree_map(lambda leaf: np.full_like(leaf, 3), likelihood)
        self.params = params

    def of_prior(self) -> tuple[np.ndarray, np.ndarray]:
        """[count] numbers of strokes of sampled drawings, and the image's likelihood under each."""

        def one(key):
            strokes, brush = sample(self.config, self.params, None, key)
            canvas = render(self.config, self.params, strokes, brush)[-1]
            return strokes.presence.sum(), log_likelihood(self.config, self.params, self.image, canvas)

        drawn, found = self.mapped(one, jax.random.key(0))
        return drawn, np.exp(np.float64(found))

    def of_posteriors(self, end_of) -> tuple[np.ndarray, np.ndarray]:
        """[count] numbers of strokes and weights of drawings where `end_of` ends, from sampled ones."""

        def one(key):
            key_first, key_data = jax.random.split(key)
            key_data = jax.random.key_data(key_data)
            strokes, brush = sample(self.config, self.params, None, key_first)
            found = end_of(strokes, brush, key_data)
            sampled = Keys.of(key_data).sample
            drawing = sample_iterated(self.config, self.params, found.start, found.posterior, sampled)
            weight = iwae.particle_of(self.config, self.params, self.image, drawing).elbo
            return found.presence.sum(), weight

        drawn, found = self.mapped(one, jax.random.key(1))
        return drawn, np.exp(np.float64(found))

    def mapped(self, one, key):
        all_of = jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=500))
        return jax.device_get(all_of(jax.random.split(key, self.count)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("turns", "newton_steps"), [(0, 0), (0, 2), (4, 0)], ids=["iterated", "Gauss-Newton", "revised"]
)
def test_weights_stay_below_the_evidence_of_their_strokes(tiny, images, turns, newton_steps):
    """p(x) of a toy is the sum over its numbers of strokes, each by sampling from the prior.

    A revised posterior is sure of one number, whatever moves led to it, so its weights average to that term
    of the sum at most, and Gauss-Newton steps change where it lies and nothing of this.
    """
    toy = Toy(tiny, images[0, ::2, ::2], settle=newton_steps > 0, newton_steps=newton_steps)

    def end_of(strokes, brush, key_data):
        start = Start(strokes, brush, None)
        return one_by_one(toy.config, toy.params, toy.image, start, key_data, turns)[0]

    drawn, likelihoods = toy.of_prior()
    ends, weights = toy.of_posteriors(end_of)
    for strokes in (0, 1):
        assert 0.1 < (drawn == strokes).mean() < 0.9
        check_below(likelihoods * (drawn == strokes), weights[ends == strokes], -5 if strokes else -0.05)


def check_below(terms: np.ndarray, weights: np.ndarray, lowest: float) -> None:
    """Weights average to no more than what samples of the prior do, and to more than exp(lowest) of it.

    A few weights are huge, where the posterior is narrower than the true one; cut, they average to less.
    """
    weights = np.minimum(weights, 20 * terms.mean())
    error = np.hypot(terms.std() / np.sqrt(len(terms)), weights.std() / np.sqrt(len(weights)))
    assert error < 0.2 * terms.mean()
    assert weights.mean() < terms.mean() + 4 * error
    assert weights.mean() > terms.mean() * np.exp(lowest)


@pytest.mark.slow
@pytest.mark.parametrize("newton_steps", [0, 2])
def test_several_particles_of_sampled_bits_stay_below_the_evidence(tiny, images, newton_steps):
    """Of each of two posteriors two samples: their mean weight bounds p(x), tighter than one of them does."""
    toy = Toy(tiny, images[0, ::2, ::2], settle=newton_steps > 0, newton_steps=newton_steps)
    _, likelihoods = toy.of_prior()

    def one(key):
        found = iwae.log_weights(toy.config, toy.params, toy.image, key, 4, samples_per_posterior=2)
        return found.log_ratio + found.log_likelihood["map"]

    log_weights = np.float64(toy.mapped(one, jax.random.key(1)))
    weights = np.exp(log_weights)
    check_below(likelihoods, weights.mean(1), -2)
    assert log_weights.mean() < np.log(weights.mean(1)).mean() < np.log(weights.mean())


def test_without_iterations_there_is_nothing_to_revise(tiny, lively, images, keys):
    settings = EvaluationConfig(revisions=1)
    with pytest.raises(BadInput, match=r"evaluation\.revisions=1 needs a model with iterative inference"):
        bounds.bound(tiny, lively, images, keys, settings, DeviceGroup.local())
