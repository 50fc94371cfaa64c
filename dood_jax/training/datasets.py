"""The pictures that the settings of a run name."""

from dood_jax.data import sources
from dood_jax.data.dataset import Dataset
from dood_jax.settings.data import DataConfig


def load(data: DataConfig, split: str) -> Dataset:
    """One split, at the model's size; raises BadInput saying what was looked for where."""
    return sources.load(
        data.name,
        split,
        data.dir,
        data.image_size,
        transpose=data.transpose,
        categories=data.categories,
        per_category=data.per_category,
    )
