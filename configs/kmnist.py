"""KMNIST, old Japanese characters, at 50 x 50.

    python -m dood_jax.main --config=configs/kmnist.py

Begins with the released synthetic model. So, at commit e5a6c80, the released model was trained, on 7,011 of
the 60,000 images: 51 minutes of one CPU core, which other work shared. 5,295 nats on 500 test images with 20
particles, 10 from each posterior (the paper: 4,780, without source resolution).
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import continued_config


def get_config() -> ConfigDict:
    """Training that goes on, on KMNIST."""
    return continued_config("kmnist", "synthetic")
