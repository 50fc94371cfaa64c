"""`dood demo` as it is typed."""

import socket
import subprocess
import sys

import pytest

pytest.importorskip("uvicorn", reason="the extra `demo` is not installed")
pytest.importorskip("starlette", reason="the extra `demo` is not installed")

from refusals import refusal

from dood_jax import cli


@pytest.fixture
def nothing_is_served(monkeypatch):
    def run(self, sockets):
        raise AssertionError("served")

    monkeypatch.setattr("uvicorn.Server.run", run)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port=65536"], "--port=65536"),
        (["--port=-1"], "--port=-1"),
        (["--port=http"], "--port"),
        (["--checkpoint=,"], "--checkpoint"),
        (["--checkpoint=mnist,nowhere"], "nowhere"),
        (["--host=256.1.1.1"], "--host=256.1.1.1"),
    ],
)
@pytest.mark.usefixtures("nothing_is_served")
def test_bad_input_is_one_line(capsys, arguments, said):
    assert said in refusal(capsys, "demo", *arguments)


@pytest.mark.usefixtures("nothing_is_served")
def test_a_port_that_is_taken_is_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"--port={port} cannot be had" in refusal(capsys, "demo", f"--port={port}")


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_the_remedy_is_one_line(missing):
    program = f"import sys; sys.modules['{missing}'] = None\n"
    program += "from dood_jax import cli; cli.main(['demo'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"{missing} is missing" in done.stderr and "pip install 'dood_jax[demo]'" in done.stderr


def test_it_is_bound_to_this_machine_alone_unless_told_otherwise(capsys, monkeypatch):
    bound = []
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: bound.append(sockets[0].getsockname()))
    cli.main(["demo", "--port=0", "--checkpoint=synthetic"])
    ((host, port),) = bound
    assert host == "127.0.0.1" and f"http://127.0.0.1:{port} " in capsys.readouterr().out
