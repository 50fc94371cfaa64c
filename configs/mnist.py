r"""MNIST at 50 x 50.

    python -m dood_jax.main --config=configs/mnist.py
    python -m dood_jax.main --config=configs/finetune.py:mnist,runs/mnist --config.training.steps=20000

Of the released model, the first command took 63 minutes of two shared CPU cores (20,000 steps, the first
11,204 on the schedule of 28,000; 6,975 nats on 500 test images, 20 particles). It then learned to look
again, in the four parts below, 6,000 + 14,000 + 6,000 + 6,000 steps in 44 + 86 + 41 + 64 minutes beside
other work: 7,080, 7,132, 7,443 and 7,458 nats (the paper: 7,094). What is a default now was not known
before the parts that give it no flag; the second command takes all of it at once and was not run as a
whole.

    EARLIER='--config.data.overlay_prob=0 --config.objective.mismatched_start_prob=0'
    python -m dood_jax.main --config=configs/mnist.py --config.model.source_size=0
    python -m dood_jax.main --config=configs/finetune.py:mnist,runs/mnist --workdir=runs/mnist-looks \
        --config.model.iterations=6 --config.model.source_size=0 $EARLIER
    python -m dood_jax.main --config=configs/finetune.py:mnist,runs/mnist-looks --workdir=runs/mnist-twelve \
        --config.model.iterations=12 --config.model.source_size=0 $EARLIER \
        --config.training.steps=14000 --config.optimizer.learning_rate=7e-4
    python -m dood_jax.main --config=configs/finetune.py:mnist,runs/mnist-twelve --workdir=runs/mnist-native \
        --config.model.iterations=12 --config.optimizer.learning_rate=7e-4 $EARLIER
    python -m dood_jax.main --config=configs/finetune.py:mnist,runs/mnist-native \
        --workdir=runs/mnist-overlaid --config.optimizer.learning_rate=7e-4

The prior was trained anew, alone, since overlaid images had taught it doubled digits: 6,000 steps on first
drawings in 19 minutes (from the 16-bit form of the model that the commands above gave), then 1,000 more with
a tenth of the weight on corrected drawings in 3, beside other work: 7,431 nats with 20 particles, ten of each
set of looks, 7,461 with 200.

    python -m dood_jax.main --config=configs/prior.py:mnist,runs/mnist-overlaid --workdir=runs/mnist-prior
    python -m dood_jax.main --config=configs/prior.py:mnist,runs/mnist-prior --workdir=runs/mnist-mix \
        --config.training.steps=1000 --config.optimizer.warmup_steps=50 \
        --config.objective.iterated_fraction=0.0625 --config.objective.mismatched_start_prob=0.9

In less time, seed 1: 12,000 + 6,000 steps, with twelve looks, took 146 minutes beside much other work and
gave 7,087 nats (source_size=0); 3,000 more with 28, and 6,000 more as the released model, in 43 + 53
minutes. With its prior trained anew (6,000 steps, the first stage above) it has 7,367 nats with 20 particles,
ten of each set of looks.

    SEED='--config.training.seed=1'
    python -m dood_jax.main --config=configs/mnist.py --workdir=runs/mnist-second $SEED \
        --config.training.steps=12000 --config.model.source_size=0
    python -m dood_jax.main --config=configs/finetune.py:mnist,runs/mnist-second $SEED \
        --workdir=runs/mnist-second-twelve --config.model.iterations=12 --config.model.source_size=0 $EARLIER
    python -m dood_jax.main --config=configs/finetune.py:mnist,runs/mnist-second-twelve $SEED \
        --workdir=runs/mnist-second-native --config.model.iterations=12 \
        --config.optimizer.learning_rate=7e-4 --config.training.steps=3000 $EARLIER
    python -m dood_jax.main --config=configs/finetune.py:mnist,runs/mnist-second-native $SEED \
        --workdir=runs/mnist-second-overlaid --config.optimizer.learning_rate=7e-4
    python -m dood_jax.main --config=configs/prior.py:mnist,runs/mnist-second-overlaid $SEED \
        --workdir=runs/mnist-second-prior
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on MNIST."""
    config = default_config()
    config.data.name = "mnist"
    config.training.steps = 20000
    return config
