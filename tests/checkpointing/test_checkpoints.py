"""Checkpoints come back bit for bit or not at all, and are found where people look for them."""

import dataclasses
import json
import logging
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dood_jax.checkpointing import metadata, restore
from dood_jax.checkpointing.manager import Checkpoints, Trees
from dood_jax.checkpointing.metadata import read_meta
from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import Config, DataConfig, ObjectiveConfig, OptimizerConfig, TrainingConfig
from dood_jax.errors import BadInput
from dood_jax.types import BrushParams

BRUSH = BrushParams(0.02, 0.3, 0.7)


@pytest.fixture(scope="module")
def config(tiny) -> Config:
    data = DataConfig("synthetic", image_size=20)
    return Config(data, tiny, ObjectiveConfig(), OptimizerConfig(), TrainingConfig(), EvaluationConfig())


@pytest.fixture(scope="module")
def state(params) -> Trees:
    """Trees as training keeps them, in which every leaf is random."""
    random = np.random.default_rng(0)
    fill = lambda leaf: jnp.asarray(np.asarray(random.normal(size=np.shape(leaf)) * 10, leaf.dtype))
    rest = {
        "optimizer": jax.eval_shape(optax.adam(1e-3).init, params),
        "skipped": jnp.int32(2),
        "nothing": (),
    }
    return jax.tree_util.tree_map(fill, {"params": params, "state": rest})


@jax.jit
def at_step(state: Trees, step: int) -> Trees:
    """The trees with parameters moved by a step's number."""
    return {**state, "params": jax.tree_util.tree_map(lambda leaf: leaf + step, state["params"])}


def save(checkpoints: Checkpoints, config: Config, state: Trees, step: int, bound=None) -> None:
    """Saves what the trees are at a step."""
    meta = metadata.describe(config, step, BRUSH._asdict(), "cpu")
    checkpoints.save(step, at_step(state, step), meta, bound)


@pytest.fixture(scope="module")
def saved_run(tmp_path_factory, config, state):
    """A run with checkpoints at steps 1 and 2; copy it before doing harm."""
    workdir = tmp_path_factory.mktemp("run")
    with Checkpoints(workdir) as checkpoints:
        for step in (1, 2):
            save(checkpoints, config, state, step)
    return workdir


@pytest.fixture
def run(saved_run, tmp_path):
    """A copy of the run."""
    return shutil.copytree(saved_run, tmp_path / "run")


@pytest.fixture(scope="module")
def saved_release(tmp_path_factory, config, params):
    """A released model; copy it before doing harm."""
    path = tmp_path_factory.mktemp("released") / "toy"
    meta = {"config": config.as_dict(), "step": 7, "brush": {}, "commit": "abc"}
    restore.release(params, meta, path)
    return path


@pytest.fixture
def released(saved_release, tmp_path):
    """A copy of the released model."""
    return shutil.copytree(saved_release, tmp_path / "toy")


def restored_state(workdir, config, template) -> Trees | None:
    check = lambda meta, directory: metadata.require_same_run(meta, config, directory)
    with Checkpoints(workdir) as checkpoints:
        return checkpoints.restore_latest(template, check)


def assert_equal_bits(one, other) -> None:
    jax.tree_util.tree_map(np.testing.assert_array_equal, one, other)
    dtypes = lambda tree: [leaf.dtype for leaf in jax.tree_util.tree_leaves(tree)]
    assert dtypes(one) == dtypes(other)


def flip_a_byte_of(folder) -> None:
    """Damages the largest file in a folder, half-way through."""
    path = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)


def test_a_state_comes_back_bit_for_bit(run, config, state):
    assert_equal_bits(restored_state(run, config, state), at_step(state, 2))


def test_nothing_to_restore_in_a_new_folder(tmp_path, config, state):
    assert restored_state(tmp_path, config, state) is None


def test_a_step_on_disk_is_left_alone_and_the_newest_three_are_kept(tmp_path, config, state):
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2, 3, 4):
            save(checkpoints, config, state, step)
        checkpoints.save(4, at_step(state, 99), metadata.describe(config, 4, BRUSH._asdict(), "cpu"))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["2", "3", "4"]
    assert_equal_bits(restored_state(tmp_path, config, state), at_step(state, 4))


def test_of_steps_the_newest_and_the_best_stay_also_when_the_run_goes_on(tmp_path, config, state):
    def steps_after(saved: dict[int, float | None]) -> list[int]:
        with Checkpoints(tmp_path, keep=2) as checkpoints:
            for step, bound in saved.items():
                save(checkpoints, config, state, step, bound)
        return sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())

    assert steps_after({10: -5.0, 20: -1.0, 30: -3.0, 40: float("nan")}) == [20, 30, 40]
    assert restore.find(str(tmp_path / "best")).name == "20"
    assert steps_after({45: None, 50: -2.0}) == [20, 45, 50]
    assert steps_after({60: -0.5, 70: None, 80: -0.75}) == [60, 70, 80]
    assert restore.find(str(tmp_path / "best")).name == "60"


@pytest.mark.parametrize(
    "content", ["{", "[]", "7", "{}", '{"log_likelihood": "x"}', '{"log_likelihood": NaN}']
)
def test_a_bound_that_makes_no_sense_is_none(run, content):
    """The other step, which was measured, is the best."""
    for step, said in (("1", '{"log_likelihood": -9.5}'), ("2", content)):
        path = run / "checkpoints" / step / restore.METRICS_FILE
        path.parent.mkdir(exist_ok=True)
        path.write_text(said)
    assert restore.find(str(run / "best")).name == "1"


def test_of_a_run_that_measured_nothing_the_newest_step_is_the_best(run):
    assert restore.find(str(run / "best")).name == "2"


def test_meta_tells_config_step_and_brush(run, config, state):
    meta = read_meta(run / "checkpoints" / "2")
    assert meta["step"] == 2
    assert meta["config"] == json.loads(json.dumps(config.as_dict()))
    assert meta["brush"] == {
        name: float(value) for name, value in BRUSH._asdict().items() if value is not None
    }
    assert len(meta["sha256"]) == len(jax.tree_util.tree_leaves(state))


@pytest.mark.parametrize("part", ["params", "state"])
def test_a_flipped_byte_sends_the_run_back_to_the_older_checkpoint(run, config, state, part, caplog):
    flip_a_byte_of(run / "checkpoints" / "2" / part)
    with caplog.at_level(logging.WARNING, logger="absl"):
        restored = restored_state(run, config, state)
    assert_equal_bits(restored, at_step(state, 1))
    assert "checkpoint 2 is damaged" in caplog.text


@pytest.mark.parametrize("part", ["params", "state", "meta"])
def test_a_missing_part_sends_the_run_back_to_the_older_checkpoint(run, config, state, part, caplog):
    for path in (run / "checkpoints" / "2" / part).rglob("*"):
        if path.is_file():
            path.unlink()
    assert_equal_bits(restored_state(run, config, state), at_step(state, 1))


def test_torn_meta_sends_the_run_back_to_the_older_checkpoint(run, config, state, caplog):
    path = run / "checkpoints" / "2" / "meta" / "metadata"
    path.write_text(path.read_text()[:100])
    assert_equal_bits(restored_state(run, config, state), at_step(state, 1))


def test_a_damaged_newest_checkpoint_is_set_aside_so_that_the_run_saves_again(run, config, state):
    flip_a_byte_of(run / "checkpoints" / "2" / "params")
    with Checkpoints(run) as checkpoints:
        assert_equal_bits(checkpoints.restore_latest(state, lambda *_: None), at_step(state, 1))
        save(checkpoints, config, state, 2)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["1", "2", "damaged-2"]
    assert_equal_bits(restored_state(run, config, state), at_step(state, 2))


def test_another_seed_in_the_same_folder_is_refused(run, config, state):
    other = dataclasses.replace(config, training=dataclasses.replace(config.training, seed=5))
    with pytest.raises(BadInput, match=r"training\.seed=\d+, not 5"):
        restored_state(run, other, state)


def test_other_images_in_the_same_folder_are_refused(run, config, state):
    other = dataclasses.replace(config, data=dataclasses.replace(config.data, categories="eye,tree"))
    with pytest.raises(BadInput, match=r"data\.categories=.*, not 'eye,tree'"):
        restored_state(run, other, state)


def test_a_run_with_no_whole_checkpoint_is_refused(run, config, state, caplog):
    for step in ("1", "2"):
        flip_a_byte_of(run / "checkpoints" / step / "params")
    with pytest.raises(BadInput, match=r"no checkpoint in .*checkpoints is readable"):
        restored_state(run, config, state)


def test_another_architecture_is_refused_by_key(run, config, state):
    other = dataclasses.replace(config, model=dataclasses.replace(config.model, components=4))
    with pytest.raises(BadInput, match=r"model\.components=3, not 4"):
        restored_state(run, other, state)


def test_of_a_run_begun_before_a_setting_there_was_its_default_is_asked_for(run, config, state):
    for step in ("1", "2"):
        path = run / "checkpoints" / step / "meta" / "metadata"
        meta = json.loads(path.read_text())
        del meta["config"]["model"]["source_size"]
        path.write_text(json.dumps(meta))
    assert_equal_bits(restored_state(run, config, state), at_step(state, 2))
    other = dataclasses.replace(config, model=dataclasses.replace(config.model, source_size=10))
    with pytest.raises(BadInput, match=r"model\.source_size=0, not 10"):
        restored_state(run, other, state)


def test_unrolling_is_no_part_of_the_architecture(run, config, state):
    other = dataclasses.replace(config, model=dataclasses.replace(config.model, unroll=3))
    assert_equal_bits(restored_state(run, other, state), at_step(state, 2))


def test_parameters_of_a_step_are_read_without_the_run(run, tiny, state):
    path = run / "checkpoints" / "2"
    read = restore.read_params(path, tiny, read_meta(path))
    assert_equal_bits(read, at_step(state, 2)["params"])


def test_reading_damaged_parameters_is_refused(run, tiny):
    path = run / "checkpoints" / "2"
    meta = read_meta(path)
    flip_a_byte_of(path / "params")
    with pytest.raises(BadInput) as refused:
        restore.read_params(path, tiny, meta)
    assert str(path) in str(refused.value)


def test_a_released_model_comes_back_within_rounding_to_16_bits(released, tiny, params):
    card = read_meta(released)
    assert (card["step"], card["dtype"]) == (7, "float16")
    read = restore.read_params(released, tiny, card)
    assert {leaf.dtype for leaf in jax.tree_util.tree_leaves(read)} == {np.dtype("float32")}
    jax.tree_util.tree_map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=2**-11, atol=2**-24), read, params
    )
    size = sum(path.stat().st_size for path in released.rglob("*") if path.is_file())
    assert size < 3 * sum(leaf.size for leaf in jax.tree_util.tree_leaves(params))


def test_a_tampered_release_is_refused(released, tiny):
    """Other parameters, whole and readable, under the old card."""
    card = json.loads((released / "card.json").read_text())
    changed = restore.read_params(released, tiny, card)
    changed["prior_presence"]["out"]["bias"] = changed["prior_presence"]["out"]["bias"] + 1
    restore.release(changed, {}, released)
    (released / "card.json").write_text(json.dumps(card))
    with pytest.raises(BadInput, match=r"is damaged: checksum of .*prior_presence.*bias.* does not match"):
        restore.read_params(released, tiny, read_meta(released))


def test_a_release_is_not_read_as_another_model(released, tiny):
    wider = dataclasses.replace(tiny, features=24)
    with pytest.raises(BadInput, match=r"cannot be read as this model: .* has shape \[.*\], not \[.*\]"):
        restore.read_params(released, wider, read_meta(released))


@pytest.mark.parametrize(
    ("card", "words"), [("{", "not readable JSON"), ('{"format": 99}', "has format 99; this version reads 1")]
)
def test_a_card_of_another_kind_is_refused(released, card, words):
    (released / "card.json").write_text(card)
    with pytest.raises(BadInput, match=words):
        read_meta(released)


def test_find_takes_a_step_a_run_its_checkpoints_and_a_release(run, released):
    step = run / "checkpoints" / "2"
    for given in (step, run, run / "checkpoints"):
        assert restore.find(str(given)) == step
    assert restore.find(str(run / "checkpoints" / "1")).name == "1"
    assert restore.find("toy", [released.parent]) == released
    assert restore.find(str(released)) == released


def test_find_takes_the_latest_step_by_number(run):
    shutil.copytree(run / "checkpoints" / "2", run / "checkpoints" / "10")
    assert restore.find(str(run)).name == "10"


def test_find_says_what_it_looked_for_and_what_there_is(tmp_path, released):
    with pytest.raises(BadInput) as refused:
        restore.find("nothing", [released.parent, tmp_path / "nowhere"])
    assert "'nothing'" in str(refused.value)
    assert "(toy)" in str(refused.value)
    with pytest.raises(BadInput, match="none here"):
        restore.find("nothing", [])


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"is not a checkpoint: it has neither card\.json nor"):
        read_meta(tmp_path)
