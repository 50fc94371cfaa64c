"""What a command of `dood` says when it refuses."""

import pytest

from dood_jax import cli


def refusal(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    """The one line on stderr of a command that ends with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("dood_jax: ") and said.count("\n") == 1
    return said
