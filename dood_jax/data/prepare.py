"""Writes a dataset as a directory that TensorFlow Datasets (TFDS) can read: `dood prepare-data --name=mnist`.

The images come from the npz pack, from the authors' files, or are downloaded.
`python -m dood_jax.data.prepare` takes the same flags.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from absl import logging

from dood_jax import command_line
from dood_jax.config import datasets
from dood_jax.config.datasets import CATALOG, SPLITS
from dood_jax.data import omniglot, pack
from dood_jax.data.dataset import Dataset
from dood_jax.errors import BadInput, require_at_least, require_choice

_FILES_NAMED = 4  # in a message, at most


def prepare(
    name: str,
    from_dir: str | None,
    to_dir: str,
    *,
    categories: str = datasets.PUBLISHED_CATEGORIES,
    per_category: int = 0,
) -> Path:
    """Writes one dataset, whole or not at all, and returns its directory.

    Args:
      name: mnist, emnist, kmnist, quickdraw or omniglot.
      from_dir: folder of the npz pack, or of the authors' files, which are verified; None: download them.
      to_dir: the data directory to write into.
      categories: of Quick, Draw!, from the authors' files; those of the pack are all written.
      per_category: most drawings of each category over both splits, from the authors' files; 0: all.

    Raises:
      BadInput: there is nothing to prepare from, a file is damaged or not the published one, or the directory
        is there already or cannot be written.
    """
    require_choice("--name", name, tuple(CATALOG))
    require_at_least("--per_category", per_category, 0)
    options: dict[str, Any] = {"categories": datasets.parse_categories(categories)}
    options["per_category"] = per_category
    directory = Path(to_dir).expanduser()
    if not from_dir:
        return _write(name, directory, options)
    source = Path(from_dir).expanduser()
    if not source.is_dir():
        raise BadInput(f"--from={from_dir} is not a folder; give one with the npz pack or the authors' files")
    images = _from_pack(name, source)
    if images:
        options["categories"] = next(iter(images.values())).metadata["classes"]
        options.update(images=images, note=_note(name, images))
        return _write(name, directory, options)
    manual_dir, options["splits"] = _authors_files(name, source, options["categories"])
    if options["splits"] != SPLITS:
        options["note"] = f"only {', '.join(options['splits'])}: the files of the rest were missing"
    return _write(name, directory, options, manual_dir)


def _write(name: str, directory: Path, options: dict[str, Any], manual_dir: Path | None = None) -> Path:
    """Writes a dataset with the options of our builder; `manual_dir` holds the authors' files."""
    from dood_jax.data import tfds_builders  # noqa: PLC0415 - imports TFDS, which takes a second

    builder = tfds_builders.make_builder(name, directory, **options)
    path = Path(builder.data_dir)
    if path.exists():
        raise BadInput(f"{path} is there already; delete it or give another --to")
    try:
        tfds_builders.prepare(builder, manual_dir)
    except BadInput:
        raise
    except Exception as error:  # of the network, of the disk, of TFDS
        said = " ".join(str(error).partition("To debug")[0].split()) or type(error).__name__
        raise BadInput(f"{name} cannot be prepared in {directory}: {said}") from error
    return path


def _from_pack(name: str, source: Path) -> dict[str, Dataset]:
    """The splits of a dataset that the pack has."""
    paths = {split: pack.path_of(source, name, split) for split in SPLITS}
    read = {split: pack.read(path, name, split) for split, path in paths.items() if path.is_file()}
    classes = CATALOG[name].classes
    if name == "omniglot":
        return {split: omniglot.with_class_names(dataset) for split, dataset in read.items()}
    return {
        split: data._replace(metadata={"classes": classes, **data.metadata}) for split, data in read.items()
    }


def _note(name: str, images: dict[str, Dataset]) -> str:
    """How the pack differs from the published dataset, for whoever reads the directory; "" if it does not."""
    if name == "quickdraw":
        kinds = len(next(iter(images.values())).metadata["classes"])
        return f"from the npz pack, {kinds} of {len(datasets.CATEGORIES)} categories"
    published = CATALOG[name].counts
    counts = {split: len(dataset.labels) for split, dataset in images.items()}
    if counts == published and not any("source_names" in data.metadata for data in images.values()):
        return ""
    parts = [f"{split} {counts.get(split, 0):,}, published {number:,}" for split, number in published.items()]
    return f"a substitute for the published set, from the npz pack: {'; '.join(parts)}"


def _authors_files(name: str, source: Path, categories: tuple[str, ...]) -> tuple[Path, tuple[str, ...]]:
    """The folder with the authors' files, `source` or `source/name`, and the splits that it has in full."""
    from dood_jax.data import tfds_builders  # noqa: PLC0415 - imports TFDS

    files = tfds_builders.file_names(name, categories)
    for place in (source, source / name):
        lacking = {split: [file for file in files[split] if not (place / file).is_file()] for split in SPLITS}
        whole = tuple(split for split in SPLITS if not lacking[split])
        for split in set(SPLITS) - set(whole) if whole else ():
            logging.warning("%s %s is left out: no %s in %s", name, split, ", ".join(lacking[split]), place)
        if whole:
            return place, whole
    some = ", ".join(dict.fromkeys(file for split in SPLITS for file in files[split][:_FILES_NAMED]))
    packed = " and ".join(pack.path_of(source, name, split).name for split in SPLITS)
    raise BadInput(f"nothing to prepare {name} from in {source}: looked for {packed}, and for {some}")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `run` to a parser."""
    parser.add_argument("--name", required=True, help=f"the dataset: {', '.join(CATALOG)}")
    parser.add_argument("--from", dest="from_dir", help="folder of the npz pack or of the authors' files")
    parser.add_argument("--to", dest="to_dir", required=True, help="data directory to write into")
    parser.add_argument("--categories", default=datasets.PUBLISHED_CATEGORIES, help="of Quick, Draw!, or all")
    parser.add_argument("--per_category", type=int, default=5000, help="most drawings of each; 0: all")


def run(flags: argparse.Namespace) -> None:
    """Prepares what the flags say and prints where it is."""
    options = {"categories": flags.categories, "per_category": flags.per_category}
    sys.stdout.write(f"{prepare(flags.name, flags.from_dir, flags.to_dir, **options)}\n")


def main() -> None:
    """Prepares what the flags say; exits 2 with one line for bad input."""
    parser = command_line.Parser("python -m dood_jax.data.prepare", description=__doc__)
    add_flags(parser)
    try:
        run(parser.parse_args())
    except BadInput as error:
        command_line.refuse(error)


if __name__ == "__main__":
    main()
