"""Attend, Infer, Repeat on MNIST, as published (method.md 9.5): `configs/air.py[:air]`, else Difference-AIR.

    python -m dood_jax.main --config=configs/air.py
    python -m dood_jax.main --config=configs/air.py:air --config.model.likelihood=normal

With the networks and the objective of the `fast` preset, for comparisons at equal cost, it is a line of
`configs/ablations.py`.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config
from dood_jax.errors import require_choice

_GUIDANCE = {"difference_air": "residual", "air": "none"}


def get_config(which: str = "difference_air") -> ConfigDict:
    """The published preset with AIR's recognition model, prior and decoder."""
    config = default_config()
    config.data.name = "mnist"
    config.model.update(preset="published", recognition="air", decoder="image", prior="codes")
    config.model.guidance = _GUIDANCE[require_choice("air", which, tuple(_GUIDANCE))]
    config.objective.beta = 5.0
    config.training.steps = 500_000
    return config
