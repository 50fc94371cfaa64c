"""Quick, Draw!, the ten categories of the published runs, at 50 x 50.

The released model came of the synthetic one in 1,000 steps, 18 minutes of two CPU cores beside much other
work, on 18,192 drawings of nine categories: 5,698 nats on 500 test images, 20 particles, ten of each set of
looks.

    python -m dood_jax.main --config=configs/finetune.py:quickdraw --config.training.steps=1000
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on 5,000 drawings of each category, a fifth of them held out, as published."""
    config = default_config()
    config.data.name = "quickdraw"
    config.data.per_category = 5000
    return config
