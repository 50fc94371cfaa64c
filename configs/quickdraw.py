"""Quick, Draw!, the ten categories of the published runs, at 50 x 50.

    python -m dood_jax.main --config=configs/quickdraw.py

Begins with the released synthetic model. So, at commit e5a6c80, the released model was trained, on 18,192
drawings of nine categories: 50 minutes of one CPU core, which other work shared. 6,039 nats on 500 test
images with 20 particles, 10 from each posterior (the paper: 4,859, without source resolution).
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import continued_config


def get_config() -> ConfigDict:
    """Training that goes on, on 5,000 drawings of each category, a fifth of them in test, as published."""
    return continued_config("quickdraw", "synthetic")
