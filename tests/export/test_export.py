"""`dood export`: the files of a tiny model, its card, and what is refused."""

import dataclasses
import json
import sys
import tomllib
from pathlib import Path

import jax
import numpy as np
import pytest
from jax import export
from refusals import refusal
from safetensors import safe_open

from dood_jax import cli
from dood_jax.api import Model
from dood_jax.config.model import ModelConfig
from dood_jax.export import command, formats
from dood_jax.export.command import Options
from dood_jax.export.functions import functions_of
from dood_jax.inference.batching import example_keys
from dood_jax.model import dood, drawing, iterative_inference, variation
from dood_jax.types import BrushParams

BRUSH = BrushParams(np.float32(0.02), np.float32(0.5), np.float32(0.7))
META = {"step": 3, "sha256": {"['a']": "0" * 64}}
PRIORS = ("sequential", "autoregressive")


def noise_for(port, random: np.random.Generator) -> np.ndarray:
    """What a card says of an input that is noise."""
    draw = random.uniform if port["distribution"] == "uniform in 0..1" else random.standard_normal
    return np.asarray(draw(size=tuple(port["shape"])), port["dtype"])


def inputs_for(entry: dict, given: dict, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Inputs of a file: those given by name, noise as the card says, or its defaults."""
    return {
        port["name"]: np.asarray(given[port["name"]], port["dtype"])
        if port["name"] in given
        else noise_for(port, random)
        if "distribution" in port
        else np.full(port["shape"], port["default"], port["dtype"])
        for port in entry["inputs"]
    }


def as_inputs(drawn: dict) -> dict[str, np.ndarray]:
    """The outputs of a function by the names that they have as inputs of another."""
    return {
        f"{'strokes' if name in ('presence', 'layout', 'control_points') else 'brush'}_{name}": value
        for name, value in drawn.items()
    }


def tiny_model(tiny: ModelConfig, prior: str) -> Model:
    """A tiny model with iterations that settle and steps of Newton, in which no output is constant."""
    words = {"iterations": 2, "settle": True, "newton_steps": 1}
    config = dataclasses.replace(tiny, prior=prior, num_points=3, **words)
    fresh = jax.device_get(jax.jit(lambda key: dood.init(config, key))(jax.random.key(0)))
    random = np.random.default_rng(0)
    moved = jax.tree_util.tree_map(
        lambda leaf: leaf + 0.1 * random.normal(size=leaf.shape).astype(np.float32), fresh
    )
    halves = jax.tree_util.tree_map(lambda leaf: leaf.astype(np.float16).astype(np.float32), moved)
    return Model(config, halves, BRUSH, META, "runs/tiny")


@pytest.fixture(scope="module", params=PRIORS)
def model(request, tiny) -> Model:
    return tiny_model(tiny, request.param)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("exported")
    written = command.export(model, Options(("safetensors", "stablehlo")), out)
    assert sorted(written) == sorted(out.iterdir()) and written[-1].name == command.CARD
    return out


@pytest.fixture(scope="module")
def card(exported) -> dict:
    return json.loads((exported / command.CARD).read_text())


def called(exported: Path, name: str, inputs: dict) -> dict:
    program = export.deserialize(bytearray((exported / f"{name}.stablehlo").read_bytes()))
    return jax.device_get(program.call(inputs))


def test_the_card_says_what_the_model_is(model, exported, card):
    assert card["model"] == "tiny" and card["step"] == 3 and card["dtype"] == "float16"
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert card["licence"] == project["license"]
    assert card["config"] == dataclasses.asdict(model.config)
    for entry in card["files"]:
        assert entry["bytes"] == (exported / entry["file"]).stat().st_size


def test_the_card_describes_every_input_and_output(exported, card):
    programs = [entry for entry in card["files"] if entry["format"] == "stablehlo"]
    assert [entry["function"] for entry in programs] == list(command.NAMES)
    for entry in programs:
        program = export.deserialize(bytearray((exported / entry["file"]).read_bytes()))
        assert set(program.platforms) == {"cpu", "cuda", "tpu"}
        (inputs,), _ = jax.tree_util.tree_unflatten(program.in_tree, program.in_avals)
        outputs = jax.tree_util.tree_unflatten(program.out_tree, program.out_avals)
        for ports, arrays in ((entry["inputs"], inputs), (entry["outputs"], outputs)):
            found = {port["name"]: (tuple(port["shape"]), port["dtype"]) for port in ports}
            assert found == {name: (leaf.shape, str(leaf.dtype)) for name, leaf in arrays.items()}
            assert all(port["meaning"] for port in ports)
        names = [port["name"] for port in entry["inputs"] + entry["outputs"]]
        assert len(set(names)) == len(names)  # ONNX has no input and output of one name


def test_safetensors_holds_every_parameter_by_name(model, exported):
    with safe_open(exported / formats.PARAMETERS, "numpy") as file:
        assert json.loads(file.metadata()["config"]) == dataclasses.asdict(model.config)
        assert set(file.keys()) == set(formats.by_name(model.params))
        for name, value in formats.by_name(model.params).items():
            assert file.get_tensor(name).dtype == np.float16
            np.testing.assert_array_equal(file.get_tensor(name), value)
    assert model.params["layout_rnn"]["kernel_i"].shape  # the first part of a name is that of a network


def test_infer_is_that_of_the_model_for_the_noise_of_its_key(model, exported, card, images):
    """`Model.infer` draws its noise from a key; the same noise gives the same drawing."""
    config = model.config
    key_first, key_after = jax.random.split(jax.random.split(example_keys(jax.random.key(4), 1)[0], 1)[0])
    first = jax.vmap(lambda key: drawing.stroke_noise(key, config.num_points, config.has_latent_brush))(
        jax.random.split(key_first, config.num_strokes)
    )

    def last_noise():
        found = drawing.draw_from_noise(config, model.params, images[0], first)
        posterior = drawing.iterate(config, model.params, images[0], found.strokes, found.brush, 2)
        return iterative_inference.posterior_noise(posterior, key_after)

    tree = {"first_noise": first, "noise": jax.jit(last_noise)(), "image": images[0]}
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    given = {jax.tree_util.keystr(path, simple=True, separator="_"): leaf for path, leaf in leaves}
    found, wanted = called(exported, "infer", given), model.infer(images[:1], 4)
    drawn = wanted.strokes.presence[0] > 0
    assert drawn.any()
    np.testing.assert_array_equal(found["presence"], wanted.strokes.presence[0])
    np.testing.assert_allclose(found["layout"][drawn], wanted.strokes.layout[0, drawn], atol=1e-3)
    np.testing.assert_allclose(found["canvases"], wanted.canvases[0], atol=2e-2)


def test_vary_is_that_of_the_model_for_the_noise_of_its_key(model, exported, images):
    drawn = model.infer(images[:1], 4)
    wanted = model.vary(drawn, 7)
    strokes, brush = jax.tree_util.tree_map(lambda leaf: np.asarray(leaf)[0], (drawn.strokes, drawn.brush))
    noise = variation.exemplar_noise(strokes, example_keys(jax.random.key(7), 1)[0])
    tree = {"strokes": strokes, "brush": brush, "noise": noise, "strength": np.float32(1)}
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    given = {jax.tree_util.keystr(path, simple=True, separator="_"): leaf for path, leaf in leaves}
    found = called(exported, "vary", given)
    np.testing.assert_allclose(found["control_points"], wanted.strokes.control_points[0], atol=1e-5)
    np.testing.assert_allclose(found["canvases"], wanted.canvases[0], atol=1e-3)


def test_functions_fit_each_other(model, exported, card):
    """A sample is rendered as it was drawn; its completion keeps the prefix."""
    entries = {entry["function"]: entry for entry in card["files"] if "function" in entry}
    random = np.random.default_rng(1)
    brush = {f"brush_{name}": value for name, value in card["brush"].items()}
    sampled = called(exported, "sample", inputs_for(entries["sample"], brush, random))
    assert np.isfinite(sampled["canvases"]).all() and sampled["canvas_points"].shape == (3, 3, 2)
    again = {port["name"]: as_inputs(sampled)[port["name"]] for port in entries["render"]["inputs"]}
    np.testing.assert_allclose(
        called(exported, "render", again)["canvases"], sampled["canvases"], rtol=1e-5, atol=1e-5
    )
    drawn = {**as_inputs(sampled), "strokes_presence": np.ones(3), "num_prefix_strokes": 2}
    unmoved = called(exported, "vary", inputs_for(entries["vary"], {**drawn, "strength": 0}, random))
    np.testing.assert_allclose(unmoved["canvas_points"], sampled["canvas_points"], atol=1e-5)
    whole = called(exported, "complete", inputs_for(entries["complete"], drawn, random))
    assert whole["presence"].shape == (6,) and (whole["presence"][:2] == 1).all()
    np.testing.assert_array_equal(whole["layout"][:2], sampled["layout"][:2])


def test_parameters_in_float32_take_twice_the_room(model, exported, tmp_path):
    command.export(model, Options(("safetensors",), dtype="float32"), tmp_path)
    with safe_open(tmp_path / formats.PARAMETERS, "numpy") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {np.dtype(np.float32)}  # noqa: SIM118


def test_every_input_has_limits_noise_or_a_meaning_of_its_own(tiny):
    names = {port.name for one in functions_of(tiny) for port in one.inputs}
    assert {"image", "first_noise_presence", "noise_layout_component", "spread_temperature"} <= names


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mnist", "--to=keras"], "--to='keras'"),
        (["mnist", "--to=,"], "--to names no format"),
        (["mnist"], "--to"),
        (["mnist", "--to=safetensors", "--dtype=int8"], "--dtype='int8'"),
        (["mnist", "--to=safetensors", "--out=/proc/here"], "--out=/proc/here"),
        (["nowhere", "--to=safetensors"], "nowhere"),
        (["mnist", "--to=onnx", "--exporter-python=none/python"], "--exporter-python=none/python"),
        (["mnist", "--to=onnx", "--exporter-python=false"], "pip install jax2onnx"),
    ],
)
def test_bad_input_is_one_line(capsys, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert said in refusal(capsys, "export", *arguments)
    assert not list(tmp_path.iterdir())


def test_files_that_are_there_are_kept(capsys, tmp_path):
    (tmp_path / formats.PARAMETERS).write_text("mine")
    said = refusal(capsys, "export", "mnist", "--to=stablehlo,safetensors", f"--out={tmp_path}")
    assert str(tmp_path / formats.PARAMETERS) in said and "--overwrite" in said
    assert (tmp_path / formats.PARAMETERS).read_text() == "mine"


def test_a_model_without_control_points_is_refused(smallest, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("dood_jax.api.load", lambda name: Model(smallest, {}, BRUSH, META, name))
    assert "control points" in refusal(capsys, "export", "vae", "--to=safetensors", f"--out={tmp_path}")


def test_the_command_names_what_it_wrote(capsys, tmp_path):
    cli.main(["export", "mnist", "--to=safetensors", f"--out={tmp_path}"])
    assert f"{tmp_path / formats.PARAMETERS}: 6.63 MB" in capsys.readouterr().out


def test_without_the_package_safetensors_it_says_what_to_install(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    said = refusal(capsys, "export", "mnist", "--to=safetensors", f"--out={tmp_path}")
    assert "pip install 'dood_jax[export]'" in said and not list(tmp_path.iterdir())
