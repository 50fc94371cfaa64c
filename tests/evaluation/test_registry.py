"""What a task is given: the models of the checkpoints, with the iterations that were asked for."""

import dataclasses

import pytest

from dood_jax import api
from dood_jax.config.resolving import default_config
from dood_jax.errors import BadInput
from dood_jax.evaluation import registry
from dood_jax.evaluation.registry import Task

AIR = {
    "recognition": "air",
    "decoder": "image",
    "prior": "codes",
    "guidance": "residual",
    "placement": "glimpse",
}


@pytest.fixture
def seen(models, monkeypatch, tmp_path):
    """(iterations of the checkpoint, overrides, key) -> key of the model and of the settings a task gets."""

    def evaluate(learned: int, overrides: dict, key: str = "iterations") -> tuple[int, int]:
        model = dataclasses.replace(
            models[0], config=dataclasses.replace(models[0].config, iterations=learned)
        )
        stored = {**model.meta, "config": {**model.meta["config"], "model": dataclasses.asdict(model.config)}}
        monkeypatch.setattr(api, "load", lambda name, member: dataclasses.replace(model, meta=stored))
        found = []

        def task(models, config, workdir):
            found.append((getattr(models[0].config, key), getattr(config.model, key)))
            return {}

        monkeypatch.setitem(registry.TASKS, "likelihood", Task(task))
        registry.evaluate(default_config().to_dict(), overrides, "likelihood", "some", tmp_path)
        return found[0]

    return evaluate


@pytest.mark.parametrize(
    ("overrides", "iterations"), [({}, 2), ({"model.iterations": 5}, 5), ({"model.iterations": 0}, 0)]
)
def test_iterations_may_be_others_than_in_training(seen, overrides, iterations):
    assert seen(2, overrides) == (iterations, iterations)


def test_a_model_without_iterative_inference_is_given_no_iterations(seen):
    assert seen(0, {"model.iterations": 0}) == (0, 0)
    with pytest.raises(BadInput, match=r"model\.iterations=3, but one never learned it; give 0"):
        seen(0, {"model.iterations": 3})


def test_images_may_be_taken_to_have_been_enlarged(seen):
    assert seen(0, {"model.source_size": 10}, "source_size") == (10, 10)


def test_a_key_that_a_checkpoint_does_not_have_is_as_its_model_has_it(models, monkeypatch, tmp_path):
    """An old checkpoint says nothing of how iterations end, while the preset of today lets them settle."""
    stored = {key: value for key, value in dataclasses.asdict(models[0].config).items() if key != "settle"}
    meta = {**models[0].meta, "config": {**models[0].meta["config"], "model": stored}}
    monkeypatch.setattr(api, "load", lambda name, member: dataclasses.replace(models[0], meta=meta))
    found = []
    task = lambda models, config, workdir: found.append((models[0].config, config.model)) or {}
    monkeypatch.setitem(registry.TASKS, "likelihood", Task(task))
    for overrides, settles in (({}, False), ({"model.settle": True}, True)):
        registry.evaluate(default_config().to_dict(), overrides, "likelihood", "some", tmp_path)
        of_model, of_record = found.pop()
        assert of_model == of_record and of_record.settle == settles


def test_what_parameters_fix_stays(seen):
    with pytest.raises(BadInput, match=r"model\.features=9 contradicts the checkpoint, which has 16"):
        seen(2, {"model.features": 9})


@pytest.mark.parametrize("task", ["one_shot", "exemplars", "completion", "clusters"])
def test_tasks_of_control_points_refuse_models_without(models, config, tmp_path, task):
    """A model like Attend, Infer, Repeat has latent codes in their place."""
    air = dataclasses.replace(models[0], config=dataclasses.replace(models[0].config, **AIR))
    with pytest.raises(BadInput, match=r"model\.decoder='image' is not available; choose from curve"):
        registry.TASKS[task].run([air], config.on("mnist"), tmp_path)
    assert not list(tmp_path.iterdir())
