"""KMNIST, old Japanese characters, at 50 x 50.

    python -m dood_jax.main --config=configs/finetune.py:kmnist --config.training.steps=2000

So the released model was trained, from the synthetic one, on 7,011 of the 60,000 images, in 27 minutes of two
CPU cores beside other work: 4,810 nats on 500 test images with 20 particles, 10 from each posterior. This
config itself trains a model from nothing.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on KMNIST."""
    config = default_config()
    config.data.name = "kmnist"
    return config
