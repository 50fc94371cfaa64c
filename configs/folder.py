"""Images of one's own, `--config.data.dir=FOLDER`, at 50 x 50."""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on a folder of images."""
    config = default_config()
    config.data.name = "folder"
    return config
