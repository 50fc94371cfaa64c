"""The resume cache: finished parts of a measurement on disk, so that a killed one goes on where it was.

A measurement has a hidden folder, named by a digest of everything that its numbers depend on, which is
removed once its result is written.
"""

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
from dood_jax.checkpointing.metadata import commit
from dood_jax.config.groups import Config
from dood_jax.model.networks import Params
from dood_jax.model.observation import SCALES
from dood_jax.objectives.iwae import LogWeights
from dood_jax.version import VERSION

_SECONDS = "seconds_of_part"  # name of an array beside those of a part


def digest(about: list[Any]) -> str:
    """Sixteen hexadecimal digits that stand for plain values."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def identity(model: Model) -> list[Any]:
    """Plain values that tell a model's parameters from others.

    Models that were trained together share their checksums, hence also the set and the seed.
    """
    stored = model.meta["config"]
    return [model.meta["sha256"], stored["data"]["name"], stored.get("training", {}).get("seed")]


def origin_of(model: Model, config: Config, images: np.ndarray) -> list[Any]:
    """Plain values that a measurement depends on: parameters, settings, [N, H, W] images and code."""
    return [
        identity(model),
        dataclasses.asdict(model.config),
        config.as_dict()["evaluation"],
        hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(),
        VERSION,
        commit(),
    ]


class CachedArrays:
    """A file of named arrays for every finished part of a measurement.

    Each file also says how many seconds its part took, counted from the end of what was done before it.
    `seconds_before` is the sum over the parts that were read back.
    """

    def __init__(self, folder: Path, task: str, about: list[Any]) -> None:
        """The cache of one measurement in a folder; `about` are plain values that its numbers depend on."""
        self._folder = folder / f".{task}-{digest(about)}"
        self._since = time.monotonic()
        self.seconds_before = 0.0

    def get(self, part: str) -> dict[str, np.ndarray] | None:
        """The arrays of a part, or None if there are none that can be read."""
        try:
            with self._file(part).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = dict(stored)
                self.seconds_before += float(arrays.pop(_SECONDS))
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        self._since = time.monotonic()
        return arrays

    def put(self, part: str, **arrays: np.ndarray) -> None:
        """Writes the arrays of a part. A killed process leaves the whole file or none."""
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / "writing.npz"
        now = time.monotonic()
        stored: dict[str, Any] = {**arrays, _SECONDS: np.float64(now - self._since)}
        np.savez(unfinished, **stored)
        os.replace(unfinished, self._file(part))
        self._since = now

    def discard(self) -> None:
        """Removes the folder; call it once the result is written."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, part: str) -> Path:
        return self._folder / f"{part}.npz"


class CachedLogWeights:
    """The log-weights of the finished batches of a bound, by the number of each batch's first image.

    `inference.batching` reads from it and writes to it.
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
        """The cache of one bound of [N, H, W] images.

        `scale` names the observation scale that posteriors are optimised under, where they are.
        """
        fitted = [np.asarray(x).tobytes().hex() for x in jax.tree_util.tree_leaves(params["likelihood"])]
        about = [*origin_of(model, config, images), len(jax.local_devices()), fitted, scale]
        self._arrays = CachedArrays(folder, "likelihood", about)

    @property
    def seconds_before(self) -> float:
        """Seconds that the batches took which were read back."""
        return self._arrays.seconds_before

    def get(self, start: int) -> LogWeights | None:
        """The log-weights of the batch that begins at image `start`, or None if none can be read."""
        arrays = self._arrays.get(f"{start:07d}")
        if arrays is None:
            return None
        try:
            likelihoods = {scale: arrays[f"log_likelihood_{scale}"] for scale in SCALES}
            return LogWeights(arrays["log_ratio"], likelihoods, arrays["strokes"], arrays["l1"])
        except KeyError:
            return None

    def put(self, start: int, weights: LogWeights) -> None:
        """Writes the log-weights of one batch. A killed process leaves the whole file or none."""
        arrays = {f"log_likelihood_{scale}": nats for scale, nats in weights.log_likelihood.items()}
        arrays |= {"log_ratio": weights.log_ratio, "strokes": weights.strokes, "l1": weights.l1}
        self._arrays.put(f"{start:07d}", **{name: np.asarray(array) for name, array in arrays.items()})

    def discard(self) -> None:
        """Removes the folder; call it once the result is written."""
        self._arrays.discard()
