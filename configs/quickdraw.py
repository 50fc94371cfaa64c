"""Quick, Draw!, the ten categories of the published runs, at 50 x 50."""

from ml_collections import ConfigDict

from dood_jax.training.config import default_config


def get_config() -> ConfigDict:
    """The defaults, on 5,000 drawings of each category, a fifth of them held out, as published."""
    config = default_config()
    config.data.name = "quickdraw"
    config.data.per_category = 5000
    return config
