r"""MNIST at 50 x 50.

    python -m dood_jax.main --config=configs/mnist.py

20,000 steps, the first 11,204 on the schedule of 28,000, took 63 minutes of two shared CPU cores and
gave 6,975 nats on 500 test pictures, 20 particles. The released model went on from there and learned to look
again: 6,000 steps with six looks, 44 minutes, 7,080 nats; then 14,000 with twelve, 85 minutes beside much
other work, 7,132 nats (the paper: 7,094). All that was with model.native_size=0; with 28, the default since,
6,000 steps more, 41 minutes beside another run, gave 7,443 nats.

    python -m dood_jax.main --config=configs/finetune.py:mnist,runs/mnist --config.model.looks=6
    python -m dood_jax.main --config=configs/finetune.py:mnist,runs/finetune-mnist-runs-mnist \
        --workdir=runs/mnist-twelve --config.training.steps=14000 --config.optimizer.learning_rate=7e-4
    python -m dood_jax.main --config=configs/finetune.py:mnist,runs/mnist-twelve \
        --workdir=runs/mnist-native --config.optimizer.learning_rate=7e-4

In less time, seed 1: 12,000 steps and 6,000 with twelve looks took 146 minutes beside much other work and
gave 7,087 nats (native_size=0); what 3,000 more give with 28 stands in docs/experiments.md 7.

    python -m dood_jax.main --config=configs/mnist.py --workdir=runs/mnist-second --config.training.seed=1 \
        --config.training.steps=12000 --config.model.native_size=0
    python -m dood_jax.main --config=configs/finetune.py:mnist,runs/mnist-second --config.training.seed=1 \
        --config.model.native_size=0
"""

from ml_collections import ConfigDict

from dood_jax.settings.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on MNIST."""
    config = default_config()
    config.data.name = "mnist"
    config.training.steps = 20000
    return config
