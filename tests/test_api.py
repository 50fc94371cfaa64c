"""The model a user holds."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dood_jax
from dood_jax.api import Model
from dood_jax.errors import BadInput
from dood_jax.inference import generate, infer
from dood_jax.model.variation import SMALL_NOISE
from dood_jax.objectives import iwae
from dood_jax.rendering import source_grid
from dood_jax.types import BrushParams


@pytest.fixture(scope="module")
def model(tiny, params) -> Model:
    brush = BrushParams(jnp.float32(0.03), jnp.float32(0.5), jnp.float32(0.5))
    return Model(tiny, params, brush, {})


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((5, 20, 20), np.float32)


def test_infer_gives_one_drawing_an_image(model, images):
    sketch = model.infer(images, key=3)
    assert sketch.strokes.layout.shape == (5, 3, 4)
    assert sketch.strokes.control_points.shape == (5, 3, 5, 2)
    assert sketch.canvases.shape == (5, 3, 20, 20)
    assert np.all(np.diff(sketch.strokes.presence, axis=1) <= 0)


def test_a_seed_and_its_key_draw_alike_and_another_differs(model, images):
    first, same, other = (model.infer(images, key) for key in (1, jax.random.key(1), 2))
    np.testing.assert_array_equal(first.canvases, same.canvases)
    assert np.abs(first.canvases - other.canvases).max() > 1e-3


def test_an_image_is_drawn_alike_in_any_company(model, images):
    alone = model.infer(images[:2], key=1)
    together = model.infer(images, key=1)
    np.testing.assert_allclose(alone.canvases, together.canvases[:2], atol=1e-5)


@pytest.mark.parametrize("revisions", [-1, 2])
def test_a_model_without_iterations_has_nothing_to_revise(model, images, revisions):
    with pytest.raises(BadInput, match=f"revisions={revisions} with 0 iterations; give 0"):
        model.infer(images, revisions=revisions)


def test_a_model_without_iterations_that_settle_has_no_newton_steps(model, images):
    with pytest.raises(BadInput, match="newton_steps=2 with 0 iterations; give 0"):
        model.infer(images, newton_steps=2)
    with pytest.raises(BadInput, match="newton_steps=2; iterations of this model do not settle, give 0"):
        model.log_likelihood(images, newton_steps=2)


@pytest.mark.slow
def test_more_strokes_than_trained_can_be_asked_for(model, images):
    assert model.infer(images, num_strokes=7).canvases.shape[1] == 7


def test_the_best_particle_has_the_highest_elbo(model, images):
    key = jax.random.fold_in(jax.random.key(4), 0)
    weigh = jax.jit(functools.partial(iwae.sample_particle, model.config, num_strokes=3))
    particles = [weigh(model.params, images[0], one) for one in jax.random.split(key, 6)]
    best = max(particles, key=lambda particle: float(particle.elbo))
    chosen = model.infer(images[:1], key=4, num_particles=6)
    np.testing.assert_allclose(chosen.canvases[0, -1], best.canvas, atol=1e-5)


@pytest.mark.slow
def test_log_likelihood_rises_with_particles_towards_the_evidence(model, images):
    few = np.mean([model.log_likelihood(images, key, num_particles=1) for key in range(8)])
    many = model.log_likelihood(images, 0, num_particles=64).mean()
    assert many > few


def test_canvases_are_recorded_as_images_were(model, images):
    half = model.config.image_size // 2
    knowing = dataclasses.replace(model, config=dataclasses.replace(model.config, source_size=half))
    enlarged = np.stack([images[0], np.asarray(source_grid.nearest_enlarged(half, images[1])).clip(0, 1)])
    canvases = np.stack([images[2:4], images[3:5]])
    found = knowing.to_source_grid(enlarged, canvases)
    np.testing.assert_array_equal(found[0], canvases[0])
    assert np.abs(found[1] - canvases[1]).max() > 0.01
    np.testing.assert_array_equal(model.to_source_grid(enlarged, canvases), canvases)
    with pytest.raises(BadInput, match=r"canvases \(1, .* of images \(2, .*; give as many, as large"):
        model.to_source_grid(enlarged, canvases[:1])


def test_samples_are_drawings_with_the_models_pen(model):
    sketch = model.sample(4, key=0)
    assert sketch.canvases.shape == (4, 3, 20, 20)
    np.testing.assert_array_equal(sketch.brush.ink_width, np.full((4, 3), np.float32(0.03)))
    np.testing.assert_allclose(model.render(sketch), sketch.canvases, atol=1e-5)


def test_render_at_another_size_shows_the_same_drawing(model, images):
    sketch = model.infer(images)
    large = model.render(sketch, size=80)
    assert large.shape == (5, 3, 80, 80)
    np.testing.assert_allclose(large[:, :, ::4, ::4], sketch.canvases, atol=1e-5)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((20, 20)),
        np.zeros((0, 20, 20)),
        np.zeros((1, 21, 20)),
        np.full((1, 20, 20), 255.0),
        np.full((1, 20, 20), np.nan),
        np.full((1, 20, 20), -0.1),
    ],
)
def test_unusable_images_are_refused(model, bad):
    with pytest.raises(BadInput, match=r"takes \[B, 20, 20\]|0\.\.1"):
        model.infer(bad)


def test_unusable_numbers_are_refused(model, images):
    with pytest.raises(BadInput, match="num_particles=0"):
        model.infer(images, num_particles=0)
    with pytest.raises(BadInput, match="num_particles=-1"):
        model.log_likelihood(images, num_particles=-1)
    with pytest.raises(BadInput, match="n=0"):
        model.sample(0)


def test_an_unknown_model_is_refused_with_the_names_there_are():
    with pytest.raises(BadInput, match="nobody"):
        dood_jax.load("nobody")


def test_drawings_are_varied_and_taken_further(model, images):
    sketch = model.infer(images)
    drawn = sketch.strokes.presence.sum(1)
    assert drawn.max() > 0
    same = model.vary(sketch, 0, SMALL_NOISE.times(0))
    np.testing.assert_allclose(same.canvases, sketch.canvases, atol=1e-4)
    other = model.vary(sketch, 0)
    assert np.abs(other.canvases - sketch.canvases)[drawn > 0].max() > 0.1
    further = model.complete(sketch, 1, key=0, num_strokes=2)
    assert further.canvases.shape == (5, 5, 20, 20)
    np.testing.assert_allclose(further.canvases[drawn > 0, 0], sketch.canvases[drawn > 0, 0], atol=1e-5)
    assert np.all(further.strokes.presence.sum(1) <= np.minimum(drawn, 1) + 2)


@pytest.mark.parametrize("count", [-1, [1, 1]])
def test_prefixes_that_cannot_be_are_refused(model, images, count):
    with pytest.raises(BadInput, match="num_prefix_strokes"):
        model.complete(model.infer(images), count)


def test_no_drawings_are_refused(model, images):
    none = model.infer(images)[:0]
    for call in (model.vary, lambda sketch: model.complete(sketch, 1)):
        with pytest.raises(BadInput, match="drawings=0; give at least 1"):
            call(none)


def test_pens_are_one_or_one_a_drawing(model):
    brush = BrushParams(*(np.float32([low, high]) for low, high in ((0.02, 0.03), (0.3, 0.5), (0.6, 0.9))))
    sketch = model.sample(2, 0, brush=brush)
    np.testing.assert_array_equal(sketch.brush.ink_width, np.repeat(brush.ink_width[:, None], 3, 1))
    np.testing.assert_allclose(model.render(sketch), sketch.canvases, atol=1e-4)
    with pytest.raises(BadInput, match="brush"):
        model.sample(3, 0, brush=brush)


@pytest.mark.parametrize("seed", [np.int64(3), np.uint32(3), np.array(3), jnp.int32(3)])
def test_seeds_are_whole_numbers_of_any_kind(model, images, seed):
    np.testing.assert_array_equal(model.infer(images, seed).canvases, model.infer(images, 3).canvases)


@pytest.mark.parametrize("seed", [None, 2.5, True, "3", -1, 2**32, np.zeros(2, np.uint32)])
def test_what_is_no_seed_is_refused(model, images, seed):
    with pytest.raises(BadInput, match=r"^key="):
        model.infer(images, seed)


@pytest.mark.parametrize("number", [2.5, True, "3"])
def test_what_is_no_whole_number_is_refused(model, images, number):
    with pytest.raises(BadInput, match=rf"^num_particles={number} is no whole number"):
        model.infer(images, num_particles=number)


def test_pixels_a_hair_outside_are_clipped(model, images):
    off = images + np.float32(1e-5) * np.sign(images - 0.5)
    off.flat[:2] = 1 + 1e-6, -1e-6
    assert off.max() > 1 and off.min() < 0
    np.testing.assert_allclose(model.infer(off).canvases, model.infer(images).canvases, atol=0.02)


def test_images_that_are_no_numbers_are_refused(model):
    with pytest.raises(BadInput, match=r"'digit\.png', no array of numbers; dood_jax\.prepare"):
        model.infer("digit.png")


def test_sketches_are_sliced_and_joined(model, images):
    sketch = model.infer(images)
    assert len(sketch) == 5 and len(list(sketch)) == 5
    np.testing.assert_array_equal(sketch[1:3].canvases, sketch.canvases[1:3])
    np.testing.assert_array_equal(sketch[-1].brush.canvas_slope, sketch.brush.canvas_slope[4:])
    np.testing.assert_array_equal(sketch[[3, 0]].strokes.layout, sketch.strokes.layout[[3, 0]])
    mask = np.arange(5) % 2 == 0
    np.testing.assert_array_equal(sketch[mask].strokes.presence, sketch.strokes.presence[mask])
    np.testing.assert_allclose(model.render(sketch[2]), sketch.canvases[2:3], atol=1e-5)
    again = dood_jax.Sketch.join(list(sketch))
    jax.tree_util.tree_map(np.testing.assert_array_equal, again, sketch)
    with pytest.raises(IndexError):
        sketch[5]
    with pytest.raises(BadInput, match=r"sketches of \[3, 5\] strokes cannot be joined"):
        dood_jax.Sketch.join([sketch, model.complete(sketch, 1, num_strokes=2)])


def test_a_model_is_named_in_a_line(model):
    said = repr(dataclasses.replace(model, name="mine"))
    assert said.startswith("Model('mine': ") and len(said) < 120 and "20 x 20" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("room", "compiled", "use"),
    [
        (infer, "_compiled_infer", lambda model, count: model.infer(np.zeros((count, 20, 20), np.float32))),
        (generate, "_compiled_sample", lambda model, count: model.sample(count)),
    ],
    ids=["infer", "sample"],
)
def test_few_programs_are_compiled_for_any_number_of_images(model, room, compiled, use, monkeypatch):
    """One for one image, which three and four are drawn by too, and one for a batch."""
    sizes = set()
    compile_once = getattr(room, compiled)

    def noting(*settings):
        program = compile_once(*settings)

        def run(params, *arguments):
            sizes.add(len(arguments[0]))  # the images, or keys of samples
            return program(params, *arguments)

        return run

    monkeypatch.setattr(room, compiled, noting)
    for count in (1, 3, 4, 5, 17, 64, 70):
        assert len(use(model, count)) == count
    assert sizes == {len(jax.local_devices()), 64}


def test_images_that_look_inverted_are_drawn_with_a_warning(model, images):
    dark = images.copy()
    for edge in (dark[:, 0], dark[:, -1], dark[:, :, 0], dark[:, :, -1]):
        edge[:] = 0.9
    with pytest.warns(UserWarning, match=r"inverted.*dood_jax\.prepare"):
        model.infer(dark)
