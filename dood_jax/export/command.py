"""Exports a model: files in the formats asked for, and a card that says what they take and return."""

import dataclasses
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from dood_jax.api import Model
from dood_jax.checkpointing import restore
from dood_jax.errors import BadInput, require_choice
from dood_jax.export import formats
from dood_jax.export.formats import FORMATS, PARAMETERS
from dood_jax.export.functions import Function, functions_of
from dood_jax.version import VERSION

CARD, CARD_FORMAT = "card.json", 1
DTYPES = ("float16", "float32")
LICENCE = "Apache-2.0"  # of the repository, and so of the models
NAMES = ("infer", "sample", "complete", "vary", "render")  # of the functions


class Options(NamedTuple):
    """How a model is exported."""

    formats: tuple[str, ...]  # some of `formats.FORMATS`
    dtype: str = "float16"  # of the parameters; functions compute in float32
    overwrite: bool = False  # files that are there
    exporter_python: str = "python"  # that has jax2onnx
    is_shared: bool = False  # ONNX files have their parameters in one file beside them


def parse_formats(text: str) -> tuple[str, ...]:
    """Splits format names at commas. Raises BadInput for an unknown format, or if there is none."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        require_choice("--to", name, FORMATS)
    if not names:
        raise BadInput(f"--to names no format; choose from {', '.join(FORMATS)}")
    return names


def require_new(options: Options, out: Path) -> None:
    """Raises BadInput if a file is there that an export would replace, unless that is wanted."""
    names = [name for one in options.formats for name in formats.file_names(one, NAMES)]
    shared = [formats.SHARED] if options.is_shared else []
    for target in (out / name for name in [*names, *shared, CARD]):
        if os.path.lexists(target) and not options.overwrite:
            raise BadInput(f"{target} is there already; give --overwrite, or another folder by --out")


def export(model: Model, options: Options, out: Path) -> list[Path]:
    """Writes a model into a folder that is there, whole or not at all.

    Args:
      model: whose strokes are curves.
      options: in which formats, and how.
      out: the folder.

    Returns:
      The files that were written, the card last.

    Raises:
      BadInput: the model has no control points, or there is no exporter for ONNX.
      RunFailed: the exporter for ONNX failed.
    """
    if model.config.decoder != "curve":
        raise BadInput(
            f"{model.name} has model.decoder={model.config.decoder!r}, so no control points that could be"
            " exported; give a model with 'curve'"
        )
    config = dataclasses.replace(model.config, unroll=1)  # for programs are smaller
    params = jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, options.dtype), model.params)
    functions = functions_of(config)
    origin = _origin(model)
    with tempfile.TemporaryDirectory(dir=out, prefix=".export-") as scratch:
        folder = Path(scratch)
        if "onnx" in options.formats:
            how = options.exporter_python, options.is_shared
            formats.write_onnx(config, params, functions, folder, *how)
        if "safetensors" in options.formats:
            metadata = {name: json.dumps(value) for name, value in origin.items()}
            content = formats.safetensors(formats.by_name(params), metadata)
            (folder / PARAMETERS).write_bytes(content)
        if "stablehlo" in options.formats:
            for function in functions:
                (folder / f"{function.name}.stablehlo").write_bytes(formats.stablehlo(function, params))
        entries = [entry for name in options.formats for entry in _entries(name, folder, functions, params)]
        shared = [formats.SHARED] if (folder / formats.SHARED).exists() else []
        card = {"format": CARD_FORMAT, **origin, "dtype": options.dtype, "files": entries}
        (folder / CARD).write_text(json.dumps(card, indent=1) + "\n")
        written = [out / name for name in [*(entry["file"] for entry in entries), *shared, CARD]]
        for path in written:
            os.replace(folder / path.name, path)
    return written


def _origin(model: Model) -> dict[str, Any]:
    """What the model is, and where it comes from."""
    return {
        "model": Path(model.name).name,
        "licence": LICENCE,
        "version": VERSION,
        "step": model.meta["step"],
        "sha256": restore.checksum(model.meta),
        "config": dataclasses.asdict(model.config),
        "brush": {
            name: float(getattr(model.brush, name)) for name in ("ink_width", "ink_slope", "canvas_slope")
        },
    }


def _entries(
    format_name: str, folder: Path, functions: Sequence[Function], params: Any
) -> list[dict[str, Any]]:
    """What the card says of the files of one format."""
    size = lambda name: (folder / name).stat().st_size
    if format_name == "safetensors":
        arrays = {
            name: {"shape": list(array.shape), "dtype": array.dtype.name}
            for name, array in formats.by_name(params).items()
        }
        return [{"file": PARAMETERS, "format": format_name, "bytes": size(PARAMETERS), "arrays": arrays}]
    return [
        {
            "file": name,
            "format": format_name,
            "bytes": size(name),
            "function": function.name,
            "meaning": function.meaning,
            "inputs": [_said(port) for port in function.inputs],
            "outputs": [_said(port) for port in function.outputs],
        }
        for name, function in zip(
            formats.file_names(format_name, [one.name for one in functions]), functions, strict=True
        )
    ]


def _said(port: Any) -> dict[str, Any]:
    """A port, without what is not known of it."""
    return {name: value for name, value in port._asdict().items() if value is not None}
