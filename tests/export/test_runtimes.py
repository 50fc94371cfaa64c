"""A released model's files, each in its own runtime, against JAX on 32 images."""

import dataclasses
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import onnxruntime
import pytest
from jax import export
from safetensors.numpy import load_file
from test_export import as_inputs, inputs_for, tiny_model

import dood_jax
from dood_jax import cli
from dood_jax.api import Model
from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import DataConfig
from dood_jax.export import command, formats
from dood_jax.export.command import Options
from dood_jax.export.functions import functions_of
from dood_jax.inference import image_sets

pytestmark = pytest.mark.slow
COUNT = 32
NAME = "mnist"
MOST_BYTES = 6 * 2**20  # of a file with parameters in float16, or of all that share them, packed by gzip

Run = Callable[[dict], dict]
Cases = dict[str, list[tuple[dict, dict]]]  # inputs and outputs by the name of a function


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> str:
    """The Python of an environment with the exporter; skips where that cannot be installed."""
    folder = tmp_path_factory.mktemp("exporter")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    found = str(folder / "bin" / "python")
    install = [found, "-m", "pip", "install", "--quiet", formats.EXPORTER]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{formats.EXPORTER} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return found


@pytest.fixture(scope="module")
def exported(python, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("exported")
    cli.main(
        ["export", NAME, f"--to={','.join(formats.FORMATS)}", f"--out={out}", f"--exporter-python={python}"]
    )
    return out


def packed_size(path: Path) -> int:
    return len(gzip.compress(path.read_bytes()))


@pytest.fixture(scope="module")
def model() -> Model:
    return dood_jax.load(NAME)


@pytest.fixture(scope="module")
def digits(data_dir) -> np.ndarray:
    data = DataConfig(name=NAME, dir=str(data_dir))
    return image_sets.test_images(data, EvaluationConfig(num_images=COUNT))


@pytest.fixture(scope="module")
def cases(model, exported, digits) -> Cases:
    return cases_of(model, exported, digits)


def cases_of(model: Model, folder: Path, images: np.ndarray) -> Cases:
    """Inputs and outputs of every function for each image, as JAX computes them."""
    entries = json.loads((folder / command.CARD).read_text())["files"]
    by_function = {entry["function"]: entry for entry in entries if entry["format"] == "onnx"}
    parts = ("ink_width", "ink_slope", "canvas_slope")
    one_brush = {f"brush_{name}": getattr(model.brush, name) for name in parts}
    call = {
        one.name: jax.jit(lambda arrays, one=one: one.call(model.params, arrays))
        for one in functions_of(dataclasses.replace(model.config, unroll=1))
    }
    found: Cases = {name: [] for name in command.NAMES}
    random = np.random.default_rng(0)
    for image in images:
        drawn: dict = {}
        for name in command.NAMES:
            given = {"image": image, "num_prefix_strokes": 1, **as_inputs(drawn)}
            inputs = inputs_for(
                by_function[name], {**given, **one_brush} if name == "sample" else given, random
            )
            outputs = jax.device_get(call[name](inputs))
            found[name].append((inputs, outputs))
            drawn = drawn or outputs  # what `infer` draws is completed, varied and rendered
    return found


def errors(run: Run, pairs: list[tuple[dict, dict]]) -> dict[str, np.ndarray]:
    """[32] the largest error of canvases, and of control points of strokes that are drawn."""
    of_canvases, of_points = [], []
    for inputs, wanted in pairs:
        found = run(inputs)
        assert set(found) == set(wanted)
        of_canvases.append(np.abs(found["canvases"] - wanted["canvases"]).max())
        if "presence" in wanted:
            np.testing.assert_array_equal(found["presence"], wanted["presence"])
            off = np.abs(found["canvas_points"] - wanted["canvas_points"])[wanted["presence"] > 0]
            of_points.append(off.max(initial=0))
    return {"canvases": np.array(of_canvases), "points": np.array(of_points or [0.0])}


def assert_near(found: dict[str, np.ndarray], part: float = 1) -> None:
    """This part of the drawings is near."""
    assert np.quantile(found["canvases"], part) < 1e-2, found
    assert np.quantile(found["points"], part) < 1e-3, found


def part_of(name: str) -> float:
    """Three in four drawings of `infer`: of others dozens of iterations amplify rounding, in JAX as well."""
    return 0.75 if name == "infer" else 1


def onnx_run(path: Path) -> Run:
    """The function in a file, by ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # it warns of numbers that no node uses
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


@pytest.mark.parametrize("name", command.NAMES)
def test_onnx_runtime_computes_what_jax_does(exported, cases, name):
    run = onnx_run(exported / f"{name}.onnx")
    started = time.perf_counter()
    found = errors(run, cases[name])
    seconds = (time.perf_counter() - started) / COUNT
    said = {kind: f"median {np.median(off):.1e}, largest {off.max():.1e}" for kind, off in found.items()}
    print(f"{name}.onnx: {1000 * seconds:.1f} ms an image; {said}")
    assert_near(found, part_of(name))


@pytest.mark.parametrize("name", command.NAMES)
def test_jax_computes_the_same_from_stablehlo(exported, cases, name):
    program = export.deserialize(bytearray((exported / f"{name}.stablehlo").read_bytes()))
    call = jax.jit(program.call)
    found = errors(lambda inputs: jax.device_get(call(inputs)), cases[name])
    said = {kind: f"median {np.median(off):.1e}, largest {off.max():.1e}" for kind, off in found.items()}
    print(f"{name}.stablehlo: {said}")
    assert_near(found, part_of(name))


def test_files_that_share_their_parameters_are_small_and_draw_the_same(python, exported, cases, tmp_path):
    cli.main(["export", NAME, "--to=onnx", "--shared", f"--out={tmp_path}", f"--exporter-python={python}"])
    for name in command.NAMES:
        alone, shared = onnx_run(exported / f"{name}.onnx"), onnx_run(tmp_path / f"{name}.onnx")
        inputs = cases[name][0][0]
        wanted, found = alone(inputs), shared(inputs)
        assert all(np.array_equal(found[port], wanted[port]) for port in wanted), name
    assert sum(map(packed_size, tmp_path.iterdir())) <= MOST_BYTES


def test_after_one_iteration_all_drawings_are_near(python, model, digits, tmp_path):
    short = dataclasses.replace(model, config=dataclasses.replace(model.config, iterations=1))
    command.export(short, Options(("onnx",), exporter_python=python), tmp_path)
    pairs = cases_of(short, tmp_path, digits)["infer"]
    assert_near(errors(onnx_run(tmp_path / "infer.onnx"), pairs))


def test_drawings_fit_their_images_as_well_in_onnx(exported, cases):
    """In the mean, also where rounding has led iterations elsewhere."""
    run = onnx_run(exported / "infer.onnx")
    off = lambda image, drawn: np.abs(image - drawn["canvases"][-1]).sum()
    found, wanted = np.transpose(
        [(off(given["image"], run(given)), off(given["image"], outputs)) for given, outputs in cases["infer"]]
    )
    assert found.mean() == pytest.approx(wanted.mean(), rel=0.05)


def test_onnx_of_a_model_with_latent_brushes(python, tiny, images, tmp_path):
    model = tiny_model(tiny, "autoregressive")
    command.export(model, Options(("onnx",), exporter_python=python), tmp_path)
    for name, pairs in cases_of(model, tmp_path, images).items():
        assert "brush_taper" in pairs[0][0] or "taper" in pairs[0][1]
        part = 0.5 if name == "infer" else 1  # a corrector that was not trained amplifies rounding most
        assert_near(errors(onnx_run(tmp_path / f"{name}.onnx"), pairs), part)


def test_parameters_in_safetensors_are_those_of_the_model(exported, model, cases):
    """Read back and put in place, they draw the same."""
    arrays = load_file(exported / formats.PARAMETERS)
    wanted = formats.by_name(model.params)
    assert set(arrays) == set(wanted)
    leaves = [arrays[name].astype(np.float32) for name in wanted]
    params = jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(model.params), leaves)
    infer = functions_of(model.config)[0]
    call = jax.jit(lambda arrays: infer.call(params, arrays))
    found = errors(lambda inputs: jax.device_get(call(inputs)), cases["infer"])
    assert_near(found, part_of("infer"))


def test_files_are_small(exported):
    sizes = {path.name: packed_size(path) for path in exported.iterdir()}
    assert len(sizes) == 2 * len(command.NAMES) + 2
    assert max(sizes.values()) <= MOST_BYTES, sizes
