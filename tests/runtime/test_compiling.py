"""Options of the compiler change how fast a program is, and where they are unknown nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dood_jax.runtime import compiling


def cubes(numbers, more):
    return {"sum": (numbers**3).sum() + more, "cubes": numbers**3}


@pytest.fixture
def options_of(monkeypatch):
    """Sets the options that are tried, in a process that has tried none."""

    def use(options):
        monkeypatch.setattr(compiling, "_CPU_OPTIONS", options)
        compiling._options.cache_clear()

    yield use
    compiling._options.cache_clear()


@pytest.mark.parametrize("options", [compiling._CPU_OPTIONS, {"xla_cpu_unheard_of": 1}])
def test_compiled_functions_compute_the_same(options_of, options):
    options_of(options)
    found = compiling.compiled(cubes)(jnp.arange(5.0), 2.0)
    np.testing.assert_allclose(found["sum"], 102)
    np.testing.assert_allclose(found["cubes"], [0, 1, 8, 27, 64])


def test_options_are_used_only_where_the_compiler_knows_them(options_of):
    assert compiling._options() == compiling._CPU_OPTIONS
    options_of({"xla_cpu_prefer_vector_width": 512, "xla_cpu_unheard_of": 1})
    assert compiling._options() == {"xla_cpu_prefer_vector_width": 512}


def test_an_argument_is_given_up():
    numbers = jnp.arange(5.0)
    compiling.compiled(lambda numbers: numbers + 1, donate_argnums=(0,))(numbers)
    assert numbers.is_deleted()
    kept = jax.block_until_ready(jnp.arange(5.0))
    compiling.compiled(lambda numbers: numbers + 1)(kept)
    assert not kept.is_deleted()
