"""Small models and a small pack, for evaluations that take seconds."""

import dataclasses
import functools
from pathlib import Path

import jax
import numpy as np
import pytest

from dood_jax.api import Model
from dood_jax.config.datasets import CATALOG
from dood_jax.config.groups import Config
from dood_jax.config.resolving import resolve
from dood_jax.model import dood
from dood_jax.types import BrushParams


@pytest.fixture(scope="session")
def small_pack(tmp_path_factory) -> Path:
    """A folder with MNIST and KMNIST, 40 brush lines each; MNIST's come first."""
    directory = tmp_path_factory.mktemp("small_pack")
    for which, name in enumerate(("mnist", "kmnist")):
        for split in ("train", "test"):
            image = np.zeros((40, 28, 28), np.uint8)
            for row, one in enumerate(image):
                one[4 + row % 20, 5:23] = 200 + which
            arrays = {"image": image, "label": np.arange(40) % 10, "classes": np.array(CATALOG[name].classes)}
            np.savez(directory / f"{name}_{split}.npz", **arrays)
    return directory


@pytest.fixture
def config(tiny, small_pack, monkeypatch, tmp_path) -> Config:
    """Five images of two sets, two particles, batches of two."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return resolve(
        {
            "data": {"names": "mnist,kmnist", "dir": str(small_pack), "image_size": 20},
            "evaluation": {"num_images": 5, "num_particles": 2, "batch_size": 2},
        }
    )


@pytest.fixture(scope="session")
def models(tiny) -> list[Model]:
    """Untrained models: two seeds that say they come from MNIST, and one from synthetic drawings."""
    init = jax.jit(functools.partial(dood.init, tiny))
    brush = BrushParams(*(np.float32(value) for value in (0.03, 0.5, 0.9)))

    def model(name: str, source: str, seed: int) -> Model:
        meta = {
            "config": {
                "data": {"name": source, "dir": None, "image_size": tiny.image_size},
                "model": dataclasses.asdict(tiny),
            },
            "sha256": {"all": name},
            "step": 10 + seed,
            "commit": "abc",
            "fitted_scale": "canvas",
        }
        return Model(tiny, jax.device_get(init(jax.random.key(seed))), brush, meta, name)

    return [model("one", "mnist", 0), model("other", "mnist", 1), model("brushes", "synthetic", 2)]
