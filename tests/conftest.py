"""Where the tests find golden vectors and data, and how JAX runs in them."""

import os
from pathlib import Path

os.environ.setdefault("NPROC", "32")  # loops over several CPU devices can deadlock with fewer threads
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")

import jax
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"

jax.config.update("jax_compilation_cache_dir", str(ROOT / ".cache" / "jax"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


@pytest.fixture(scope="session")
def golden() -> dict[str, np.ndarray]:
    """`group/array` -> golden primitives; skips where they are absent."""
    path = Path(os.environ.get("DOOD_GOLDEN_DIR") or SHARED / "golden") / "primitives.npz"
    if not path.is_file():
        pytest.skip(f"no golden vectors at {path}; set DOOD_GOLDEN_DIR")
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the npz pack; skips where it is absent."""
    path = Path(os.environ.get("DOOD_DATA_DIR") or SHARED / "data")
    if not (path / "mnist_train.npz").is_file():
        pytest.skip(f"no npz pack at {path}; set DOOD_DATA_DIR")
    return path
