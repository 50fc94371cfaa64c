"""EMNIST, the balanced selection of digits and letters, upright, at 50 x 50.

The released model came of the synthetic one before the present in 2,000 steps, 13 minutes of two CPU cores
beside other work, with twelve looks, on 92,474 of 112,800 images: 6,590 nats on 500 test images, 20
particles.

    python -m dood_jax.main --config=configs/finetune.py:emnist --config.training.steps=2000
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on EMNIST; `--config.data.transpose` for the published orientation."""
    config = default_config()
    config.data.name = "emnist"
    return config
