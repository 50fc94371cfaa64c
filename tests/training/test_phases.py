"""A run learns the first pass alone, then iterations too, then the prior alone."""

import dataclasses
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.special

import dood_jax
from configs import smoke
from dood_jax.config.groups import Config
from dood_jax.config.resolving import resolve
from dood_jax.errors import BadInput
from dood_jax.inference import image_sets
from dood_jax.model.dood import prior_networks
from dood_jax.training import loop
from dood_jax.training.metrics import read_lines
from dood_jax.training.phases import phase_of, phases
from dood_jax.training.state import fresh_state
from dood_jax.training.step import make_optimizer


def config_of(first: float, prior: float, **training) -> Config:
    settings = smoke.get_config()
    settings.model.update(iterations=2, num_strokes=2)
    settings.objective.update(first_pass_fraction=first, prior_fraction=prior)
    settings.training.update(**training)
    return resolve(settings)


def kind_of(config: Config) -> str:
    if config.optimizer.trained == "prior":
        return "prior"
    return "both" if config.model.iterations else "first"


@pytest.mark.parametrize(
    ("first", "prior", "per_call", "wanted"),
    [
        (0, 0, 1, {"both": 90}),
        (0.5, 0, 1, {"first": 45, "both": 90}),
        (4 / 9, 1 / 9, 1, {"first": 40, "both": 80, "prior": 90}),
        (4 / 9, 1 / 9, 6, {"first": 42, "both": 78, "prior": 90}),
        (0, 1, 1, {"prior": 90}),
        (0.5, 0.5, 1, {"first": 45, "prior": 90}),
        (1, 0, 1, {"first": 90}),
    ],
)
def test_a_run_has_the_phases_that_it_is_told(first, prior, per_call, wanted):
    config = config_of(
        first, prior, steps=90, steps_per_call=per_call, checkpoint_every=90, evaluate_every=90, log_every=90
    )
    assert {kind_of(phase.config): phase.end for phase in phases(config)} == wanted
    for step in range(1, 91):
        kind = next(name for name, end in wanted.items() if step <= end)
        assert kind_of(phase_of(config, step).config) == kind
    assert phase_of(config, 1000) == phases(config)[-1]


def test_in_the_end_the_prior_sees_plain_images_and_their_own_drawings():
    config = config_of(0, 0.5)
    config = dataclasses.replace(
        config, data=dataclasses.replace(config.data, name="mnist", overlay_prob=0.5)
    )
    before, after = (phase.config for phase in phases(config))
    assert before.data.overlay_prob == 0.5 and before.objective.mismatched_start_prob > 0
    assert after.data.overlay_prob == after.objective.mismatched_start_prob == 0


def test_a_prior_that_learns_nothing_has_no_phase_of_its_own():
    fixed = lambda fraction: dataclasses.replace(
        config_of(0, fraction), model=dataclasses.replace(config_of(0, 0).model, prior="independent")
    )
    assert [phase.config for phase in phases(fixed(0))] == [fixed(0)]
    with pytest.raises(BadInput, match=r"objective\.prior_fraction=0"):
        fixed(0.1)


def test_phases_that_are_more_than_a_run_are_refused():
    with pytest.raises(BadInput, match="more than the whole run"):
        config_of(0.6, 0.5)


def networks_after(workdir: Path, steps: list[int]) -> list[dict[str, list[np.ndarray]]]:
    """The arrays of every network in the checkpoints of a run."""
    found = [dood_jax.load(str(workdir / "checkpoints" / str(step))).params for step in steps]
    return [{name: jax.tree_util.tree_leaves(net) for name, net in params.items()} for params in found]


@pytest.mark.slow
def test_each_phase_teaches_its_networks_and_a_stopped_run_ends_with_the_same_bits(tmp_path):
    training = {"steps": 9, "checkpoint_every": 3, "keep_checkpoints": 9, "evaluate_every": 3, "log_every": 2}
    config = config_of(1 / 3, 1 / 3, **training)
    # What evaluations do besides is not done by validations, which the first pass could not.
    config = dataclasses.replace(config, evaluation=dataclasses.replace(config.evaluation, revisions=1))
    loop.train(config, tmp_path / "whole")
    at_3, at_6, at_9 = networks_after(tmp_path / "whole", [3, 6, 9])
    moved = lambda before, after: {
        name
        for name in after
        if any((old != new).any() for old, new in zip(before[name], after[name], strict=True))
    }
    start = fresh_state(config, make_optimizer(config.optimizer, 9)).params
    start = {name: jax.tree_util.tree_leaves(network) for name, network in start.items()}
    assert moved(start, at_3) == set(start) - {"corrector"}
    assert moved(at_3, at_6) == set(start)
    assert moved(at_6, at_9) == set(prior_networks(config.model)) & set(start) | {"likelihood"}
    lines = [line for line in read_lines(tmp_path / "whole") if line["kind"] == "train"]
    assert {line["step"]: "corrected_elbo" in line for line in lines} == {
        2: False, 3: False, 4: True, 6: True, 8: True, 9: True
    }  # fmt: skip

    model, end = (dood_jax.load(str(tmp_path / "whole" / "checkpoints" / step)) for step in ("6", "9"))
    images = image_sets.training_images(config.data, 2048, seed=1)
    error = np.abs(images - model.to_source_grid(images, model.infer(images).canvases[:, -1])).mean(0)
    scale = 0.01 + 0.99 * scipy.special.expit(end.params["likelihood"]["map"])
    assert (end.params["likelihood"]["canvas"] == model.params["likelihood"]["canvas"]).all()
    assert error.max() > 0.1
    np.testing.assert_allclose(scale, np.maximum(error, 0.0101), rtol=0.2, atol=0.01)

    broken = shutil.copytree(tmp_path / "whole", tmp_path / "broken")
    shutil.rmtree(broken / "checkpoints" / "9")
    loop.train(config, broken)
    (again,) = networks_after(broken, [9])
    assert not moved(at_9, again)
