"""Settings live in pyproject.toml; `checkpoints/` and `configs/` are installed inside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["dood_jax*"]), "dood_jax.checkpoints", "dood_jax.configs"],
    package_dir={"dood_jax.checkpoints": "checkpoints", "dood_jax.configs": "configs"},
    package_data={
        "dood_jax.checkpoints": ["**/*"],
        "dood_jax.demo": ["static/*"],
        "dood_jax.evaluation.metrics": ["trained/*.npz"],
        "dood_jax.evaluation": ["*.json"],
        "dood_jax.vectorize": ["*.json"],
    },
)
