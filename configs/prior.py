"""A trained model whose prior learns anew, alone: `configs/prior.py:SET[,FROM]`.

    python -m dood_jax.main --config=configs/prior.py:mnist              # of the released model
    python -m dood_jax.main --config=configs/prior.py:mnist,runs/mnist   # of a run of your own

Only the prior's heads learn, from plain pictures: what the model draws of a picture stays the same to the
bit, what it invents changes, and bounds rise by what the prior gains. All released models end with it.
"""

from ml_collections import ConfigDict

from dood_jax.settings.resolving import default_config


def get_config(what: str = "mnist") -> ConfigDict:
    """Twenty-four looks, on the set named before the comma, beginning with the model named after it."""
    name, _, beginning = what.partition(",")
    config = default_config()
    config.data.name = name
    if name == "quickdraw":
        config.data.per_category = 5000
    config.model.looks = 24
    config.objective.update(floor_start_step=0, floor_end_step=1, borrowed_starts=0.0)
    config.optimizer.trained = "prior"
    config.training.init_from = beginning or name
    config.training.steps = 2000
    config.training.evaluate_every = 2000
    return config
