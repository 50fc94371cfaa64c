"""What `main` answers with one line: input that a user can mend (exit code 2), and runs that failed (1)."""


class BadInput(ValueError):
    """A value that cannot be used; the message names the value received and the remedy."""


class OddImages(UserWarning):
    """Images that a model draws, but that look otherwise than those it learned from."""


class RunFailed(RuntimeError):
    """A run that cannot go on, through no fault of its input; the message says why and what is kept."""


def first_line(error: Exception) -> str:
    """What an error says, cut to its first line; its kind if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def require_choice(key: str, value: str, choices: tuple[str, ...]) -> str:
    """The value, or BadInput listing the choices."""
    if value not in choices:
        raise BadInput(f"{key}={value!r} is not available; choose from {', '.join(choices)}")
    return value


def require_at_least(key: str, value: float, least: float) -> float:
    """The value, or BadInput naming the least that will do; NaN is refused."""
    if not value >= least:
        raise BadInput(f"{key}={value} is too small; give at least {least}")
    return value


def require_fraction(key: str, value: float) -> float:
    """The value, or BadInput if it is no fraction of a whole; NaN is refused."""
    if not 0 <= value <= 1:
        raise BadInput(f"{key}={value} is no fraction; give one from 0 to 1")
    return value


def require_seed(key: str, value: int, bits: int = 32) -> int:
    """The value, or BadInput if it is no seed of so many bits."""
    if not 0 <= value < 2**bits:
        raise BadInput(f"{key}={value} is no seed; give one from 0 to 2^{bits} - 1")
    return value
