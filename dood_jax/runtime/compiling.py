"""How programs are compiled: on a CPU with options under which they run faster (docs/performance.md)."""

import functools
from collections.abc import Callable

import jax

# Vectors as wide as the processor has them, and the compiler's library for matrix products alone: its sums of
# small arrays take longer than all else of a single image.
_CPU_OPTIONS = {"xla_cpu_prefer_vector_width": 512, "xla_cpu_experimental_ynn_fusion_type": 4}


def compiled(function: Callable, donate_argnums: tuple[int, ...] = ()) -> Callable:
    """`jax.jit` of a function that is called from outside other programs; arguments may be given up to it."""
    return jax.jit(function, donate_argnums=donate_argnums, compiler_options=_options())


@functools.cache
def _options() -> dict[str, int]:
    """The options of this process; none where the compiler is another one, which does not know them."""
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda number: number, compiler_options=_CPU_OPTIONS)(0.0)
    except jax.errors.JaxRuntimeError:
        return {}
    return _CPU_OPTIONS
