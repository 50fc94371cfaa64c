"""The drawing that most tests here vectorise."""

import numpy as np
import pytest
from known_strokes import SIZE, STROKES, WIDTH, ink_of


@pytest.fixture(scope="session")
def ink() -> np.ndarray:
    """[96, 100] a crossing of two strokes, a ring and a dot, drawn with a pen of 4 pixels."""
    return ink_of(STROKES, WIDTH, SIZE)
