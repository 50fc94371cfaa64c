"""The command `dood`: `dood vectorize FILES… --to=svg,inkml --out=DIR`; `dood demo`, a page to draw on."""

import argparse
import sys
from pathlib import Path
from typing import Any, NoReturn

from dood_jax import command_line
from dood_jax.errors import BadInput

_FORMATS = "svg, animated-svg, gif, inkml, stroke3, ndjson, json"
_MODELS = "synthetic,omniglot,mnist,emnist,kmnist,quickdraw"
_FILES = "images (PNG, JPEG, WebP, TIFF, BMP, GIF), arrays (npy, npz), or folders of them"


class _Parser(argparse.ArgumentParser):
    """Answers a bad flag in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit code 2."""
        command_line.refuse(f"{message}; see dood --help")
        raise AssertionError  # `refuse` does not return


def main(argv: list[str] | None = None) -> None:
    """Exits 0 when all is done, 2 for bad input, files too: unreadable, or nothing is found in them."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except BadInput as error:
        command_line.refuse(error)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="dood", description="Images of lines to ordered pen strokes.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_vectorize(commands)
    _add_demo(commands)
    return parser


def _add_vectorize(commands: Any) -> None:
    vectorize = commands.add_parser(
        "vectorize",
        help="draw images again as pen strokes",
        description="Draws images again as pen strokes, each with its width, in drawing order.",
    )
    vectorize.add_argument("files", nargs="+", metavar="FILES", help=_FILES)
    vectorize.add_argument("--to", default="svg", help=f"formats, joined by commas: {_FORMATS} (default svg)")
    vectorize.add_argument("--out", default=".", metavar="DIR", help="where they go (default here)")
    vectorize.add_argument(
        "--checkpoint", default="synthetic", help="a released model or a folder (default synthetic)"
    )
    vectorize.set_defaults(run=_vectorize)


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="a page to draw on, in the browser",
        description="Serves a page on this machine: draw, or drop an image, and the models draw it again.",
    )
    demo.add_argument("--port", type=int, default=8000, help="0: any that is free (default 8000)")
    demo.add_argument(
        "--host",
        default="127.0.0.1",
        help="0.0.0.0: for everybody who reaches this machine (default 127.0.0.1)",
    )
    demo.add_argument(
        "--checkpoint",
        default=_MODELS,
        help=f"released models or folders, joined by commas (default {_MODELS})",
    )
    demo.set_defaults(run=_demo)


def _vectorize(arguments: argparse.Namespace) -> None:
    from dood_jax.vectorize import batch  # only now: SciPy takes its time, and jax a second

    formats = batch.parse_formats(arguments.to)
    batch.gather(arguments.files)
    out = command_line.writable(Path(arguments.out), "--out")
    from dood_jax import api
    from dood_jax.runtime import parallel

    parallel.keep_compiled_programs()
    model = api.load(arguments.checkpoint)
    outcome = batch.export(model.vectorize, arguments.files, formats, out)
    if outcome.failures:
        sys.exit(2)


def _demo(arguments: argparse.Namespace) -> None:
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


if __name__ == "__main__":
    main()
