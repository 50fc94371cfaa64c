"""Bad input answered in one line: flags, config files, and whatever raises BadInput."""

import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from absl import flags, logging

from dood_jax.errors import BadInput, RunFailed

_LONGEST = 1000  # characters of a line


def refuse(error: Exception | str) -> NoReturn:
    """One line on stderr, exit code 2."""
    _say(error)
    sys.exit(2)


def give_up(error: Exception) -> NoReturn:
    """Exits 2 with one line for bad input, 1 with one for a failure of disk, memory or run; else re-raises.

    Beside other processes it does not wait for them: they are ended by JAX's runtime.
    """
    if isinstance(error, BadInput):
        refuse(error)
    from dood_jax.runtime import processes  # noqa: PLC0415 - imports jax

    known = isinstance(error, RunFailed | OSError | MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
    if known:
        _say(f"{type(error).__name__}: {error}" if not isinstance(error, RunFailed) else error)
    if processes.is_alone():
        if known:
            sys.exit(1)
        raise error
    processes.end_beside_others(error, known)


def _say(error: Exception | str) -> None:
    said = " ".join(str(error).split()) or type(error).__name__
    sys.stderr.write(f"dood_jax: {said[:_LONGEST]}\n")


def parse_flags(argv: list[str]) -> list[str]:
    """Parses absl flags and loads the file of the `config` flag; refuses what it cannot use.

    absl itself answers a bad flag with two lines and an unknown config key with a traceback.
    """
    said_from = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)  # what there is to say, we say
    try:
        rest = _accepted(argv)
    finally:
        logging.set_verbosity(said_from)
    if rest[1:]:
        refuse(f"argument {rest[1]!r} is not a flag; see --help")
    return rest


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
        refuse(_explain(error, argv))
    _refuse_missing_config(argv)
    return rest


def writable(workdir: Path, flag: str = "--workdir") -> Path:
    """Makes the folder, or raises BadInput naming the flag."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            return workdir
    except OSError as error:
        raise BadInput(f"{flag}={workdir} cannot be written ({error.strerror}); give another") from error


def _without_traceback(said: str) -> str:
    """What a config file raised, of which absl tells with all calls before."""
    return said.strip().splitlines()[-1].partition(": ")[2] if "Traceback" in said else said


def _explain(error: Exception, argv: list[str]) -> str:
    """Which `--config.key` names nothing, or what is wrong with the config file."""
    key = str(error).strip("\"'").split("'")[0]
    overrides = [flag for flag in argv if flag.startswith("--config.")]
    named = [flag for flag in overrides if key in flag.partition("=")[0].split(".")]
    if named and isinstance(error, AttributeError | KeyError):
        return f"{named[0]}: the config has no key {key!r}; its keys are those of dood_jax/settings"
    if "'get_config'" in str(error):
        return f"the config file cannot be used ({error}); it needs a function get_config()"
    return f"the config file cannot be used ({type(error).__name__}: {error}); mend it"


def _refuse_missing_config(argv: list[str]) -> None:
    """A config file that was not found fails only when it is touched."""
    given = next((flag for flag in argv if flag.startswith("--config=")), "")
    try:
        _ = flags.FLAGS["config"].value and flags.FLAGS["config"].value.keys()
    except Exception:  # ml_collections raises its own kind
        refuse(f"{given or '--config'} is not a file that can be read; try configs/mnist.py")
    if given and flags.FLAGS["config"].value is None:
        refuse(f"{given}: its get_config() returns nothing; let it return a config")
