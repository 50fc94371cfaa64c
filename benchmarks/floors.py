"""Floors that bite: how many nats models without strokes have, with the observation model of DooD.

    python benchmarks/floors.py [--only=pca,vae,blank] [--json=docs/results/floors.json]

Principal components with a Gaussian prior, a Gaussian posterior of one width and the published observation
model (a Laplace scale a pixel, within the same range; what is drawn is clipped to 0..1, as a canvas is) need
two minutes a set, and no iteration: the bound has a closed form. A small variational autoencoder of two
hidden layers has the same observation model. Both are fitted to training images; what is to be chosen (the
number of components, the width) is chosen on other training images; the bound is of the same 500 test images
that DooD is measured on. Pixels are compared as they are, without the source resolution. Needs the sets in
DOOD_DATA_DIR.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging
from flax import linen as nn
from scipy.special import ndtr

import dood_jax
from dood_jax import figures
from dood_jax.checkpointing import restore
from dood_jax.checkpointing.metadata import CARD_FILE, commit
from dood_jax.checkpointing.restore import checksum
from dood_jax.config import datasets
from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import DataConfig
from dood_jax.data import sources
from dood_jax.evaluation import results
from dood_jax.inference import image_sets
from dood_jax.model.observation import SCALE_RANGE
from dood_jax.objectives.iwae import log_mean_exp
from dood_jax.runtime import parallel
from dood_jax.version import VERSION

SYNTHETIC = datasets.SYNTHETIC
SETS = (*datasets.CATALOG, SYNTHETIC)
COMPONENTS = (400, 500, 600)
CURVE = ("mnist", (20, 50, 100, 200, 300, *COMPONENTS))  # the set whose curve is drawn, and its numbers
WIDTHS = (0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.015, 0.01, 0.0075, 0.005, 0.003)  # of the posterior
CHOSEN_ON = 1000  # training images that nothing is fitted to
FITTED_TO = 40_000
SCALED_ON = 3000  # of those, to which the scale of pixels is fitted
LATENTS = (14, 42, 84)  # of autoencoders; 14 are those of one stroke of DooD
STEPS, BATCH, HIDDEN, PARTICLES = 30_000, 128, 512, 200
RATES = (2e-3, 1e-5)  # of Adam, first and last


class Images(NamedTuple):
    """float32 [N, 2500] images of a set."""

    fitted_to: np.ndarray
    chosen_on: np.ndarray
    test: np.ndarray


class Components(NamedTuple):
    """Principal components as a generative model."""

    mean: np.ndarray  # [D]
    directions: np.ndarray  # [D, k], orthonormal
    variances: np.ndarray  # [k] of the prior
    width: float  # of the posterior
    scale: np.ndarray  # [D] of the observation


def load(name: str) -> Images:
    """The images of a set; synthetic drawings where that is asked for."""
    data = DataConfig(name=name, per_category=5000 if name == "quickdraw" else 0)
    test = image_sets.test_images(data, EvaluationConfig(num_images=500))
    if name == SYNTHETIC:
        train = image_sets.synthetic_images(data, 0, 20_000 + CHOSEN_ON)
    else:
        images = sources.load_configured(data, "train").images
        rows = np.random.default_rng(0).permutation(len(images))[: FITTED_TO + CHOSEN_ON]
        train = images[rows].astype(np.float32) / 255
    flat = lambda images: images.reshape(len(images), -1)
    return Images(flat(train[CHOSEN_ON:]), flat(train[:CHOSEN_ON]), flat(test))


def principal(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, [D, most] directions and [most] variances of [N, D] images, the largest first."""
    mean = images.mean(0, dtype=np.float64)
    centred = (images - mean).astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64) / len(images)
    variances, directions = np.linalg.eigh(covariance)
    most = max(COMPONENTS)
    return mean, directions[:, ::-1][:, :most], variances[::-1][:most]


def with_scale(components: Components, images: np.ndarray) -> Components:
    """The scale of each pixel is the mean error there, its best value, within the range that models have."""
    return components._replace(scale=np.clip(_expected_errors(components, images).mean(0), *SCALE_RANGE))


def bound(components: Components, images: np.ndarray) -> np.ndarray:
    """[N] evidence lower bounds of [N, D] images, in nats: exact expectations and an exact divergence."""
    errors = _expected_errors(components, images)
    log_likelihood = (-errors / components.scale - np.log(2 * components.scale)).sum(1)
    means = (images - components.mean) @ components.directions
    ratio = components.width**2 / components.variances
    divergence = 0.5 * (ratio + means**2 / components.variances - 1 - np.log(ratio)).sum(1)
    return log_likelihood - divergence


def _expected_errors(components: Components, images: np.ndarray) -> np.ndarray:
    """[N, D] means under the posterior of |x - clip(y)|, y normal at every pixel and clipped to 0..1.

    |x - clip(y)| is the integral over 0..x of [y <= t] and over x..1 of [y > t], whose means are known.
    """
    centred = images - components.mean
    means = components.mean + (centred @ components.directions) @ components.directions.T
    deviation = components.width * np.sqrt((components.directions**2).sum(1)) + 1e-9
    below = lambda t: _integral_of_normal_cdf((t - means) / deviation)
    return deviation * (2 * below(images) - below(0) - below(1)) + 1 - images


def _integral_of_normal_cdf(x: np.ndarray) -> np.ndarray:
    return x * ndtr(x) + np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def fitted(images: Images, count: int) -> Components:
    """So many components, with the width that is best on images that nothing was fitted to."""
    mean, directions, variances = _PRINCIPAL(images)
    variances = np.maximum(variances[:count], 1e-8)

    best, most = None, -np.inf
    for width in WIDTHS:  # the bound rises to the best width and falls from there
        one = Components(mean, directions[:, :count], variances, width, np.ones_like(mean))
        one = with_scale(one, images.fitted_to[:SCALED_ON])
        nats = bound(one, images.chosen_on).mean()
        if nats < most:
            break
        best, most = one, nats
    return best


class _Principal:
    """Remembers the components of one set."""

    def __init__(self) -> None:
        self._of, self._found = None, None

    def __call__(self, images: Images) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self._of is not images:
            self._of, self._found = images, principal(images.fitted_to)
        return self._found


_PRINCIPAL = _Principal()


class Autoencoder(nn.Module):
    """Two hidden layers either way, a standard normal prior, a Laplace scale a pixel."""

    latents: int
    pixels: int = 2500

    def setup(self) -> None:
        """Declares the layers."""
        self.encoder = nn.Sequential([nn.Dense(HIDDEN), nn.silu, nn.Dense(HIDDEN), nn.silu])
        self.code = nn.Dense(2 * self.latents)
        self.decoder = nn.Sequential([nn.Dense(HIDDEN), nn.silu, nn.Dense(HIDDEN), nn.silu])
        self.image = nn.Dense(self.pixels)
        self.raw_scale = self.param("raw_scale", nn.initializers.zeros, (self.pixels,))

    def __call__(self, images: jax.Array, noise: jax.Array) -> jax.Array:
        """[B, D] images and [B, latents] noise -> [B] log p(x, z) - log q(z | x)."""
        mean, raw = jnp.split(self.code(self.encoder(images)), 2, -1)
        width = nn.softplus(raw - 1) + 1e-3
        code = mean + width * noise
        low, high = SCALE_RANGE
        # Adam moves a number by the rate at most, and scales have far to go: they learn ten times as fast.
        scale = low + (high - low) * nn.sigmoid(10 * self.raw_scale)
        drawn = nn.sigmoid(self.image(self.decoder(code)))
        log_likelihood = (-jnp.abs(images - drawn) / scale - jnp.log(2 * scale)).sum(-1)
        log_ratio = (-(code**2) / 2 + noise**2 / 2 + jnp.log(width)).sum(-1)
        return log_likelihood + log_ratio


def autoencoder_bound(images: Images, latents: int) -> tuple[np.ndarray, np.ndarray]:
    """[N] 200-particle bounds of the chosen-on and of the test images by an autoencoder trained here."""
    model, train = Autoencoder(latents), jnp.asarray(images.fitted_to)
    params = model.init(jax.random.key(0), train[:2], jnp.zeros((2, latents)))
    adam = optax.adam(optax.cosine_decay_schedule(RATES[0], STEPS, RATES[1] / RATES[0]))

    @jax.jit
    def step(params, state, key):
        key_rows, key_noise = jax.random.split(key)
        rows = jax.random.randint(key_rows, (BATCH,), 0, len(train))
        noise = jax.random.normal(key_noise, (BATCH, latents))
        gradient = jax.grad(lambda params: -model.apply(params, train[rows], noise).mean())(params)
        updates, state = adam.update(gradient, state)
        return optax.apply_updates(params, updates), state

    @jax.jit
    def several(params, given, key):
        draw = lambda key: model.apply(params, given, jax.random.normal(key, (len(given), latents)))
        return log_mean_exp(jax.lax.map(draw, jax.random.split(key, PARTICLES)))

    state = adam.init(params)
    for key in jax.random.split(jax.random.key(1), STEPS):
        params, state = step(params, state, key)
    measure = lambda images: np.asarray(several(params, jnp.asarray(images), jax.random.key(2)))
    return measure(images.chosen_on[:500]), measure(images.test)


def measure_components() -> dict[str, Any]:
    """Set -> the number of components that is best on images nothing was fitted to; all numbers; transfer."""
    tests, best, found = {}, {}, {}
    for name in SETS:
        images = load(name)
        tests[name] = images.test
        rows = {}
        for count in CURVE[1] if name == CURVE[0] else COMPONENTS:
            one = fitted(images, count)
            validation = float(bound(one, images.chosen_on).mean())
            rows[str(count)] = {
                **_summary(bound(one, images.test)),
                "chosen_on": validation,
                "width": one.width,
            }
            if name not in best or validation > best[name][0]:
                best[name] = (validation, one, count)
        found[name] = {"components": best[name][2], "by_components": rows}
        logging.info("%s: %s", name, found[name])
    for name, (_, one, _) in best.items():
        found[name]["on"] = {target: _summary(bound(one, images)) for target, images in tests.items()}
    return found


def measure_autoencoders() -> dict[str, Any]:
    """Number of latents -> nats of MNIST."""
    images = load("mnist")
    found = {}
    for latents in LATENTS:
        validation, test = autoencoder_bound(images, latents)
        found[str(latents)] = {**_summary(test), "chosen_on": float(validation.mean())}
        logging.info("%d latents: %s", latents, found[str(latents)])
    return found


def measure_blank() -> dict[str, float]:
    """Released model -> nats of an image without ink."""
    blank = np.zeros((1, 50, 50), np.float32)
    return {"mnist": float(dood_jax.load("mnist").log_likelihood(blank, num_particles=20)[0])}


def _summary(nats: np.ndarray) -> dict[str, float]:
    return {"mean": float(nats.mean()), "stderr": float(nats.std(ddof=1) / np.sqrt(len(nats)))}


def plot(values: dict[str, Any], path: Path) -> None:
    """Nats of MNIST against the number of latents, with those of DooD: its strokes, 18 numbers each."""
    line = lambda rows: ([int(count) for count in rows], [one["mean"] for one in rows.values()])
    lines = {}
    if "pca" in values:
        lines["principal components"] = line(values["pca"]["mnist"]["by_components"])
    if "vae" in values:
        lines["autoencoder"] = line(values["vae"])
    for resolution in ("with", "without"):
        study = "transfer-mnist" if resolution == "with" else "transfer-mnist-without-source-size"
        known = path.parent / "results" / f"{study}.json"
        if known.is_file():
            found = results.read(known)["values"]
            strokes, nats = found["strokes"]["mnist"]["mnist"], found["table"]["map"]["mnist"]["mnist"]
            lines[f"DooD, {resolution} source resolution"] = ([18 * strokes["mean"]], [nats["mean"]])
    figures.curves(path, lines, "latent numbers an image (MNIST)", "nats an image")


def main() -> None:
    """Measures what `--only` names; what else the file had stays."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="pca,vae,blank", help="models to measure")
    parser.add_argument("--json", default="docs/results/floors.json", help="where the numbers go")
    parser.add_argument("--plot", default="docs/floors.png", help="where the curve goes")
    arguments = parser.parse_args()
    logging.set_verbosity(logging.INFO)
    path = Path(arguments.json)
    known = results.read(path) if path.is_file() else {"values": {}, "parts": {}}
    values, parts = known["values"], known["parts"]
    measured = {"pca": measure_components, "vae": measure_autoencoders, "blank": measure_blank}
    # A blank image is of the shipped model, whose checksum the record has.
    for name in dict.fromkeys([*arguments.only.split(","), "blank"]):
        started = time.monotonic()
        values[name] = measured[name]()
        parts[name] = {"commit": commit(), "seconds": round(time.monotonic() - started, 1)}
    card = json.loads((restore.find("mnist") / CARD_FILE).read_text())
    record = {
        "task": "floors",
        "values": values,
        "checkpoint": "mnist",
        "checkpoint_sha256": checksum(card),
        "commit": commit(),
        "parts": parts,
        "device": parallel.device_name(),
        "versions": {"dood_jax": VERSION, "jax": jax.__version__, "numpy": np.__version__},
    }
    results.save(path, record)
    plot(values, Path(arguments.plot))


if __name__ == "__main__":
    main()
