"""From the keys of a config file to frozen, checked settings."""

import dataclasses
import re
import typing
from pathlib import Path

import pytest

from dood_jax.config import evaluation, groups, model, resolving
from dood_jax.config.groups import Config
from dood_jax.config.model import ModelConfig
from dood_jax.config.resolving import default_config, resolve
from dood_jax.errors import BadInput

GROUPS = typing.get_type_hints(Config)
PRESET_GROUPS = ("model", "objective", "optimizer")


def resolve_with(key: str, value) -> Config:
    """The defaults with one dotted key changed, as plain values."""
    group, name = key.split(".")
    settings = default_config().to_dict()
    settings[group][name] = value
    return resolve(settings)


def test_every_default_survives():
    resolved = resolve(default_config())
    for name, group in GROUPS.items():
        assert getattr(resolved, name) == group(**resolving.PRESETS["fast"].get(name, {}))


def test_every_setting_has_a_key():
    keys = default_config().to_dict()
    assert set(keys) == set(GROUPS)
    for name, group in GROUPS.items():
        fields = {field.name for field in dataclasses.fields(group)}
        assert set(keys[name]) == (fields - {"image_size"} if name == "model" else fields)


@pytest.mark.parametrize("module", [evaluation, groups, model])
def test_a_sentence_above_every_key_says_what_it_does(module):
    lines = Path(module.__file__).read_text().splitlines()
    keys = [row for row, line in enumerate(lines) if re.match(r"    \w+: (str|int|float|bool)\b.* = ", line)]
    assert len(keys) > 20
    for row in keys:
        assert lines[row - 1].lstrip().startswith("# ") and lines[row - 1].endswith("."), lines[row]


def test_preset_groups_default_to_none_and_none_takes_the_presets_value(monkeypatch):
    keys = default_config().to_dict()
    for name in PRESET_GROUPS:
        assert all(value is None for key, value in keys[name].items() if key != "preset")
    changed = {"model": {"components": 7}, "optimizer": {"clip_norm": 5.0}}
    monkeypatch.setitem(resolving.PRESETS, "fast", changed)
    resolved = resolve(default_config())
    assert (resolved.model.components, resolved.optimizer.clip_norm) == (7, 5.0)
    assert resolved.model.num_strokes == ModelConfig().num_strokes
    assert resolve_with("model.components", 9).model.components == 9


@pytest.mark.parametrize("group", ["data", "training", "evaluation"])
def test_other_groups_show_their_values(group):
    shown = {key: value for key, value in default_config().to_dict()[group].items() if key != "dir"}
    assert shown
    assert all(value is not None for value in shown.values())


def test_image_size_of_the_model_follows_the_data():
    assert resolve_with("data.image_size", 30).model.image_size == 30


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.name", "synthetic"),
        ("data.dir", "somewhere"),
        ("model.num_strokes", 3),
        ("model.brush", "splat"),
        ("objective.beta", 2.5),
        ("optimizer.schedule", "constant"),
        ("training.batch_size", 32),
        ("evaluation.num_images", 0),
    ],
)
def test_a_given_value_is_taken_and_nothing_else_changes(key, value):
    group, name = key.split(".")
    defaults = resolve(default_config())
    wanted = dataclasses.replace(
        defaults, **{group: dataclasses.replace(getattr(defaults, group), **{name: value})}
    )
    assert resolve_with(key, value) == wanted


def test_a_key_that_a_config_file_misspells_is_refused_by_name():
    config = default_config()
    config.model.num_stroke = 3
    with pytest.raises(BadInput, match=r"model\.num_stroke is unknown; choose from .*num_strokes"):
        resolve(config)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"modle": {}}, "modle"),
        ({"model": {"num_stroke": 3}}, "model.num_stroke"),
        ({"training": {"model": {}}}, "training.model"),
        ({"optimizer": {"learning_rates": 1e-3}}, "optimizer.learning_rates"),
    ],
)
def test_unknown_keys_are_refused_by_name(settings, key):
    with pytest.raises(BadInput, match=f"{key} is unknown; choose from "):
        resolve(settings)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.preset", "slow"),
        ("model.brush", "spray"),
        ("model.placement", "nowhere"),
        ("model.decoder", "pixel"),
        ("model.guidance", "stars"),
        ("model.prior", "none"),
        ("model.likelihood", "poisson"),
        ("model.likelihood_scale", "sofa"),
        ("model.encoder", "vit"),
        ("objective.stopping", "never"),
        ("model.latents", "spherical"),
        ("model.start", "cifar"),
        ("objective.beta_weighs", "everything"),
        ("optimizer.schedule", "steep"),
        ("training.parallel", "mpi"),
    ],
)
def test_a_choice_that_is_not_available_is_refused_with_the_choices(key, value):
    with pytest.raises(BadInput, match=f"{key}='{value}' is not available; choose from .+"):
        resolve_with(key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.image_size", 0),
        ("data.image_size", 55),
        ("model.num_strokes", 0),
        ("model.num_points", 1),
        ("model.glimpse_size", 5),
        ("model.dropout", 0.5),
        ("model.glimpse_size", 12),
        ("model.curve_samples", 1),
        ("model.features", 0),
        ("model.components", 0),
        ("model.unroll", 0),
        ("objective.beta", 0.0),
        ("objective.num_particles", 0),
        ("objective.num_particles", 2),
        ("objective.beta", float("nan")),
        ("objective.floor_end_step", 500),
        ("objective.mismatched_start_prob", 1.5),
        ("objective.mismatched_start_prob", float("nan")),
        ("data.overlay_prob", -0.1),
        ("optimizer.learning_rate", -1e-3),
        ("optimizer.learning_rate", float("nan")),
        ("optimizer.warmup_steps", -1),
        ("optimizer.likelihood_multiplier", -1.0),
        ("optimizer.presence_multiplier", -1.0),
        ("optimizer.baseline_multiplier", -1.0),
        ("optimizer.prior_multiplier", -1.0),
        ("optimizer.clip_norm", -1.0),
        ("training.steps", 0),
        ("training.batch_size", 0),
        ("training.steps_per_call", 0),
        ("training.checkpoint_every", 0),
        ("training.evaluate_every", 0),
        ("training.log_every", 0),
        ("evaluation.num_images", -1),
        ("evaluation.num_particles", 0),
        ("evaluation.samples_per_posterior", 3),
        ("evaluation.num_strokes", -1),
        ("evaluation.batch_size", 0),
    ],
)
def test_values_out_of_range_are_refused_by_key(key, value):
    with pytest.raises(BadInput) as refused:
        resolve_with(key, value)
    assert f"{key}={value}" in str(refused.value)


@pytest.mark.parametrize("key", ["steps", "checkpoint_every", "evaluate_every", "log_every"])
def test_intervals_must_be_multiples_of_the_steps_per_call(key):
    settings = default_config().to_dict()
    settings["training"].update(
        steps=40, checkpoint_every=40, evaluate_every=40, log_every=40, steps_per_call=4
    )
    assert resolve(settings).training.steps_per_call == 4
    settings["training"][key] = 42
    with pytest.raises(BadInput, match=rf"training\.{key}=42 is not a multiple"):
        resolve(settings)


def test_settings_come_back_from_what_checkpoints_keep():
    resolved = resolve_with("data.image_size", 30)
    assert resolve(resolved.as_dict()) == resolved


def test_one_flag_gives_the_published_model_objective_and_optimiser():
    """method.md 3 to 8, M."""
    settings = default_config()
    settings.model.preset = "published"
    config = resolve(settings)
    model, objective, optimizer = config.model, config.objective, config.optimizer
    parts = model.encoder, model.latents, model.brush, model.placement, model.prior, model.guidance
    assert parts == ("conv", "correlated", "splat", "glimpse", "sequential", "canvas")
    sizes = model.components, model.curve_samples, model.glimpse_size, model.features, model.num_strokes
    assert sizes == (40, 100, 50, 256, 6)
    assert (model.dropout, model.likelihood, model.likelihood_scale) == (0.5, "laplace", "map")
    assert (objective.stopping, objective.beta, objective.beta_weighs) == ("nvil", 4, "likelihood")
    assert (optimizer.learning_rate, optimizer.schedule, optimizer.warmup_steps) == (1e-4, "constant", 0)
    multipliers = optimizer.likelihood_multiplier, optimizer.presence_multiplier, optimizer.prior_multiplier
    assert (*multipliers, optimizer.baseline_multiplier, optimizer.clip_norm) == (1, 1, 1, 10, 0)
    assert resolve(config.as_dict()) == config


def test_a_key_given_beside_the_published_preset_wins():
    settings = default_config()
    settings.model.update(preset="published", placement="points")
    settings.objective.stopping = "exact"
    config = resolve(settings)
    assert (config.model.placement, config.model.encoder) == ("points", "conv")
    assert (config.objective.stopping, config.optimizer.clip_norm) == ("exact", 0)


@pytest.mark.parametrize(
    ("data", "model", "start"),
    [
        ({"name": "kmnist"}, {}, "mnist"),
        ({"name": "synthetic"}, {}, "synthetic"),
        ({"name": "omniglot"}, {}, "omniglot"),
        ({"name": "omniglot"}, {"placement": "points"}, "synthetic"),
        ({"names": "mnist,omniglot"}, {}, "mnist"),
        ({"name": "omniglot"}, {"start": "mnist"}, "mnist"),
        ({"name": "omniglot"}, {"preset": "fast"}, "mnist"),
    ],
)
def test_published_runs_begin_with_the_initial_values_of_their_set(data, model, start):
    settings = default_config()
    settings.data.update(data)
    settings.model.update({"preset": "published", **model})
    assert resolve(settings).model.start == start


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"glimpse_size": 25}, r"model\.glimpse_size=25 does not fit model\.encoder='conv'.*; give 0"),
        ({"latents": "diagonal", "start": "omniglot"}, r"model\.start='omniglot' needs .*; give 'mnist'"),
        (
            {"decoder": "neural", "placement": "points"},
            r"model\.decoder='neural' needs model\.placement='glimpse', not 'points'",
        ),
        ({"dropout": 1.0}, r"model\.dropout=1\.0 is no fraction; give 0 or more"),
        ({"encoder": "patch"}, r"model\.dropout=0\.5 needs model\.encoder='conv'; give 0"),
        (
            {"encoder": "patch", "dropout": 0.0, "guidance": "none_leaky"},
            r"model\.guidance='none_leaky' needs model\.enc",
        ),
        ({"recognition": "air"}, r"model\.recognition='air' needs model\.decoder='image', not 'curve'"),
        ({"decoder": "image"}, r"model\.decoder='image' needs model\.recognition='air'"),
        (
            {"recognition": "vae", "decoder": "image", "prior": "images", "guidance": "none"},
            r"model\.recognition='vae' needs model\.num_strokes=1, not 6",
        ),
        ({"prior": "codes"}, r"model\.prior='codes' needs model\.recognition='air'"),
        (
            {"recognition": "air", "decoder": "image", "prior": "codes"},
            r"model\.recognition='air' needs model\.guidance='none', not 'canvas'",
        ),
        (
            {"decoder": "neural", "placement": "glimpse", "latents": "diagonal", "iterations": 1},
            r"model\.iterations=1 needs model\.placement='points', not 'glimpse'",
        ),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(keys, message):
    settings = default_config()
    settings.model.update(preset="published", **keys)
    with pytest.raises(BadInput, match=message):
        resolve(settings)


@pytest.mark.parametrize(
    ("given", "prior"),
    [
        ({}, "autoregressive"),
        ({"placement": "glimpse"}, "sequential"),
        ({"guidance": "none"}, "sequential"),
        ({"guidance": "none", "prior": "independent"}, "independent"),
        ({"preset": "published"}, "sequential"),
    ],
)
def test_the_prior_of_the_preset_is_for_models_that_it_fits(given, prior):
    settings = default_config()
    settings.model.update(given)
    assert resolve(settings).model.prior == prior


@pytest.mark.parametrize("key", ["placement", "latents", "guidance"])
def test_a_prior_of_whole_strokes_refuses_what_it_cannot_be_built_with(key):
    other = {"placement": "glimpse", "latents": "correlated", "guidance": "none"}[key]
    with pytest.raises(
        BadInput, match=rf"model\.prior='autoregressive' needs model\.{key}=.*, not '{other}'"
    ):
        ModelConfig(prior="autoregressive", **{key: other})


@pytest.mark.parametrize(("size", "window"), [(50, 25), (20, 10), (10, 10)])
def test_windows_of_patches_are_half_the_image_unless_given(size, window):
    settings = default_config()
    settings.data.image_size = size
    assert resolve(settings).model.glimpse_size == window
    settings.model.glimpse_size = 15
    assert resolve(settings).model.glimpse_size == 15
