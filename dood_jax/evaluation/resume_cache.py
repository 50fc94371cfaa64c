"""Weights of finished batches on disk, so that a killed measurement goes on where it was."""

import dataclasses
import hashlib
import json
import os
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dood_jax.api import Model
from dood_jax.checkpointing.restore import commit
from dood_jax.config.groups import Config
from dood_jax.model.likelihood import SCALES
from dood_jax.model.networks import Params
from dood_jax.objectives.iwae import LogWeights
from dood_jax.version import VERSION

_SECONDS = "seconds_of_part"


def digest(about: list[Any]) -> str:
    """A short name for plain values."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def identity(model: Model) -> list[Any]:
    """What tells parameters apart; models that were trained together share their checksums."""
    stored = model.meta["config"]
    return [model.meta["sha256"], stored["data"]["name"], stored.get("training", {}).get("seed")]


def origin_of(model: Model, config: Config, images: np.ndarray) -> list[Any]:
    """What a measurement depends on: parameters, settings, images and code."""
    return [
        identity(model),
        dataclasses.asdict(model.config),
        config.as_dict()["evaluation"],
        hashlib.sha256(np.ascontiguousarray(images)).hexdigest(),
        VERSION,
        commit(),
    ]


class KeptArrays:
    """A hidden folder with a file of named arrays for every finished part of a measurement.

    Its name is a digest of all that the arrays depend on. `seconds_before` is the time that parts took which
    were read: each counts from what was done before it.
    """

    def __init__(self, folder: Path, task: str, about: list[Any]) -> None:
        """Opens the folder of one measurement; `about` are plain values."""
        self._folder = folder / f".{task}-{digest(about)}"
        self._since = time.monotonic()
        self.seconds_before = 0.0

    def get(self, part: str) -> dict[str, np.ndarray] | None:
        """The arrays of a part; None if none can be read."""
        try:
            with self._file(part).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = dict(stored)
                self.seconds_before += float(arrays.pop(_SECONDS))
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        self._since = time.monotonic()
        return arrays

    def put(self, part: str, **arrays: np.ndarray) -> None:
        """Writes the arrays of a part, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        whole = self._folder / "writing.npz"
        now = time.monotonic()
        np.savez(whole, **arrays, **{_SECONDS: np.float64(now - self._since)})
        os.replace(whole, self._file(part))
        self._since = now

    def discard(self) -> None:
        """Removes the folder, once the result is known."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, part: str) -> Path:
        return self._folder / f"{part}.npz"


class KeptWeights:
    """The weights of the batches of one measurement, by the image that each begins at."""

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
        self._arrays = KeptArrays(folder, "likelihood", about)
        self.discard = self._arrays.discard

    @property
    def seconds_before(self) -> float:
        """That batches took which were read."""
        return self._arrays.seconds_before

    def get(self, start: int) -> LogWeights | None:
        """The weights of the batch that begins at image `start`; None if none can be read."""
        arrays = self._arrays.get(f"{start:07d}")
        if arrays is None:
            return None
        try:
            likelihoods = {scale: arrays[f"log_likelihood_{scale}"] for scale in SCALES}
            return LogWeights(arrays["log_ratio"], likelihoods, arrays["strokes"], arrays["l1"])
        except KeyError:
            return None

    def put(self, start: int, weights: LogWeights) -> None:
        """Writes the weights of one batch, whole or not at all."""
        likelihoods = {f"log_likelihood_{scale}": nats for scale, nats in weights.log_likelihood.items()}
        arrays = {"log_ratio": weights.log_ratio, "strokes": weights.strokes, "l1": weights.l1}
        self._arrays.put(f"{start:07d}", **arrays, **likelihoods)
