"""What the page on scaling stands on: a step's counts, and times over simulated devices and processes.

    python benchmarks/scaling_measured.py

writes `docs/results/scaling.json`, in under two minutes on free cores. Forms take turns within one process;
devices and processes share the same cores, so that ratios show what splitting costs and never what it gains.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

import budget
import jax
import jax.extend
import jax.numpy as jnp
import run

from dood_jax.checkpointing.metadata import commit
from dood_jax.config.groups import Config
from dood_jax.config.resolving import default_config, resolve
from dood_jax.data import example_stream
from dood_jax.runtime import parallel, processes
from dood_jax.runtime.parallel import stack
from dood_jax.training.state import example_streams, init_state
from dood_jax.training.step import make_optimizer, make_step

DEVICES, MODELS, BATCH_SIZE, ROUNDS = (1, 2, 4), 4, 8, 20
UNOPTIMISED = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"  # compiles fast
PATIENCE = 300  # seconds for a process that measures


def counts(config: Config) -> dict[str, Any]:
    """What a training step asks for, counted as it is traced: nothing is compiled."""
    step = traced(config)
    trained = jax.tree_util.tree_leaves(step.inputs[0].trained)
    return {
        "batch_size": config.training.batch_size,
        "multiply_adds": int(sum(budget.products_of(step, budget.PARTS).values())),
        "products": calls_of(jax.make_jaxpr(step.function)(*step.inputs).jaxpr),
        "parameters": sum(leaf.size for leaf in trained),
        "reduced": sum(leaf.size * leaf.dtype.itemsize for leaf in trained),
        "image": config.data.image_size**2,
    }


def traced(config: Config, axis_name: str | None = None) -> run.Form:
    """A training step with the shapes of its inputs."""
    optimizer = make_optimizer(config.optimizer, config.training.steps)
    step = make_step(config, optimizer, example_stream.sample_example)
    size, batch_size = config.data.image_size, config.training.batch_size
    images = jax.ShapeDtypeStruct((256, size, size), jnp.uint8)
    init = lambda key: init_state(config.model, optimizer, key, config.objective.stopping)
    state = jax.eval_shape(init, jax.random.key(0))
    stream = example_stream.make_stream(0, 0, 256, batch_size)
    one = lambda state, images, stream: step(state, images, stream, jnp.arange(batch_size), axis_name)
    return run.Form("step", one, None, (state, images, stream))


def calls_of(jaxpr: Any, times: int = 1) -> int:
    """Matrix products that a program makes, those of a scan as often as it goes round."""
    found = 0
    for equation in jaxpr.eqns:
        found += times * (equation.primitive.name == "dot_general")
        inner = times * equation.params.get("length", 1) if equation.primitive.name == "scan" else times
        found += sum(calls_of(inside, inner) for inside in jax.extend.core.jaxprs_in_params(equation.params))
    return found


def small(num_models: int = 1) -> Config:
    """A model of the size that tests train."""
    settings = default_config()
    settings.data.update(name="synthetic", image_size=20)
    settings.model.update(num_strokes=2, features=16, curve_samples=12, components=3, unroll=1)
    settings.training.update(batch_size=BATCH_SIZE, num_models=num_models)
    return resolve(settings)


def step_over(devices: list[jax.Device], num_models: int = 1) -> Any:
    """A function without arguments that makes one training step over the devices and waits for it."""
    config = small(num_models)
    optimizer = make_optimizer(config.optimizer, config.training.steps)
    step = make_step(config, optimizer, example_stream.sample_synthetic)
    mapped = parallel.over_devices(step, devices, config.training, num_models)
    images, stream = example_streams(config)
    init = jax.jit(
        lambda seed: init_state(config.model, optimizer, jax.random.key(seed), config.objective.stopping)
    )
    state = mapped.place(stack([jax.device_get(init(seed)) for seed in range(num_models)]))
    images, stream = mapped.share(jnp.asarray(images)), mapped.place(stream)

    def call() -> None:
        nonlocal state
        state, metrics = mapped.step(state, images, stream)
        jax.block_until_ready(metrics)

    return call


def in_turns(forms: dict[int, Any]) -> dict[int, float]:
    """Median seconds of each form, a first call aside."""
    times: dict[int, list[float]] = {name: [] for name in forms}
    for _ in range(1 + ROUNDS):
        for name, call in forms.items():
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(found[1:]) for name, found in times.items()}


def over_simulated_devices(num_models: int) -> dict[int, float]:
    """Seconds of a step of one batch, or of several models, over 1, 2 and 4 devices of this process."""
    return in_turns({count: step_over(jax.devices()[:count], num_models) for count in DEVICES})


def over_processes() -> dict[int, float]:
    """Seconds of a step in the first process alone, the second waiting, and in both."""
    alone, together = step_over(jax.local_devices()), step_over(jax.devices())
    return in_turns({1: alone if jax.process_index() == 0 else (lambda: None), 2: together})


def environment(devices: int) -> dict[str, str]:
    """Of a process with so many CPU devices."""
    chosen = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices), "NPROC": "32"}
    chosen["XLA_FLAGS"] = UNOPTIMISED
    return {**os.environ, **chosen, "PYTHONPATH": str(ROOT)}


def started(what: str, devices: int, *words: str) -> subprocess.Popen:
    """This file in a process of its own."""
    return subprocess.Popen(
        [sys.executable, __file__, what, *words],
        env=environment(devices),
        stdout=subprocess.PIPE,
        text=True,
    )


def simulated() -> dict[str, dict[str, float]]:
    """Seconds of a step by what is split, and over how many."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    found = {}
    for name, devices, calls in (
        ("one batch over devices", max(DEVICES), [("data",)]),
        (f"{MODELS} models over devices", max(DEVICES), [("models",)]),
        ("one batch over processes", 1, [("process", address, str(which)) for which in range(2)]),
    ):
        out = output_of([started(words[0], devices, *words[1:]) for words in calls], name)
        found[name] = json.loads(out.splitlines()[-1])  # collectives print lines of their own before
    return found


def output_of(processes: list[subprocess.Popen], name: str) -> str:
    """What the first prints; none is left running, and RuntimeError if one failed."""
    try:
        out, _ = processes[0].communicate(timeout=PATIENCE)
        codes = [process.wait(timeout=PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    if any(codes):
        raise RuntimeError(f"{name}: exit codes {codes}")
    return out


def write(path: Path) -> None:
    """Times the small steps, counts a step of the default model, and stores both."""
    found = {
        "device": parallel.device_name(),
        "jax": jax.__version__,
        "commit": commit(),
        "simulated_batch": BATCH_SIZE,
        "simulated": simulated(),
        "counted": counts(resolve(default_config())),
    }
    path.write_text(json.dumps(found, indent=1) + "\n")


def work(words: list[str]) -> None:
    """Of a process that `simulated` started: its last line is seconds by count."""
    if words[0] == "process":
        config = default_config()
        config.training.update(coordinator=words[1], num_processes=2, process_id=int(words[2]))
        processes.join(resolve(config).training)
        found = over_processes()
    else:
        found = over_simulated_devices(MODELS if words[0] == "models" else 1)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        work(sys.argv[1:])
    else:
        write(ROOT / "docs" / "results" / "scaling.json")
