"""The smallest model, for runs in processes of their own."""

from ml_collections import ConfigDict

from dood_jax.config.resolving import default_config


def get_config() -> ConfigDict:
    config = default_config()
    config.data.update(name="synthetic", image_size=20)
    config.model.update(recognition="vae", decoder="image", placement="glimpse", prior="images")
    config.model.update(guidance="none", num_strokes=1, features=64, curve_samples=12, unroll=1)
    config.optimizer.update(learning_rate=1e-4, schedule="constant", warmup_steps=0)
    config.training.update(steps=4, batch_size=4, checkpoint_every=2, evaluate_every=2, log_every=1)
    config.evaluation.update(num_images=8, num_particles=2, batch_size=8)
    return config
