"""What is wrong with flags, configs, data, checkpoints and images is said in one line, exit code 2."""

import fcntl
import gzip
import io
import json
import lzma
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import processes
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
SMOKE = f"--config={ROOT}/configs/smoke.py"
MNIST = f"--config={ROOT}/configs/mnist.py"
EVALUATE = (SMOKE, "--mode=evaluate")
FOLDER = (MNIST, "--config.data.name=folder", "--config.data.image_size=20")


class Case(NamedTuple):
    """A command line, and what its answer names."""

    said: str
    flags: tuple[str, ...]
    program: str = "main"
    environment: tuple[tuple[str, str], ...] = ()


def key(setting: str, said: str, config: str = SMOKE) -> Case:
    return Case(said, (config, *(f"--config.{one}" for one in setting.split())))


CASES = [
    # flags
    Case("--config=configs/synthetic.py", ()),
    Case("nope", (SMOKE, "--nope")),
    Case("'stray'", (SMOKE, "stray")),
    Case("--mode=fly", (SMOKE, "--mode=fly")),
    Case("broken.py/run", (SMOKE, "--workdir=broken.py/run")),
    Case("/proc/run", (SMOKE, "--workdir=/proc/run")),
    Case("taken/checkpoints", (SMOKE, "--workdir=taken")),
    Case("process 4711 on elsewhere", (SMOKE, "--workdir=locked")),
    # config files
    Case("none.py", ("--config=none.py",)),
    Case("boom", ("--config=raises.py",)),
    Case("SyntaxError", ("--config=broken.py",)),
    Case("get_config", ("--config=empty.py",)),
    Case("ends the program", ("--config=exits.py",)),
    Case("RecursionError", ("--config=endless.py",)),
    Case("config", ("--config=returns_nothing.py",)),
    Case("config", ("--config=binary.py",)),
    Case("config", ("--config=taken",)),
    Case("config key extra", ("--config=extra.py",)),
    Case("choose from dood, renderer", (f"--config={ROOT}/configs/ablations.py:cnn",)),
    Case("choose from difference_air, air", (f"--config={ROOT}/configs/air.py:dair",)),
    # keys
    key("nope.x=1", "'nope'"),
    key("model.nope=1", "'nope'"),
    key("training.steps=many", "'many'"),
    key("training.steps=1.5", "'1.5'"),
    key("training.steps=0", "training.steps=0"),
    key("training.steps=99999999999", "training.steps=99999999999"),
    key("training.steps_per_call=3", "steps_per_call=3"),
    key("training.batch_size=0", "training.batch_size=0"),
    key("training.batch_size=-8", "training.batch_size=-8"),
    key("training.seed=-1", "training.seed=-1"),
    key("training.seed=4294967296", "training.seed=4294967296"),
    key("training.seed=4294967295 training.num_models=2", "training.num_models"),
    key("training.num_models=0", "training.num_models=0"),
    key("training.parallel=magic", "pmap, shard_map"),
    key("training.precision=exact", "bfloat16"),
    key("training.max_skipped=-1", "training.max_skipped=-1"),
    key("training.keep_checkpoints=0", "training.keep_checkpoints=0"),
    key("training.init_from=nowhere", "'nowhere'"),
    key("training.init_from=damaged", "damaged"),
    key("training.distributed=maybe", "auto, on, off"),
    key("training.distributed=on", "training.coordinator"),
    key("training.coordinator=here", "HOST:PORT"),
    key("training.num_processes=2 training.process_id=2", "training.process_id=2"),
    key("training.heartbeat=0", "training.heartbeat=0"),
    Case(
        "$JAX_PROCESS_ID='two'",
        (SMOKE, "--config.training.distributed=on"),
        environment=(("JAX_PROCESS_ID", "two"),),
    ),
    key("model.preset=fastest", "fast, published"),
    key("model.brush=pen", "splat"),
    key("model.features=0", "model.features=0"),
    key("model.features=1000000000", "model.features=1000000000"),
    key("model.num_strokes=-3", "model.num_strokes=-3"),
    key("model.num_points=1", "model.num_points=1"),
    key("model.dropout=0.5", "model.encoder='conv'"),
    key("model.iterations=-1", "model.iterations=-1"),
    key("model.guidance=none_leaky", "model.encoder='conv'"),
    key("model.decoder=neural", "model.placement='glimpse'"),
    key("model.glimpse_size=7", "model.glimpse_size=7"),
    key("optimizer.schedule=square", "cosine, constant"),
    key("optimizer.learning_rate=nan", "learning_rate=nan"),
    key("optimizer.learning_rate=inf", "learning_rate=inf"),
    key("optimizer.learning_rate=-1", "learning_rate=-1"),
    key("optimizer.clip_norm=-1", "clip_norm=-1"),
    key("objective.floor_end_step=1", "floor_end_step=1"),
    key("objective.stopping=sometimes", "exact, nvil"),
    key("objective.beta=0", "objective.beta=0"),
    key("objective.num_particles=3", "objective.num_particles=3"),
    key("objective.mismatched_start_prob=2", "objective.mismatched_start_prob=2"),
    key("evaluation.num_particles=0", "num_particles=0"),
    key("evaluation.batch_size=0", "evaluation.batch_size=0"),
    key("evaluation.member=-1", "evaluation.member=-1"),
    # data
    key("data.image_size=33", "image_size=33"),
    key("data.image_size=100000", "image_size=100000"),
    key("data.name=cifar", "'cifar'"),
    key("data.names=mnist,mnist", "data.names='mnist,mnist'"),
    key("data.transpose=True", "transpose"),
    key("data.per_category=5", "per_category"),
    key("data.overlay_prob=0.5", "data.overlay_prob=0.5"),
    key("data.name=quickdraw data.categories=unicorn", "unicorn", MNIST),
    key("data.name=folder", "data.dir", MNIST),
    Case("mnist_train.npz", (MNIST,), environment=(("DOOD_DATA_DIR", "data"),)),
    *(
        key(f"data.dir=packs/{name}", f"packs/{name}/mnist_train.npz", MNIST)
        for name in ("truncated", "objects", "absurd", "unlabelled", "negative")
    ),
    key("data.dir=packs/bomb", "it unpacks to 8,587,837,440 bytes", MNIST),
    key("data.name=quickdraw data.dir=packs/nameless", "packs/nameless/quickdraw_train.npz", MNIST),
    key("data.dir=prepared", "dataset_info.json", MNIST),
    *(
        Case(f"{name}.png", (*FOLDER, f"--config.data.dir=images/{name}"))
        for name in ("text", "cut", "bomb", "ribbon")
    ),
    # checkpoints
    Case("'nowhere'", (*EVALUATE, "--checkpoint=nowhere")),
    Case("format 99", (*EVALUATE, "--checkpoint=foreign")),
    Case("lacks brush", (*EVALUATE, "--checkpoint=bare")),
    *(
        Case(name, (*EVALUATE, f"--checkpoint={name}"))
        for name in ("damaged", "deep", "list", "pickled", "wide", "odd_key", "odd_sums", "odd_brush")
    ),
    Case("no_params", (*EVALUATE, "--checkpoint=no_params")),
    Case("member=3", (*EVALUATE, "--checkpoint=synthetic", "--config.evaluation.member=3")),
    Case("contradicts", (*EVALUATE, "--checkpoint=synthetic", "--config.model.features=8")),
    # tasks
    Case("likelihood", (*EVALUATE, "--task=cook")),
    Case("--task=", (*EVALUATE, "--task=")),
    Case("takes one checkpoint", (*EVALUATE, "--task=likelihood", "--checkpoint=mnist,synthetic")),
    Case("more than once", (*EVALUATE, "--task=reconstruction", "--checkpoint=mnist,mnist")),
    # dood
    Case("COMMAND", (), "dood"),
    Case("--shout", ("vectorize", "images", "--shout"), "dood"),
    Case("pdf", ("vectorize", "images/text/text.png", "--to=pdf"), "dood"),
    Case("none.png", ("vectorize", "none.png"), "dood"),
    Case("empty", ("vectorize", "empty"), "dood"),
    Case("--out=broken.py/out", ("vectorize", "images/good", "--out=broken.py/out"), "dood"),
    Case("'nowhere'", ("vectorize", "images/good", "--checkpoint=nowhere"), "dood"),
    # launch/pack.py
    Case("required", (), "pack"),
    Case("cifar", ("data", "--names=cifar", "--out=x"), "pack"),
    Case("--limit_mib", ("data", "--names=mnist", "--out=x", "--limit_mib=-1"), "pack"),
    Case("nowhere", ("results", "--workdir=nowhere", "--out=x"), "pack"),
    *(
        Case(f"{name}.tar.xz", ("unpack", f"archives/{name}.tar.xz", "--out=unpacked"), "pack")
        for name in ("climbing", "absolute", "linked", "sparse", "cut", "text", "bomb")
    ),
]


def write_configs(folder: Path) -> None:
    files = {
        "raises": "raise RuntimeError('boom')",
        "broken": "def get_config(:",
        "empty": "x = 1",
        "exits": "raise SystemExit('bye')",
        "endless": "def get_config():\n    return get_config()",
        "returns_nothing": "def get_config():\n    return None",
        "binary": "\0\1\2",
        "extra": "import ml_collections as m\ndef get_config():\n    return m.ConfigDict({'extra': 1})",
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    for name in ("taken", "empty", "locked"):
        (folder / name).mkdir()
    (folder / "taken" / "checkpoints").write_text("a file")
    lock = {"pid": 4711, "host": "elsewhere", "since": "2000-01-01 00:00:00"}
    (folder / "locked" / "run.lock").write_text(json.dumps(lock))


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims a size."""

    def chunk(kind: bytes, data: bytes = b"") -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + content


def write_images(folder: Path) -> None:
    ink = np.zeros((40, 40), np.uint8)
    ink[5:35, 18:22] = 255
    buffer = io.BytesIO()
    Image.fromarray(ink).save(buffer, "PNG")
    bad = {
        "good": buffer.getvalue(),
        "text": b"no image",
        "cut": buffer.getvalue()[:-40],
        "bomb": png_header(100_000, 100_000),
        "ribbon": png_header(1, 40_000_000),
    }
    for name, content in bad.items():
        (folder / name).mkdir(parents=True)
        for number in range(3):
            (folder / name / f"{number}{name}.png").write_bytes(content)
        (folder / name / f"{name}.png").write_bytes(content)


def npy(header: str, content: bytes) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def write_packs(folder: Path) -> None:
    image, label = np.zeros((6, 28, 28), np.uint8), np.arange(6)
    buffer = io.BytesIO()
    np.savez(buffer, image=image, label=label)
    for name in ("truncated", "objects", "bomb", "absurd", "unlabelled", "negative", "nameless"):
        (folder / name).mkdir(parents=True)
    place = lambda name: folder / name / "mnist_train.npz"
    place("truncated").write_bytes(buffer.getvalue()[:-200])
    np.savez(place("objects"), image=np.array([{}], object), label=label)
    np.savez(place("unlabelled"), image=image)
    np.savez(place("negative"), image=image, label=-label)
    np.savez(folder / "nameless" / "quickdraw_train.npz", image=image, label=label)
    claims = "{'descr': '|u1', 'fortran_order': False, 'shape': (%s), }"
    with zipfile.ZipFile(place("absurd"), "w") as archive:
        archive.writestr("image.npy", npy(claims % "1000000, 100000, 100000", b"short"))
        archive.writestr("label.npy", npy(claims % "6,", bytes(6)))
    bomb(place("bomb"))


def bomb(path: Path) -> None:
    """A file of some KB whose directory tells of two entries of almost 4 GiB, as honest zeros would be."""
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (6, 28, 28), }"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("image.npy", "label.npy"):
            archive.writestr(name, npy(header, b""))
    content = bytearray(path.read_bytes())
    for entry in (content.index(b"PK\x01\x02"), content.rindex(b"PK\x01\x02")):
        content[entry + 24 : entry + 28] = struct.pack("<I", 2**32 - 2**20)
    path.write_bytes(content)


def write_checkpoints(folder: Path) -> None:
    card = json.loads((ROOT / "checkpoints" / "synthetic" / "card.json").read_text())
    model = card["config"]["model"]
    with_model = lambda **changes: {**card, "config": {**card["config"], "model": {**model, **changes}}}
    cards = {
        "damaged": "{",
        "foreign": '{"format": 99}',
        "bare": '{"format": 1}',
        "deep": "[" * 100_000,
        "list": "[1]",
        "pickled": json.dumps({**card, "dtype": "O"}),
        "wide": json.dumps(with_model(features=16_000)),
        "odd_key": json.dumps(with_model(colour=3)),
        "no_params": json.dumps(card),
        "odd_sums": json.dumps({**card, "sha256": ["x"]}),
        "odd_brush": json.dumps({**card, "brush": {"ink_width": "wide"}}),
    }
    for name, text in cards.items():
        (folder / name).mkdir()
        (folder / name / "card.json").write_text(text)
    shutil.copytree(ROOT / "checkpoints" / "synthetic" / "params", folder / "wide" / "params")
    (folder / "prepared" / "mnist" / "3.0.1").mkdir(parents=True)
    (folder / "prepared" / "mnist" / "3.0.1" / "dataset_info.json").write_text('{"splits": 5}')


def write_archives(folder: Path) -> None:
    folder.mkdir()
    odd = {name: tarfile.TarInfo(name) for name in ("climbing", "absolute", "linked", "sparse")}
    odd["climbing"].name, odd["absolute"].name = "../out", "/tmp/out"
    odd["linked"].type, odd["linked"].linkname = tarfile.SYMTYPE, "/etc/passwd"
    odd["sparse"].type, odd["sparse"].size = tarfile.GNUTYPE_SPARSE, 10**12
    for name, member in odd.items():
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.GNU_FORMAT) as tar:
            tar.addfile(member)
        (folder / f"{name}.tar.xz").write_bytes(lzma.compress(buffer.getvalue()))
    whole = (folder / "climbing.tar.xz").read_bytes()
    (folder / "cut.tar.xz").write_bytes(whole[:-20])
    (folder / "text.tar.xz").write_text("no archive")
    (folder / "bomb.tar.xz").write_bytes(gzip.compress(b"not xz"))


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[Case, tuple[int, str]]:
    """What all command lines are answered, each in a folder of bad files."""
    folder = tmp_path_factory.mktemp("bad")
    write_configs(folder)
    write_images(folder / "images")
    write_packs(folder / "packs")
    write_checkpoints(folder)
    write_archives(folder / "archives")
    cases = [[case.program, list(case.flags), str(folder), dict(case.environment)] for case in CASES]
    with (folder / "locked" / "run.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, ROOT / "tests" / "one_line.py"],
            input="\n".join(map(json.dumps, cases)),
            env=processes.environment(XDG_CACHE_HOME=str(folder / "cache")),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return dict(zip(map(str, CASES), map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join([case.program, *case.flags])[-90:])
def test_bad_input_is_one_line_and_exit_2(answers, case):
    code, said = answers[str(case)]
    assert code == 2, said
    (line,) = said.strip().splitlines()
    assert line.startswith("dood_jax: ") and case.said in line


def test_there_are_many():
    assert len(CASES) >= 100
