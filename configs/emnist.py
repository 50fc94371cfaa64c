"""EMNIST, the balanced selection of digits and letters, upright, at 50 x 50.

    python -m dood_jax.main --config=configs/emnist.py

Begins with the released synthetic model. So, at commit e5a6c80, the released model was trained, on 92,474 of
112,800 images: 40 minutes of one CPU core, which other work shared. 6,800 nats on 500 test images with 20
particles, 10 from each posterior (the paper: 6,504, without source resolution).
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import continued_config


def get_config() -> ConfigDict:
    """Training that goes on, on EMNIST; `--config.data.transpose` for the published orientation."""
    return continued_config("emnist", "synthetic")
