"""What is wrong with flags, configs, data, checkpoints and images is said in one line, with exit code 2.

Every case is a command line and what its answer must name: the value that was given, or the remedy. All are
run in one folder of bad files (`bad_files.py`), each in a fork of one process (`one_line.py`).
"""

import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import bad_files
import processes
import pytest

ROOT = Path(__file__).parent.parent
SMOKE = f"--config={ROOT}/configs/smoke.py"
MNIST = f"--config={ROOT}/configs/mnist.py"
# A run that is made ready for training in a moment: a small model, and a few images of a folder.
READY = f"--config={ROOT}/configs/ablations.py:vae " + " ".join(
    f"--config.{one}"
    for one in ("data.name=folder", "data.dir=images/good", "data.image_size=20", "model.features=16")
)


class Case(NamedTuple):
    """A command line, and what its answer names."""

    said: str
    command: str
    environment: tuple[tuple[str, str], ...] = ()


FLAGS = {
    "main": "--config=configs/synthetic.py",
    f"main {SMOKE} --nope": "nope",
    f"main {SMOKE} stray": "'stray'",
    f"main {SMOKE} --mode=fly": "--mode=fly",
    f"main {SMOKE} --workdir=broken.py/run": "broken.py/run",
    f"main {SMOKE} --workdir=/proc/run": "/proc/run",
    f"main {READY} --workdir=taken": "taken/checkpoints",
    f"main {READY} --workdir=locked": "process 4711 on elsewhere",
    f"main {READY} --config.training.init_from=nowhere": "'nowhere'",
    f"main {READY} --config.training.init_from=damaged": "damaged",
}
CONFIG_FILES = {
    "none.py": "none.py",
    "configs/none.py": "or a name: ablations, air",
    "raises.py": "boom",
    "broken.py": "SyntaxError",
    "empty.py": "get_config",
    "exits.py": "ends the program",
    "endless.py": "RecursionError",
    "returns_nothing.py": "config",
    "binary.py": "config",
    "taken": "config",
    "extra.py": "config key extra",
    "ablations:cnn": "choose from dood, renderer",
    "air:dair": "choose from difference_air, air",
}
# Settings of a config, and what the answer names where it is not the setting itself.
SETTINGS = {
    "nope.x=1": "'nope'",
    "model.nope=1": "'nope'",
    "training.steps=many": "'many'",
    "training.steps=1.5": "'1.5'",
    "training.steps=0": "",
    "training.steps=99999999999": "",
    "training.steps_per_call=3": "",
    "training.batch_size=0": "",
    "training.batch_size=-8": "",
    "training.seed=-1": "",
    "training.seed=4294967296": "",
    "training.seed=4294967295 training.num_models=2": "training.num_models",
    "training.num_models=0": "",
    "training.parallel=magic": "pmap, shard_map",
    "training.precision=exact": "bfloat16",
    "training.max_skipped=-1": "",
    "training.keep_checkpoints=0": "",
    "training.distributed=maybe": "auto, on, off",
    "training.distributed=on": "training.coordinator",
    "training.coordinator=here": "HOST:PORT",
    "training.num_processes=2 training.process_id=2": "training.process_id=2",
    "training.heartbeat=0": "",
    "model.preset=fastest": "fast, published",
    "model.brush=pen": "splat",
    "model.features=0": "",
    "model.features=1000000000": "",
    "model.num_strokes=-3": "",
    "model.num_points=1": "",
    "model.dropout=0.5": "model.encoder='conv'",
    "model.iterations=-1": "",
    "model.guidance=none_leaky": "model.encoder='conv'",
    "model.decoder=neural": "model.placement='glimpse'",
    "model.glimpse_size=7": "",
    "optimizer.schedule=square": "cosine, constant",
    "optimizer.learning_rate=nan": "",
    "optimizer.learning_rate=inf": "",
    "optimizer.learning_rate=-1": "",
    "optimizer.clip_norm=-1": "",
    "objective.floor_end_step=1": "",
    "objective.stopping=sometimes": "exact, nvil",
    "objective.beta=0": "",
    "objective.num_particles=3": "",
    "objective.mismatched_start_prob=2": "",
    "evaluation.num_particles=0": "",
    "evaluation.batch_size=0": "",
    "evaluation.member=-1": "",
    "evaluation.seed=2147483648": "2^31",
    "data.image_size=33": "",
    "data.image_size=100000": "",
    "data.name=cifar": "'cifar'",
    "data.names=mnist,mnist": "data.names='mnist,mnist'",
    "data.transpose=True": "transpose",
    "data.per_category=5": "per_category",
    "data.overlay_prob=0.5": "",
}
DATA = {
    "data.name=quickdraw data.categories=unicorn": "unicorn",
    "data.name=folder": "data.dir",
    "data.dir=packs/bomb": "it unpacks to 8,587,837,440 bytes",
    "data.name=quickdraw data.dir=packs/nameless": "packs/nameless/quickdraw_train.npz",
    "data.dir=prepared": "dataset_info.json",
    **{
        f"data.dir=packs/{name}": f"packs/{name}/mnist_train.npz"
        for name in ("truncated", "objects", "absurd", "unlabelled", "negative")
    },
    **{
        f"data.name=folder data.image_size=20 data.dir=images/{name}": f"{name}.png"
        for name in ("text", "cut", "bomb", "ribbon")
    },
}
EVALUATIONS = {
    "--checkpoint=nowhere": "'nowhere'",
    "--checkpoint=foreign": "format 99",
    "--checkpoint=bare": "lacks brush",
    **{
        f"--checkpoint={name}": name
        for name in ("damaged", "deep", "list", "pickled", "wide", "odd_key", "odd_sums", "odd_brush")
    },
    "--checkpoint=no_params": "no_params",
    "--checkpoint=synthetic --config.evaluation.member=3": "member=3",
    "--checkpoint=synthetic --config.model.features=8": "contradicts",
    "--task=cook": "likelihood",
    "--task=": "--task=",
    "--task=likelihood --checkpoint=mnist,synthetic": "takes one checkpoint",
    "--task=reconstruction --checkpoint=mnist,mnist": "more than once",
    "--task=vectorize --checkpoint=synthetic": "--input",
}
COMMANDS = {
    "dood": "COMMAND",
    "dood fly": "'fly'",
    "dood train": "--config=configs/synthetic.py",
    "dood train --config": "--config",
    "dood train --config=smoke --nope": "nope",
    "dood train --config smoke --nope": "nope",
    "dood demo --host=": "--host",
    "dood evaluate --config=smoke --checkpoint=nowhere": "'nowhere'",
    "dood evaluate --config=smoke --task=cook": "likelihood",
    "dood vectorize images --shout": "--shout",
    "dood vectorize images/text/text.png --to=pdf": "pdf",
    "dood vectorize none.png": "none.png",
    "dood vectorize empty": "empty",
    "dood vectorize images/good --out=broken.py/out": "--out=broken.py/out",
    "dood vectorize images/good --checkpoint=nowhere": "'nowhere'",
    "dood prepare-data": "--name",
    "dood prepare-data --name=mnits --to=out": "'mnits'",
    "pack": "required",
    "pack data --names=cifar --out=x": "cifar",
    "pack data --names=mnist --out=x --limit_mib=-1": "--limit_mib",
    "pack results --workdir=nowhere --out=x": "nowhere",
    **{
        f"pack unpack archives/{name}.tar.xz --out=unpacked": f"{name}.tar.xz"
        for name in ("climbing", "absolute", "linked", "sparse", "cut", "text", "bomb")
    },
}


def cases() -> Iterator[Case]:
    for command, said in {**FLAGS, **COMMANDS}.items():
        yield Case(said, command)
    for name, said in CONFIG_FILES.items():
        yield Case(said, f"main --config={name}")
    for config, settings in ((SMOKE, SETTINGS), (MNIST, DATA)):
        for setting, said in settings.items():
            flags = " ".join(f"--config.{one}" for one in setting.split())
            yield Case(said or setting, f"main {config} {flags}")
    for flags, said in EVALUATIONS.items():
        yield Case(said, f"main {SMOKE} --mode=evaluate {flags}")
    yield Case("mnist_train.npz", f"main {MNIST}", (("DOOD_DATA_DIR", "data"),))
    together = f"main {SMOKE} --config.training.distributed=on"
    yield Case("$JAX_PROCESS_ID='two'", together, (("JAX_PROCESS_ID", "two"),))


CASES = list(cases())


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[Case, tuple[int, str]]:
    """What all command lines are answered: exit code and stderr."""
    folder = tmp_path_factory.mktemp("bad")
    bad_files.write_all(folder)
    lines = []
    for _, command, environment in CASES:
        program, *flags = command.split()
        lines.append(json.dumps([program, flags, str(folder), dict(environment)]))
    with (folder / "locked" / "run.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, ROOT / "tests" / "one_line.py"],
            input="\n".join(lines),
            env=processes.environment(XDG_CACHE_HOME=str(folder / "cache")),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return dict(zip(CASES, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.command.replace(str(ROOT), "")[-90:])
def test_bad_input_is_one_line_and_exit_2(answers, case):
    code, said = answers[case]
    assert code == 2, said
    (line,) = said.strip().splitlines()
    assert line.startswith("dood_jax: ") and case.said in line
