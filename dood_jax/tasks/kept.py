"""Weights of finished batches on disk, so that a killed measurement goes on where it was."""

import hashlib
import importlib.metadata
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dood_jax.api import Model
from dood_jax.model.likelihood import SCALES
from dood_jax.model.networks import Params
from dood_jax.objective.importance import Weights
from dood_jax.training.checkpoint import commit
from dood_jax.training.config import Config


def digest(about: list[Any]) -> str:
    """A short name for plain values."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def identity(model: Model) -> list[Any]:
    """What tells parameters apart; models that were trained together share their checksums."""
    stored = model.meta["config"]
    return [model.meta["sha256"], stored["data"]["name"], stored.get("training", {}).get("seed")]


def origin_of(model: Model, config: Config, images: np.ndarray) -> list[Any]:
    """What a measurement depends on: parameters, settings, pictures and code."""
    return [
        identity(model),
        config.as_dict()["model"],
        config.as_dict()["evaluation"],
        hashlib.sha256(np.ascontiguousarray(images)).hexdigest(),
        importlib.metadata.version("dood_jax"),
        commit(),
    ]


class KeptWeights:
    """A hidden folder beside the results, one file a batch.

    Its name is a digest of all that the weights depend on.
    """

    def __init__(
        self,
        folder: Path,
        model: Model,
        config: Config,
        images: np.ndarray,
        params: Params,
        scale: str = "both",
    ) -> None:
        """Opens the folder of one measurement; `scale` tells those of refined posteriors apart."""
        scales = [
            np.asarray(leaf).tobytes().hex() for leaf in jax.tree_util.tree_leaves(params["likelihood"])
        ]
        about = [*origin_of(model, config, images), len(jax.local_devices()), scales, scale]
        self._folder = folder / f".likelihood-{digest(about)}"

    def get(self, start: int) -> Weights | None:
        """The weights of the batch that begins at picture `start`; None if none can be read."""
        try:
            with self._file(start).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                likelihoods = {scale: arrays[f"log_likelihood_{scale}"] for scale in SCALES}
                return Weights(arrays["log_ratio"], likelihoods, arrays["strokes"], arrays["l1"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def put(self, start: int, weights: Weights) -> None:
        """Writes the weights of one batch, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        likelihoods = {f"log_likelihood_{scale}": nats for scale, nats in weights.log_likelihood.items()}
        whole = self._folder / "writing.npz"
        np.savez(whole, log_ratio=weights.log_ratio, strokes=weights.strokes, l1=weights.l1, **likelihoods)
        os.replace(whole, self._file(start))

    def discard(self) -> None:
        """Removes the folder, once the result is known."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, start: int) -> Path:
        return self._folder / f"{start:07d}.npz"
