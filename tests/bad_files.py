"""Files that are damaged, absurd or hostile, for the tests of what refuses them."""

import gzip
import io
import json
import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
CARD = json.loads((ROOT / "checkpoints" / "synthetic" / "card.json").read_text())


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


def write_workdirs(folder: Path) -> None:
    """Folders of runs: one in which a file is in the way, an empty one, and one for the test to lock."""
    for name in ("taken", "empty", "locked"):
        (folder / name).mkdir()
    (folder / "taken" / "checkpoints").write_text("a file")
    holder = {"pid": 4711, "host": "elsewhere", "since": "2000-01-01 00:00:00"}
    (folder / "locked" / "run.holder.json").write_text(json.dumps(holder))
    (folder / "locked" / "run.lock").touch()


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
    files = {
        "good": buffer.getvalue(),
        "text": b"no image",
        "cut": buffer.getvalue()[:-40],
        "bomb": png_header(100_000, 100_000),
        "ribbon": png_header(1, 40_000_000),
    }
    for name, content in files.items():
        (folder / name).mkdir(parents=True)
        for number in ("", 0, 1, 2):
            (folder / name / f"{number}{name}.png").write_bytes(content)


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
    write_zip_bomb(place("bomb"))


def write_zip_bomb(path: Path) -> None:
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
    model = CARD["config"]["model"]
    with_model = lambda **changes: {**CARD, "config": {**CARD["config"], "model": {**model, **changes}}}
    cards = {
        "damaged": "{",
        "foreign": '{"format": 99}',
        "bare": '{"format": 1}',
        "deep": "[" * 100_000,
        "list": "[1]",
        "pickled": json.dumps({**CARD, "dtype": "O"}),
        "wide": json.dumps(with_model(features=16_000)),
        "odd_key": json.dumps(with_model(colour=3)),
        "no_params": json.dumps(CARD),
        "odd_sums": json.dumps({**CARD, "sha256": ["x"]}),
        "odd_brush": json.dumps({**CARD, "brush": {"ink_width": "wide"}}),
    }
    for name, text in cards.items():
        (folder / name).mkdir()
        (folder / name / "card.json").write_text(text)
    shutil.copytree(ROOT / "checkpoints" / "synthetic" / "params", folder / "wide" / "params")


def write_prepared(folder: Path) -> None:
    version = folder / "mnist" / "3.0.1"
    version.mkdir(parents=True)
    (version / "dataset_info.json").write_text('{"splits": 5}')


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.GNU_FORMAT) as archive:
        for member, content in members:
            if content:
                archive.addfile(member, io.BytesIO(content))
            else:  # the header alone, which may claim a size
                archive.fileobj.write(member.tobuf(archive.format))
                archive.offset += tarfile.BLOCKSIZE
    return buffer.getvalue()


def write_archives(folder: Path) -> None:
    folder.mkdir()
    odd = {name: tarfile.TarInfo(name) for name in ("climbing", "absolute", "linked", "sparse")}
    odd["climbing"].name, odd["absolute"].name = "../out", "/tmp/out"
    odd["linked"].type, odd["linked"].linkname = tarfile.SYMTYPE, "/etc/passwd"
    odd["sparse"].type, odd["sparse"].size = tarfile.GNUTYPE_SPARSE, 10**12
    files = {name: lzma.compress(tar_of((member, b""))) for name, member in odd.items()}
    files |= {"cut": files["climbing"][:-20], "text": b"no archive", "bomb": gzip.compress(b"not xz")}
    for name, content in files.items():
        (folder / f"{name}.tar.xz").write_bytes(content)


def write_all(folder: Path) -> None:
    """Writes every bad file into a folder, each kind in its place."""
    write_configs(folder)
    write_workdirs(folder)
    write_images(folder / "images")
    write_packs(folder / "packs")
    write_prepared(folder / "prepared")
    write_checkpoints(folder)
    write_archives(folder / "archives")
