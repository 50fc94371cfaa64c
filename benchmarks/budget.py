"""Where a training step's time goes: products and measured time of every part, against the machine's rate.

    python benchmarks/budget.py [--batch_size=64] [--steps=5]

Multiply-adds are those of the matrix products that the step asks for. Time is that of all threads, as the
profiler has it, by the names that the model gives its parts; what the compiler fused goes to one of them.
"""

import collections
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import run
from absl import app, flags

from dood_jax.runtime import parallel

_STEPS = flags.DEFINE_integer("steps", 5, "Steps that are profiled.")

PARTS = {  # what is found first in an operation's name
    "optimizer": "optimizer",
    "likelihood of prefixes": "likelihood|compositing",
    "glimpse": "glimpse/",
    "ink": "ink/",
    "encoders": "encoder",
    "recurrent cells": "_rnn",
    "heads": "posterior_|prior_|canvas_slope|brush",
}
OTHER = "densities, guard, rest"


def main(_: list[str]) -> None:
    """Prints the table."""
    step = run.training_form("fast", flags.FLAGS.batch_size)
    products = products_of(step, PARTS)
    for _ in range(10):
        step.call()
    seconds = list(step.times)
    profile = profiled(step, _STEPS.value, PARTS)
    rate = matmul_rate()
    whole = statistics.median(seconds)
    total = sum(products.values())
    print(f"{parallel.device_name()}, jax {jax.__version__}, batch {flags.FLAGS.batch_size}")
    print(f"step {1e3 * whole:.1f} ms; products {total / 1e9:.2f} G multiply-adds, at the measured")
    print(f"{rate / 1e9:.0f} G a second they alone would take {1e3 * total / rate:.1f} ms")
    traffic = step.program.cost_analysis()["bytes accessed"]
    print(f"operations read and write {traffic / 2**30:.2f} GiB, caches included")
    print(f"{'part':26} {'M multiply-adds':>15} {'ms of threads':>14} {'%':>6}")
    for part in (*PARTS, OTHER):
        fraction = profile[part] / sum(profile.values())
        print(f"{part:26} {products[part] / 1e6:15.0f} {1e3 * profile[part]:14.1f} {100 * fraction:5.0f}%")


def part_of(name: str, parts: dict[str, str]) -> str:
    """The part that an operation belongs to."""
    return next((part for part, pattern in parts.items() if re.search(pattern, name)), OTHER)


def products_of(step: run.Form, parts: dict[str, str]) -> collections.Counter:
    """Multiply-adds of a step's matrix products, by part."""
    found: collections.Counter = collections.Counter()
    _count(jax.make_jaxpr(step.function)(*step.inputs).jaxpr, 1, "", parts, found)
    return found


def _count(jaxpr: Any, times: int, above: str, parts: dict[str, str], found: collections.Counter) -> None:
    for equation in jaxpr.eqns:
        name = f"{above}/{equation.source_info.name_stack}/"
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            length = np.prod([left[axis] for axis in contracted])
            found[part_of(name, parts)] += times * int(np.prod(equation.outvars[0].aval.shape) * length)
        inner = times * equation.params.get("length", 1) if equation.primitive.name == "scan" else times
        for jaxpr_inside in jax.extend.core.jaxprs_in_params(equation.params):
            _count(jaxpr_inside, inner, name, parts, found)


def profiled(step: run.Form, steps: int, parts: dict[str, str]) -> collections.Counter:
    """Seconds of all threads in one step, by part."""
    text = step.program.as_text()
    names = dict(re.findall(r"%?([\w.\-]+) = .*?op_name=\"([^\"]*)\"", text))
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(steps):
                step.call()
        (path,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(path))
    found: collections.Counter = collections.Counter()
    for plane in data.planes:
        for line in plane.lines:
            for event in line.events:
                operation = dict(event.stats).get("hlo_op")
                if operation:
                    found[part_of(names.get(operation, ""), parts)] += event.duration_ns / 1e9 / steps
    return found


def matmul_rate() -> float:
    """Multiply-adds a second of one large product: the machine's limit."""
    size = 2048
    matrix = jnp.asarray(np.random.default_rng(0).random((size, size)), jnp.float32)
    product = run.form("product", jnp.matmul, matrix, matrix)
    for _ in range(8):
        product.call()
    return size**3 / min(product.times)


if __name__ == "__main__":
    app.run(main)
