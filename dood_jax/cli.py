"""The command `dood`: train, evaluate, vectorize, demo, export and prepare-data.

What a command needs is imported when it runs, so that help and refusals do not wait for jax.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from dood_jax import command_line
from dood_jax.errors import BadInput, RunFailed, require_at_least, require_choice

_FORMATS = "svg, animated-svg, gif, inkml, stroke3, ndjson, json"
MODELS = "synthetic,omniglot,mnist,emnist,kmnist,quickdraw"
_FILES = "images (PNG, JPEG, WebP, TIFF, BMP, GIF), PDF, SVG, arrays (npy, npz), or folders of them"


def main(argv: list[str] | None = None) -> None:
    """Runs a command. Exits with 0, or as the command says: with 2 for bad input, each in one line."""
    argv = sys.argv[1:] if argv is None else argv
    parser = _parser()
    arguments, unknown = parser.parse_known_args(argv)
    try:
        if arguments.takes_flags:  # the flags are parsed by what the command runs
            arguments.run(argv[1:])
        elif unknown:
            parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        else:
            arguments.run(arguments)
    except BadInput as error:
        command_line.refuse(error)
    except RunFailed as error:
        command_line.report(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = command_line.Parser(prog="dood", description="Models that learn to draw from images alone.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands)
    _add_evaluate(commands)
    _add_vectorize(commands)
    _add_demo(commands)
    _add_export(commands)
    _add_prepare_data(commands)
    return parser


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train a model",
        description="Trains a model, or goes on with the training that it finds in the folder of the run.",
    )
    _add_run_flags(train)
    train.set_defaults(run=lambda flags: _run_main("train", flags), takes_flags=True)


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="evaluate a trained model",
        description="Evaluates a model and writes the results and figures into the folder of the run.",
    )
    _add_run_flags(evaluate)
    evaluate.add_argument(
        "--task",
        metavar="NAMES",
        help="names of evaluations, joined by commas (default likelihood,reconstruction)",
    )
    evaluate.add_argument(
        "--checkpoint",
        metavar="NAME",
        help="a released model or a folder (default the latest of the run)",
    )
    evaluate.add_argument("--input", metavar="FILES", help="images for --task=vectorize, joined by commas")
    evaluate.set_defaults(run=lambda flags: _run_main("evaluate", flags), takes_flags=True)


def _add_run_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that `dood_jax.main` parses, for the help alone."""
    parser.add_argument(
        "--config", metavar="CONFIG", help="a config by its name or file, such as mnist or configs/mnist.py"
    )
    parser.add_argument("--workdir", metavar="DIR", help="the folder of the run (default runs/CONFIG)")
    parser.epilog = "Every key of the config can be changed: --config.training.steps=1000."


def _run_main(mode: str, flags: list[str]) -> None:
    """Hands flags to `dood_jax.main`, as if it had been started with them."""
    from absl import app

    from dood_jax import main as runs

    sys.argv = ["dood_jax.main", *flags, f"--mode={mode}"]  # a run notes them in its checkpoints
    app.run(runs.main, flags_parser=command_line.parse_flags)


def _add_vectorize(commands: Any) -> None:
    vectorize = commands.add_parser(
        "vectorize",
        help="draw images again as pen strokes",
        description="Draws images again as pen strokes, each with its width, in drawing order.",
    )
    vectorize.add_argument("files", nargs="+", metavar="FILES", help=_FILES)
    vectorize.add_argument("--to", default="svg", help=f"formats, joined by commas: {_FORMATS} (default svg)")
    vectorize.add_argument("--out", default=".", metavar="DIR", help="folder to write into (default here)")
    vectorize.add_argument(
        "--checkpoint", default="synthetic", help="a released model or a folder (default synthetic)"
    )
    vectorize.add_argument("--overwrite", action="store_true", help="replace files that are there")
    vectorize.add_argument(
        "--monochrome", action="store_true", help="black strokes, whatever the image's ink"
    )
    vectorize.add_argument(
        "--groups",
        action="store_true",
        help="group strokes into characters, words and lines (svg, inkml, json)",
    )
    vectorize.add_argument(
        "--stroke3-points",
        type=int,
        default=250,
        metavar="N",
        help="most points of a drawing in the format stroke3 (default 250, as sketch-rnn takes)",
    )
    vectorize.add_argument("--quiet", action="store_true", help="write nothing of what went well")
    vectorize.set_defaults(run=_vectorize, takes_flags=False)


def _vectorize(arguments: argparse.Namespace) -> None:
    """Vectorizes files; exits with 2 if one of them is missing, could not be read or holds no drawing."""
    from dood_jax.vectorize import batch

    formats = batch.parse_formats(arguments.to)
    points = arguments.stroke3_points
    require_at_least("--stroke3-points", points, 2)
    options = batch.Options(
        formats, arguments.overwrite, arguments.quiet, arguments.monochrome, arguments.groups, points
    )
    gathered = batch.gather(arguments.files)
    if not gathered.files:  # the model need not be loaded
        for failure in gathered.failures:
            command_line.report(failure)
        sys.exit(2)
    out = command_line.writable(Path(arguments.out), "--out")
    from dood_jax import api

    model = api.load(arguments.checkpoint)
    outcome = batch.export(model.vectorize, gathered, options, out)
    if outcome.failures:
        sys.exit(2)


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="a page to draw on, in the browser",
        description="Serves a page on this machine: draw, or drop an image, and the models draw it again.",
    )
    demo.add_argument("--port", type=int, default=8000, help="0 for any that is free (default 8000)")
    demo.add_argument(
        "--host",
        default="127.0.0.1",
        help="0.0.0.0 for everybody who reaches this machine (default 127.0.0.1)",
    )
    demo.add_argument(
        "--checkpoint",
        default=MODELS,
        help=f"released models or folders, joined by commas (default {MODELS})",
    )
    demo.set_defaults(run=_demo, takes_flags=False)


def _demo(arguments: argparse.Namespace) -> None:
    """Serves the page until it is interrupted."""
    if not 0 <= arguments.port < 2**16:
        raise BadInput(f"--port={arguments.port} is no port; give one from 0 to 65535")
    try:
        from dood_jax.demo import server
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise BadInput(
            f"{missing} is missing, which dood demo needs: pip install 'dood_jax[demo]'"
        ) from error
    from dood_jax.runtime import parallel

    parallel.keep_compiled_programs()
    names = tuple(dict.fromkeys(name for name in arguments.checkpoint.split(",") if name))
    if not names:
        raise BadInput("--checkpoint names no model; leave it out for all that are released")
    server.serve(arguments.host, arguments.port, names)


def _add_export(commands: Any) -> None:
    export = commands.add_parser(
        "export",
        help="write a model for other programs",
        description="Writes a model's parameters and functions for other programs, with a card that says what"
        " they take and return.",
    )
    export.add_argument("name", metavar="NAME", help="a released model or a folder")
    export.add_argument(
        "--to", required=True, metavar="FORMATS", help="joined by commas: onnx, safetensors, stablehlo"
    )
    export.add_argument("--out", default=".", metavar="DIR", help="folder to write into (default here)")
    export.add_argument("--dtype", default="float16", help="of the parameters: float16 or float32")
    export.add_argument("--overwrite", action="store_true", help="replace files that are there")
    export.add_argument(
        "--exporter-python",
        default=sys.executable,
        metavar="PATH",
        help="for onnx: the Python of an environment that has jax2onnx (default the one that runs this)",
    )
    export.add_argument(
        "--shared", action="store_true", help="for onnx: one file of parameters for all functions"
    )
    export.set_defaults(run=_export, takes_flags=False)


def _export(arguments: argparse.Namespace) -> None:
    """Exports a model and names the files on stdout."""
    from dood_jax.export import command

    options = command.Options(
        command.parse_formats(arguments.to),
        require_choice("--dtype", arguments.dtype, command.DTYPES),
        arguments.overwrite,
        arguments.exporter_python,
        arguments.shared,
    )
    out = command_line.writable(Path(arguments.out), "--out")
    command.require_new(options, out)
    from dood_jax import api

    for path in command.export(api.load(arguments.name), options, out):
        sys.stdout.write(f"{path}: {path.stat().st_size / 1e6:.2f} MB\n")


def _add_prepare_data(commands: Any) -> None:
    prepare = commands.add_parser(
        "prepare-data", help="write a data set as TensorFlow Datasets would", add_help=False
    )
    prepare.set_defaults(run=_prepare_data, takes_flags=True)


def _prepare_data(flags: list[str]) -> None:
    """Prepares a data set; see `dood_jax.data.prepare`, which also has the help."""
    from dood_jax.data import prepare

    parser = command_line.Parser("dood prepare-data", description=prepare.__doc__)
    prepare.add_flags(parser)
    prepare.run(parser.parse_args(flags))


if __name__ == "__main__":
    main()
