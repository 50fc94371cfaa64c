r"""Random pen drawings, rendered on the device: needs no data.

    python -m dood_jax.main --config=configs/synthetic.py

Of the released model the first 5,000 of these 12,000 steps took 28 minutes of two shared CPU cores; it went
on with six looks for 5,000 steps (45 minutes beside other work) and gave 7,004 nats on unseen drawings, 20
particles; then with twelve for 10,000 (109 minutes beside much other work) and gave 7,247 on 500. All that
was with model.native_size=0; with 28, the default since, 9,000 steps more, 62 minutes beside other runs, gave
7,432.

    python -m dood_jax.main --config=configs/finetune.py:synthetic,runs/synthetic \
        --config.training.steps=5000 --config.model.looks=6
    python -m dood_jax.main --config=configs/finetune.py:synthetic,runs/finetune-synthetic-runs-synthetic \
        --workdir=runs/synthetic-twelve --config.training.steps=10000 --config.optimizer.learning_rate=7e-4
    python -m dood_jax.main --config=configs/finetune.py:synthetic,runs/synthetic-twelve \
        --workdir=runs/synthetic-native --config.training.steps=9000 --config.optimizer.learning_rate=7e-4
"""

from ml_collections import ConfigDict

from dood_jax.settings.resolving import default_config


def get_config() -> ConfigDict:
    """The defaults, on synthetic strokes."""
    config = default_config()
    config.data.name = "synthetic"
    config.training.evaluate_every = 500
    return config
