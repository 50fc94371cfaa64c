"""The published models run on the golden inputs: tables of names, and everything that the vectors hold."""

import functools
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.config.model import ModelConfig
from dood_jax.config.resolving import PRESETS
from dood_jax.distributions import presence
from dood_jax.model.dood import DooD, build
from dood_jax.model.drawing import draw_from_noise
from dood_jax.model.recognition import StrokeNoise
from dood_jax.model.renderer import canvas_of
from dood_jax.model.stroke import initial_state
from dood_jax.objectives import iwae, nvil
from dood_jax.types import Drawing

AIR = {"recognition": "air", "decoder": "image", "prior": "codes"}
VARIANTS = {  # golden model -> what its config changes in the preset
    "M": {},
    "MT": {"placement": "points"},
    "Ma1": {"prior": "independent"},
    "Ma2": {"decoder": "neural"},
    "Ma3": {"guidance": "none_leaky"},
    "DAIR": {**AIR, "guidance": "residual"},
    "AIR": {**AIR, "guidance": "none"},
}
NETWORKS = {  # golden name -> ours, where they differ
    "encoder_x": "target_encoder",
    "encoder_delta": "residual_encoder",
    "rnn_layout": "layout_rnn",
    "rnn_stroke": "stroke_rnn",
    "rnn_baseline": "baseline_rnn",
    "q_on": "posterior_presence",
    "q_on_layout": "posterior_presence_layout",
    "q_layout": "posterior_layout",
    "q_stroke": "posterior_stroke",
    "p_on": "prior_presence",
    "p_layout": "prior_layout",
    "p_stroke": "prior_stroke",
}
PEN = ("brush_rho", "ink_slope", "canvas_slope")
LATENTS = ("on", "layout", "stroke")
TERMS = ["loss", "reinforce", "baseline_loss", "loglik"]
TERMS += [f"log{side}_{latent}" for side in "pq" for latent in LATENTS]


class Golden(NamedTuple):
    """One golden model."""

    model: str
    config: ModelConfig
    arrays: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]


def load(golden_dir: Path, model: str) -> Golden:
    """Vectors and weights of a model; its scan unrolled, as it trains."""
    with np.load(golden_dir / f"forward_{model}.npz", allow_pickle=False) as arrays:
        vectors = dict(arrays)
    config = ModelConfig(preset="published", **{**PRESETS["published"]["model"], **VARIANTS[model]})
    return Golden(model, config, vectors, load_weights(golden_dir, model))


def load_weights(golden_dir: Path, model: str) -> dict[str, np.ndarray]:
    """The weights of a golden model: each tensor is drawn from its name, by the recipe in weights.json."""
    recipe = json.loads((golden_dir / "weights.json").read_text())
    return {spec["name"]: _draw(recipe["seed"], spec) for spec in recipe["models"][model]}


def _draw(seed: int, spec: dict) -> np.ndarray:
    """One tensor, uniform in ±k plus offsets on its last axis, from a generator keyed by (seed, name)."""
    digest = hashlib.sha256(f"{seed}:{spec['name']}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    values = (2 * generator.random(tuple(spec["shape"])) - 1) * spec["k"]
    for start, stop, shift in spec["offset"]:
        values[..., start:stop] += shift
    return values.astype(np.float32)


def path_of(golden_name: str) -> list[str]:
    """Keys of a tensor in our tree."""
    if golden_name == "likelihood/raw_scale":
        return ["likelihood", "map"]
    network, *rest = golden_name.split("/")
    return [NETWORKS.get(network, network), *rest]


def nest(weights: dict[str, np.ndarray], dtype: np.dtype) -> dict:
    """Golden weights -> our tree, with the weights of the other observation scale at zero."""
    tree: dict = {"likelihood": {"canvas": jnp.zeros(14, dtype)}}
    for name, values in weights.items():
        *keys, leaf = path_of(name)
        place = tree
        for key in keys:
            place = place.setdefault(key, {})
        place[leaf] = jnp.asarray(values, dtype)
    return tree


def pick(tree: dict, golden_name: str) -> np.ndarray:
    """One tensor of our tree."""
    return np.asarray(functools.reduce(lambda place, key: place[key], path_of(golden_name), tree))


def inputs_of(golden: Golden, dtype: np.dtype) -> tuple[jax.Array, StrokeNoise]:
    """[4, H, W] images and the noise of [2 particles, 4, T, ...] strokes."""
    images = jnp.asarray(golden.arrays["image"], dtype)
    presence, layout, points = (
        jnp.asarray(golden.arrays[name], dtype) for name in ("u", "eps_layout", "eps_stroke")
    )
    return images, StrokeNoise(presence, layout, points.reshape(*layout.shape[:3], -1, 2))


def masked_log_probs(drawing: Drawing) -> dict[str, jax.Array]:
    """The golden `logq_*` and `logp_*` of one drawing."""
    bits, found = drawing.strokes.presence, {}
    for side, of_side in (("q", drawing.posterior), ("p", drawing.prior)):
        found[f"log{side}_on"] = presence.log_prob(of_side.on, of_side.off, bits)
        found[f"log{side}_layout"] = of_side.layout * bits
        found[f"log{side}_stroke"] = of_side.control_points * bits
    return found


def objective(golden: Golden, params: dict, moments: nvil.Moments, noise: StrokeNoise, images: jax.Array):
    """The loss of K particles, and what the vectors tell of it; noise is [K, 4, T, ...]."""

    def one(image, noise):
        drawing = draw_from_noise(golden.config, params, image, noise)
        terms = nvil.terms(golden.config, params, image, drawing, float(golden.arrays["beta"]))
        return terms, masked_log_probs(drawing), drawing

    terms, log_probs, drawing = jax.vmap(jax.vmap(one), in_axes=(None, 0))(images, noise)
    loss, (losses, after) = nvil.batch_loss(terms, moments)
    found = {
        "loss": loss,
        "loglik": terms.log_likelihood,
        "R": terms.cost,
        "S": nvil.normalise(moments, nvil.signal(terms), terms.mask)[0],
        "baseline": terms.value,
        "mask": terms.mask,
        "elbo": terms.elbo,
        "reinforce": losses.reinforce,
        "baseline_loss": losses.baseline,
        "loss_particle": losses.total,
        "loss_image": iwae.log_mean_exp(losses.total),
        "elbo_image": iwae.log_mean_exp(terms.elbo),
        "signal_mean": after.mean,
        "signal_var": after.variance,
        **log_probs,
    }
    return loss, (after, found, drawing)


def terms_of(found: dict[str, jax.Array]) -> jax.Array:
    """[10] the golden terms of one particle, means over images."""
    return jnp.stack([found["loss"], *(found[name].sum() / 4 for name in TERMS[1:])])


def fresh_moments(dtype: np.dtype) -> nvil.Moments:
    return nvil.Moments(jnp.zeros((), dtype), jnp.zeros((), dtype), jnp.zeros((), jnp.int32))


def forward(golden: Golden, params: dict, image: jax.Array, noise: StrokeNoise) -> dict[str, jax.Array]:
    """Every quantity of one drawing that training does not keep, stroke by stroke."""
    model = build(golden.config)
    return model.apply({"params": params}, image, noise, method=_forward)


def _forward(model: DooD, image: jax.Array, noise: StrokeNoise) -> dict[str, jax.Array]:
    config, target = model.config, model.encode_target(image)
    state, steps = initial_state(config), []
    for t in range(config.num_strokes):
        before = model.canvas_before(state)
        observation = model.guidance.observe(target, before)
        noise_t = jax.tree_util.tree_map(lambda leaf, t=t: leaf[t], noise)
        state, (step, ink, context, _) = model.draw_stroke(target, state, jnp.asarray(t == 0), noise_t, False)
        prior = model.prior_log_probs(context, step.stroke, step.brush)
        (layouts, strokes), stroke, brush = step.posteriors, step.stroke, step.brush
        found = {
            "bit": stroke.presence,
            "on_prob": jnp.exp(step.log_probs.on),
            "p_on_prob": jnp.exp(prior.on),
            "layout_sample": stroke.layout,
            "stroke_sample": stroke.control_points,
            "brush_rho": brush.ink_width,
            "ink_slope": brush.ink_slope,
            "canvas_slope": brush.canvas_slope,
            "h_layout": context.layout_hidden,
            "h_stroke": context.stroke_hidden,
            "ink": ink,
            "canvas": model.canvas_before(state),
            **{f"layout_{name}": value for name, value in layouts._asdict().items()},
            **{f"stroke_{name}": value for name, value in strokes._asdict().items()},
        }
        if config.prior == "sequential":
            seen = model.guidance.for_prior_stroke(context)
            found["p_layout_raw"] = model.prior.prior_layout([context.layout_hidden])
            found["p_stroke_raw"] = model.prior.prior_stroke([context.stroke_hidden, stroke.layout, *seen])
        glimpse = model.guidance.glimpse(target, before, stroke.layout)
        if config.guidance == "residual":
            (found["feat_residual"],), (found["feat_residual_glimpse"],) = (
                observation.layout,
                glimpse.features,
            )
        else:
            found["feat_image_glimpse"] = glimpse.features[0]
        if config.guidance == "canvas":
            found["feat_residual"], (found["residual_ratio"],) = observation.presence
            (found["feat_canvas"],) = observation.canvas.features
            found["feat_residual_glimpse"] = glimpse.features[1]
            found["feat_canvas_glimpse"] = glimpse.for_prior
        steps.append(found)
    found = {name: jnp.stack([step[name] for step in steps]) for name in steps[0]}
    if config.guidance.startswith("none"):
        del found["canvas"]
        found["reconstruction"] = canvas_of(config, found["ink"].sum(0), state.canvas_slope)
    if config.recognition == "air":
        found = {name: values for name, values in found.items() if name not in PEN}
        for name in ("sample", "mean", "scale"):
            found[f"stroke_{name}"] = found[f"stroke_{name}"].reshape(config.num_strokes, -1)
    return found
