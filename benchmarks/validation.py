"""How well models infer validation images: the numbers that decisions are taken by.

    python benchmarks/validation.py mnist mnist:revisions=4 runs/mine:iterations=48,settle=True

Each form is a released name or the folder of a run and, behind a colon, settings that differ: keys of `model`
or of `evaluation`. Writes a Markdown table with a row a form: nats of the importance-weighted bound with the
standard error of their mean, the difference to the first form, image by image, the L1 error, strokes, and the
seconds that the images took. Needs the sets in DOOD_DATA_DIR.
"""

import ast
import dataclasses
import sys
import time

import numpy as np
from absl import app, flags

import dood_jax
from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import DataConfig
from dood_jax.config.model import ModelConfig
from dood_jax.inference import bounds, image_sets
from dood_jax.inference.bounds import Bound
from dood_jax.runtime import parallel
from dood_jax.runtime.parallel import DeviceGroup

_SETS = flags.DEFINE_list("sets", ["mnist", "emnist", "kmnist", "quickdraw", "omniglot"], "Sets to measure.")
_IMAGES = flags.DEFINE_integer("num_images", 192, "Validation images of a set.")
_PARTICLES = flags.DEFINE_integer("num_particles", 4, "Particles of the bound.")
_SAMPLES = flags.DEFINE_integer("samples_per_posterior", 1, "Particles from each posterior.")

_OF_MODEL = {field.name for field in dataclasses.fields(ModelConfig)} - {"num_strokes"}  # of a drawing here


def main(argv: list[str]) -> None:
    """Measures every form on every set."""
    forms = argv[1:]
    if not forms:
        raise app.UsageError("no model is named; give names or folders, each with :key=value,… if you like")
    parallel.keep_freed_memory()
    for name in _SETS.value:
        _show(f"\n| {name} | nats | difference | L1 | strokes | seconds |\n|---|---|---|---|---|---|")
        reference = None
        for form in forms:
            start = time.perf_counter()
            found = measured(form, name)
            reference = reference or found
            _show(_row(form, found, reference, time.perf_counter() - start))


def _show(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def measured(form: str, name: str) -> Bound:
    """The bound of validation images of a set by a model with some of its settings changed."""
    path, _, changes = form.partition(":")
    model = dood_jax.load(path)
    given = dict(change.split("=") for change in changes.split(",") if change)
    of_model = {key: ast.literal_eval(given.pop(key)) for key in _OF_MODEL & set(given)}
    usual = {"num_particles": _PARTICLES.value, "samples_per_posterior": _SAMPLES.value}
    own = {key: ast.literal_eval(value) for key, value in given.items()}
    settings = EvaluationConfig(num_images=_IMAGES.value, **{**usual, **own})
    images = image_sets.validation_images(DataConfig(name=name), settings)
    config = dataclasses.replace(model.config, **of_model)
    keys = image_sets.evaluation_keys(settings, len(images))
    return bounds.bound(config, model.params, images, keys, settings, DeviceGroup.local())


def _row(form: str, found: Bound, reference: Bound, seconds: float) -> str:
    nats, others = found.log_likelihood, reference.log_likelihood
    error = lambda values: values.std() / np.sqrt(max(len(values) - 1, 1))
    difference = nats - others
    cells = [
        form,
        f"{nats.mean():,.0f} ± {error(nats):.0f}",
        f"{difference.mean():+,.0f} ± {error(difference):.0f}" if found is not reference else "",
        f"{found.l1.mean():.1f}",
        f"{found.strokes.mean():.2f}",
        f"{seconds:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    app.run(main)
