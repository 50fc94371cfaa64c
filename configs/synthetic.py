"""Random pen drawings, rendered on the device: needs no data."""

from ml_collections import ConfigDict

from dood_jax.training.config import default_config


def get_config() -> ConfigDict:
    """The defaults, on synthetic strokes."""
    config = default_config()
    config.data.name = "synthetic"
    config.training.evaluate_every = 500
    return config
