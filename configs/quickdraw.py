"""Quick, Draw!, the ten categories of the published runs, at 50 x 50.

The released model came of the synthetic one in 2,000 steps, 13 minutes of two CPU cores beside other work,
on 18,192 drawings of nine categories: 5,632 nats on 500 test pictures, 20 particles.

    python -m dood_jax.main --config=configs/finetune.py:quickdraw --config.training.steps=2000
"""

from ml_collections import ConfigDict

from dood_jax.settings.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on 5,000 drawings of each category, a fifth of them held out, as published."""
    config = default_config()
    config.data.name = "quickdraw"
    config.data.per_category = 5000
    return config
