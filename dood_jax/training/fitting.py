"""What a run does when recognition has learned: it fits the map of scales to its drawings (method.md 8)."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dood_jax.config.groups import Config
from dood_jax.data import example_stream
from dood_jax.data.example_stream import ExampleStream, Sampler
from dood_jax.inference import infer
from dood_jax.model.networks import Params
from dood_jax.runtime import parallel
from dood_jax.runtime.parallel import DeviceGroup
from dood_jax.test_time import scales
from dood_jax.training.state import TrainState

_EXAMPLES, _BATCH = 2048, 64


def with_fitted_map(
    config: Config, sampler: Sampler, images: np.ndarray, stream: ExampleStream, state: TrainState
) -> TrainState:
    """The state, on the host, with the map of every model fitted to what it draws of training examples.

    Every pixel gets its most likely scale, the mean error there, to which steps of the optimiser lead in the
    end. The examples are augmented as those that recognition learned from. A model that learned the scale
    from the canvas stays as it is.

    Args:
      config: of the run.
      sampler: how an example gets its image.
      images: uint8 [N, H, W] training images of all data sets.
      stream: of the only model, or of all models, stacked.
      state: at the step after which the prior learns alone.
    """
    state = parallel.fetch(state)
    if config.model.likelihood_scale != "map":
        return state
    count = len(config.members)
    fitted = [
        _fitted(config, sampler, images, *(parallel.pick(tree, count, which) for tree in (stream, state)))
        for which in range(count)
    ]
    return state._replace(params=parallel.stack(fitted))


def _fitted(
    config: Config, sampler: Sampler, images: np.ndarray, stream: ExampleStream, state: TrainState
) -> Params:
    """The parameters of one model."""
    indices = jnp.arange(_EXAMPLES)
    keys = example_stream.example_keys(stream.seed, state.step, indices)
    keys_image, keys_drawing = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    rows = example_stream.rows(stream, state.step, indices, config.training.batch_size)

    @jax.jit
    def examples(images):
        one = lambda row_and_key: sampler(images, *row_and_key).image
        return lax.map(one, (rows, keys_image), batch_size=_BATCH)

    seen = np.asarray(examples(images))
    group = DeviceGroup.local(config.training.parallel)
    sketch = infer.infer(config.model, state.params, seen, keys_drawing, infer.Effort(), group)
    drawn = np.asarray(sketch.canvases[:, -1])
    return scales.fit_scales(config.model, state.params, seen, drawn, ("map",))
