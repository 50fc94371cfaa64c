"""Where the tests find golden vectors and data, and how JAX runs in them."""

import os
import sys
from pathlib import Path

from compiling import UNOPTIMISED

os.environ.setdefault("NPROC", "32")  # loops over several CPU devices can deadlock with fewer threads
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
os.environ.setdefault("XLA_FLAGS", UNOPTIMISED)  # `XLA_FLAGS= pytest` runs programs as users do

import dataclasses
import functools
import gc
from collections.abc import Iterator

import jax
import numpy as np
import pytest

from dood_jax.config.model import ModelConfig
from dood_jax.model import dood, drawing

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
THINNED = ROOT / "tests" / "golden"
sys.path.append(str(ROOT))  # for `configs`, behind an installed package

jax.config.update("jax_compilation_cache_dir", str(ROOT / ".cache" / "jax"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
gc.set_threshold(100_000, 20, 50)  # tracing makes many objects that live on


def pytest_collection_finish() -> None:
    """Leaves modules and tests out of garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def room(pytestconfig) -> Iterator[None]:
    """Gives back the programs of a module of long tests, which would take gigabytes in all."""
    yield
    if pytestconfig.option.markexpr == "slow":
        jax.clear_caches()


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """The folder of golden vectors: $DOOD_GOLDEN_DIR, else the whole set beside us, else the thinned one."""
    asked = os.environ.get("DOOD_GOLDEN_DIR")
    if asked:
        return Path(asked)
    return next(path for path in (SHARED / "golden", THINNED) if (path / "primitives.npz").is_file())


@pytest.fixture(scope="session")
def golden(golden_dir: Path) -> dict[str, np.ndarray]:
    """`group/array` -> golden primitives."""
    with np.load(golden_dir / "primitives.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the npz pack; skips where it is absent."""
    path = Path(os.environ.get("DOOD_DATA_DIR") or SHARED / "data")
    if not (path / "mnist_train.npz").is_file():
        pytest.skip(f"no npz pack at {path}; set DOOD_DATA_DIR")
    return path


@pytest.fixture(scope="session")
def tiny() -> ModelConfig:
    """A model of three strokes on 20 x 20 pixels that compiles in seconds."""
    return ModelConfig(
        num_strokes=3,
        image_size=20,
        glimpse_size=10,
        curve_samples=12,
        features=16,
        components=3,
        unroll=1,
    )


@pytest.fixture(scope="session")
def smallest(tiny: ModelConfig) -> ModelConfig:
    """A model that compiles sooner still: a code for the whole image, which is drawn in one piece."""
    words = {"recognition": "vae", "decoder": "image", "placement": "glimpse", "prior": "images"}
    return dataclasses.replace(tiny, guidance="none", num_strokes=1, **words)


@pytest.fixture(scope="session")
def params(tiny: ModelConfig) -> dict:
    """The tiny model's fresh parameters, as NumPy arrays."""
    return jax.device_get(jax.jit(functools.partial(dood.init, tiny))(jax.random.key(0)))


@pytest.fixture(scope="session")
def lively(params: dict) -> dict:
    """Parameters in which no output is constant and drawings stop at any stroke.

    Their brushes are thick: rounding in the place of a point is magnified by the inverse of the width.
    """
    random = np.random.default_rng(0)
    moved = jax.tree_util.tree_map(
        lambda leaf: leaf + 0.1 * random.normal(size=leaf.shape).astype(np.float32), params
    )
    moved["posterior_presence"]["out"]["bias"] = np.full(1, 1, np.float32)
    moved["brush"]["out"]["bias"] = np.array([4, 0.5], np.float32)
    return moved


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """float32 [8, 20, 20] straight lines, 0..1."""
    ends = np.random.default_rng(1).uniform(0.15, 0.85, (8, 2, 2))
    along = np.linspace(0, 1, 50)[None, :, None]
    points = ends[:, :1] * (1 - along) + ends[:, 1:] * along
    x, y = np.meshgrid(np.arange(20) / 20, np.arange(20) / 20)
    squared = (points[..., 0, None, None] - x) ** 2 + (points[..., 1, None, None] - y) ** 2
    return np.exp(-squared.min(1) / (2 * 0.03**2)).astype(np.float32)


@pytest.fixture(scope="session")
def keys() -> jax.Array:
    """[8] keys, one an image."""
    return jax.random.split(jax.random.key(7), 8)


@pytest.fixture(scope="session")
def draw(tiny: ModelConfig):
    """(params, [8, H, W] images, [8] keys, options of `drawing.draw` or `first_pass`) -> drawings.

    Each set of options is compiled once.
    """

    @functools.lru_cache
    def compiled(**options):
        one = drawing.first_pass if "hold_presence" in options else drawing.draw
        return jax.jit(jax.vmap(functools.partial(one, tiny, **options), in_axes=(None, 0, 0)))

    return lambda params, images, keys, **options: jax.device_get(compiled(**options)(params, images, keys))
