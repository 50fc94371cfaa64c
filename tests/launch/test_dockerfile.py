"""The image's recipe: no script calls docker, so its steps are read, and its shell is run with stand-ins."""

import fnmatch
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "launch"
KNOWN = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "STOPSIGNAL", "ENTRYPOINT"}

# Keeps its words; fails where $FAIL is among them.
STUB = """#!/bin/sh
echo "${0##*/} $*" >>"$CALLS"
case " $* " in *"${FAIL:-none such}"*) exit 1 ;; esac
"""


def instructions() -> list[tuple[str, str]]:
    """(instruction, the rest), lines that go on joined."""
    text = re.sub(r"\\\n\s*", "", (LAUNCH / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def devices() -> list[str]:
    """Those that the recipe's usage names."""
    return re.search(r"dood \.\s+\(([\w, ]+)\)", (LAUNCH / "Dockerfile").read_text())[1].split(", ")


def ignored(path: str) -> bool:
    """Whether a file of the folder is left out, by Docker's rules as far as they are used here."""
    patterns = (LAUNCH / "Dockerfile.dockerignore").read_text().split()
    parents = [path, *map(str, Path(path).parents)]
    return any(
        fnmatch.fnmatchcase(parent, pattern.removeprefix("**/"))
        or (pattern.startswith("**/") and fnmatch.fnmatchcase(Path(parent).name, pattern[3:]))
        for pattern in patterns
        for parent in parents
    )


@pytest.fixture
def build(tmp_path):
    """Runs the recipe's shell with stand-ins; the exit code and the calls."""
    for name in ("apt-get", "pip", "rm"):
        (tmp_path / name).write_text(STUB)
        (tmp_path / name).chmod(0o755)
    calls = tmp_path / "calls"

    def run(device: str, fail: str = "none such") -> tuple[int, list[str]]:
        calls.write_text("")
        environment = {
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "CALLS": str(calls),
            "FAIL": fail,
            "DEVICE": device,
        }
        (command,) = of("RUN")
        done = subprocess.run(["sh", "-c", command], env=environment, check=False, timeout=30)
        return done.returncode, calls.read_text().splitlines()

    return run


def test_its_instructions_are_known_and_in_order():
    names = [name for name, _ in instructions()]
    assert set(names) <= KNOWN and names[0] == "FROM" and names[-1] == "ENTRYPOINT"
    assert names.count("FROM") == 1 and names.index("COPY") < names.index("RUN")


def test_python_is_one_that_the_package_takes():
    version = re.fullmatch(r"python:(\d+\.\d+)-slim", of("FROM")[0])[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert SpecifierSet(project["requires-python"]).contains(f"{version}.0")


def test_what_is_copied_is_there_and_not_ignored():
    for copied in of("COPY"):
        *sources, target = copied.split()
        assert target == "." and all((ROOT / source).exists() for source in sources)
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    left_out = [path for path in tracked.stdout.split() if ignored(path)]
    assert left_out == []
    assert all(
        map(ignored, ("runs/mnist/config.json", "data/x.npz", ".venv/bin/pip", "a/b/__pycache__/c.pyc"))
    )


def test_every_device_is_an_extra(build):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert devices() == ["cpu", "cuda12", "cuda13", "tpu"]
    assert of("ARG") == ["DEVICE=cpu"]
    for device in devices():
        code, calls = build(device)
        wanted = "." if device == "cpu" else f".[{device}]"
        assert code == 0 and calls[-1] == f"pip install --no-cache-dir {wanted}"
        assert device == "cpu" or device in extras


@pytest.mark.parametrize("words", ["update", "-y", "--no-cache-dir"])
def test_a_build_ends_where_a_step_fails(build, words):
    code, calls = build("tpu", words)
    assert code != 0 and words in calls[-1]


def test_it_starts_main_as_a_word_list():
    """A list, not a shell: SIGTERM reaches Python, which saves."""
    (entry,) = of("ENTRYPOINT")
    assert entry == '["python", "-m", "dood_jax.main"]' and of("STOPSIGNAL") == ["SIGTERM"]


def test_usage_on_the_page_is_that_of_the_recipe():
    page = (ROOT / "docs" / "launch.md").read_text()
    usage = re.findall(
        r"^#\s+(docker .*?)(?:\s{2,}\(.*)?$", (LAUNCH / "Dockerfile").read_text(), re.MULTILINE
    )
    assert len(usage) == 2 and all(line in page for line in usage)
    assert all(f"`{device}`" in page for device in devices())
