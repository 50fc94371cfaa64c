"""Where the words of a config become the parts of a model."""

from typing import Any, NamedTuple

from dood_jax.config.model import ModelConfig
from dood_jax.model import (
    air,
    blind_guidance,
    conv_guidance,
    fixed_prior,
    leaky_guidance,
    patch_guidance,
    posterior,
    prior,
    residual_guidance,
    vae,
)
from dood_jax.model.guidance import Guidance
from dood_jax.model.recognition import Recognition
from dood_jax.networks.heads import DIAGONAL, Family
from dood_jax.networks.published_heads import CORRELATED

_GUIDANCES: dict[tuple[str, str], Any] = {
    ("patch", "canvas"): patch_guidance,
    ("conv", "canvas"): conv_guidance,
    ("patch", "none"): blind_guidance,
    ("conv", "none"): blind_guidance,
    ("patch", "residual"): residual_guidance,
    ("conv", "residual"): residual_guidance,
    ("conv", "none_leaky"): leaky_guidance,
}
_FAMILIES = {"diagonal": DIAGONAL, "correlated": CORRELATED}
_PRIORS: dict[str, Any] = {
    "sequential": prior,
    "independent": fixed_prior.OVER_POINTS,
    "codes": fixed_prior.OVER_CODES,
    "images": fixed_prior.OVER_IMAGES,
}
_RECOGNITIONS: dict[str, Any] = {"dood": posterior, "air": air, "vae": vae}


class Parts(NamedTuple):
    """What the scan over strokes is put together from."""

    recognition: Recognition  # how a stroke is decided on
    guidance: Guidance  # what the networks see
    family: Family  # what their outputs mean
    prior: Any  # whose `presence_log_probs`, `log_probs` and `sample` are the prior's


def parts_of(config: ModelConfig) -> Parts:
    """The parts of a model."""
    guidance = _GUIDANCES[config.encoder, config.guidance]
    return Parts(
        _RECOGNITIONS[config.recognition], guidance, _FAMILIES[config.latents], _PRIORS[config.prior]
    )
