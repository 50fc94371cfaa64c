"""What is kept on disk spares tracing, changes nothing, and is never trusted blindly."""

import hashlib
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dood_jax.inference.batching import example_keys
from dood_jax.runtime import kept
from dood_jax.types import BrushParams, Sketch, StrokeLatents

PARAMS = {"scale": np.float32(3), "shift": np.arange(4, dtype=np.float32)}


@pytest.fixture
def folder(tmp_path):
    """Where things are kept in a test."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    yield tmp_path / "traced"
    jax.config.update("jax_compilation_cache_dir", before)


def draw(params, points, key):
    """What kept programs take and return: dicts, typed keys, named tuples and sketches."""
    noise = jax.random.normal(key, points.shape)
    strokes = StrokeLatents(points.sum(), params["shift"] * params["scale"], points + noise)
    return Sketch(strokes, BrushParams(noise[0], noise[1], jnp.float32(1)), points * 2), jax.random.key_data(
        key
    )


class Tracer:
    """Counts how often a program is asked for."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self):
        self.count += 1
        return draw


def drawn(name="draw", size=4, tracer=None):
    """The result of a program as a new process would get it, and whether it was traced."""
    tracer = tracer or Tracer()
    points = np.linspace(0, 1, size, dtype=np.float32)
    return kept.program(name, tracer)(PARAMS, points, jax.random.key(3)), tracer.count > 0


def assert_as_traced(found):
    expected = jax.jit(draw)(PARAMS, np.linspace(0, 1, 4, dtype=np.float32), jax.random.key(3))
    assert jax.tree_util.tree_structure(found) == jax.tree_util.tree_structure(expected)
    jax.tree_util.tree_map(np.testing.assert_array_equal, found, expected)


def test_a_program_is_traced_once_and_its_results_are_the_same_bits(folder):
    for is_traced in (True, False, False):
        found, was_traced = drawn()
        assert was_traced == is_traced
        assert_as_traced(found)
    assert len(list(folder.iterdir())) == 1


def test_another_name_shape_setting_or_source_is_another_program(folder, monkeypatch):
    assert drawn()[1]
    assert drawn(name="draw 2")[1]
    assert drawn(size=5)[1]
    with jax.default_matmul_precision("float32"):
        assert drawn()[1]
    monkeypatch.setattr(kept, "_source", lambda: "another")
    assert drawn()[1]
    monkeypatch.undo()
    assert not drawn()[1]
    assert len(list(folder.iterdir())) == 5


@pytest.mark.parametrize(
    "harm",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:100] + bytes([content[100] ^ 1]) + content[101:],
        lambda content: b"nothing of ours",
        lambda content: hashlib.sha256(b"no program").digest() + b"no program",
    ],
    ids=["empty", "torn", "flipped", "foreign", "no program"],
)
def test_a_damaged_file_counts_as_none(folder, harm):
    drawn()
    (path,) = folder.iterdir()
    path.write_bytes(harm(path.read_bytes()))
    found, was_traced = drawn()
    assert was_traced
    assert_as_traced(found)


def test_nothing_is_kept_without_a_folder_or_in_one_that_cannot_be(tmp_path):
    before = jax.config.jax_compilation_cache_dir
    (tmp_path / "file").write_text("")
    try:
        for given in (None, str(tmp_path / "file")):
            jax.config.update("jax_compilation_cache_dir", given)
            for _ in range(2):
                found, was_traced = drawn()
                assert was_traced
                assert_as_traced(found)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_an_error_of_the_program_is_its_own(folder):
    def wrong(points):
        raise ZeroDivisionError("of the program")

    with pytest.raises(ZeroDivisionError, match="of the program"):
        kept.program("wrong", lambda: wrong)(np.zeros(2))


def test_bytes_are_made_once(folder):
    made = []
    make = lambda: made.append(0) or b"bytes"
    assert [kept.kept("name", make) for _ in range(3)] == [b"bytes"] * 3
    assert len(made) == 1


def test_keys_of_a_set_are_those_of_jax():
    key = jax.random.key(2**31 + 5)
    expected = [jax.random.key_data(jax.random.fold_in(key, place)) for place in range(3)]
    np.testing.assert_array_equal(jax.random.key_data(example_keys(key, 3)), expected)


FIRST_ANSWER = """
import hashlib, sys
import jax, numpy as np
import dood_jax
image = np.zeros((1, 50, 50), np.float32)
image[0, 10:40, 24:27] = 1
leaves = jax.tree_util.tree_leaves(dood_jax.load("mnist").infer(image))
digest = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in leaves)).hexdigest()
print(digest, *sorted({"flax", "optax", "orbax"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_a_later_process_answers_by_the_same_bits_without_the_networks(tmp_path):
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "1", "XDG_CACHE_HOME": str(tmp_path)}
    said = [
        subprocess.run(
            [sys.executable, "-c", FIRST_ANSWER], env=env, capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert "flax" in said[0]
    assert said[1] == said[0][:1]
