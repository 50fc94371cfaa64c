"""Writes functions as ONNX: `python -m dood_jax.export.to_onnx FOLDER`, run by `formats.write_onnx`.

It runs in an environment of its own, which has jax2onnx and what that brings along. The folder holds a model:
`model.json` and `parameters.npz`.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import onnx
from jax.extend.core import jaxpr_as_fun
from jax2onnx import to_onnx
from onnx.external_data_helper import set_external_data

from dood_jax.config.model import ModelConfig
from dood_jax.export.functions import Function, functions_of
from dood_jax.model.networks import Params

_LEAST_SHARED = 1024  # bytes of an array that is stored outside its file
_ALIGNMENT = 64  # bytes at whose multiples stored arrays begin


def main(folder: Path) -> None:
    """Writes `NAME.onnx` into the folder for every function that `model.json` names."""
    request = json.loads((folder / "model.json").read_text())
    with np.load(folder / "parameters.npz", allow_pickle=False) as arrays:
        params = flax.traverse_util.unflatten_dict(dict(arrays), sep="/")
    for function in functions_of(ModelConfig(**request["config"])):
        if function.name in request["functions"]:
            write(function, params, folder / f"{function.name}.onnx")
    if request["shared"]:
        share([folder / f"{name}.onnx" for name in request["functions"]], folder / request["shared"])


def write(function: Function, params: Params, path: Path) -> None:
    """Writes one function with its parameters."""
    names, specs = [port.name for port in function.inputs], [port.spec() for port in function.inputs]

    def of_inputs(*arrays):
        found = function.call(params, dict(zip(names, arrays, strict=True)))
        return tuple(jnp.copy(found[port.name]) for port in function.outputs)  # no input is an output

    # The exporter changes Flax while it traces, and then cannot map a layer over strokes: so it is given a
    # program that is traced already.
    to_onnx(
        jaxpr_as_fun(jax.make_jaxpr(of_inputs)(*specs)),
        specs,
        model_name=f"dood_jax_{function.name}",
        return_mode="file",
        output_path=path,
        input_names=names,
        output_names=[port.name for port in function.outputs],
        export_mode="web",
    )


def share(paths: Sequence[Path], store: Path) -> None:
    """Moves the large arrays of ONNX files into one file beside them, which holds equal arrays once."""
    places: dict[bytes, int] = {}
    with store.open("wb") as file:
        for path in paths:
            model = onnx.load(path)
            for array in model.graph.initializer:
                content = array.raw_data
                if len(content) < _LEAST_SHARED:
                    continue
                if content not in places:
                    file.write(bytes(-file.tell() % _ALIGNMENT))
                    places[content] = file.tell()
                    file.write(content)
                set_external_data(array, store.name, places[content], len(content))
                array.ClearField("raw_data")
            onnx.save(model, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
