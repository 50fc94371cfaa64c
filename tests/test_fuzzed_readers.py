"""Readers of files that may be anyone's: random damage and nonsense are read, or refused in one line."""

import gzip
import importlib.util
import json
import lzma
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import processes
import pytest
from bad_files import CARD, ROOT, tar_of
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

specification = importlib.util.spec_from_file_location("launch_pack", ROOT / "launch" / "pack.py")
packing = importlib.util.module_from_spec(specification)
specification.loader.exec_module(packing)


def for_each(strategy: some.SearchStrategy, check: Callable[..., None], examples: int) -> None:
    """Runs a check on so many examples, always the same ones."""
    options = settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    options(given(strategy)(check))()


def read_or_refused(read: Callable, *arguments):
    """What is read, or None if it is refused in one line; anything else that is raised fails the test."""
    try:
        return read(*arguments)
    except BadInput as refusal:
        assert str(refusal) and "\n" not in str(refusal)
        return None


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@some.composite
def damaged(draw, whole: bytes) -> bytes:
    """Bytes of a good file, some of them changed, perhaps with its end cut off or with more behind it."""
    content = bytearray(whole)
    for _ in range(draw(some.integers(0, 4))):
        content[draw(some.integers(0, len(content) - 1))] = draw(some.integers(0, 255))
    end = draw(some.one_of(some.just(len(content)), some.integers(0, len(content))))
    return bytes(content[:end]) + draw(some.binary(max_size=4))


MODES = {"PNG": "RGBA", "GIF": "P", "TIFF": "L", "BMP": "RGB", "JPEG": "L", "WEBP": "RGB"}


@pytest.mark.parametrize("form", MODES)
def test_images(tmp_path, form):
    path = tmp_path / f"x.{form.lower()}"
    pixels = np.random.default_rng(0).integers(0, 256, (24, 30), np.uint8)
    Image.fromarray(pixels).convert(MODES[form]).save(path)

    def check(content):
        path.write_bytes(content)
        read = read_or_refused(folder.read_image, path, 20)
        assert read is None or (read.shape, read.dtype) == ((20, 20), np.uint8)
        scan = read_or_refused(reading.read, path)
        assert scan is None or (scan.grey.ndim == 2 and scan.grey.dtype == np.float32)

    for_each(damaged(path.read_bytes()), check, 30)


def test_damaged_packs(tmp_path):
    path = tmp_path / "mnist_test.npz"
    image = np.random.default_rng(0).integers(0, 2, (5, 6, 6), np.uint8)
    np.savez_compressed(path, image=image, label=np.arange(5), classes=np.array(list("abcde")))

    def check(content):
        path.write_bytes(content)
        read = read_or_refused(pack.read, path, "mnist", "test")
        assert read is None or np.array_equal(read.images, image)

    for_each(damaged(path.read_bytes()), check, 75)


ARRAYS = some.builds(
    lambda shape, dtype: (np.arange(np.prod(shape, dtype=int)) % 50 - 3).reshape(shape).astype(dtype),
    some.lists(some.integers(0, 7), max_size=4).map(tuple),
    some.sampled_from(["u1", "i1", "i8", "u8", "f4", "f8", "U3", "?", "M8[s]", "c8"]),
)


def test_packs_of_odd_arrays(tmp_path):
    path = tmp_path / "mnist_test.npz"
    names = some.sampled_from(["image", "label", "shape", "classes", "alphabet", "source_names", "odd"])

    def check(arrays):
        np.savez(path, **arrays)
        read = read_or_refused(pack.read, path, "mnist", "test")
        if read is not None:
            assert read.images.dtype == np.uint8 and read.images.ndim == 3 and read.images.size
            assert read.labels.dtype == np.int32 and read.labels.shape == read.images.shape[:1]
            assert read.labels.min() >= 0

    for_each(some.dictionaries(names, ARRAYS, max_size=5), check, 75)


def test_idx_files():
    header = b"\0\0\x08\x03" + bytes([0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4])
    whole = gzip.compress(header + bytes(24), mtime=0)

    def check(content):
        read = read_or_refused(originals.read_idx, "images.gz", content)
        assert read is None or read.dtype == np.uint8

    for_each(damaged(whole), check, 75)


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
    def read(path):
        meta = read_meta(path)
        return [restore.model_of(path, meta_of_member(meta, which)) for which in range(num_models(meta))]

    def check(content):
        (tmp_path / "card.json").write_bytes(content)
        for model in read_or_refused(read, tmp_path) or []:
            assert isinstance(model, ModelConfig)

    for_each(odd_cards().map(lambda card: json.dumps(card).encode()), check, 150)
    for_each(damaged(json.dumps(CARD).encode()), check, 50)


PLAIN = default_config().to_dict()
KEYS = [(group, name) for group, values in PLAIN.items() for name in values]
ODD = [0, 1, -1, 2**31, 2**64, 1e308, float("nan"), float("inf"), "", "mnist", "nvil"]
VALUES = JSON | some.sampled_from(ODD)


def test_configs():
    def check(changes_and_odd):
        changes, odd = changes_and_odd
        config = {group: dict(values) for group, values in PLAIN.items()}
        for (group, name), value in changes.items():
            config[group][name] = value
        for given_config in (config, *({**PLAIN, group: odd} for group in PLAIN)):
            found = read_or_refused(resolve, given_config)
            assert found is None or isinstance(found, Config)

    changes = some.dictionaries(some.sampled_from(KEYS), VALUES, min_size=1, max_size=4)
    for_each(some.tuples(changes, JSON), check, 200)


def test_metrics(tmp_path):
    line = json.dumps({"step": 3, "kind": "validation", "seconds": 1.5, "log_likelihood": [1.0, None]})
    entry = some.one_of(
        some.binary(max_size=30), JSON.map(json.dumps).map(str.encode), damaged(line.encode())
    )

    def check(lines):
        (tmp_path / JSON_LINES).write_bytes(b"\n".join(lines))
        for read in read_lines(tmp_path):
            assert isinstance(read["step"], int) and isinstance(read["seconds"], int | float)

    for_each(some.lists(entry, max_size=4), check, 100)


def test_descriptions_of_prepared_sets(tmp_path):
    good = {
        "name": "mnist",
        "splits": [{"name": "train", "shardLengths": ["5"]}],
        "fileFormat": "array_record",
    }
    changes = some.dictionaries(some.sampled_from([*good, "description", "configName"]), JSON, max_size=2)

    def check(description):
        (tmp_path / "dataset_info.json").write_text(json.dumps(description))
        read_or_refused(prepared.find, tmp_path, "mnist", "train", ())

    for_each(changes.map(lambda changes: {**good, **changes}), check, 100)
    for_each(JSON, check, 100)


KINDS = some.sampled_from(
    [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE]
)
PARTS = some.sampled_from(["a", "..", ".", "", "/", "b\\c", "d\0e", "c:"]) | some.text(max_size=3)
NAMES = some.lists(PARTS, min_size=1, max_size=4).map("/".join)


def tar(*members: tuple[str, bytes, bytes]) -> bytes:
    """An archive of members of a name, a type and a content."""
    infos = []
    for name, kind, content in members:
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, len(content)
        infos.append((info, content))
    return tar_of(*infos)


def test_names_in_archives():
    def check(members):
        try:
            content = tar(*members)
        except (ValueError, UnicodeError):  # no such archive can be
            return
        found = read_or_refused(packing._files_in, lzma.compress(content), "x.tar.xz")
        for name in found or {}:
            assert os.path.normpath(Path("/out", name)).startswith("/out/") and "\0" not in name

    for_each(some.lists(some.tuples(NAMES, KINDS, some.binary(max_size=20)), max_size=3), check, 100)


def test_damaged_archives():
    files = {"card.json": b"{}", "params/x": b"1"}
    whole = tar(*((name, tarfile.REGTYPE, content) for name, content in files.items()))

    def check(content):
        found = read_or_refused(packing._files_in, content, "x.tar.xz")
        assert found is None or found == files

    def check_inside(content):
        read_or_refused(packing._files_in, lzma.compress(content), "x.tar.xz")

    for_each(damaged(lzma.compress(whole)), check, 50)
    for_each(damaged(whole), check_inside, 50)


NAMED = some.sampled_from([f"config.{group}.{name}" for group, name in KEYS])
OTHERS = some.sampled_from(["mode", "workdir", "task", "input", "odd"])
TEXT = some.text(some.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=6)
FLAGS = some.one_of(
    some.builds("--{}={}".format, NAMED, VALUES | TEXT),
    some.builds("--{}={}".format, OTHERS, TEXT),
    TEXT.filter(lambda text: not text.lstrip("-").startswith(("h", "?"))),
)


def test_flags(tmp_path):
    """Whatever else the flags say, they say that the run goes where nothing can be written."""
    server = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "one_line.py"],
        env=processes.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def check(flags):
        flags = [f"--config={ROOT}/configs/smoke.py", *flags, "--workdir=/proc/nowhere", "--mode=train"]
        server.stdin.write(json.dumps(["main", flags, str(tmp_path), {}]) + "\n")
        server.stdin.flush()
        code, said = json.loads(server.stdout.readline())
        assert code == 2, said
        (line,) = said.strip().splitlines()
        assert line.startswith("dood_jax: ")

    with server:
        for_each(some.lists(FLAGS.filter(str.isprintable), max_size=3), check, 30)
