"""Omniglot, the background alphabets for training and the evaluation alphabets for testing, at 50 x 50.

12,000 steps from scratch took 90 minutes of two CPU cores beside other work and gave 6,822 nats on 500 test
images, 20 particles. The released model came of the synthetic one in 1,000 steps, 14 minutes beside other
work: 7,544 nats, ten particles of each set of looks (the paper: 7,386).

    python -m dood_jax.main --config=configs/finetune.py:omniglot --config.training.steps=1000
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on Omniglot."""
    config = default_config()
    config.data.name = "omniglot"
    return config
