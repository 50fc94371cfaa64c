"""The drawing that most tests here vectorise."""

import jax
import numpy as np
import pytest
from known_strokes import SIZE, STROKES, WIDTH, ink_of

from dood_jax.vectorize import line_fitting


@pytest.fixture(scope="session")
def ink() -> np.ndarray:
    """[96, 100] a crossing of two strokes, a ring and a dot, drawn with a pen of 4 pixels."""
    return ink_of(STROKES, WIDTH, SIZE)


@pytest.fixture(scope="session", autouse=True)
def optimised_fit():
    """The fit of lines takes longer to run unoptimised than to compile as users do: it is run so often."""
    optimised = {"xla_backend_optimization_level": 1}
    with pytest.MonkeyPatch.context() as patch:
        fit = jax.jit(line_fitting._optimize.__wrapped__, compiler_options=optimised)
        patch.setattr(line_fitting, "_optimize", fit)
        yield
