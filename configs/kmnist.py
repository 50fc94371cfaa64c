"""KMNIST, old Japanese characters, at 50 x 50."""

from ml_collections import ConfigDict

from dood_jax.training.config import default_config


def get_config() -> ConfigDict:
    """The defaults, on KMNIST."""
    config = default_config()
    config.data.name = "kmnist"
    return config
