"""Where the words of a config become the parts of a model."""

from typing import Any, NamedTuple

from dood_jax.model import (
    blind_guidance,
    conv_guidance,
    independent_prior,
    leaky_guidance,
    patch_guidance,
    prior,
)
from dood_jax.model.config import ModelConfig
from dood_jax.model.guidance import Guidance
from dood_jax.networks.heads import DIAGONAL, Family
from dood_jax.networks.published_heads import CORRELATED

_GUIDANCES: dict[tuple[str, str], Any] = {
    ("patch", "canvas"): patch_guidance,
    ("conv", "canvas"): conv_guidance,
    ("conv", "none"): blind_guidance,
    ("conv", "none_leaky"): leaky_guidance,
}
_FAMILIES = {"diagonal": DIAGONAL, "correlated": CORRELATED}
_PRIORS: dict[str, Any] = {"sequential": prior, "independent": independent_prior}


class Parts(NamedTuple):
    """What the scan over strokes is put together from."""

    guidance: Guidance  # what the networks see
    family: Family  # what their outputs mean
    prior: Any  # the module whose `presence_log_probs`, `log_probs` and `sample` are the prior's


def parts_of(config: ModelConfig) -> Parts:
    """The parts of a model."""
    guidance = _GUIDANCES[config.encoder, config.guidance]
    return Parts(guidance, _FAMILIES[config.latents], _PRIORS[config.prior])
