"""Goes on with a trained model, with iterative inference: `configs/finetune.py:SET[,FROM]`.

    python -m dood_jax.main --config=configs/finetune.py:emnist            # from the synthetic model
    python -m dood_jax.main --config=configs/finetune.py:mnist,runs/mnist  # from a run of your own

FROM is a released name or the folder of a run. A model without iterative inference learns it.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import continued_config


def get_config(what: str = "mnist") -> ConfigDict:
    """Training on the set named before the comma, beginning with the model named after it."""
    config = continued_config(what, default_start="synthetic")
    if config.data.name == "mnist":
        config.data.overlay_prob = 0.25
    return config
