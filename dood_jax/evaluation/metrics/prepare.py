"""The evaluation classifier of a set: found, trained and stored.

`python -m dood_jax.evaluation.metrics.prepare --name=mnist --to=FOLDER` trains the classifier of a set and
writes `FOLDER/mnist.npz`.

Classifiers of MNIST and of synthetic drawings at 50 x 50 pixels come with the package, so that numbers from
different machines compare. For any other set one is trained when it is first asked for, and stored beside the
results.
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
from typing import Any

import numpy as np
from absl import logging
from flax import traverse_util

from dood_jax import command_line
from dood_jax.checkpointing.metadata import commit
from dood_jax.config.datasets import NAMES, SYNTHETIC
from dood_jax.config.groups import DataConfig
from dood_jax.config.resolving import resolve
from dood_jax.errors import BadInput, require_at_least
from dood_jax.evaluation.metrics import classifier
from dood_jax.evaluation.metrics.classifier import Classifier, LabelledImages, load_labelled
from dood_jax.runtime import parallel

STEPS = 1200  # of training
_TEST_FRACTION = 0.1  # of the training images, for sets whose test images are of other classes


def classifier_of(data: DataConfig, folder: Path) -> Classifier:
    """The classifier of a set: from the package, else from a folder, else trained and stored there.

    Raises BadInput if the set has a single class.
    """
    training = load_labelled(data, "train")
    shipped = importlib.resources.files("dood_jax.evaluation.metrics") / "trained" / f"{data.name}.npz"
    with importlib.resources.as_file(shipped) as path:
        found = read(path)
    if found and not data.transpose and _fits(found, training):
        return found
    path = folder / f"classifier-{data.name}-{_digest(training, STEPS)}.npz"
    found = read(path)
    if found and _fits(found, training):
        return found
    logging.info("training an evaluation classifier of %s: %d steps", data.name, STEPS)
    found = train(data, training, STEPS)
    write(found, path)
    return found


def train(data: DataConfig, training: LabelledImages, steps: int) -> Classifier:
    """Trains a classifier and fills its card: what it learned from, for how long, and its test accuracy."""
    started = time.monotonic()
    test = load_labelled(data, "test")
    if test.classes != training.classes:  # Omniglot's test images are of other alphabets
        order = np.random.default_rng(0).permutation(len(training.labels))
        count = max(int(_TEST_FRACTION * len(order)), 1)
        test, training = training.take(order[:count]), training.take(order[count:])
    trained = classifier.train(training, steps)
    card = {
        "dataset": data.name,
        "transpose": data.transpose,
        "images": len(training.labels),
        "steps": steps,
        "accuracy": round(classifier.accuracy(trained, test), 4),
        "tested_on": len(test.labels),
        "seconds": round(time.monotonic() - started, 1),
        "device": parallel.device_name(),
        "commit": commit(),
    }
    return trained._replace(card=card)


def write(trained: Classifier, path: Path) -> None:
    """Stores a classifier in 16 bits. A killed process leaves the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    leaves = traverse_util.flatten_dict(trained.params, sep="/")
    card = {**trained.card, "classes": trained.classes, "image_size": trained.image_size}
    unfinished = path.with_suffix(".writing.npz")
    arrays: dict[str, Any] = {name: np.asarray(leaf, np.float16) for name, leaf in leaves.items()}
    np.savez_compressed(unfinished, card=np.array(json.dumps(card)), **arrays)
    os.replace(unfinished, path)


def read(path: Path) -> Classifier | None:
    """A stored classifier, or None if there is none that can be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            card = json.loads(str(arrays["card"]))
            leaves = {name: arrays[name].astype(np.float32) for name in arrays.files if name != "card"}
        classes, size = tuple(card.pop("classes")), card.pop("image_size")
        return Classifier(traverse_util.unflatten_dict(leaves, sep="/"), classes, size, card)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _fits(found: Classifier, training: LabelledImages) -> bool:
    """Whether a classifier has the classes and the image size of a set."""
    return found.classes == training.classes and found.image_size == training.images.shape[-1]


def _digest(training: LabelledImages, steps: int) -> str:
    """Hexadecimal digits that stand for everything that a classifier depends on."""
    digest = hashlib.sha256(np.ascontiguousarray(training.images).data)
    digest.update(np.ascontiguousarray(training.labels).data)
    digest.update(json.dumps([training.classes, steps]).encode())
    return digest.hexdigest()[:12]


def _asked(arguments: argparse.Namespace) -> tuple[DataConfig, Path, int]:
    """The set, the folder to write to, and the number of steps; raises BadInput for bad values."""
    require_at_least("--steps", arguments.steps, 1)
    data: dict[str, Any] = {"name": arguments.name, "image_size": arguments.size}
    if arguments.dir:
        data["dir"] = arguments.dir
    return resolve({"data": data}).data, Path(arguments.to), arguments.steps


def main() -> None:
    """Trains the classifier that the flags describe and prints its card; bad input exits 2 with one line."""
    parser = command_line.Parser("python -m dood_jax.evaluation.metrics.prepare", description=__doc__)
    parser.add_argument("--name", required=True, help=f"the set: {', '.join((*NAMES, SYNTHETIC))}")
    parser.add_argument("--dir", help="the data directory; by default the one of training")
    parser.add_argument("--to", required=True, help="folder to write NAME.npz into")
    parser.add_argument("--steps", type=int, default=STEPS, help="training steps of 128 images")
    parser.add_argument("--size", type=int, default=50, help="pixels along a side of the images")
    try:
        data, folder, steps = _asked(parser.parse_args())
        parallel.keep_compiled_programs()
        trained = train(data, load_labelled(data, "train"), steps)
        write(trained, folder / f"{data.name}.npz")
        sys.stdout.write(json.dumps(trained.card) + "\n")
    except BadInput as error:
        command_line.refuse(error)


if __name__ == "__main__":
    main()
