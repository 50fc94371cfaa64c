"""One table of ratios, measured within one run: forms of the same thing take turns, round by round.

    python benchmarks/run.py [--only=GROUP,…] [--rounds=20] [--batch_size=64] [--json=FILE]

Groups: brushes, parts, step, iterations, published, models, compile, infer, likelihood, refine.

A ratio is the first form's median over this one's: above 1 is faster. Core time is that of all threads,
steadier on a shared machine. Memory is what a compiled program needs beside its inputs and results. Images
are synthetic drawings; no data is needed.
"""

import dataclasses
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import plain
from absl import app, flags
from flax import linen as nn

from dood_jax import geometry
from dood_jax.checkpointing.metadata import commit
from dood_jax.config.model import ModelConfig
from dood_jax.config.resolving import default_config, resolve
from dood_jax.data import example_stream
from dood_jax.data.synthetic import random_drawing
from dood_jax.distributions.gaussian import CorrelatedGaussian
from dood_jax.model import dood
from dood_jax.model.drawing import draw, first_pass
from dood_jax.model.networks import GRUCell
from dood_jax.objectives import exact_stopping, iwae
from dood_jax.rendering import brushes
from dood_jax.runtime import compiling, parallel
from dood_jax.runtime.parallel import stack
from dood_jax.test_time.optimize import optimize_strokes
from dood_jax.training.state import init_state
from dood_jax.training.step import make_optimizer, make_step

_ONLY = flags.DEFINE_list("only", [], "Groups of the table; all if none is given.")
_ROUNDS = flags.DEFINE_integer("rounds", 20, "Timed calls of each form.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Images a call.")
_JSON = flags.DEFINE_string("json", None, "Where the rows are written as JSON.")

SIZE, PARTICLES = (50, 50), 20


@dataclasses.dataclass
class Form:
    """One way to do a thing, compiled, with the inputs that it is timed on."""

    name: str
    function: Callable
    program: Any  # the function, compiled
    inputs: tuple
    carries: bool = False  # whether the first result is the next call's first input
    times: list[float] = dataclasses.field(default_factory=list)
    core_times: list[float] = dataclasses.field(default_factory=list)

    def call(self) -> None:
        """Makes one call, waits for it and notes its seconds."""
        started, core_started = time.perf_counter(), time.process_time()
        result = jax.block_until_ready(self.program(*self.inputs))
        self.times.append(time.perf_counter() - started)
        self.core_times.append(time.process_time() - core_started)
        if self.carries:
            self.inputs = (result[0], *self.inputs[1:])


def form(name: str, function: Callable, *inputs: Any, carries: bool = False) -> Form:
    """Compiles a function for the inputs; a carried input is given up."""
    program = compiling.compiled(function, donate_argnums=(0,) if carries else ())
    return Form(name, function, program.lower(*inputs).compile(), inputs, carries)


def measure(group: str, forms: list[Form], rounds: int) -> list[dict[str, Any]]:
    """Lets forms take turns after a first call each; the rows of their table."""
    for _ in range(1 + rounds):
        for one in forms:
            one.call()
    median = lambda times: statistics.median(times[1:])
    yardstick = median(forms[0].times)
    return [
        {
            "group": group,
            "form": one.name,
            "milliseconds": 1e3 * median(one.times),
            "core_milliseconds": 1e3 * median(one.core_times),
            "ratio": yardstick / median(one.times),
            "memory_mib": one.program.memory_analysis().temp_size_in_bytes / 2**20,
        }
        for one in forms
    ]


def splat_as_written(curve: jax.Array, width: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Samples x pixels exponentials, for autodiff."""
    rows, columns = (jnp.asarray(geometry.brush_pixels(length), curve.dtype) for length in size)
    from_columns, from_rows = (
        columns[None, None] - curve[:, 0, None, None],
        rows[:, None] - curve[:, 1, None, None],
    )
    return jnp.exp(-(from_columns**2 + from_rows**2) / (2 * width**2)).sum(0)


def distance_as_written(curve: jax.Array, width: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Every pixel against every segment, the least distance taken, for autodiff."""
    rows, columns = (jnp.asarray(geometry.brush_pixels(length), curve.dtype) for length in size)
    start, edge = curve[:-1, :, None, None], (curve[1:] - curve[:-1])[:, :, None, None]
    x, y = columns[None, None] - start[:, 0], rows[:, None] - start[:, 1]
    along = jnp.clip((x * edge[:, 0] + y * edge[:, 1]) / ((edge**2).sum(1) + 1e-20), 0, 1)
    square = (x - along * edge[:, 0]) ** 2 + (y - along * edge[:, 1]) ** 2
    return jnp.exp(-square.min(0) / (2 * width**2))


def brush_rows(config: ModelConfig, rounds: int, batch_size: int) -> list[dict[str, Any]]:
    """A batch of strokes, forward and with gradient."""
    random = np.random.default_rng(0)
    curves = np.cumsum(random.normal(0, 0.02, (batch_size, config.curve_samples, 2)), axis=1) + 0.5
    curves, widths = jnp.asarray(curves, jnp.float32), jnp.full(batch_size, 0.02)
    drawn = {
        "splat as written": splat_as_written,
        "splat": brushes.splat,
        "soft_distance": brushes.soft_distance,
        "distance": brushes.distance,
        "distance as written": distance_as_written,
    }
    forward, gradient = [], []
    for name, brush in drawn.items():
        paint = jax.vmap(functools.partial(brush, size=SIZE))
        total = lambda curves, widths, paint=paint: (paint(curves, widths) ** 2).sum()
        forward.append(form(name, paint, curves, widths))
        gradient.append(form(name, jax.value_and_grad(total, argnums=(0, 1)), curves, widths))
    return measure("brush, forward", forward, rounds) + measure("brush, with gradient", gradient, rounds)


def triangular(mean: jax.Array, scale: jax.Array, coupling: jax.Array) -> distrax.Distribution:
    """The Gaussian of `CorrelatedGaussian` as distrax writes it."""
    factor = scale[..., None] * jnp.eye(scale.shape[-1])
    return distrax.MultivariateNormalTri(mean, factor.at[..., 1, 0].set(coupling))


def part_rows(config: ModelConfig, rounds: int, batch_size: int) -> list[dict[str, Any]]:
    """Parts that are written out here against those of libraries; gradients of all that they are given."""
    random = np.random.default_rng(0)
    normal = lambda *shape: jnp.asarray(random.normal(size=(batch_size, *shape)), jnp.float32)
    state, inputs = normal(config.features), normal(config.features)
    theirs, ours = nn.GRUCell(config.features), GRUCell(config.features)
    steps = {
        "flax's cell": (theirs, lambda *given: theirs.apply(*given)[0]),
        "one product an input": (ours, ours.apply),
    }
    cells = []
    for name, (cell, step) in steps.items():
        total = lambda *given, step=step: (step(*given) ** 2).sum()
        variables = cell.init(jax.random.key(0), state, inputs)
        cells.append(form(name, jax.grad(total, argnums=(0, 1, 2)), variables, state, inputs))

    shape = (config.num_points, config.components)
    given = (normal(*shape, 2), jnp.exp(normal(*shape, 2)), normal(*shape), normal(*shape, 2))
    gaussians = {"triangular, of distrax": triangular, "written out": CorrelatedGaussian}
    densities = []
    for name, gaussian in gaussians.items():
        total = lambda *given, gaussian=gaussian: gaussian(*given[:3]).log_prob(given[3]).sum()
        densities.append(form(name, jax.grad(total, argnums=(0, 1, 2, 3)), *given))
    return measure("recurrent cell", cells, rounds) + measure("coupled Gaussian", densities, rounds)


def training_form(name: str, batch_size: int, models: int = 1, **model: Any) -> Form:
    """A training step, of `fast` unless said, on synthetic images that lie on the device."""
    settings = default_config()
    settings.training.update(batch_size=batch_size, num_models=models)
    settings.model.update(model)
    config = resolve(settings)
    optimizer = make_optimizer(config.optimizer, config.training.steps)
    step = make_step(config, optimizer, example_stream.sample_example)
    images = jnp.asarray(np.round(255 * random_images(256)), jnp.uint8)
    stream = stack([example_stream.make_stream(seed, 0, len(images), batch_size) for seed in range(models)])
    stopping = config.objective.stopping
    init = lambda seed: init_state(config.model, optimizer, jax.random.key(seed), stopping)
    states = stack([jax.device_get(init(seed)) for seed in range(models)])
    one = lambda state, stream: step(state, images, stream, jnp.arange(batch_size))
    return form(name, one if models == 1 else jax.vmap(one), states, stream, carries=True)


def step_rows(config: ModelConfig, rounds: int, batch_size: int) -> list[dict[str, Any]]:
    """`fast` in its variants."""
    forms = [
        training_form("fast", batch_size),
        training_form("fast, plain scan", batch_size, unroll=1),
        training_form("fast, distance", batch_size, brush="distance"),
        training_form("fast, distance, 24 samples", batch_size, brush="distance", curve_samples=24),
        training_form("fast, canvas scale", batch_size, likelihood_scale="canvas"),
    ]
    return measure("training step", forms, rounds)


def iteration_rows(config: ModelConfig, rounds: int, batch_size: int) -> list[dict[str, Any]]:
    """What iterative inference adds to a step, and what the source resolution does."""
    forms = [
        training_form("fast", batch_size),
        training_form("fast, images as they are", batch_size, source_size=0),
        training_form("fast, six iterations", batch_size, iterations=6),
        training_form("fast, twenty-four iterations", batch_size, iterations=24),
    ]
    return measure("training step, iterations", forms, rounds)


def published_rows(config: ModelConfig, rounds: int, batch_size: int) -> list[dict[str, Any]]:
    """The published step as plainly written against ours, in both placements, and against `fast`."""
    step, images = plain.make_step(), jnp.asarray(random_images(batch_size))
    forms = [
        form("published as written", step, plain.init(jax.random.key(0)), images, jax.random.key(1)),
        training_form("published", batch_size, preset="published"),
        training_form("published, points", batch_size, preset="published", placement="points"),
        training_form("fast", batch_size),
    ]
    return measure("published step", forms, min(rounds, 4))


def model_rows(config: ModelConfig, rounds: int, batch_size: int) -> list[dict[str, Any]]:
    """One model against several in one program; the time is that of all."""
    forms = [training_form(f"{count} models", batch_size, count) for count in (1, 2, 4)]
    return measure("models in one program", forms, rounds)


def compile_rows(config: ModelConfig, rounds: int, batch_size: int) -> list[dict[str, Any]]:
    """`main` from its start to the end of the first step, without and with compiled programs on disk."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("empty cache", "warm cache"):
            seconds = _seconds_to_first_step(Path(folder), batch_size)
            rows.append({"group": "start to first step", "form": name, "milliseconds": 1e3 * seconds})
            rows[-1].update(ratio=rows[0]["milliseconds"] / (1e3 * seconds))
    return rows


def _seconds_to_first_step(folder: Path, batch_size: int) -> float:
    """Starts a training whose compiled programs lie in the folder, and stops it after its first step."""
    root = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as workdir:
        command = [sys.executable, "-m", "dood_jax.main", f"--config={root}/configs/synthetic.py"]
        command += [f"--workdir={workdir}", f"--config.training.batch_size={batch_size}"]
        started = time.perf_counter()
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(folder)}
        with subprocess.Popen(
            command, cwd=root, env=environment, stderr=subprocess.PIPE, text=True
        ) as training:
            reached = any("first step after" in line for line in training.stderr)
            seconds = time.perf_counter() - started
            training.kill()
    if not reached:
        raise RuntimeError(f"{' '.join(command)} made no step")
    return seconds


def infer_rows(config: ModelConfig, rounds: int, batch_size: int) -> list[dict[str, Any]]:
    """Drawings inferred, one particle each, against the forward pass of training."""
    params, images, keys = model_and_images(config, batch_size)
    infer = lambda image, key: draw(config, params, image, key).strokes
    forms = [
        form("forward pass of training", jax.vmap(functools.partial(_bound, config, params)), images, keys),
        form("infer", jax.vmap(infer), images, keys),
    ]
    return measure("inference", forms, rounds)


def likelihood_rows(config: ModelConfig, rounds: int, batch_size: int) -> list[dict[str, Any]]:
    """The bound with K particles against K forward passes of training."""
    params, images, keys = model_and_images(config, batch_size)
    forward = jax.vmap(functools.partial(_bound, config, params))
    each = lambda key: jax.random.split(key, PARTICLES)

    def called_often(images, keys):
        return jax.lax.map(lambda keys: forward(images, keys), jax.vmap(each)(keys).T)

    weigh = lambda image, key: iwae.log_weights(config, params, image, key, PARTICLES).elbo("map")
    forms = [
        form(f"{PARTICLES} forward passes", called_often, images, keys),
        form(f"{PARTICLES} particles", jax.vmap(weigh), images, keys),
    ]
    return measure("K-sample likelihood", forms, max(2, rounds // 10))


def refine_rows(config: ModelConfig, rounds: int, batch_size: int) -> list[dict[str, Any]]:
    """A hundred gradient steps on every drawing, all six strokes present; the time of one image."""
    params, images, keys = model_and_images(config, batch_size)
    drawing = jax.vmap(lambda image, key: first_pass(config, params, image, key, hold_presence=True))(
        images, keys
    )
    refine = jax.vmap(lambda *drawn: optimize_strokes(config, params, *drawn, 100))
    rows = measure("refinement", [form("one image", refine, images, *drawing[:2])], max(2, rounds // 10))
    each = lambda row, name: row[name] / batch_size
    names = ("milliseconds", "core_milliseconds")
    return [{**row, **{name: each(row, name) for name in names}} for row in rows]


def _bound(config: ModelConfig, params: Any, image: jax.Array, key: jax.Array) -> jax.Array:
    """What training computes of one image, without its gradient."""
    drawing = first_pass(config, params, image, key, hold_presence=True)
    return exact_stopping.expected_elbo(exact_stopping.prefix_terms(config, params, image, drawing))


@functools.cache
def random_images(count: int) -> np.ndarray:
    """[N, 50, 50] synthetic drawings, 0..1."""
    keys = jax.random.split(jax.random.key(0), count)
    return np.asarray(jax.jit(jax.vmap(lambda key: random_drawing(key, SIZE[0]).image))(keys))


def model_and_images(config: ModelConfig, batch_size: int) -> tuple[Any, jax.Array, jax.Array]:
    """Fresh parameters, images and keys."""
    params = jax.jit(functools.partial(dood.init, config))(jax.random.key(0))
    return params, jnp.asarray(random_images(batch_size)), jax.random.split(jax.random.key(1), batch_size)


GROUPS = {
    "brushes": brush_rows,
    "parts": part_rows,
    "step": step_rows,
    "iterations": iteration_rows,
    "published": published_rows,
    "models": model_rows,
    "compile": compile_rows,
    "infer": infer_rows,
    "likelihood": likelihood_rows,
    "refine": refine_rows,
}


def main(_: list[str]) -> None:
    """Prints the table."""
    parallel.keep_freed_memory()  # as in training
    rows = []
    about = {"device": parallel.device_name(), "jax": jax.__version__, "commit": commit()}
    print(", ".join(f"{name} {value}" for name, value in about.items()), f"batch {_BATCH_SIZE.value}")
    print(f"{'what':22} {'form':28} {'median ms':>10} {'core ms':>10} {'ratio':>7} {'MiB':>7}")
    for group in _ONLY.value or GROUPS:
        for row in GROUPS[group](default_model(), _ROUNDS.value, _BATCH_SIZE.value):
            wall, ratio = f"{row['milliseconds']:10.2f}", f"{row['ratio']:7.2f}"
            core = f"{row['core_milliseconds']:10.2f}" if "core_milliseconds" in row else " " * 10
            memory = f"{row['memory_mib']:7.0f}" if "memory_mib" in row else ""
            print(f"{row['group']:22} {row['form']:28} {wall} {core} {ratio} {memory}", flush=True)
            rows.append(row)
    if _JSON.value:
        Path(_JSON.value).write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


def default_model() -> ModelConfig:
    """The `fast` model."""
    return resolve(default_config()).model


if __name__ == "__main__":
    app.run(main)
