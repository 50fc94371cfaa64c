r"""KMNIST, old Japanese characters, at 50 x 50.

The released model came of the synthetic one with six looks in 800 steps, 7 minutes of two CPU cores beside
other work, on 7,011 of the 60,000 pictures: 4,286 nats on 256 test pictures, 20 particles.

    python -m dood_jax.main --config=configs/finetune.py:kmnist,runs/finetune-synthetic-runs-synthetic \
        --config.training.steps=800 --config.model.looks=6
"""

from ml_collections import ConfigDict

from dood_jax.settings.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on KMNIST."""
    config = default_config()
    config.data.name = "kmnist"
    return config
