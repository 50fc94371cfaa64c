"""Readers of files that may be anyone's: random damage and nonsense are read or refused, in one line."""

import functools
import gzip
import importlib.util
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import processes
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from PIL import Image

from dood_jax.checkpointing import restore
from dood_jax.checkpointing.metadata import meta_of_member, num_models, read_meta
from dood_jax.config.groups import Config
from dood_jax.config.model import ModelConfig
from dood_jax.config.resolving import default_config, resolve
from dood_jax.data import folder, originals, pack, prepared
from dood_jax.errors import BadInput
from dood_jax.training.metrics import JSON_LINES, read_lines
from dood_jax.vectorize import reading

ROOT = Path(__file__).parent.parent
SMOKE = f"--config={ROOT}/configs/smoke.py"

fuzz = functools.partial(
    settings,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
specification = importlib.util.spec_from_file_location("launch_pack", ROOT / "launch" / "pack.py")
packing = importlib.util.module_from_spec(specification)
specification.loader.exec_module(packing)

JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@some.composite
def damaged(draw, whole: bytes) -> bytes:
    """Bytes of a good file, some of them others, perhaps with its end cut off or with more behind it."""
    content = bytearray(whole)
    for _ in range(draw(some.integers(0, 4))):
        content[draw(some.integers(0, len(content) - 1))] = draw(some.integers(0, 255))
    end = draw(some.one_of(some.just(len(content)), some.integers(0, len(content))))
    return bytes(content[:end]) + draw(some.binary(max_size=4))


def read_or_refused(read, *arguments):
    """What is read, or None if it is refused in one line."""
    try:
        return read(*arguments)
    except BadInput as refusal:
        assert str(refusal) and "\n" not in str(refusal)
        return None


def image(form: str) -> bytes:
    random = np.random.default_rng(0)
    buffer = io.BytesIO()
    mode = {"PNG": "RGBA", "GIF": "P", "TIFF": "L", "BMP": "RGB", "JPEG": "L", "WEBP": "RGB"}[form]
    Image.fromarray(random.integers(0, 256, (24, 30), np.uint8)).convert(mode).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "GIF", "TIFF", "BMP", "JPEG", "WEBP"])
def test_images(tmp_path, form):
    path = tmp_path / f"x.{form.lower()}"

    @fuzz(max_examples=60)
    @given(damaged(image(form)))
    def check(content):
        path.write_bytes(content)
        read = read_or_refused(folder.read_image, path, 20)
        assert read is None or (read.shape, read.dtype) == ((20, 20), np.uint8)
        for scan in read_or_refused(reading.read, path) or []:
            assert scan.grey.ndim == 2 and scan.grey.dtype == np.float32

    check()


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def test_damaged_packs(tmp_path):
    path = tmp_path / "mnist_test.npz"
    image = np.random.default_rng(0).integers(0, 2, (5, 6, 6), np.uint8)
    whole = npz(image=image, label=np.arange(5), classes=np.array(list("abcde")))

    @fuzz(max_examples=150)
    @given(damaged(whole))
    def check(content):
        path.write_bytes(content)
        read = read_or_refused(pack.read, path, "mnist", "test")
        assert read is None or np.array_equal(read.images, image)

    check()


SIDES = some.integers(0, 7)
ARRAYS = some.builds(
    lambda shape, dtype: (np.arange(np.prod(shape, dtype=int)) % 50 - 3).reshape(shape).astype(dtype),
    some.lists(SIDES, max_size=4).map(tuple),
    some.sampled_from(["u1", "i1", "i8", "u8", "f4", "f8", "U3", "?", "M8[s]", "c8"]),
)


def test_packs_of_odd_arrays(tmp_path):
    path = tmp_path / "mnist_test.npz"
    names = some.sampled_from(["image", "label", "shape", "classes", "alphabet", "source_names", "odd"])

    @fuzz(max_examples=150)
    @given(some.dictionaries(names, ARRAYS, max_size=5))
    def check(arrays):
        np.savez(path, **arrays)
        read = read_or_refused(pack.read, path, "mnist", "test")
        if read is not None:
            assert read.images.dtype == np.uint8 and read.images.ndim == 3 and read.images.size
            assert read.labels.dtype == np.int32 and read.labels.shape == read.images.shape[:1]
            assert read.labels.min() >= 0

    check()


@fuzz(max_examples=150)
@given(damaged(gzip.compress(b"\0\0\x08\x03" + bytes([0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]) + bytes(24))))
def test_idx_files(content):
    read = read_or_refused(originals.read_idx, "images.gz", content)
    assert read is None or read.dtype == np.uint8


CARD = json.loads((ROOT / "checkpoints" / "synthetic" / "card.json").read_text())


@some.composite
def odd_cards(draw) -> object:
    """A card of which one or two entries, at any depth, are something else or gone."""
    card = json.loads(json.dumps(CARD))
    for _ in range(draw(some.integers(1, 2))):
        place = card
        while True:
            key = draw(some.sampled_from(sorted(place)))
            if not (isinstance(place[key], dict) and place[key] and draw(some.booleans())):
                break
            place = place[key]
        if draw(some.booleans()):
            place[key] = draw(JSON)
        else:
            del place[key]
        if not card:
            break
    return draw(some.one_of(some.just(card), some.just(card), JSON))


def test_cards(tmp_path):
    path = tmp_path / "card.json"

    def read(folder):
        meta = read_meta(folder)
        count = num_models(meta)
        return [restore.model_of(folder, meta_of_member(meta, which)) for which in range(count)]

    @fuzz(max_examples=300)
    @given(odd_cards())
    def check(card):
        path.write_text(json.dumps(card))
        for model in read_or_refused(read, tmp_path) or []:
            assert isinstance(model, ModelConfig)

    check()

    @fuzz(max_examples=100)
    @given(damaged(json.dumps(CARD).encode()))
    def check_bytes(content):
        path.write_bytes(content)
        read_or_refused(read, tmp_path)

    check_bytes()


PLAIN = default_config().to_dict()
KEYS = [(group, name) for group, values in PLAIN.items() for name in values]
ODD = [0, 1, -1, 2**31, 2**64, 1e308, float("nan"), float("inf"), "", "mnist", "nvil"]
VALUES = JSON | some.sampled_from(ODD)


@fuzz(max_examples=400)
@given(some.dictionaries(some.sampled_from(KEYS), VALUES, min_size=1, max_size=4), JSON)
def test_configs(changes, odd):
    settings = {group: dict(values) for group, values in PLAIN.items()}
    for (group, name), value in changes.items():
        settings[group][name] = value
    found = read_or_refused(resolve, settings)
    assert found is None or isinstance(found, Config)
    for group in PLAIN:
        found = read_or_refused(resolve, {**PLAIN, group: odd})
        assert found is None or isinstance(found, Config)


def test_bounds_of_steps(tmp_path):
    """Whatever is in the place of a bound, one of the steps is the best."""
    paths = [tmp_path / "checkpoints" / step / restore.METRICS_FILE for step in ("3", "4")]
    for path in paths:
        path.parent.mkdir(parents=True)
    bound = json.dumps({restore.BOUND: -1.5}).encode()
    entry = some.one_of(some.binary(max_size=30), JSON.map(json.dumps).map(str.encode), damaged(bound))

    @fuzz(max_examples=200)
    @given(some.tuples(entry, entry))
    def check(contents):
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        assert restore.find(str(tmp_path / "best")).name in ("3", "4")

    check()


def test_metrics(tmp_path):
    line = json.dumps({"step": 3, "kind": "validation", "seconds": 1.5, "log_likelihood": [1.0, None]})
    entry = some.one_of(
        some.binary(max_size=30), JSON.map(json.dumps).map(str.encode), damaged(line.encode())
    )

    @fuzz(max_examples=200)
    @given(some.lists(entry, max_size=4))
    def check(lines):
        (tmp_path / JSON_LINES).write_bytes(b"\n".join(lines))
        for one in read_lines(tmp_path):
            assert isinstance(one["step"], int) and isinstance(one["seconds"], int | float)

    check()


def test_descriptions_of_prepared_sets(tmp_path):
    path = tmp_path / "dataset_info.json"
    good = {
        "name": "mnist",
        "splits": [{"name": "train", "shardLengths": ["5"]}],
        "fileFormat": "array_record",
    }
    keys = some.sampled_from([*good, "description", "configName"])

    @fuzz(max_examples=200)
    @given(some.dictionaries(keys, JSON, max_size=2), JSON)
    def check(changes, odd):
        for description in ({**good, **changes}, odd):
            path.write_text(json.dumps(description))
            read_or_refused(prepared.find, tmp_path, "mnist", "train", ())

    check()


def tar(names_and_sizes: list[tuple[str, bytes, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as archive:
        for name, kind, content in names_and_sizes:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


KINDS = some.sampled_from(
    [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE]
)
GOOD = [("card.json", tarfile.REGTYPE, b"{}"), ("params/x", tarfile.REGTYPE, b"1")]
PARTS = some.sampled_from(["a", "..", ".", "", "/", "b\\c", "d\0e", "c:"]) | some.text(max_size=3)
NAMES = some.lists(PARTS, min_size=1, max_size=4).map("/".join)


@fuzz(max_examples=200)
@given(some.lists(some.tuples(NAMES, KINDS, some.binary(max_size=20)), max_size=3))
def test_names_in_archives(members):
    try:
        content = tar(members)
    except (ValueError, UnicodeError):  # no such archive can be
        return
    found = read_or_refused(packing._files_in, lzma.compress(content), "x.tar.xz")
    for name in found or {}:
        assert os.path.normpath(Path("/out", name)).startswith("/out/") and "\0" not in name


@fuzz(max_examples=100)
@given(damaged(lzma.compress(tar(GOOD))))
def test_damaged_archives(content):
    found = read_or_refused(packing._files_in, content, "x.tar.xz")
    assert found is None or found == {"card.json": b"{}", "params/x": b"1"}


@fuzz(max_examples=100)
@given(damaged(tar(GOOD)))
def test_archives_damaged_before_they_were_compressed(content):
    read_or_refused(packing._files_in, lzma.compress(content), "x.tar.xz")


TEXT = some.text(some.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=6)
NAMED = some.sampled_from([f"config.{group}.{name}" for group, name in KEYS])
OTHERS = some.sampled_from(["mode", "workdir", "task", "input", "odd"])
FLAGS = some.one_of(
    some.builds("--{}={}".format, NAMED, VALUES | TEXT),
    some.builds("--{}={}".format, OTHERS, TEXT),
    TEXT.filter(lambda text: not text.lstrip("-").startswith(("h", "?"))),
)


def test_flags(tmp_path):
    """Whatever else they say, they say that the run goes where nothing can be written."""
    server = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "one_line.py"],
        env=processes.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    @fuzz(max_examples=60)
    @given(some.lists(FLAGS.filter(str.isprintable), max_size=3))
    def check(flags):
        flags = [SMOKE, *flags, "--workdir=/proc/nowhere", "--mode=train"]
        server.stdin.write(json.dumps(["main", flags, str(tmp_path), {}]) + "\n")
        server.stdin.flush()
        code, said = json.loads(server.stdout.readline())
        assert code == 2, said
        (line,) = said.strip().splitlines()
        assert line.startswith("dood_jax: ")

    with server:
        check()
