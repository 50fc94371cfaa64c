r"""Quick, Draw!, the ten categories of the published runs, at 50 x 50.

    python -m dood_jax.main --config=configs/quickdraw.py

Begins with the released synthetic model.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import continued_config


def get_config() -> ConfigDict:
    """Training that goes on, on 5,000 drawings of each category, a fifth of them in test, as published."""
    return continued_config("quickdraw", "synthetic")
