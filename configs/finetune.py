"""A trained model taken further, with further looks: `configs/finetune.py:SET[,FROM]`.

    python -m dood_jax.main --config=configs/finetune.py:emnist            # from the synthetic model
    python -m dood_jax.main --config=configs/finetune.py:mnist,runs/mnist   # from a run of your own

FROM is a released name or a folder; a model that does not look again yet learns to.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config(what: str = "mnist") -> ConfigDict:
    """Twenty-four looks, on the set named before the comma, beginning with the model named after it."""
    name, _, beginning = what.partition(",")
    config = default_config()
    config.data.name = name
    if name == "quickdraw":
        config.data.per_category = 5000
    if name == "mnist":
        config.data.overlay_prob = 0.25
    config.model.iterations = 24
    config.objective.update(floor_start_step=0, floor_end_step=1)
    config.training.init_from = beginning or "synthetic"
    config.training.steps = 6000
    return config
