"""DooD without one of its parts, and its rivals: `configs/ablations.py:WHICH[,SET]`.

    python -m dood_jax.main --config=configs/ablations.py:guidance
    python -m dood_jax.main --config=configs/ablations.py:air,omniglot

WHICH is a key of `VARIANTS`. All of them in equal time, and the table: `python benchmarks/rivals.py`.
"""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config
from dood_jax.errors import require_choice

_AIR = {"recognition": "air", "decoder": "image", "placement": "glimpse", "prior": "codes"}

VARIANTS = {  # what the model is told, beside the defaults (method.md 9)
    "dood": {},
    "renderer": {"decoder": "neural", "placement": "glimpse"},  # a network draws strokes
    "guidance": {"guidance": "none"},  # the canvas is not seen
    "prior": {"prior": "independent"},  # strokes do not follow from those before
    "difference_air": {**_AIR, "guidance": "residual"},
    "air": {**_AIR, "guidance": "none"},
    "vae": {**_AIR, "guidance": "none", "recognition": "vae", "prior": "images", "num_strokes": 1},
}


def get_config(what: str = "dood") -> ConfigDict:
    """The defaults on the set named after the comma, MNIST if none is, with a variant's model."""
    which, _, name = what.partition(",")
    config = default_config()
    config.data.name = name or "mnist"
    # Images are compared as they are, and strokes have the published prior.
    config.model.update(source_size=0, prior="sequential", settle=False)
    config.model.update(VARIANTS[require_choice("ablations", which, tuple(VARIANTS))])
    if which.endswith("air"):
        config.objective.beta = 5.0
    return config
