"""Images: datasets in files, synthetic drawings, and the stream of examples that feeds the device."""

from dood_jax.data.dataset import Dataset
from dood_jax.data.sources import load

__all__ = ["Dataset", "load"]
