"""Drawing out of Distribution with neuro-symbolic generative models, in JAX.

import dood_jax
model = dood_jax.load("mnist")
sketch = model.infer(dood_jax.prepare("digit.png"))
"""

import importlib
from typing import Any

from dood_jax.version import VERSION

__version__ = VERSION

__all__ = ["Sketch", "__version__", "load", "prepare"]
_HOMES = {"Sketch": "dood_jax.types", "load": "dood_jax.api", "prepare": "dood_jax.data.preprocessing"}


def __getattr__(name: str) -> Any:
    """Imports the Python interface, and with it jax, at its first use."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'dood_jax' has no attribute {name!r}")
