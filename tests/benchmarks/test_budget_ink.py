"""The budget of ink counts every second once."""

import time

import budget_ink
import numpy as np

from dood_jax.vectorize import order


def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_stage_does_not_count_the_stages_inside_it(monkeypatch):
    inner = lambda: spin(0.05)
    outer = lambda: (spin(0.02), order.inner())
    monkeypatch.setattr(order, "inner", inner, raising=False)
    monkeypatch.setattr(order, "outer", outer, raising=False)
    monkeypatch.setattr(budget_ink, "STAGES", {"in": [(order, "inner")], "out": [(order, "outer")]})
    with budget_ink.measured() as seconds:
        order.outer()
    np.testing.assert_allclose([seconds["in"], seconds["out"]], [0.05, 0.02], atol=0.01)
    assert order.inner is inner


def test_every_stage_is_there():
    with budget_ink.measured():
        pass
