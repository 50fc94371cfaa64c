r"""Quick, Draw!, the ten categories of the published runs, at 50 x 50.

The released model came of the synthetic one with six looks in 800 steps, 9 minutes of two CPU cores beside
other work, on 18,192 drawings of nine categories: 4,989 nats on 256 test pictures, 20 particles.

    python -m dood_jax.main --config=configs/finetune.py:quickdraw,runs/finetune-synthetic-runs-synthetic \
        --config.training.steps=800 --config.model.looks=6
"""

from ml_collections import ConfigDict

from dood_jax.settings.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on 5,000 drawings of each category, a fifth of them held out, as published."""
    config = default_config()
    config.data.name = "quickdraw"
    config.data.per_category = 5000
    return config
