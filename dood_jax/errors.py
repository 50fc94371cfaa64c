"""What a user can mend: `main` answers it with one line and exit code 2."""


class BadInput(ValueError):
    """A value that cannot be used; the message names the value received and the remedy."""


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
