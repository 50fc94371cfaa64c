"""Packs data for a machine that has none, and results to bring back, into archives of a given size.

    python launch/pack.py data --names=mnist,omniglot --out=pack.tar.xz [--dir=DATA] [--limit_mib=24]
    python launch/pack.py results --workdir=runs/mnist --out=results.tar.xz [--part_mib=24]
    python launch/pack.py unpack FILE... --out=DIR

Data are packed as the npz pack, which training reads; results as a released model beside the metrics of the
run. Files are written whole or not at all.
"""

import argparse
import bisect
import contextlib
import io
import itertools
import lzma
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from dood_jax import command_line
from dood_jax.config import datasets
from dood_jax.config.datasets import CATALOG, SPLITS
from dood_jax.data import omniglot, originals, pack, prepared, sources
from dood_jax.data.dataset import Dataset, take
from dood_jax.errors import BadInput, first_line, require_at_least, require_choice, require_seed

_MIB = 2**20
_MOST_BYTES = 2**30  # of an archive, unpacked
_TEST_FIRST = 2000  # images of a test split that are packed before training splits get more than as many
_LEAST = 500  # images of any split; an archive with fewer is not worth packing
_SAMPLE = 10_000  # images by which the size of one is estimated; about as far back xz finds repetitions


class Split(NamedTuple):
    """One split of a dataset, of which as many images are packed as fit."""

    name: str
    split: str
    dataset: Dataset
    order: np.ndarray  # [N] rows; the first ones are packed

    def file(self, count: int) -> dict[str, bytes]:
        """The npz file of the first `count` images, by its name; not compressed, as the archive is."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = _arrays(self.name, take(self.dataset, np.sort(self.order[:count])))
        np.savez(buffer, **arrays)
        return {pack.path_of(Path(), self.name, self.split).name: buffer.getvalue()}

    def count_at(self, level: int, most: int) -> int:
        """How many images are packed at a level, a number that grows with the archive.

        Training splits have `level` images each, up to `most`, the size of the largest split. Test splits
        stop at a few thousand at first; the rest of them follows when all training images are packed.
        """
        count = level if self.split == "train" else min(level, _TEST_FIRST) + max(0, level - most)
        return min(count, len(self.order))


def data(flags: argparse.Namespace) -> None:
    """Writes sets, or as much of each as fits, and prints how much that is.

    Raises BadInput for a set that is missing or damaged, an output that cannot be written, too small a limit.
    """
    names = [require_choice("--names", name, tuple(CATALOG)) for name in flags.names.split(",")]
    categories = datasets.parse_categories(flags.categories)
    limit, seed = require_at_least("--limit_mib", flags.limit_mib, 0), require_seed("--seed", flags.seed)
    splits: list[Split] = []
    for name, split in itertools.product(dict.fromkeys(names), SPLITS):
        dataset = _read(name, split, sources.data_directory(flags.dir), categories)
        splits.append(Split(name, split, dataset, _order(dataset.labels, seed)))
    with _beside(flags.out) as folder:
        archive, counts = _largest_archive(splits, limit * _MIB)
        _write(folder, {flags.out: archive})
    for packed, count in zip(splits, counts, strict=True):
        print(f"{packed.name} {packed.split}: {count:,} of {len(packed.order):,}")


def results(flags: argparse.Namespace) -> None:
    """Writes a run's newest parameters in 16 bits, their card, and its metrics and results, in parts.

    Models that were trained together lie in folders `member-0`, `member-1` and so on.

    Raises BadInput where there is no checkpoint, or an output that cannot be written.
    """
    size = int(min(require_at_least("--part_mib", flags.part_mib, 0.1) * _MIB, sys.maxsize))
    with _beside(flags.out) as folder:
        files: dict[str, bytes] = {}
        for where, released in _released(flags.workdir, folder):
            found = _contents(released, "card.json", "params/**/*")
            files |= {where + name: content for name, content in found.items()}
        archive = _archive(files | _contents(flags.workdir, "metrics.jsonl", "results/*.json"))
        parts = [archive[start : start + size] for start in range(0, len(archive), size)]
        endings = [f".{number + 1:03d}" for number in range(len(parts))] if parts[1:] else [""]
        names = [flags.out.with_name(flags.out.name + ending) for ending in endings]
        _write(folder, dict(zip(names, parts, strict=True)))


def unpack(flags: argparse.Namespace) -> None:
    """Writes what an archive holds, given whole or in parts, as a new folder.

    Raises BadInput for an archive that is damaged or reaches outside the folder, or a folder that is not new.
    """
    source = ", ".join(map(str, flags.files))
    found = _files_in(b"".join(file.read_bytes() for file in sorted(flags.files)), source)
    with _beside(flags.out) as folder:
        for name, content in found.items():
            path = folder / "whole" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (folder / "whole").rename(flags.out)
    print(f"{flags.out}: {', '.join(sorted({PurePosixPath(name).parts[0] for name in found}))}")


def _read(name: str, split: str, directory: Path, categories: tuple[str, ...]) -> Dataset:
    """A split at its size as published, from a prepared directory or the npz pack."""
    wanted = categories if name == "quickdraw" else ()
    found, path = prepared.find(directory, name, split, wanted), pack.path_of(directory, name, split)
    if found:
        dataset = prepared.read(found, name, split, wanted)
        if found.note:
            dataset.metadata.setdefault("source_names", (found.note,))  # so that it is called a substitute
    elif path.is_file():
        dataset = pack.read(path, name, split)
    else:
        tfds = directory / CATALOG[name].tfds_name
        raise BadInput(f"no {name} {split} set: looked for {tfds} and {path}; give --dir or $DOOD_DATA_DIR")
    return originals.select(dataset, wanted, 0) if wanted else dataset


def _order(labels: np.ndarray, seed: int) -> np.ndarray:
    """[N] rows in a random order, every beginning of which has the [N] labels in about the same proportions.

    The rows of a label are spread evenly: the k-th of n rows gets a random place between k/n and (k + 1)/n.
    """
    random = np.random.default_rng(seed)
    rows = random.permutation(len(labels))
    rows = rows[np.argsort(labels[rows], kind="stable")]
    sizes = np.bincount(labels)
    rank = np.arange(len(labels)) - (np.cumsum(sizes) - sizes)[labels[rows]]
    return rows[np.argsort((rank + random.random(len(rows))) / sizes[labels[rows]])]


def _arrays(name: str, dataset: Dataset) -> dict[str, np.ndarray]:
    """A dataset as arrays of the npz pack; Omniglot in bits, with labels 0, 1, … of the characters packed."""
    arrays = {"image": dataset.images, "label": dataset.labels, **dataset.attributes}
    lists = {"alphabet_names": "alphabets", "source_names": "source_names", "classes": "classes"}
    known = dataset.metadata
    arrays |= {array: np.array(known[entry]) for array, entry in lists.items() if entry in known}
    if name == "omniglot":
        arrays.pop("classes", None)  # the reader makes them of alphabets and characters
        bits = np.packbits(dataset.images.reshape(len(dataset.labels), -1) > 127, axis=1)
        label = omniglot.labels_of(arrays["alphabet"], arrays["character"])
        arrays |= {"image": bits, "label": label, "shape": np.array(dataset.images.shape[1:])}
    return arrays


def _largest_archive(splits: Sequence[Split], limit: float) -> tuple[bytes, list[int]]:
    """The largest archive of at most `limit` bytes, and how many images of each split it has.

    The level is chosen by the estimated size; where the archive comes out larger, again with less room.
    """
    most = max(len(split.order) for split in splits)
    samples = [min(_SAMPLE, len(split.order)) for split in splits]
    costs = [len(_archive(split.file(n))) / n for split, n in zip(splits, samples, strict=True)]
    counts_at = lambda level: [split.count_at(level, most) for split in splits]
    size = lambda level: float(np.dot(costs, counts_at(level)))
    room = limit
    while (level := bisect.bisect_right(range(2 * most), room, key=size) - 1) >= min(_LEAST, most):
        counts = counts_at(level)
        files = [split.file(count) for split, count in zip(splits, counts, strict=True)]
        archive = _archive({name: content for file in files for name, content in file.items()})
        if len(archive) <= limit:
            return archive, counts
        room -= len(archive) - limit
    raise BadInput(
        f"--limit_mib={limit / _MIB:g} is too small: {_LEAST} images of every split take about"
        f" {size(_LEAST) / _MIB:.2g}; raise it or give fewer --names"
    )


def _released(workdir: Path, folder: Path) -> list[tuple[str, Path]]:
    """Released models of the newest step, and the folder of each in an archive.

    A released form that the run has already is taken as it is; others are written into `folder`.
    """
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # a run may still hold the accelerator
    from dood_jax.checkpointing import metadata, restore  # noqa: PLC0415 - imports jax

    newest = restore.find(str(workdir.resolve()))
    meta = metadata.read_meta(newest)
    step, count = meta["step"], metadata.num_models(meta)
    if count > 1:
        return [(f"member-{which}/", _release(newest, workdir, which, folder)) for which in range(count)]
    for made in (newest, workdir / "release"):
        if (made / "card.json").is_file() and metadata.read_meta(made)["step"] == step:
            return [("", made)]
    return [("", _release(newest, workdir, 0, folder))]


def _release(newest: Path, workdir: Path, member: int, folder: Path) -> Path:
    """Writes one model of a checkpoint in released form."""
    from dood_jax import api  # noqa: PLC0415 - imports jax
    from dood_jax.checkpointing import restore  # noqa: PLC0415
    from dood_jax.evaluation import release  # noqa: PLC0415

    model = api.load(newest, member)
    to = folder / f"release-{member}"
    restore.release(model.params, release.origin(model, workdir), to)
    return to


def _contents(folder: Path, *patterns: str) -> dict[str, bytes]:
    """Files of a folder that match glob patterns, by their path in it."""
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _archive(files: dict[str, bytes]) -> bytes:
    """A tar.xz of files by name; for these images it is 10 to 40 % smaller than compressed npz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _files_in(archive: bytes, source: str) -> dict[str, bytes]:
    """Files of a tar.xz by name; raises BadInput, naming the source, if anything is wrong with it."""
    decompressor, files = lzma.LZMADecompressor(memlimit=_MOST_BYTES), {}
    try:
        content = decompressor.decompress(archive, max_length=_MOST_BYTES)
        if not decompressor.eof or decompressor.unused_data:
            raise BadInput(f"{source}: not one whole archive; give all parts of one")
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                is_below = path.parts and not path.is_absolute() and ".." not in path.parts
                is_plain = member.isfile() and not member.issparse() and not set("\\\0") & set(member.name)
                if not (is_below and is_plain):
                    raise BadInput(f"{source}: {member.name!r} is no file below --out; nothing is unpacked")
                content_of = tar.extractfile(member)
                files[member.name] = content_of.read() if content_of else b""
    except (lzma.LZMAError, tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{source}: damaged, or no archive of ours ({first_line(error)})") from error
    return files


@contextlib.contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out`, to write in and to move from; raises BadInput if that fails."""
    try:
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=out.parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise BadInput(f"--out={out} cannot be written ({error.strerror}); give another") from error


def _write(folder: Path, files: dict[Path, bytes]) -> None:
    """Writes files into a folder, then moves them to their paths, and prints their sizes."""
    for path, content in files.items():
        (folder / path.name).write_bytes(content)
    for path, content in files.items():
        (folder / path.name).replace(path)
        print(f"{path}: {len(content) / _MIB:.2f} MiB")


def main(arguments: Sequence[str] | None = None) -> None:
    """Does what the arguments say; exits 2 with one line for bad input."""
    parser = command_line.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="{data,results,unpack}")
    for command in (data, results, unpack):
        flags = commands.add_parser(command.__name__, description=command.__doc__)
        flags.set_defaults(command=command)
        flags.add_argument("--out", type=Path, required=True, help="file, or new folder, to write")
        if command is data:
            flags.add_argument("--names", required=True, help=f"joined by commas: {', '.join(CATALOG)}")
            flags.add_argument("--dir", help="data directory; default $DOOD_DATA_DIR")
            flags.add_argument("--limit_mib", type=float, default=24, help="most MiB of the archive")
            flags.add_argument("--seed", type=int, default=0, help="of the choice among images")
            flags.add_argument("--categories", default=datasets.PUBLISHED_CATEGORIES, help="or all")
        elif command is results:
            flags.add_argument("--workdir", type=Path, required=True, help="of the run")
            flags.add_argument("--part_mib", type=float, default=24, help="most MiB of a file")
        else:
            flags.add_argument("files", type=Path, nargs="+", help="an archive, or all parts of one")
    try:
        given = parser.parse_args(arguments)
        given.command(given)
    except BadInput as error:
        command_line.refuse(error)
    except OSError as error:
        command_line.refuse(f"{error.filename} cannot be read ({error.strerror})")


if __name__ == "__main__":
    main()
