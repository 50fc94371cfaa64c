"""The energies of supports by how far drawings must be bent to become each other (method.md 10.9)."""

from typing import NamedTuple

import numpy as np

from dood_jax.api import Model
from dood_jax.config.groups import Config
from dood_jax.data.omniglot import OneShotRuns
from dood_jax.evaluation.one_shot import parsing, registration
from dood_jax.evaluation.one_shot.registration import Evidence, Segments, Settings
from dood_jax.evaluation.resume_cache import KeptArrays

NUM_SEGMENTS = 64
_PARTICLES, _STROKES, _REFINE_STEPS = 4, 8, 60
_AT_ONCE = 400  # images that are drawn together

# Calibrated on episodes of the background alphabets by benchmarks/one_shot.py.
ONE_WAY = Evidence(238.0, 210.0, 2.67, 2.77, 0.59, 0.459, 7.45)
TWO_WAY = Evidence(125.0, 102.0, 0.954, 1.96, 0.269, 0.459, 7.7)  # of the sum of both ways


class Drawn(NamedTuple):
    """Drawings of all images: segments with axes [K, R, 20, ...] for K ways to draw and R runs."""

    supports: Segments
    queries: Segments
    ways: tuple[str, ...]


def energies(
    model: Model, config: Config, episodes: OneShotRuns, kept: KeptArrays
) -> tuple[np.ndarray, np.ndarray]:
    """[R, Q, S] energies one-way (supports bent onto queries) and two-way, over all ways to draw."""
    drawn = draw(model, config, episodes, kept)
    return combine(*compare(drawn, Settings(), kept))


def combine(
    ahead: Evidence, back: Evidence, one_way: Evidence = ONE_WAY, two_way: Evidence = TWO_WAY
) -> tuple[np.ndarray, np.ndarray]:
    """[K, ..., Q, S] evidence by K ways to draw -> [..., Q, S] energies, one-way and two-way."""
    both = both_ways(ahead, back)
    return tuple(
        registration.over_ways(registration.energy(terms, weights))
        for terms, weights in ((ahead, one_way), (both, two_way))
    )


def both_ways(ahead: Evidence, back: Evidence) -> Evidence:
    """The sum of the misfits either way; place and size, which have no direction, count once."""
    summed = Evidence(*(one + other for one, other in zip(ahead, back, strict=True)))
    return summed._replace(shift=ahead.shift, size=ahead.size)


def draw(model: Model, config: Config, episodes: OneShotRuns, kept: KeptArrays) -> Drawn:
    """Draws every image by each of `one_shot.strokes`."""
    images = np.stack([episodes.supports, episodes.queries])
    flat = images.reshape(-1, *images.shape[-2:])
    ways, sides = tuple(config.one_shot.strokes.split("+")), []
    for way in ways:
        batches = [flat[start : start + _AT_ONCE] for start in range(0, len(flat), _AT_ONCE)]
        parts = [_segments(model, way, which, batch, kept) for which, batch in enumerate(batches)]
        whole = [np.concatenate(values) for values in zip(*parts, strict=True)]
        sides.append([values.reshape(*images.shape[:3], *values.shape[1:]) for values in whole])
    together = [np.stack(values, axis=1) for values in zip(*sides, strict=True)]
    supports, queries = (Segments(*(values[side] for values in together)) for side in (0, 1))
    return Drawn(supports, queries, ways)


def _segments(model: Model, way: str, batch: int, images: np.ndarray, kept: KeptArrays) -> Segments:
    """Of some images, drawn in one way, or as they were kept."""
    part = f"{way}-{batch}"
    arrays = kept.get(part)
    if arrays is None:
        arrays = _WAYS[way](model, images)._asdict()
        kept.put(part, **arrays)
    return Segments(**arrays)


def _by_model(model: Model, images: np.ndarray) -> Segments:
    parses = parsing.parse(model, images, 0, _PARTICLES, _STROKES, _REFINE_STEPS)
    return registration.of_sketch(parses.sketch, parses.frames, NUM_SEGMENTS)


def _by_tracing(model: Model, images: np.ndarray) -> Segments:
    del model
    return registration.stack(
        [registration.of_curves(parsing.trace(image), NUM_SEGMENTS) for image in images]
    )


_WAYS = {"model": _by_model, "traced": _by_tracing}


def compare(drawn: Drawn, settings: Settings, kept: KeptArrays) -> tuple[Evidence, Evidence]:
    """[K, R, Q, S] evidence of supports bent onto queries, and reversed, each way of drawing by itself."""
    runs = range(drawn.supports.size.shape[1])
    found = [[_of_run(drawn, way, run, settings, kept) for run in runs] for way in range(len(drawn.ways))]
    ahead, back = np.moveaxis(np.array(found), (2, 3), (0, 1))  # of [K, R, 2, terms, Q, S]
    return Evidence(*ahead), Evidence(*back)


def _of_run(drawn: Drawn, way: int, run: int, settings: Settings, kept: KeptArrays) -> np.ndarray:
    """[2, terms, Q, S] of one run, drawn in one way, or as it was kept."""
    part = f"{drawn.ways[way]}-compared-{run}"
    arrays = kept.get(part)
    if arrays is None:
        sides = (Segments(*(values[way, run] for values in side)) for side in drawn[:2])
        arrays = {"terms": np.array(registration.compare(*sides, settings))}
        kept.put(part, **arrays)
    return arrays["terms"]
