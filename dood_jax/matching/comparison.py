"""Two sets of drawings compared, each bent onto each (method.md 10.9)."""

from typing import NamedTuple

import jax
import numpy as np

from dood_jax.matching import field, fitting
from dood_jax.matching.evidence import Evidence, place_and_size
from dood_jax.matching.field import FieldPrior
from dood_jax.matching.fitting import Fit, Shape
from dood_jax.matching.segments import Segments


class Settings(NamedTuple):
    """How drawings are compared."""

    prior: FieldPrior = FieldPrior()
    fit: Fit = Fit()
    rank: int = 28  # of the displacements


def shapes(segments: Segments, settings: Settings) -> Shape:
    """What is compared of N drawings, stacked."""
    each = (Segments(*(values[row] for values in segments)) for row in range(len(segments.ends)))
    bases = [field.basis(one, settings.prior, settings.rank) for one in each]
    return Shape(segments.ends, segments.weight, np.stack(bases))


def compare(supports: Segments, queries: Segments, settings: Settings) -> tuple[Evidence, Evidence]:
    """[Q, S] evidence of supports bent onto queries, and of queries bent onto supports."""
    support_shapes, query_shapes = shapes(supports, settings), shapes(queries, settings)
    forward = jax.device_get(fitting.misfits(support_shapes, query_shapes, settings.fit))
    backward = jax.device_get(fitting.misfits(query_shapes, support_shapes, settings.fit))
    apart = place_and_size(supports, queries)
    return Evidence(*forward, *apart), Evidence(*(term.T for term in backward), *apart)
