"""How functions of one device are compiled: on a CPU with options under which they run faster."""

import functools
from collections.abc import Callable

import jax

# Vectors of up to 512 bits, and the compiler's library for matrix products alone: its sums of small arrays
# take longer than all else of a single image (docs/performance.md).
_CPU_OPTIONS: dict[str, int | str] = {
    "xla_cpu_prefer_vector_width": 512,
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT",
}


def compiled(function: Callable, donate_argnums: tuple[int, ...] = ()) -> Callable:
    """`jax.jit` with these options.

    Args:
      function: is not to be called inside another compiled function, where JAX refuses options.
      donate_argnums: places of the arguments whose memory the results may take; the caller may not use those
        again.
    """
    return jax.jit(function, donate_argnums=donate_argnums, compiler_options=_options())


@functools.cache
def _options() -> dict[str, int | str]:
    """The options of this process: none on an accelerator, else those that this compiler knows."""
    if jax.default_backend() != "cpu":
        return {}
    return {name: value for name, value in _CPU_OPTIONS.items() if _is_known(name, value)}


def _is_known(name: str, value: int | str) -> bool:
    try:
        jax.jit(lambda number: number, compiler_options={name: value})(0.0)
    except jax.errors.JaxRuntimeError:
        return False
    return True
