r"""Omniglot, background alphabets for training and evaluation alphabets for testing, at 50 x 50.

    python -m dood_jax.main --config=configs/omniglot.py

Begins with the released synthetic model.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import continued_config


def get_config() -> ConfigDict:
    """Training that goes on, on Omniglot."""
    return continued_config("omniglot", "synthetic")
