"""Images: datasets in files, synthetic drawings, and the stream of examples that feeds the device."""

import importlib
from typing import Any

__all__ = ["Dataset", "load"]
_HOMES = {"Dataset": "dood_jax.data.dataset", "load": "dood_jax.data.sources"}


def __getattr__(name: str) -> Any:
    """Imports what reads data sets at its first use, so that who reads one image does not wait for it."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'dood_jax.data' has no attribute {name!r}")
