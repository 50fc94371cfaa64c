"""Omniglot, the background alphabets for training and the evaluation alphabets for testing, at 50 x 50."""

from ml_collections import ConfigDict

from dood_jax.training.config import default_config


def get_config() -> ConfigDict:
    """The defaults, on Omniglot."""
    config = default_config()
    config.data.name = "omniglot"
    return config
