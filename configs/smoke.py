"""A tiny model on synthetic strokes: does everything run? About a minute."""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config() -> ConfigDict:
    """Few features, strokes, pixels and steps."""
    config = default_config()
    config.data.update(name="synthetic", image_size=20)
    config.model.update(num_strokes=3, features=32, curve_samples=16, components=3, unroll=1)
    config.objective.update(floor_start_step=10, floor_end_step=30)
    config.optimizer.update(warmup_steps=5)
    config.training.update(steps=40, batch_size=8, checkpoint_every=20, evaluate_every=20, log_every=5)
    config.evaluation.update(num_images=16, num_particles=4, batch_size=8)
    return config
