"""EMNIST, the balanced selection of digits and letters, upright, at 50 x 50.

    python -m dood_jax.main --config=configs/finetune.py:emnist --config.training.steps=2000

So, with 12 iterations, the released model was trained from an earlier form of the synthetic one (the fourth
line of the table in `configs/synthetic.py`), on 92,474 of 112,800 images, in 13 minutes of two CPU cores
beside other work: 6,590 nats on 500 test images with 20 particles. This config itself trains a model from
nothing.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on EMNIST; `--config.data.transpose` for the published orientation."""
    config = default_config()
    config.data.name = "emnist"
    return config
