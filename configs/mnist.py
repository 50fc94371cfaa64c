r"""MNIST at 50 x 50, in one run: the first pass alone, then iterative inference too, then the prior alone.

    python -m dood_jax.main --config=configs/mnist.py

A run of 24,000 steps without the last phase took 90 minutes of one core (docs/experiments.md 19).

The released model `mnist` is older. It has the sequential prior (`--config.model.prior=sequential`) and was
trained in the stages of the table, each beginning with the model of the one above, on all 60,000 training
images (a run of today leaves 3,000 out for validation) and on two CPU cores beside other work. The first one
had no iterations and no overlaid images. Nats are of 500 test images with 20 particles; the paper has 7,094.

| config                | steps  | minutes | beside the defaults                                     | nats  |
|-----------------------|--------|---------|---------------------------------------------------------|-------|
| configs/mnist.py      | 20,000 |      63 | source_size=0                                           | 6,975 |
| configs/finetune.py   |  6,000 |      44 | plain, source_size=0, iterations=6                      | 7,080 |
| configs/finetune.py   | 14,000 |      86 | plain, source_size=0, iterations=12, learning_rate=7e-4 | 7,132 |
| configs/finetune.py   |  6,000 |      41 | plain, iterations=12, learning_rate=7e-4                | 7,443 |
| configs/finetune.py   |  6,000 |      64 | learning_rate=7e-4                                      | 7,458 |
| configs/prior.py      |  6,000 |      19 |                                                         |       |
| configs/prior.py      |  1,000 |       3 | warmup_steps=50, iterated_fraction=1/16,                | 7,431 |
|                       |        |         | mismatched_start_prob=0.9                               |       |

plain: data.overlay_prob=0 and objective.mismatched_start_prob=0. The first 11,204 steps of the first stage
had the learning rates of a run of 28,000. The prior was trained anew, since overlaid images had taught it
doubled digits; its last number is of 10 particles from each posterior, and is 7,461 with 200 particles.

`mnist-second` had training.seed=1: 12,000 steps of configs/mnist.py and 6,000 of configs/finetune.py, both
with source_size=0, the second plain with iterations=12, in 146 minutes, 7,087 nats; 3,000 more as in the
fourth line and 6,000 as in the fifth, in 43 + 53 minutes; and the first 6,000 of configs/prior.py: 7,367
nats, with 10 particles from each posterior.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on MNIST."""
    config = default_config()
    config.data.update(name="mnist", overlay_prob=0.25)
    config.model.iterations = 24
    config.objective.update(first_pass_fraction=0.4, prior_fraction=0.2)
    config.training.update(steps=40000, evaluate_every=2000)
    return config
