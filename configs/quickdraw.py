"""Quick, Draw!, the ten categories of the published runs, at 50 x 50.

    python -m dood_jax.main --config=configs/finetune.py:quickdraw --config.training.steps=1000

So the released model was trained, from the synthetic one, on 18,192 drawings of nine categories, in 18
minutes of two CPU cores beside other work: 5,698 nats on 500 test images with 20 particles, 10 from each
posterior. This config itself trains a model from nothing.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on 5,000 drawings of each category, a fifth of them test images, as published."""
    config = default_config()
    config.data.name = "quickdraw"
    config.data.per_category = 5000
    return config
