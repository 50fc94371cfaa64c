"""Omniglot, background alphabets for training and evaluation alphabets for testing, at 50 x 50.

    python -m dood_jax.main --config=configs/finetune.py:omniglot --config.training.steps=1000

So the released model was trained, from the synthetic one, in 14 minutes of two CPU cores beside other work:
7,544 nats on 500 test images with 20 particles, 10 from each posterior (the paper: 7,386). This config itself
trains a model from nothing: 12,000 steps in 90 minutes gave 6,822 nats with source_size=0 and the sequential
prior.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on Omniglot."""
    config = default_config()
    config.data.name = "omniglot"
    return config
