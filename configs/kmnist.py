r"""KMNIST, old Japanese characters, at 50 x 50.

    python -m dood_jax.main --config=configs/kmnist.py

Begins with the released synthetic model.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import continued_config


def get_config() -> ConfigDict:
    """Training that goes on, on KMNIST."""
    return continued_config("kmnist", "synthetic")
