"""The command `dood`: `dood vectorize FILES… --to=svg,inkml --out=DIR`."""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from dood_jax import command_line
from dood_jax.errors import BadInput

_FORMATS = "svg, animated-svg, gif, inkml, stroke3, ndjson, json"
_FILES = "pictures (PNG, JPEG, WebP, TIFF, BMP, GIF), arrays (npy, npz), or folders of them"


class _Parser(argparse.ArgumentParser):
    """Answers a bad flag in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit code 2."""
        command_line.refuse(f"{message}; see dood --help")
        raise AssertionError  # `refuse` does not return


def main(argv: list[str] | None = None) -> None:
    """Exits 0 when all is drawn, 2 when a file could not be read or nothing was found in it."""
    arguments = _parser().parse_args(argv)
    try:
        _vectorize(arguments)
    except BadInput as error:
        command_line.refuse(error)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="dood", description="Pictures of lines to ordered pen strokes.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    vectorize = commands.add_parser(
        "vectorize",
        help="draw pictures again as pen strokes",
        description="Draws pictures again as pen strokes, each with its width, in drawing order.",
    )
    vectorize.add_argument("files", nargs="+", metavar="FILES", help=_FILES)
    vectorize.add_argument("--to", default="svg", help=f"formats, joined by commas: {_FORMATS} (default svg)")
    vectorize.add_argument("--out", default=".", metavar="DIR", help="where they go (default here)")
    vectorize.add_argument(
        "--checkpoint", default="synthetic", help="a released model or a folder (default synthetic)"
    )
    return parser


def _vectorize(arguments: argparse.Namespace) -> None:
    from dood_jax.ink import export, files  # only now: SciPy takes its time, and jax a second

    formats = export.parse_formats(arguments.to)
    files.gather(arguments.files)
    out = command_line.writable(Path(arguments.out), "--out")
    from dood_jax import api
    from dood_jax.training import compilation

    compilation.keep_compiled_programs()
    model = api.load(arguments.checkpoint)
    outcome = export.export(model.vectorize, arguments.files, formats, out)
    if outcome.failures:
        sys.exit(2)


if __name__ == "__main__":
    main()
