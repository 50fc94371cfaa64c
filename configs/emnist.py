r"""EMNIST, the balanced selection of digits and letters, upright, at 50 x 50.

    python -m dood_jax.main --config=configs/emnist.py

Begins with the released synthetic model.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import continued_config


def get_config() -> ConfigDict:
    """Training that goes on, on EMNIST; `--config.data.transpose` for the published orientation."""
    return continued_config("emnist", "synthetic")
