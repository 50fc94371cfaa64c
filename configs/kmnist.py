"""KMNIST, old Japanese characters, at 50 x 50.

The released model came of the synthetic one in 2,000 steps, 27 minutes of two CPU cores beside much other
work, on 7,011 of the 60,000 images: 4,810 nats on 500 test images, 20 particles, ten of each set of
looks.

    python -m dood_jax.main --config=configs/finetune.py:kmnist --config.training.steps=2000
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on KMNIST."""
    config = default_config()
    config.data.name = "kmnist"
    return config
