"""Answers bad input on the command line in one line: bad flags, bad config files, and any BadInput.

The log on stderr stays silent until the input of a run has been accepted: bad input is answered by one line
alone, so our own lines are held back until then.
"""

import argparse
import logging as stdlib_logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from absl import flags, logging

from dood_jax.errors import BadInput

_ORBAX = f"{os.sep}orbax{os.sep}"

_PACKAGE = Path(__file__).parent
CONFIGS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")  # installed with the package, and in a checkout
_LONGEST = 1000  # characters of a line


class Parser(argparse.ArgumentParser):
    """Parses the flags of a command. A bad flag is answered in one line, and flags cannot be abbreviated."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes what `argparse.ArgumentParser` takes."""
        super().__init__(*arguments, **{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Exits with code 2."""
        refuse(f"{message}; see {self.prog} --help")


def refuse(error: Exception | str) -> NoReturn:
    """Writes one line to stderr and exits with code 2."""
    report(error)
    sys.exit(2)


def report(error: Exception | str) -> None:
    """Writes one line to stderr."""
    line = " ".join(str(error).split()) or type(error).__name__
    sys.stderr.write(f"dood_jax: {line[:_LONGEST]}\n")


def writable(folder: Path, flag: str = "--workdir") -> Path:
    """Makes a folder and returns it. Raises BadInput, naming the flag, if nothing can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise BadInput(f"{flag}={folder} cannot be written ({error.strerror}); give another") from error


def parse_flags(argv: list[str]) -> list[str]:
    """Parses absl flags and loads the file of the flag `config`; refuses what it cannot use.

    A config that is not a file is looked for by its name in `configs/`, which is installed with the package.
    absl itself would answer a bad flag with two lines, and an unknown config key with a traceback.
    """
    argv = [_with_installed_config(argument) for argument in _joined(argv)]
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)  # absl logs errors that are reported here
    try:
        rest = _accepted(argv)
    finally:
        logging.set_verbosity(verbosity)
    if rest[1:]:
        refuse(f"argument {rest[1]!r} is not a flag; see --help")
    return rest


def _joined(argv: list[str]) -> list[str]:
    """The arguments with `--config NAME`, two words, as `--config=NAME`."""
    words = iter(argv)
    both = lambda word: f"{word}={next(words, '')}" if word in ("--config", "-config") else word
    return [both(word) for word in words]


def _with_installed_config(argument: str) -> str:
    """An argument as it is, or with the path of the installed config that `--config=NAME` stands for.

    `configs/NAME.py` stands for it too, where there is no such file.
    """
    flag, _, value = argument.partition("=")
    name, colon, about = value.partition(":")
    if flag not in ("--config", "-config") or not name or Path(name).exists():
        return argument
    if str(Path(name).parent) in (".", "configs"):
        for folder in CONFIGS:
            path = folder / f"{Path(name).stem}.py"
            if path.is_file():
                return f"{flag}={path}{colon}{about}"
    return argument


def _accepted(argv: list[str]) -> list[str]:
    """What is left of the arguments once absl has taken its flags."""
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        refuse(_without_traceback(str(error)))
    except SystemExit as error:
        if any(flag.lstrip("-").startswith(("help", "?")) for flag in argv):
            raise
        refuse(f"the config file ends the program ({error}); it needs a function get_config()")
    except Exception as error:  # a config file is a program and may raise anything
        refuse(_explanation(error, argv))
    _refuse_missing_config(argv)
    return rest


def _without_traceback(message: str) -> str:
    """The message of a config file's error, which absl gives with all calls that led to it."""
    return message.strip().splitlines()[-1].partition(": ")[2] if "Traceback" in message else message


def _explanation(error: Exception, argv: list[str]) -> str:
    """Which `--config.key` does not exist, or what is wrong with the config file."""
    key = str(error).strip("\"'").split("'")[0]
    overrides = [flag for flag in argv if flag.startswith("--config.")]
    named = [flag for flag in overrides if key in flag.partition("=")[0].split(".")]
    if named and isinstance(error, AttributeError | KeyError):
        return f"{named[0]}: the config has no key {key!r}; its keys are those of dood_jax/config"
    if "'get_config'" in str(error):
        return f"the config file cannot be used ({error}); it needs a function get_config()"
    return f"the config file cannot be used ({type(error).__name__}: {error}); correct it"


def _refuse_missing_config(argv: list[str]) -> None:
    """Refuses a config file that does not exist, which absl notices only when its values are used."""
    given = next((flag for flag in argv if flag.startswith("--config=")), "")
    try:
        _ = flags.FLAGS["config"].value and flags.FLAGS["config"].value.keys()
    except Exception:  # ml_collections raises its own kind
        names = sorted({path.stem for folder in CONFIGS for path in folder.glob("*.py")})
        remedy = f"give the path of one, or a name: {', '.join(names)}" if names else "give the path of one"
        refuse(f"{given or '--config'} is not a file that can be read; {remedy}")
    if given and flags.FLAGS["config"].value is None:
        refuse(f"{given}: its get_config() returns nothing; let it return a config")


class _Gate(stdlib_logging.Filter):
    """Holds our lines back until it is opened.

    Libraries that share absl's log are heard from warnings upward only, Orbax without its tracebacks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held: list[stdlib_logging.LogRecord] | None = []  # None: the gate is open

    def filter(self, record: stdlib_logging.LogRecord) -> bool:
        if not record.pathname.startswith(str(_PACKAGE)):
            if _ORBAX in record.pathname:
                record.exc_info = None
            return record.levelno >= stdlib_logging.WARNING
        if self.held is None:
            return True
        self.held.append(record)
        return False


_GATE = _Gate()


def hold_log() -> None:
    """Sends lines from INFO upward to stderr, but holds ours back until `show_log`."""
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(_GATE)
    sys.unraisablehook = _report_once


def show_log(is_first_process: bool) -> None:
    """Writes what was held back, and from now on every line at once; all but the first process only warn."""
    if not is_first_process:
        logging.set_verbosity(logging.WARNING)
    held, _GATE.held = _GATE.held or [], None
    for record in held:
        if record.levelno >= logging.get_absl_logger().level:
            logging.get_absl_handler().handle(record)


def _report_once(unraisable: Any) -> None:
    """Keeps quiet about writes of a checkpoint that fail after the first one failed.

    The run reports the first failure in one line. TensorStore reports each later one to Orbax's event loop,
    which is closed by then, and Python would print the traceback of that.
    """
    error = unraisable.exc_value
    if not (isinstance(error, RuntimeError) and str(error) == "Event loop is closed"):
        sys.__unraisablehook__(unraisable)
