"""Trains the prior of a trained model anew, and nothing else: `configs/prior.py:SET[,FROM]`.

    python -m dood_jax.main --config=configs/prior.py:mnist             # of the released model
    python -m dood_jax.main --config=configs/prior.py:mnist,runs/mnist  # of a run of your own

What the model infers of an image stays the same to the bit (with one particle). What it generates changes,
and bounds change by what the prior gains. The prior is trained on plain images and on drawings before
iterative inference: corrected drawings lie where they fit an image best, not where strokes usually lie, and
made worse samples. On several devices give an `--config.objective.iterated_fraction` of 1 / N, where N
divides the number of images of one device.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import continued_config


def get_config(what: str = "mnist") -> ConfigDict:
    """Training on the set named before the comma, beginning with the model named after it."""
    config = continued_config(what)
    # The prior learns nothing from mismatched starts, so no corrected drawing teaches it.
    config.objective.update(iterated_fraction=1 / 64, mismatched_start_prob=1.0, prior_fraction=0.0)
    config.optimizer.trained = "prior"
    config.training.update(steps=6000, evaluate_every=6000)
    return config
