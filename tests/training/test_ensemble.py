"""Models trained side by side: each as if alone, kept in one checkpoint, and picked out of it."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import dood_jax
from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import Config, DataConfig, ObjectiveConfig, OptimizerConfig, TrainingConfig
from dood_jax.data import example_stream
from dood_jax.errors import BadInput
from dood_jax.evaluation import registry
from dood_jax.runtime import parallel
from dood_jax.runtime.parallel import pick, stack
from dood_jax.training import loop
from dood_jax.training.state import init_state, member_title
from dood_jax.training.step import make_optimizer, make_step

BATCH = 4


@pytest.fixture(scope="module")
def config(smallest) -> Config:
    """Two sets and two seeds: four models."""
    return Config(
        DataConfig(names="mnist,kmnist", image_size=20),
        smallest,
        ObjectiveConfig(),
        OptimizerConfig(learning_rate=1e-4, schedule="constant", warmup_steps=0),
        TrainingConfig(batch_size=BATCH, steps=100, seed=3, num_models=2),
        EvaluationConfig(num_images=4, num_particles=2, batch_size=4),
    )


@pytest.fixture(scope="module")
def sets(images) -> list[np.ndarray]:
    """uint8 images of two sets of different size."""
    whole = np.round(images * 255).astype(np.uint8)
    return [whole[:5], whole[3:6]]


@pytest.fixture(scope="module")
def stream(sets) -> list[example_stream.ExampleStream]:
    first, second = (len(images) for images in sets)
    shares = [(0, first), (first, second)]
    return [example_stream.make_stream(seed, *share, BATCH) for share in shares for seed in (3, 4)]


@pytest.fixture(scope="module")
def step(config):
    return make_step(config, make_optimizer(config.optimizer, 100), example_stream.sample_example)


@pytest.fixture(scope="module")
def fresh(config):
    """A member's seed -> its state before the first step."""
    optimizer = make_optimizer(config.optimizer, 100)
    init = jax.jit(lambda key: init_state(config.model, optimizer, key))
    return lambda seed: jax.device_get(init(example_stream.purpose_key(seed, "parameters")))


def three_steps(run, state, images, stream):
    metrics = []
    for _ in range(3):
        state, one = run(state, images, stream)
        metrics.append(jax.device_get(one))
    return jax.device_get(state), metrics


@pytest.mark.slow
@pytest.mark.parametrize("num_devices", [1, 2])
def test_each_model_is_as_if_trained_alone(config, sets, stream, step, fresh, num_devices):
    devices = jax.local_devices()[:num_devices]
    states = stack([fresh(member.seed) for member in config.members])
    run, place, _ = parallel.over_devices(step, devices, config.training, 4)
    resident = parallel.replicate(np.concatenate(sets), devices)
    together, metrics = three_steps(run, place(states), resident, place(stack(stream)))
    alone_run = parallel.data_parallel(step, devices[:1], BATCH, "pmap")
    for which, member in enumerate(config.members):
        images = sets[which // 2]
        own = example_stream.make_stream(member.seed, 0, len(images), BATCH)
        alone, own_metrics = three_steps(alone_run, fresh(member.seed), jax.device_put(images), own)
        for one, other in zip(metrics, own_metrics, strict=True):
            for name, value in other.items():
                np.testing.assert_allclose(one[name][which], value, rtol=1e-5, err_msg=name)
        picked = pick(together, 4, which)
        for one, other in zip(
            jax.tree_util.tree_leaves(picked), jax.tree_util.tree_leaves(alone), strict=True
        ):
            assert np.linalg.norm(one - other) <= 1e-5 * np.linalg.norm(other) + 1e-6


def test_members_are_every_set_with_every_seed(config):
    assert config.members == [("mnist", 3), ("mnist", 4), ("kmnist", 3), ("kmnist", 4)]
    assert member_title(config.members, 2) == "kmnist-seed3"
    alone = dataclasses.replace(config, data=DataConfig(), training=TrainingConfig())
    assert alone.members == [("mnist", 0)]
    assert member_title(alone.members, 0) == ""


def test_models_that_do_not_divide_over_the_devices_are_refused():
    with pytest.raises(BadInput, match=r"3 models \(training.num_models\) do not divide over 2 devices"):
        parallel.model_parallel(lambda *_: None, jax.local_devices()[:2], BATCH, 3)


@pytest.mark.parametrize("names", ["mnist,mnist", "mnist,synthetic", "mnist,cifar", "folder,mnist"])
def test_sets_that_cannot_stand_together_are_refused(names):
    with pytest.raises(BadInput, match=r"data\.names="):
        DataConfig(names=names)


@pytest.fixture(scope="module")
def run(smallest, tmp_path_factory):
    """The folder of a run of two models on synthetic strokes."""
    workdir = tmp_path_factory.mktemp("run")
    config = Config(
        DataConfig("synthetic", image_size=20),
        smallest,
        ObjectiveConfig(),
        OptimizerConfig(warmup_steps=0),
        TrainingConfig(
            batch_size=2, steps=4, num_models=2, checkpoint_every=2, evaluate_every=2, log_every=2
        ),
        EvaluationConfig(num_images=4, num_particles=2, batch_size=4),
    )
    loop.train(dataclasses.replace(config, training=dataclasses.replace(config.training, steps=2)), workdir)
    loop.train(config, workdir)
    return workdir, config


@pytest.mark.slow
def test_a_run_of_two_models_goes_on_and_tells_of_both(run):
    workdir, _ = run
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["kind"]) for line in lines] == [
        (2, "train"),
        (2, "validation"),
        (4, "train"),
        (4, "validation"),
    ]
    for line in lines:
        first, second = line["elbo"]
        assert np.isfinite([first, second]).all() and first != second
    figures = {path.relative_to(workdir / "figures").as_posix() for path in workdir.glob("figures/*/*.png")}
    assert figures == {
        f"synthetic-seed{seed}/reconstruction-00000{step}.png" for seed in (0, 1) for step in (2, 4)
    }


@pytest.mark.slow
def test_each_model_is_picked_out_of_the_checkpoint(run):
    workdir, _ = run
    one, other = (dood_jax.load(str(workdir), member=which) for which in (0, 1))
    seeds = [model.meta["config"]["training"]["seed"] for model in (one, other)]
    assert seeds == [0, 1]
    kernel = lambda model: np.asarray(model.params["stroke_decoder"]["out"]["kernel"])
    assert kernel(one).ndim == 2 and not np.array_equal(kernel(one), kernel(other))
    assert one.brush.ink_width.shape == ()
    bound = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])["log_likelihood"]
    assert bound[0] != bound[1]
    with pytest.raises(BadInput, match=r"evaluation\.member=2, but .* holds 2"):
        dood_jax.load(str(workdir), member=2)


@pytest.mark.slow
def test_one_of_two_models_is_released(run, tmp_path):
    workdir, config = run
    settings = config.as_dict()
    settings["evaluation"]["member"] = 1
    del settings["model"]["image_size"]
    registry.evaluate(settings, {}, "release", str(workdir), workdir)
    released = dood_jax.load(str(workdir / "release"))
    assert released.meta["config"]["training"]["seed"] == 1
    assert released.meta["config"]["training"]["num_models"] == 1
    picked = dict(jax.tree_util.tree_leaves_with_path(dood_jax.load(str(workdir), member=1).params))
    for path, leaf in jax.tree_util.tree_leaves_with_path(released.params):
        if "canvas']" not in jax.tree_util.keystr(path):  # the scale that is fitted on the way
            np.testing.assert_allclose(leaf, picked[path], rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_two_models_come_home_in_folders_of_their_own(run, tmp_path):
    workdir, _ = run
    script = Path(__file__).parents[2] / "launch" / "pack.py"
    packed, home = tmp_path / "results.tar.xz", tmp_path / "home"
    for arguments in (
        ["results", f"--workdir={workdir}", f"--out={packed}"],
        ["unpack", packed, f"--out={home}"],
    ):
        subprocess.run([sys.executable, script, *arguments], check=True, capture_output=True)
    for member in (0, 1):
        found = dood_jax.load(home / f"member-{member}")
        wanted = dood_jax.load(str(workdir), member=member)
        assert found.meta["config"]["training"]["seed"] == member
        kernel = lambda model: np.asarray(model.params["stroke_decoder"]["out"]["kernel"])
        np.testing.assert_allclose(kernel(found), kernel(wanted), rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_a_run_of_two_models_does_not_go_on_as_four(run):
    workdir, config = run
    four = dataclasses.replace(config, training=dataclasses.replace(config.training, num_models=4, steps=6))
    with pytest.raises(BadInput, match=r"training\.num_models=2, not 4"):
        loop.train(four, workdir)
