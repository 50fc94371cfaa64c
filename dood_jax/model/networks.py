"""All networks of DooD, under the names of the parameter tree's top keys."""

import jax
from flax import linen as nn

from dood_jax.model.config import ModelConfig
from dood_jax.model.likelihood import ObservationScale
from dood_jax.networks.encoders import PatchEncoder
from dood_jax.networks.heads import Head
from dood_jax.networks.recurrence import GRUCell

Params = dict  # of one network's parameters under each name below


class Networks(nn.Module):
    """The `fast` networks: features F and recurrent states F, diagonal Gaussians and mixtures."""

    config: ModelConfig

    def setup(self) -> None:
        """Declares every network; parameters appear at their first call."""
        features, points = self.config.features, self.config.num_points
        components = self.config.components
        self.image_encoder = PatchEncoder(num_pictures=2, features=features)
        self.canvas_encoder = PatchEncoder(num_pictures=1, features=features)
        self.glimpse_encoder = PatchEncoder(num_pictures=2, features=features)
        self.canvas_glimpse_encoder = PatchEncoder(num_pictures=1, features=max(features // 2, 1))
        self.layout_rnn = GRUCell(features)
        self.stroke_rnn = GRUCell(features)
        self.posterior_presence = Head(128, 1, output_scale=0, output_bias=(2,))
        self.posterior_layout = Head(256, 8, output_scale=0, output_bias=(0,) * 4 + (-2,) * 4)
        self.posterior_stroke = Head(
            256, 4 * points, output_scale=0.3, output_bias=(0,) * 2 * points + (-2,) * 2 * points
        )
        self.canvas_slope = Head(64, 1, output_scale=0, output_bias=(-1,))
        self.brush = Head(64, 2, output_scale=0, output_bias=(-1, 0))
        self.prior_presence = Head(64, 1, output_scale=0, output_bias=(1,))
        self.prior_layout = Head(128, 9 * components)
        self.prior_stroke = Head(256, 5 * components * points)
        self.likelihood = ObservationScale(self.config.image_size)


def bind(config: ModelConfig, params: Params) -> Networks:
    """The networks with their parameters in place; call it anew inside each `scan` body."""
    return Networks(config).bind({"params": params})


def count(params: Params) -> int:
    """Number of parameters."""
    return sum(leaf.size for leaf in jax.tree_util.tree_leaves(params))
