"""Builds the page of `dood demo` as a static site, whose models run in the browser: no server computes.

    python tools/build_site.py --out=DIR [--models=mnist,synthetic] [--exporter-python=PATH]

Any plain web host serves the folder, under any address. It holds the page (dood_jax/demo/static), the engine
that computes in the browser (tools/site), the models as ONNX, and the ONNX Runtime for browsers, which npm
fetches and whose checksum must be the one below. docs/site.md says what the site does.
"""

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax import api, cli, command_line
from dood_jax.api import Model
from dood_jax.config.datasets import CATALOG
from dood_jax.demo import images
from dood_jax.demo.service import Service
from dood_jax.errors import BadInput, RunFailed
from dood_jax.export import command, formats
from dood_jax.model.prior import pleasing_spread
from dood_jax.rendering import source_grid
from dood_jax.runtime import parallel
from dood_jax.vectorize import drawing

ROOT = Path(__file__).resolve().parents[1]
PAGE, ENGINE = ROOT / "dood_jax" / "demo" / "static", ROOT / "tools" / "site"
RUNTIME = "onnxruntime-web@1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
PROGRAM, BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"  # of the runtime
LICENCE = "onnxruntime-web.txt"
FUNCTIONS = ("infer", "complete", "vary")  # that worker.js calls; a sample is a completion of nothing
POLICY = (  # what the page may load; WebAssembly is a script
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self';"
    " style-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'"
)
_CHARSET = '<meta charset="utf-8">\n'
_EXAMPLE_SETS = 4  # of images that models made up


def build(out: Path, names: Sequence[str], exporter_python: str | None) -> None:
    """Writes the site into a new folder, whole or not at all.

    Args:
      out: the folder, which is not there yet.
      names: released models or folders of runs; the page offers them in this order.
      exporter_python: the Python of an environment that has jax2onnx; one is made and thrown away if None.

    Raises:
      BadInput: the folder is there, or a model cannot be had or exported.
      RunFailed: npm or pip cannot fetch what is needed, or the exporter fails.
    """
    if os.path.lexists(out):
        raise BadInput(f"--out={out} is there already; give a folder that is not")
    models = {_address_of(name): api.load(name) for name in names}
    if len(models) < len(names):
        raise BadInput(f"--models={','.join(names)}: two would have the same address; rename a folder")
    for model in models.values():
        _require_points(model)
    command_line.writable(out.parent, "--out")
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".site-") as scratch:
        site = Path(scratch) / "site"
        _copy_page(site)
        fetch_runtime(site / "runtime")
        python = exporter_python or make_exporter(Path(scratch) / "exporter")
        for name, model in models.items():
            write_model(model, site / "models" / name, python)
        (site / "examples.json").write_text(json.dumps(_examples(tuple(names))))
        _describe(site, list(models))
        site.replace(out)


def _require_points(model: Model) -> None:
    """Raises BadInput for a model whose brushes are as large as their frames, which the page cannot draw."""
    if model.config.placement != "points":
        raise BadInput(
            f"--models: {model.name} has model.placement={model.config.placement!r}; give one with 'points'"
        )


def _address_of(name: str) -> str:
    """The name of a model on the site: the last part of a path."""
    found = Path(name).name
    if not re.fullmatch(r"[\w-]+", found):
        raise BadInput(
            f"--models={name}: {found!r} cannot be part of an address; rename the folder to [a-z0-9_-]"
        )
    return found


def _copy_page(site: Path) -> None:
    """Writes the page with the engine of the browser in place of the server's, and the licences."""
    shutil.copytree(PAGE, site, ignore=shutil.ignore_patterns("server_engine.js"))
    for path in ENGINE.glob("*.js"):
        shutil.copy(path, site / path.name.replace("browser_engine", "engine"))
    page = (site / "index.html").read_text()
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
    (site / "index.html").write_text(page.replace(_CHARSET, _CHARSET + policy))
    shutil.copy(ROOT / "LICENSE", site / "LICENSE.txt")


def fetch_runtime(folder: Path) -> None:
    """Writes the ONNX Runtime and its licence into a new folder.

    Raises RunFailed if npm cannot fetch it, or if what came is not what it should be.
    """
    with tempfile.TemporaryDirectory() as scratch:
        _run(["npm", "pack", "--silent", RUNTIME, f"--pack-destination={scratch}"], RUNTIME)
        (archive,) = Path(scratch).iterdir()
        found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != INTEGRITY:
            raise RunFailed(f"{RUNTIME} has the checksum {found}, not {INTEGRITY}; it was not unpacked")
        folder.mkdir()
        with tarfile.open(archive) as package:
            for name in (PROGRAM, BINARY):
                content = package.extractfile(f"package/dist/{name}")
                assert content is not None  # as the checksum says
                (folder / name).write_bytes(content.read())
    shutil.copy(ENGINE / LICENCE, folder / LICENCE)


def make_exporter(folder: Path) -> str:
    """Makes an environment with jax2onnx, and returns its Python. Raises RunFailed if pip cannot."""
    python = str(folder / "bin" / "python")
    _run([sys.executable, "-m", "venv", str(folder)], "an environment for the exporter")
    _run([python, "-m", "pip", "install", "--quiet", formats.EXPORTER], formats.EXPORTER)
    return python


def _run(arguments: list[str], wanted: str) -> None:
    """Runs a command that fetches something. Raises RunFailed with the last line it said."""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    except OSError as error:
        raise RunFailed(
            f"{wanted} cannot be had: {arguments[0]} cannot be run ({error.strerror}); install it"
        ) from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise RunFailed(f"{wanted} cannot be had by {arguments[0]} ({said[-1]}); is there a network?")


def write_model(model: Model, folder: Path, python: str) -> None:
    """Writes the functions of a model that the browser calls, and `model.json`, which describes it.

    Raises:
      BadInput: its strokes are no curves.
      RunFailed: the exporter failed.
    """
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        exported = Path(scratch)
        command.export(model, command.Options(("onnx",), exporter_python=python, is_shared=True), exported)
        card = json.loads((exported / command.CARD).read_text())
        for name in (*(f"{one}.onnx" for one in FUNCTIONS), formats.SHARED):
            content = (exported / name).read_bytes()
            if (
                name == formats.SHARED
            ):  # first bytes of pairs apart from second ones: 16-bit numbers pack better
                content = content[0::2] + content[1::2]
            # Plain hosts send files as they are, so they are packed here.
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
    size = sum(path.stat().st_size for path in folder.iterdir())
    inputs = {entry["function"]: entry["inputs"] for entry in card["files"] if entry["function"] in FUNCTIONS}
    about = {name: card[name] for name in ("licence", "version", "sha256")}
    record = {**description(model), "bytes": size, "inputs": inputs, **about}
    (folder / "model.json").write_text(json.dumps(record))


def description(model: Model) -> dict[str, Any]:
    """What the browser must know of a model to prepare images for it and to draw its strokes.

    `source_size` is the side to which an image is resized first, and `projection` the [H, H] matrix onto
    images that were enlarged from it, or None; `cubics` [13, P] makes a chain of cubics of P control points.
    """
    config, trained_on = model.config, model.meta["config"]["data"]["name"]
    size = config.image_size
    source_size = CATALOG[trained_on].size if trained_on in CATALOG else 0
    is_enlarged = source_size == config.source_size and source_grid.may_be_enlarged(source_size, size)
    return {
        "image_size": size,
        "source_size": source_size or None,
        "projection": source_grid.projection(size, source_size).round(6).tolist() if is_enlarged else None,
        "cubics": drawing.cubics(np.eye(config.num_points)).tolist(),
        "brush": config.brush,
        "curve_samples": config.curve_samples,
        "spread": pleasing_spread(config)._asdict(),
    }


def _examples(names: tuple[str, ...]) -> list[list[dict[str, Any]]]:
    """Several sets of images that the models make up, as the page asks for them."""
    service = Service(names)
    made_up = lambda name, seed: images.made_up(name, seed, service.generator(name)).record()
    return [[made_up(name, seed) for name in names if name in CATALOG] for seed in range(_EXAMPLE_SETS)]


def _describe(site: Path, names: list[str]) -> None:
    """Writes what the engine and the service worker must know of the finished site."""
    digest = hashlib.sha256()
    for path in sorted(path for path in site.rglob("*") if path.is_file()):
        digest.update(path.read_bytes())
    version = f"dood-{digest.hexdigest()[:12]}"
    size = (site / "runtime" / BINARY).stat().st_size
    (site / "site.json").write_text(json.dumps({"version": version, "models": names, "runtime_bytes": size}))
    at_once = ["./", *sorted(path.name for path in site.iterdir() if path.is_file()), f"runtime/{PROGRAM}"]
    at_once.remove("service_worker.js")
    (site / "files.js").write_text(
        f"const VERSION = {json.dumps(version)};\nconst FILES = {json.dumps(at_once)};\n"
    )


def main(argv: list[str] | None = None) -> None:
    """Builds the site and says how large it is; exits 2 with one line for bad input, 1 if something fails."""
    parser = command_line.Parser(
        "python tools/build_site.py", description="Builds the static site of the page."
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="the folder to write, which is not there yet"
    )
    parser.add_argument("--models", default=cli.MODELS, help=f"joined by commas (default {cli.MODELS})")
    parser.add_argument(
        "--exporter-python",
        metavar="PATH",
        help="the Python of an environment that has jax2onnx (default: one is made, which takes minutes)",
    )
    try:
        arguments = parser.parse_args(argv)
        names = tuple(dict.fromkeys(name for name in arguments.models.split(",") if name))
        if not names:
            raise BadInput("--models names no model; leave it out for all that are released")
        parallel.keep_compiled_programs()
        out = Path(arguments.out)
        build(out, names, arguments.exporter_python)
    except BadInput as error:
        command_line.refuse(error)
    except RunFailed as error:
        command_line.report(error)
        sys.exit(1)
    sizes = {path: path.stat().st_size for path in out.rglob("*") if path.is_file()}
    for part in sorted({path.relative_to(out).parts[:-1] for path in sizes}):
        folder = out.joinpath(*part)
        size = sum(size for path, size in sizes.items() if path.parent == folder)
        sys.stdout.write(f"{folder}: {size / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
