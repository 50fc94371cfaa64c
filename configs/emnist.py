"""EMNIST, the balanced selection of digits and letters, upright, at 50 x 50."""

from ml_collections import ConfigDict

from dood_jax.training.config import default_config


def get_config() -> ConfigDict:
    """The defaults, on EMNIST; `--config.data.transpose` for the published orientation."""
    config = default_config()
    config.data.name = "emnist"
    return config
