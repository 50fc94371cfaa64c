"""What iterative inference costs: multiply-adds, bytes and time of one iteration, and of whole calls.

    python benchmarks/budget_iterations.py [--batch_size=64] [--rounds=20]

The model is the released one of MNIST, the images are synthetic drawings; no data is needed. The parts of an
iteration are measured in one program over all images and all six strokes, as training runs it. Whole calls
are those of `Model.infer` and of the task `likelihood`, in which strokes that are not drawn cost nothing.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import budget
import jax
import numpy as np
import run
from absl import app, flags

import dood_jax
from dood_jax.api import Model
from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.inference import batching, bounds
from dood_jax.model.drawing import first_pass, iterate
from dood_jax.runtime import parallel
from dood_jax.runtime.parallel import DeviceGroup

PARTS = {  # what is found first in an operation's name
    "gradient of the rendering": r"transpose\(.*(ink|finished_canvas)",
    "rendering": r"ink|finished_canvas",
    "error on the image's grid": r"jvp\(\)|transpose\(jvp",
    "glimpses": "glimpse",
    "corrector": "corrector",
}


def main(_: list[str]) -> None:
    """Prints both tables."""
    model, images = dood_jax.load("mnist"), run.random_images(flags.FLAGS.batch_size)
    rate = budget.matmul_rate()
    print(f"{parallel.device_name()}, jax {jax.__version__}; one large product {rate / 1e9:.0f} G a second")
    print_iteration(model, images)
    print(f"{'whole call':44} {'ms':>8} {'ms of threads':>14}")
    for name, call in calls(model, images).items():
        wall, threads = timed(call, flags.FLAGS.rounds)
        print(f"{name:44} {1e3 * wall:8.1f} {1e3 * threads:14.1f}", flush=True)


def print_iteration(model: Model, images: np.ndarray) -> None:
    """The parts of one iteration of all strokes of the images."""
    count = model.config.iterations
    form = iteration_form(model, images, count)
    products = budget.products_of(form, PARTS)
    for _ in range(3):
        form.call()
    profile = budget.profiled(form, flags.FLAGS.rounds, PARTS)
    traffic = iteration_form(model, images, 1).program.cost_analysis()["bytes accessed"]
    whole = statistics.median(form.times) / count
    per_call = f"{1e3 * whole:.1f} ms, reads and writes {traffic / 2**20:.0f} MiB"
    print(f"an iteration of {len(images)} images: {per_call}")
    print(f"{'part':26} {'M multiply-adds':>15} {'ms of threads':>14}")
    for part in (*PARTS, budget.OTHER):
        print(f"{part:26} {products[part] / count / 1e6:15.1f} {1e3 * profile[part] / count:14.2f}")


def iteration_form(model: Model, images: np.ndarray, iterations: int) -> run.Form:
    """So many iterations of the images' first drawings."""
    config, params = model.config, model.params
    keys = jax.random.split(jax.random.key(0), len(images))
    first = jax.jit(jax.vmap(lambda image, key: first_pass(config, params, image, key)))(images, keys)
    correct = jax.vmap(lambda *drawn: iterate(config, params, *drawn, iterations))
    return run.form("iterations", correct, images, first.strokes, first.brush)


def calls(model: Model, images: np.ndarray) -> dict[str, Callable[[], Any]]:
    """What users call, by what is printed of it."""
    many = len(images)
    group, keys = DeviceGroup.local(), batching.example_keys(jax.random.key(0), many)

    def weigh(samples: int) -> Any:
        settings = EvaluationConfig(num_particles=20, samples_per_posterior=samples)
        return bounds.bounds(model.config, model.params, images, keys, settings, group)

    return {
        f"first pass of {many} images": lambda: model.infer(images, iterations=0),
        f"inference of {many} images": lambda: model.infer(images),
        "first pass of one image": lambda: model.infer(images[:1], iterations=0),
        "inference of one image": lambda: model.infer(images[:1]),
        f"bound of {many} images, 20 posteriors": lambda: weigh(1),
        f"bound of {many} images, 2 posteriors, 20 samples": lambda: weigh(10),
    }


def timed(call: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Median seconds of a call, and of all threads in it, after one that compiles it."""
    call()
    walls, threads = [], []
    for _ in range(rounds):
        started, threads_started = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - started)
        threads.append(time.process_time() - threads_started)
    return statistics.median(walls), statistics.median(threads)


if __name__ == "__main__":
    app.run(main)
