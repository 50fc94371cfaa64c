"""Omniglot, background alphabets for training and evaluation alphabets for testing, at 50 x 50.

    python -m dood_jax.main --config=configs/omniglot.py

Begins with the released synthetic model. So, at commit e5a6c80, the released model was trained: 51 minutes of
one CPU core, which other work shared. 7,629 nats on 500 test images with 20 particles, 10 from each posterior
(the paper: 7,386).
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import continued_config


def get_config() -> ConfigDict:
    """Training that goes on, on Omniglot."""
    return continued_config("omniglot", "synthetic")
