"""The phases of a run (method.md 8): the first pass alone, then iterations too, then the prior alone."""

import dataclasses
import itertools
from typing import NamedTuple

from dood_jax.config.groups import Config


class Phase(NamedTuple):
    """Steps of a run that are made in the same way."""

    end: int  # the last step
    config: Config  # by which they are made


def phases(config: Config) -> list[Phase]:
    """What a run does, one after the other, in whole calls of `training.steps_per_call` steps."""
    steps, objective = config.training.steps, config.objective
    ends = _whole(config, objective.first_pass_fraction), steps - prior_steps(config), steps
    forms = _without_iterations, lambda whole: whole, _prior_alone
    starts_and_ends = itertools.pairwise((0, *ends))
    return [
        Phase(end, form(config))
        for (start, end), form in zip(starts_and_ends, forms, strict=True)
        if end > start
    ]


def phase_of(config: Config, step: int) -> Phase:
    """The phase that a step after 0 belongs to; the last one, if a longer run made that step."""
    found = phases(config)
    return next((phase for phase in found if step <= phase.end), found[-1])


def is_end_of_recognition(config: Config, step: int) -> bool:
    """Whether after this step the prior learns alone, and recognition has learned."""
    return 0 < step == config.training.steps - prior_steps(config) < config.training.steps


def prior_steps(config: Config) -> int:
    """The steps at the end of a run in which the prior learns alone."""
    return _whole(config, config.objective.prior_fraction)


def _whole(config: Config, fraction: float) -> int:
    """A fraction of the steps, in whole calls."""
    call = config.training.steps_per_call
    return round(fraction * config.training.steps / call) * call


def _without_iterations(config: Config) -> Config:
    model = dataclasses.replace(config.model, iterations=0, newton_steps=0)
    return dataclasses.replace(config, model=model)


def _prior_alone(config: Config) -> Config:
    """Of all images the prior sees what it learns from: plain ones, inferred from their own drawings."""
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, overlay_prob=0.0),
        objective=dataclasses.replace(config.objective, mismatched_start_prob=0.0),
        optimizer=dataclasses.replace(config.optimizer, trained="prior"),
    )
