"""Weights of finished batches on disk, so that a killed measurement goes on where it was."""

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path

import jax
import numpy as np

from dood_jax.api import Model
from dood_jax.model.likelihood import SCALES
from dood_jax.objective.importance import Weights
from dood_jax.training.checkpoint import commit
from dood_jax.training.config import Config


class KeptWeights:
    """A hidden folder beside the results, one file a batch.

    Its name is a digest of all that the weights depend on: parameters, settings, devices and code.
    """

    def __init__(self, folder: Path, model: Model, config: Config, scale: str = "both") -> None:
        """Opens the folder of one measurement; `scale` tells those of refined posteriors apart."""
        about = [
            model.meta["sha256"],
            config.as_dict()["model"],
            {**config.as_dict()["data"], "dir": None},
            config.as_dict()["evaluation"],
            len(jax.local_devices()),
            commit(),
            scale,
        ]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        self._folder = folder / f".likelihood-{digest[:16]}"

    def get(self, start: int) -> Weights | None:
        """The weights of the batch that begins at picture `start`; None if none can be read."""
        try:
            with self._file(start).open("rb") as file, np.load(file) as arrays:
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
