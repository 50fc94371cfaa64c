"""The energies of supports by how far drawings must be bent to become each other (method.md 10.9)."""

from typing import NamedTuple

import numpy as np

from dood_jax.api import Model
from dood_jax.data.omniglot import OneShotRuns
from dood_jax.matching import comparison, evidence, segments
from dood_jax.matching.comparison import Settings
from dood_jax.matching.evidence import Evidence
from dood_jax.matching.segments import Segments
from dood_jax.tasks import parsing
from dood_jax.tasks.kept import KeptArrays
from dood_jax.training.config import Config

NUM_SEGMENTS = 64
_PARTICLES, _STROKES, _REFINE_STEPS = 4, 8, 60
_AT_ONCE = 400  # pictures that are drawn together

ONE_WAY = Evidence(175.0, 305.0, 2.4, 6.5, 0.48, 8.0, 8.0)
TWO_WAY = Evidence(25.0, 233.0, 1.84, 2.2, 0.17, 1.3, 11.4)  # of the sum of both ways


class Drawn(NamedTuple):
    """Drawings of all pictures: segments with axes [K, R, 20, ...] for K parses and R runs."""

    supports: Segments
    queries: Segments


def energies(
    model: Model, config: Config, episodes: OneShotRuns, kept: KeptArrays
) -> tuple[np.ndarray, np.ndarray]:
    """[R, Q, S] energies one-way (supports bent onto queries) and two-way, over all pairs of parses."""
    drawn = draw(model, config, episodes, kept)
    return combine(*compare(drawn, Settings(), kept))


def combine(
    ahead: Evidence, back: Evidence, one_way: Evidence = ONE_WAY, two_way: Evidence = TWO_WAY
) -> tuple[np.ndarray, np.ndarray]:
    """[K, ..., Q, S] evidence by K pairs of parses -> [..., Q, S] energies, one-way and two-way."""
    both = both_ways(ahead, back)
    return tuple(
        evidence.over_parses(evidence.energy(terms, weights))
        for terms, weights in ((ahead, one_way), (both, two_way))
    )


def both_ways(ahead: Evidence, back: Evidence) -> Evidence:
    """The sum of the misfits either way; place and size, which have no direction, count once."""
    summed = Evidence(*(one + other for one, other in zip(ahead, back, strict=True)))
    return summed._replace(shift=ahead.shift, size=ahead.size)


def draw(
    model: Model, config: Config, episodes: OneShotRuns, kept: KeptArrays, windowed: bool = True
) -> Drawn:
    """Draws every picture `one_shot.num_parses` times, `windowed` or as it is."""
    pictures = np.stack([episodes.supports, episodes.queries])
    flat = pictures.reshape(-1, *pictures.shape[-2:])
    parses = []
    for seed in range(config.one_shot.num_parses):
        starts = range(0, len(flat), _AT_ONCE)
        parts = [
            _segments(model, flat[start : start + _AT_ONCE], seed, start, kept, windowed) for start in starts
        ]
        whole = Segments(*(np.concatenate(values) for values in zip(*parts, strict=True)))
        parses.append(Segments(*(values.reshape(*pictures.shape[:3], *values.shape[1:]) for values in whole)))
    supports, queries = zip(*(zip(*parse, strict=True) for parse in parses), strict=True)
    stack = lambda sets: Segments(*(np.stack(values) for values in zip(*sets, strict=True)))
    return Drawn(stack(supports), stack(queries))


def _segments(
    model: Model, pictures: np.ndarray, seed: int, start: int, kept: KeptArrays, windowed: bool
) -> Segments:
    """Of some pictures, drawn with a seed, or as they were kept."""
    part = f"parses-{seed}-{start}"
    arrays = kept.get(part)
    if arrays is None:
        parses = parsing.parse(model, pictures, seed, _PARTICLES, _STROKES, _REFINE_STEPS, windowed)
        arrays = segments.of_sketch(parses.sketch, parses.frames, NUM_SEGMENTS)._asdict()
        kept.put(part, **arrays)
    return Segments(**arrays)


def compare(drawn: Drawn, settings: Settings, kept: KeptArrays) -> tuple[Evidence, Evidence]:
    """[K * K, R, Q, S] evidence of supports bent onto queries, and reversed, over all pairs of parses."""
    num_parses, num_runs = drawn.supports.size.shape[:2]
    found = [
        [_of_run(drawn, pair, run, settings, kept) for run in range(num_runs)]
        for pair in np.ndindex(num_parses, num_parses)
    ]
    terms = np.array(found)  # [K * K, R, 2, terms, Q, S]
    ahead, back = np.moveaxis(terms, (2, 3), (0, 1))
    return Evidence(*ahead), Evidence(*back)


def _of_run(
    drawn: Drawn, pair: tuple[int, int], run: int, settings: Settings, kept: KeptArrays
) -> np.ndarray:
    """[2, terms, Q, S] of one run by one parse of its supports and one of its queries, or as it was kept."""
    part = f"evidence-{pair[0]}-{pair[1]}-{run}"
    arrays = kept.get(part)
    if arrays is None:
        sides = (
            Segments(*(values[parse, run] for values in side))
            for side, parse in zip(drawn, pair, strict=True)
        )
        arrays = {"terms": np.array(comparison.compare(*sides, settings))}
        kept.put(part, **arrays)
    return arrays["terms"]
