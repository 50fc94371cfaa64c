"""Drawing out of Distribution with neuro-symbolic generative models, in JAX.

import dood_jax
model = dood_jax.load("mnist")
"""

from typing import Any

__version__ = "0.2.0"
__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """Imports the Python interface, and with it jax, at its first use."""
    if name == "load":
        from dood_jax.api import load

        return load
    raise AttributeError(f"module 'dood_jax' has no attribute {name!r}")
