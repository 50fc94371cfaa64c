"""The budget of ink counts every second once."""

import types

import budget_ink
import pytest

from dood_jax.vectorize import order


def test_a_stage_does_not_count_the_stages_inside_it(monkeypatch):
    clock = [0.0]
    spend = lambda seconds: clock.append(clock[-1] + seconds)
    monkeypatch.setattr(budget_ink, "time", types.SimpleNamespace(process_time=lambda: clock[-1]))
    inner = lambda: spend(5)
    outer = lambda: (spend(2), order.inner())
    monkeypatch.setattr(order, "inner", inner, raising=False)
    monkeypatch.setattr(order, "outer", outer, raising=False)
    monkeypatch.setattr(budget_ink, "STAGES", {"in": [(order, "inner")], "out": [(order, "outer")]})
    with budget_ink.measured() as seconds:
        order.outer()
    assert seconds == pytest.approx({"in": 5, "out": 2})
    assert order.inner is inner


def test_every_stage_is_there():
    with budget_ink.measured():
        pass
