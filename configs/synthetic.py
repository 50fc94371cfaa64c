r"""Random pen drawings, rendered on the device, in one run: needs no data.

    python -m dood_jax.main --config=configs/synthetic.py

First the first pass learns alone, then iterative inference too, then the prior alone. So, at commit a36abe1,
the released model `synthetic-second` was trained: 244 minutes of one CPU core, which other work shared. 7,613
nats on 500 unseen drawings with 20 particles, 10 from each posterior.

The released model `synthetic` is older. It has the sequential prior (`--config.model.prior=sequential`),
began without iterations (`--config.model.iterations=0`), and was trained in the stages of the table, each
beginning with the model of the one above, on two cores beside other work. Its nats are of 500 unseen drawings
with 20 particles.

| config                | steps  | minutes | beside the defaults                                     | nats  |
|-----------------------|--------|---------|---------------------------------------------------------|-------|
| configs/synthetic.py  |  5,000 |      28 | source_size=0; the run was stopped at 5,000 of 12,000   |       |
| configs/finetune.py   |  5,000 |      44 | plain, source_size=0, iterations=6                      | 7,004 |
| configs/finetune.py   | 10,000 |     109 | plain, source_size=0, iterations=12, learning_rate=7e-4 | 7,247 |
| configs/finetune.py   |  9,000 |      62 | plain, iterations=12, learning_rate=7e-4                | 7,432 |
| configs/finetune.py   |  6,000 |      64 | learning_rate=7e-4, seed=2                              | 7,594 |

plain: objective.mismatched_start_prob=0.
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
