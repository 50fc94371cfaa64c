"""The forms that a model is exported in: all parameters as safetensors, functions as StableHLO or as ONNX.

ONNX is written by another Python, in whose environment the exporter is installed: what that requires does not
fit what this package requires.
"""

import dataclasses
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jax import export

from dood_jax.config.model import ModelConfig
from dood_jax.errors import BadInput, RunFailed
from dood_jax.export.functions import Function
from dood_jax.model.networks import Params

FORMATS = ("onnx", "safetensors", "stablehlo")
PLATFORMS = ("cpu", "cuda", "tpu")  # that a StableHLO file runs on
PARAMETERS = "parameters.safetensors"
SHARED = "parameters.bin"  # large arrays of ONNX files that share them
EXPORTER = "jax2onnx==0.17.1"
_PACKAGE = Path(__file__).resolve().parents[1]
_SETTINGS = {"JAX_PLATFORMS": "cpu", "JAX_TRACEBACK_FILTERING": "off"}  # an error is its last line


def file_names(format_name: str, functions: Sequence[str]) -> list[str]:
    """The files of one of `FORMATS`: one for each function, or one for all parameters."""
    if format_name == "safetensors":
        return [PARAMETERS]
    return [f"{name}.{format_name}" for name in functions]


def by_name(params: Params) -> dict[str, np.ndarray]:
    """Parameters by their paths in the tree, as in `posterior_layout/out/kernel`."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


def safetensors(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """Arrays by name as a file in the format safetensors.

    Raises BadInput if the package of that name is not installed.
    """
    try:
        from safetensors.numpy import save  # noqa: PLC0415 (of the extra `export`)
    except ImportError as error:
        raise BadInput(
            "--to=safetensors needs the package safetensors: pip install 'dood_jax[export]'"
        ) from error
    return save(dict(arrays), dict(metadata))


def stablehlo(function: Function, params: Params) -> bytes:
    """A function with its parameters, as `jax.export.deserialize` reads it, for all of `PLATFORMS`.

    It takes and returns dicts of arrays by name.
    """
    of_inputs = jax.jit(lambda arrays: function.call(params, arrays))
    specs = {port.name: port.spec() for port in function.inputs}
    return bytes(export.export(of_inputs, platforms=PLATFORMS)(specs).serialize())


def write_onnx(
    config: ModelConfig,
    params: Params,
    functions: Sequence[Function],
    folder: Path,
    python: str,
    is_shared: bool = False,
) -> None:
    """Writes functions as `folder/NAME.onnx`, by a Python that has the exporter.

    With `is_shared` their large arrays are in one more file, `SHARED`, where each is stored once; in ONNX's
    words it is external data.

    Raises:
      BadInput: that Python is not there, or has no exporter.
      RunFailed: the exporter failed.
    """
    _require_exporter(python)
    model, arrays = folder / "model.json", folder / "parameters.npz"
    names = [function.name for function in functions]
    asked = {"functions": names, "shared": SHARED if is_shared else ""}
    model.write_text(json.dumps({"config": dataclasses.asdict(config), **asked}))
    np.savez(arrays, **by_name(params))  # type: ignore[arg-type] # its stub forgets names
    command = [python, "-m", "dood_jax.export.to_onnx", str(folder)]
    with tempfile.TemporaryDirectory() as alone:
        # The exporter's Python is to find this package, and none of those that are installed beside it.
        (Path(alone) / _PACKAGE.name).symlink_to(_PACKAGE, target_is_directory=True)
        environment = {**os.environ, "PYTHONPATH": alone, **_SETTINGS}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    model.unlink()
    arrays.unlink()
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RunFailed(f"the ONNX exporter of {python} failed ({last}); install {EXPORTER} there")


def _require_exporter(python: str) -> None:
    """Raises BadInput unless the exporter can be imported by a Python."""
    find = "import importlib.util, sys; sys.exit(importlib.util.find_spec('jax2onnx') is None)"
    try:
        code = subprocess.run([python, "-c", find], capture_output=True, check=False).returncode
    except OSError as error:
        raise BadInput(f"--exporter-python={python} cannot be run ({error.strerror}); {_REMEDY}") from error
    if code:
        raise BadInput(f"--exporter-python={python} has no jax2onnx, which writes ONNX; {_REMEDY}")


_REMEDY = (
    f"make one by `python -m venv exporter && exporter/bin/pip install {EXPORTER}` and give"
    " --exporter-python=exporter/bin/python"
)
