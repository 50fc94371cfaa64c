"""A trained model whose prior learns anew, alone: `configs/prior.py:SET[,FROM]`.

    python -m dood_jax.main --config=configs/prior.py:mnist              # of the released model
    python -m dood_jax.main --config=configs/prior.py:mnist,runs/mnist   # of a run of your own

Only the prior's own networks learn, from plain images: what the model draws of an image stays the same
to the bit (of one particle), what it invents changes, and bounds by what the prior gains. It learns from
first drawings alone: corrected ones, which lie where they fit an image best and not where strokes usually
lie, made worse inventions. On several devices give an `--config.objective.iterated_fraction` of 1 / N, where
N divides the images that one device has.
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
    config.model.iterations = 24
    config.objective.update(floor_start_step=0, floor_end_step=1)
    config.objective.update(
        iterated_fraction=1 / 64, mismatched_start_prob=1.0
    )  # such looks teach the prior nothing
    config.optimizer.trained = "prior"
    config.training.init_from = beginning or name
    config.training.steps = 6000
    config.training.evaluate_every = 6000
    return config
