r"""Random pen drawings, rendered on the device, in one run: needs no data.

    python -m dood_jax.main --config=configs/synthetic.py

First the first pass learns alone, then iterative inference too, then the prior alone. So, at commit a36abe1,
the released model was trained: 244 minutes of one CPU core, which other work shared. 7,613 nats on 500 unseen
drawings with 20 particles, 10 from each posterior.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on synthetic strokes."""
    config = default_config()
    config.data.name = "synthetic"
    config.model.iterations = 24
    config.objective.update(first_pass_fraction=0.4, prior_fraction=0.2)
    config.training.update(steps=40000, evaluate_every=2000)
    return config
