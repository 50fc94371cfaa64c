"""Labelled images for the evaluation classifier, and how one is trained.

`python -m dood_jax.evaluation.metrics.prepare --name=mnist --to=FOLDER` trains that of a set and keeps it.

A judge comes with the package for every published set at 50 x 50, so that what is measured by it compares.
For any other set one is trained when it is first asked for, and kept with the results.
"""

import argparse
import hashlib
import importlib.resources
import json
import os
import sys
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from absl import logging
from flax import traverse_util

from dood_jax.checkpointing.restore import commit
from dood_jax.config.datasets import NAMES, SYNTHETIC
from dood_jax.config.groups import DataConfig, EvaluationConfig
from dood_jax.config.resolving import resolve
from dood_jax.errors import BadInput, first_line, require_at_least
from dood_jax.evaluation.metrics import classifier
from dood_jax.evaluation.metrics.classifier import Judge
from dood_jax.evaluation.metrics.labelled_images import Labelled, load_labelled
from dood_jax.inference import test_images
from dood_jax.runtime import parallel


def labelled(data: DataConfig, settings: EvaluationConfig) -> Labelled:
    """The same images as `held_out.images`, with their classes."""
    if data.is_synthetic:
        return load_labelled(data, "test", settings.num_images)
    found = load_labelled(data, "test")
    return found.take(test_images.rows(len(found.labels), settings))


STEPS = 1200
_HELD_OUT = 0.1  # of the training images, where those for testing are of other classes


def judge_of(data: DataConfig, folder: Path) -> Judge:
    """The judge of a set: the one that comes with the package, else the one kept in a folder, else a new one.

    Raises BadInput if the set has a single class.
    """
    learned = load_labelled(data, "train")
    shipped = importlib.resources.files("dood_jax.evaluation.metrics") / "trained" / f"{data.name}.npz"
    with importlib.resources.as_file(shipped) as path:
        found = _read(path)
    if found and not data.transpose and _fits(found, learned):
        return found
    path = folder / f"judge-{data.name}-{_digest(learned, STEPS)}.npz"
    found = _read(path)
    if found and _fits(found, learned):
        return found
    logging.info("training a judge of %s: %d steps", data.name, STEPS)
    judge = make(data, learned, STEPS)
    write(judge, path)
    return judge


def make(data: DataConfig, learned: Labelled, steps: int) -> Judge:
    """A judge with its card: what it learned from, for how long, and its share of right answers."""
    started = time.monotonic()
    tested = load_labelled(data, "test")
    if tested.classes != learned.classes:  # Omniglot's are other alphabets
        order = np.random.default_rng(0).permutation(len(learned.labels))
        count = max(int(_HELD_OUT * len(order)), 1)
        tested, learned = learned.take(order[:count]), learned.take(order[count:])
    judge = classifier.train(learned, steps)
    card = {
        "dataset": data.name,
        "transpose": data.transpose,
        "images": len(learned.labels),
        "steps": steps,
        "accuracy": round(classifier.accuracy(judge, tested), 4),
        "tested_on": len(tested.labels),
        "seconds": round(time.monotonic() - started, 1),
        "device": parallel.device_name(),
        "commit": commit(),
    }
    return judge._replace(card=card)


def write(judge: Judge, path: Path) -> None:
    """Keeps a judge in 16 bits, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    leaves = traverse_util.flatten_dict(judge.params, sep="/")
    about = {**judge.card, "classes": judge.classes, "image_size": judge.image_size}
    whole = path.with_suffix(".writing.npz")
    arrays = {name: np.asarray(leaf, np.float16) for name, leaf in leaves.items()}
    np.savez_compressed(whole, card=np.array(json.dumps(about)), **arrays)
    os.replace(whole, path)


def _read(path: Path) -> Judge | None:
    """A kept judge; None if there is none that can be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            card = json.loads(str(arrays["card"]))
            leaves = {name: arrays[name].astype(np.float32) for name in arrays.files if name != "card"}
        classes, size = tuple(card.pop("classes")), card.pop("image_size")
        return Judge(traverse_util.unflatten_dict(leaves, sep="/"), classes, size, card)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _fits(judge: Judge, learned: Labelled) -> bool:
    return judge.classes == learned.classes and judge.image_size == learned.images.shape[-1]


def _digest(learned: Labelled, steps: int) -> str:
    """Of all that a judge depends on."""
    digest = hashlib.sha256(np.ascontiguousarray(learned.images))
    digest.update(np.ascontiguousarray(learned.labels))
    digest.update(json.dumps([learned.classes, steps]).encode())
    return digest.hexdigest()[:12]


class _OneLineParser(argparse.ArgumentParser):
    """Answers a bad flag in one line."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(message)


def _settings(arguments: argparse.Namespace) -> tuple[DataConfig, Path, int]:
    require_at_least("--steps", arguments.steps, 1)
    data: dict[str, Any] = {"name": arguments.name, "image_size": arguments.size}
    if arguments.dir:
        data["dir"] = arguments.dir
    return resolve({"data": data}).data, Path(arguments.to), arguments.steps


def main() -> None:
    """Trains what the flags say and prints its card; exits 2 with one line for bad input."""
    parser = _OneLineParser(
        "python -m dood_jax.evaluation.metrics.prepare", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--name", required=True, help=f"of the set: {', '.join((*NAMES, SYNTHETIC))}")
    parser.add_argument("--dir", help="the data directory; default as in training")
    parser.add_argument("--to", required=True, help="folder to write NAME.npz into")
    parser.add_argument("--steps", type=int, default=STEPS, help="of 128 images")
    parser.add_argument("--size", type=int, default=50, help="pixels of a side")
    try:
        data, folder, steps = _settings(parser.parse_args())
        parallel.keep_compiled_programs()
        judge = make(data, load_labelled(data, "train"), steps)
        write(judge, folder / f"{data.name}.npz")
        print(json.dumps(judge.card))
    except BadInput as error:
        sys.stderr.write(f"dood_jax: {first_line(error)}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
