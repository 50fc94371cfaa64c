r"""Omniglot, the background alphabets for training and the evaluation alphabets for testing, at 50 x 50.

12,000 steps from scratch took 90 minutes of two CPU cores beside other work and gave 6,822 nats on 500 test
pictures, 20 particles. The released model came of the synthetic one before the present in 800 steps, 13
minutes beside much other work, with model.native_size=0: 7,450 nats (the paper: 7,386).

    python -m dood_jax.main --config=configs/finetune.py:omniglot --config.training.steps=800 \
        --config.model.native_size=0
"""

from ml_collections import ConfigDict

from dood_jax.settings.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on Omniglot."""
    config = default_config()
    config.data.name = "omniglot"
    return config
