"""Rendering never leaves it to broadcasting to add axes."""

import jax
import pytest


@pytest.fixture(autouse=True)
def strict_rank_promotion():
    with jax.numpy_rank_promotion("raise"):
        yield
