"""The published training step as its equations stand in docs/method.md: the yardstick of the optimised step.

Nothing here comes from the package and nothing is rearranged for speed: the rasteriser takes curve samples x
pixels exponentials, every encoder is called as often as the equations name it, all gradients are autodiff's.
Strokes are a Python loop, since XLA runs gradients of convolutions slowly inside its own loops on a CPU.

    state, step = init(jax.random.key(0)), make_step()
    state, metrics = step(state, images, key)

Axes: B images, T strokes, P control points, M components, n coordinates; images [B, 50, 50], ink = 1.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.scipy.ndimage import map_coordinates

Array = jax.Array
Layer = dict[str, Array]
Params = dict[str, dict]
Drawing = dict[str, Array | tuple]
Encode = Callable[[str, Array], Array]  # network, images -> features

SIZE = 50  # pixels of a side
NUM_STROKES = 6
NUM_POINTS = 5
CURVE_SAMPLES = 100
COMPONENTS = 40
WIDTH = 256  # of hidden layers, features and recurrent states
DROPOUT = 0.5
ENCODER_CALLS = 7  # a stroke
BETA = 4.0
KEEP = 0.8  # fraction that the moments of the learning signal keep
RATES = {"baseline": 1e-3, "rest": 1e-4}


class Noise(NamedTuple):
    """What the latents are drawn from."""

    presence: Array  # [B, T] uniform in 0..1
    layout: Array  # [B, T, 4] standard normal
    stroke: Array  # [B, T, P, 2] standard normal


class Moments(NamedTuple):
    """Moving moments of the learning signal (method.md 7)."""

    mean: Array  # []
    variance: Array  # []
    calls: Array  # [] updates so far


class State(NamedTuple):
    """All that a training step changes."""

    params: Params
    moments: Moments
    optimizer: optax.OptState


class Gaussian(NamedTuple):
    """Normal, with the first two coordinates coupled (method.md 3.12)."""

    mean: Array  # [..., n]
    scale: Array  # [..., n]
    coupling: Array  # [...]

    def sample(self, noise: Array) -> Array:
        """[..., n] standard normal -> [..., n]."""
        coupled = self.coupling[..., None] * noise[..., :1] * np.eye(noise.shape[-1])[1]
        return self.mean + self.scale * noise + coupled

    def log_density(self, value: Array) -> Array:
        """[..., n] -> [...]."""
        n = value.shape[-1]
        scaled = (value - self.mean) / self.scale
        whitened = scaled - self.coupling[..., None] * scaled[..., :1] / self.scale * np.eye(n)[1]
        return -(whitened**2 / 2 + jnp.log(self.scale)).sum(-1) - n / 2 * math.log(2 * math.pi)


def lim(u: Array, low: float | np.ndarray, high: float | np.ndarray) -> Array:
    """The range map (method.md 3.1)."""
    return low + (high - low) * jax.nn.sigmoid(u)


def dense(layer: Layer, x: Array) -> Array:
    """An affine layer."""
    return x @ layer["kernel"] + layer["bias"]


def head(network: dict[str, Layer], *inputs: Array) -> Array:
    """Concatenated inputs, hidden layers with tanh, a linear output (method.md 3.2)."""
    x = jnp.concatenate(inputs, axis=-1)
    for i in range(len(network) - 1):
        x = jnp.tanh(dense(network[f"dense{i}"], x))
    return dense(network["out"], x)


def encode(network: dict[str, Layer], images: Array, key: Array | None) -> Array:
    """[B, 50, 50] -> [B, 256]; a key means dropout (method.md 3.3)."""
    x = images[..., None]
    for layer in (network["conv1"], network["conv2"]):
        axes = ("NHWC", "HWIO", "NHWC")
        x = lax.conv_general_dilated(x, layer["kernel"], (1, 1), "VALID", dimension_numbers=axes)
        x = jax.nn.relu(x + layer["bias"])
    if key is not None:
        x = jnp.where(jax.random.bernoulli(key, 1 - DROPOUT, x.shape), x / (1 - DROPOUT), 0)
    x = jnp.tanh(dense(network["dense0"], x.reshape(len(x), -1)))
    return dense(network["out"], x)


def recur(cell: Layer, state: Array, *inputs: Array) -> Array:
    """One step of a gated recurrent unit (method.md 3.4)."""
    x = jnp.concatenate(inputs, axis=-1) @ cell["kernel_i"] + cell["bias_i"]
    h = state @ cell["kernel_h"] + cell["bias_h"]
    (x_r, x_z, x_n), (h_r, h_z, h_n) = jnp.split(x, 3, axis=-1), jnp.split(h, 3, axis=-1)
    r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
    return (1 - z) * jnp.tanh(x_n + r * h_n) + z * state


def layout_to_matrix(layout: Array) -> Array:
    """[4] shift x, shift y, scale, angle -> [2, 3] (method.md 3.6)."""
    shift_x, shift_y, scale, angle = layout
    c, s = scale * jnp.cos(angle), scale * jnp.sin(angle)
    return jnp.array([[c, -s, shift_x], [s, c, shift_y]])


def invert(matrix: Array) -> Array:
    """[2, 3] -> [2, 3] (method.md 3.6)."""
    (a, b, x), (c, d, y) = matrix
    return jnp.array([[d, -b, b * y - d * x], [-c, a, c * x - a * y]]) / (a * d - b * c)


def warp(image: Array, matrix: Array) -> Array:
    """[50, 50] read where the [2, 3] map sends every pixel; zero outside (method.md 3.7)."""
    v, u = np.meshgrid(*[np.linspace(-1, 1, SIZE)] * 2, indexing="ij")
    x, y = jnp.tensordot(matrix, np.stack([u, v, np.ones_like(u)]), axes=1)
    return map_coordinates(image, [(place + 1) / 2 * (SIZE - 1) for place in (y, x)], 1, mode="constant")


@jax.vmap
def glimpse(image: Array, layout: Array) -> Array:
    """[B, 50, 50] images seen through [B, 4] layouts (method.md 3.7)."""
    return warp(image, layout_to_matrix(layout))


def rasterise(points: Array, width: Array) -> Array:
    """[P, 2] control points, [] ink width -> [50, 50] (method.md 3.9)."""
    u, degree = np.linspace(0, 1, CURVE_SAMPLES), NUM_POINTS - 1
    basis = [math.comb(degree, d) * u ** (degree - d) * (1 - u) ** d for d in range(NUM_POINTS)]
    x, y = (np.stack(basis, axis=1) @ points).T[:, :, None, None]
    pixels = np.arange(SIZE) / SIZE
    squares = (x - pixels) ** 2 + (y - pixels[:, None]) ** 2
    return jnp.exp(-squares / (2 * width**2)).sum(0)


@jax.vmap
def ink(presence: Array, layout: Array, stroke: Array, width: Array, slope: Array) -> Array:
    """[B, 50, 50] images of one stroke each: drawn in the glimpse, then placed (method.md 3.10)."""
    raw = warp(rasterise(stroke, width) * presence, invert(layout_to_matrix(layout)))
    largest = lax.stop_gradient(raw.max())
    return jnp.tanh(raw / jnp.where(largest >= 1e-4, largest, 1) / slope)


def layout_gaussian(mean: Array, scale: Array, coupling: Array) -> Gaussian:
    """Of raw numbers, over layouts (method.md 4)."""
    low, high = np.array([-0.8, -0.8, 0.25, -np.pi / 4]), np.array([0.8, 0.8, 1, np.pi / 4])
    return Gaussian(lim(mean, low, high), lim(scale, 1e-9, 1), lim(coupling, -1, 1))


def point_gaussian(mean: Array, scale: Array, coupling: Array) -> Gaussian:
    """Of raw numbers, over control points (method.md 4)."""
    return Gaussian(lim(mean, -0.2, 1.2), jax.nn.sigmoid(scale) + 1e-9, lim(coupling, -1, 1))


def read(raw: Array, gaussian: Callable[..., Gaussian], shape: tuple[int, ...]) -> Gaussian:
    """[B, ...] raw means, scales, couplings -> Gaussians over values of a shape (method.md 5)."""
    count = math.prod(shape[1:])
    mean, scale, coupling = jnp.split(raw, [count, 2 * count], axis=-1)
    return gaussian(mean.reshape(shape), scale.reshape(shape), coupling.reshape(shape[:-1]))


def log_mixture(raw: Array, gaussian: Callable[..., Gaussian], value: Array) -> Array:
    """[B, ..., n] -> [B, ...] under mixtures: raw logits, means, scales, couplings (method.md 4)."""
    *axes, n = value.shape
    count = math.prod(axes[1:]) * COMPONENTS
    parts = jnp.split(raw, np.array([1, 1 + n, 1 + 2 * n]) * count, axis=-1)
    logits, mean, scale, coupling = (part.reshape(*axes, COMPONENTS, -1) for part in parts)
    components = gaussian(mean, scale, coupling[..., 0]).log_density(value[..., None, :])
    return jax.nn.logsumexp(jax.nn.log_softmax(logits[..., 0]) + components, axis=-1)


def log_bernoulli(probability: Array, bit: Array) -> Array:
    """Of a bit, by the clamped probability (method.md 6)."""
    smallest = float(np.finfo(np.float32).eps)
    p = jnp.clip(probability, smallest, 1 - smallest)
    return bit * jnp.log(p) + (1 - bit) * jnp.log1p(-p)


def recognise(params: Params, see: Encode, images: Array, last: Drawing, noise: Noise) -> Drawing:
    """One stroke of the recognition model, given the last one and its canvas (method.md 5)."""
    mask, canvas = last["presence"], lax.stop_gradient(last["canvas"])
    last_stroke = last["stroke"].reshape(len(images), -1)
    residual = images - canvas
    ratio = residual.sum((1, 2)) / images.sum((1, 2))
    ratio = jnp.where(jnp.isnan(ratio), 0, ratio)[:, None]
    target_features, canvas_features = see("target_encoder", images), see("target_encoder", canvas)
    residual_features = see("residual_encoder", residual)

    raw = head(params["posterior_presence"], residual_features, ratio)[:, 0]
    presence_probability = lim(raw, 1e-9, 1 - 1e-9)
    clamped = jnp.clip(presence_probability * mask, 1e-12, 1 - 1e-12)
    presence = (noise.presence < clamped) * mask

    layout_state = recur(params["layout_rnn"], last["layout_state"], last["layout"], canvas_features)
    known = layout_state, target_features, residual_features, ratio
    layouts = read(head(params["posterior_layout"], *known), layout_gaussian, noise.layout.shape)
    layout = layouts.sample(noise.layout)
    canvas_slope = lim(head(params["canvas_slope"], *known)[:, 0], 0.1, 1.5)

    stroke_state = recur(params["stroke_rnn"], last["stroke_state"], last_stroke, canvas_features)
    target_glimpse = see("target_encoder", glimpse(images, layout))
    residual_glimpse = see("residual_encoder", glimpse(residual, layout))
    known = stroke_state, target_glimpse, residual_glimpse
    points = read(head(params["posterior_stroke"], *known), point_gaussian, noise.stroke.shape)
    stroke = points.sample(noise.stroke)
    pen = head(params["brush"], *known, layout)

    inputs = target_features, mask[:, None], last["layout"], last_stroke, canvas_features
    baseline_state = recur(params["baseline_rnn"], last["baseline_state"], *lax.stop_gradient(inputs))
    return {
        "mask": mask,
        "presence": presence,
        "presence_probability": presence_probability,
        "log_posterior_presence": log_bernoulli(clamped, presence) * mask,
        "layout": layout,
        "layout_state": layout_state,
        "layout_posterior": layouts,
        "log_posterior_layout": layouts.log_density(layout) * presence,
        "stroke": stroke,
        "stroke_state": stroke_state,
        "stroke_posterior": points,
        "log_posterior_stroke": points.log_density(stroke).sum(-1) * presence,
        "ink_width": lim(pen[:, 0], 0.01, 0.04),
        "ink_slope": lim(pen[:, 1], 0.1, 0.9),
        "canvas_slope": canvas_slope,
        "baseline": head(params["baseline"], baseline_state)[:, 0] * mask,
        "baseline_state": baseline_state,
        "ratio": ratio[:, 0],
    }


def weigh(params: Params, see: Encode, canvas: Array, step: Drawing) -> Drawing:
    """Log-probabilities of a stroke under the generative model, given the canvas before it (method.md 4)."""
    canvas = lax.stop_gradient(canvas)
    mask, presence, layout, stroke = (step[name] for name in ("mask", "presence", "layout", "stroke"))
    raw = head(params["prior_presence"], see("target_encoder", canvas))[:, 0]
    probability = lim(raw, 1e-9, 1 - 1e-9)
    layout_raw = head(params["prior_layout"], step["layout_state"])
    canvas_glimpse = see("target_encoder", glimpse(canvas, layout))
    stroke_raw = head(params["prior_stroke"], step["stroke_state"], layout, canvas_glimpse)
    return {
        "prior_presence_probability": probability,
        "log_prior_presence": log_bernoulli(probability * mask, presence) * mask,
        "log_prior_layout": log_mixture(layout_raw, layout_gaussian, layout) * presence,
        "log_prior_stroke": log_mixture(stroke_raw, point_gaussian, stroke).sum(-1) * presence,
    }


def draw(params: Params, see: Encode, images: Array, noise: Noise) -> Drawing:
    """All strokes of [B, 50, 50] images, every array [B, T, ...] (method.md 3.11)."""
    zeros = lambda *axes: jnp.zeros((len(images), *axes), images.dtype)
    last = {"presence": zeros() + 1, "layout": zeros(4), "stroke": zeros(NUM_POINTS, 2)}
    last |= {f"{name}_state": zeros(WIDTH) for name in ("layout", "stroke", "baseline")}
    last["canvas"] = total = zeros(SIZE, SIZE)
    steps = []
    for t in range(NUM_STROKES):
        step = recognise(params, see, images, last, Noise(*(part[:, t] for part in noise)))
        step |= weigh(params, see, last["canvas"], step)
        names = "presence", "layout", "stroke", "ink_width", "ink_slope"
        step["ink"] = ink(*(step[name] for name in names))
        total += step["ink"]
        steps.append(step)
        step["canvas"] = jnp.tanh(total / steps[0]["canvas_slope"][:, None, None])
        last = step
    return jax.tree_util.tree_map(lambda *parts: jnp.stack(parts, axis=1), *steps)


def normalise(moments: Moments, signal: Array, mask: Array) -> tuple[Array, Moments]:
    """The [B, T] learning signal by its moving moments, and those (method.md 7)."""
    count = mask.sum()
    mean = (signal * mask).sum() / count
    variance = (((signal - mean) * mask) ** 2).sum() / count
    old_mean = jnp.where(moments.calls == 0, mean, moments.mean)
    old_variance = jnp.where(moments.calls == 0, variance, moments.variance)
    mean, variance = KEEP * old_mean + (1 - KEEP) * mean, KEEP * old_variance + (1 - KEEP) * variance
    signal = (signal - mean) / jnp.maximum(1, jnp.sqrt(variance))
    return signal, Moments(mean, variance, moments.calls + 1)


def draw_noise(key: Array, batch_size: int) -> Noise:
    """Of a batch; consumes the key."""
    keys = jax.random.split(key, 3)
    return Noise(
        jax.random.uniform(keys[0], (batch_size, NUM_STROKES)),
        jax.random.normal(keys[1], (batch_size, NUM_STROKES, 4)),
        jax.random.normal(keys[2], (batch_size, NUM_STROKES, NUM_POINTS, 2)),
    )


def loss(
    params: Params,
    moments: Moments,
    images: Array,
    key: Array,
    noise: Noise | None = None,
    dropout: bool = True,
) -> tuple[Array, tuple[Moments, Drawing]]:
    """The published objective of [B, 50, 50] images (method.md 6, 7).

    Returns the mean loss, the moments and the drawings with their terms, [B] or [B, T, ...] each.
    """
    noise_key, dropout_key = jax.random.split(key)
    noise = draw_noise(noise_key, len(images)) if noise is None else noise
    keys = jax.random.split(dropout_key, NUM_STROKES * ENCODER_CALLS)
    masks = iter(keys) if dropout else itertools.repeat(None)
    see = lambda name, seen: encode(params[name], seen, next(masks))
    out = draw(params, see, images, noise)

    scale = lim(params["likelihood"]["map"], 0.01, 1)
    errors = jnp.abs(images - out["canvas"][:, -1])
    log_likelihood = -(errors / scale + jnp.log(2 * scale)).sum((1, 2))
    log_prior, log_posterior = (
        sum(out[f"log_{name}_{latent}"] for latent in ("presence", "layout", "stroke"))
        for name in ("prior", "posterior")
    )
    divergence = log_posterior - log_prior
    elbo = log_likelihood - divergence.sum(1)

    to_come = jnp.cumsum(divergence[:, ::-1], axis=1)[:, ::-1]
    cost = lax.stop_gradient(out["mask"] * (to_come - log_likelihood[:, None] / BETA))
    signal, moments = normalise(moments, lax.stop_gradient(cost - out["baseline"]), out["mask"])
    reinforce = (signal * out["log_posterior_presence"]).sum(1)
    baseline_loss = (out["mask"] * (out["baseline"] - cost) ** 2).sum(1)
    per_image = reinforce - elbo + baseline_loss
    out |= {"log_likelihood": log_likelihood, "elbo": elbo, "cost": cost, "signal": signal}
    out |= {"reinforce": reinforce, "baseline_loss": baseline_loss, "loss": per_image}
    return per_image.mean(), (moments, out)


def make_optimizer() -> optax.GradientTransformation:
    """Adam, faster for the baseline (method.md 8)."""
    group = lambda name: "baseline" if name.startswith("baseline") else "rest"
    rates = {name: optax.adam(rate) for name, rate in RATES.items()}
    return optax.multi_transform(rates, lambda params: {name: group(name) for name in params})


def make_step(dropout: bool = True) -> Callable[[State, Array, Array], tuple[State, dict[str, Array]]]:
    """A compiled training step: (state, [B, 50, 50] images, key) -> state, metrics (method.md 7, 8)."""
    optimizer = make_optimizer()

    @jax.jit
    def step(state: State, images: Array, key: Array) -> tuple[State, dict[str, Array]]:
        objective = jax.grad(loss, has_aux=True)
        gradients, (moments, out) = objective(state.params, state.moments, images, key, dropout=dropout)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer)
        params = optax.apply_updates(state.params, updates)
        names = "loss", "elbo", "log_likelihood", "reinforce", "baseline_loss"
        metrics = {name: out[name].mean() for name in names}
        metrics["strokes"] = out["presence"].sum(1).mean()
        return State(params, moments, optimizer_state), metrics

    return step


def init(key: Array) -> State:
    """The state before training (method.md 3.5, 12.1)."""
    params = init_params(key)
    moments = Moments(jnp.zeros(()), jnp.zeros(()), jnp.zeros((), jnp.int32))
    return State(params, moments, make_optimizer().init(params))


def init_params(key: Array) -> Params:
    """Fresh parameters: uniform, but for the output layers of most heads (method.md 3.5, 12.1)."""
    keys = map(functools.partial(jax.random.fold_in, key), itertools.count())

    def uniform(fan_in: int, *shape: int) -> Array:
        return jax.random.uniform(next(keys), shape, minval=-(fan_in**-0.5), maxval=fan_in**-0.5)

    def layer(*shape: int) -> Layer:
        fan_in = math.prod(shape[:-1])
        return {"kernel": uniform(fan_in, *shape), "bias": uniform(fan_in, shape[-1])}

    def stack(*widths: int) -> dict[str, Layer]:
        hidden = {f"dense{i}": layer(*widths[i : i + 2]) for i in range(len(widths) - 2)}
        return {**hidden, "out": layer(*widths[-2:])}

    def encoder() -> dict[str, Layer]:
        convolutions = {"conv1": layer(3, 3, 1, 8), "conv2": layer(3, 3, 8, 16)}
        return {**convolutions, **stack((SIZE - 4) ** 2 * 16, WIDTH, WIDTH)}

    def cell(inputs: int) -> Layer:
        wide = 3 * WIDTH
        kernels = {"kernel_i": uniform(WIDTH, inputs, wide), "kernel_h": uniform(WIDTH, WIDTH, wide)}
        return {**kernels, "bias_i": uniform(WIDTH, wide), "bias_h": uniform(WIDTH, wide)}

    def biased(inputs: int, *bias: np.ndarray | Array) -> dict[str, Layer]:
        values = jnp.float32(jnp.concatenate(bias))
        out = {"kernel": jnp.zeros((WIDTH, len(values))), "bias": values}
        return {**stack(inputs, WIDTH, WIDTH, len(values)), "out": out}

    leading = lambda size, count: np.where(np.arange(size) < count, 4.0, -4.0)
    spread = lambda size, still: 0.001 * jax.random.normal(next(keys), (size,)).at[:still].set(0)
    m, n = COMPONENTS, NUM_POINTS * COMPONENTS
    layout_means = np.tile([0.0, 0, 4, 0], m) + spread(4 * m, 4)
    layouts = leading(m, 1), layout_means, np.full(4 * m, -4.0), np.zeros(m)
    strokes = leading(n, 5), spread(2 * n, 10), np.full(2 * n, -1.386), np.zeros(n)
    return {
        "target_encoder": encoder(),
        "residual_encoder": encoder(),
        "layout_rnn": cell(WIDTH + 4),
        "stroke_rnn": cell(WIDTH + 10),
        "baseline_rnn": cell(2 * WIDTH + 15),
        "baseline": stack(WIDTH, WIDTH, WIDTH, WIDTH, 1),
        "posterior_presence": biased(WIDTH + 1, np.array([2])),
        "posterior_layout": biased(3 * WIDTH + 1, np.array([0, 0, 6, 0, -4, -4, -4, -4, 0])),
        "posterior_stroke": stack(3 * WIDTH, WIDTH, WIDTH, 25),
        "canvas_slope": biased(3 * WIDTH + 1, np.array([-1])),
        "brush": biased(3 * WIDTH + 4, np.array([-2, 2])),
        "prior_presence": biased(WIDTH, np.array([1])),
        "prior_layout": biased(WIDTH, *layouts),
        "prior_stroke": biased(2 * WIDTH + 4, *strokes),
        "likelihood": {"map": jnp.zeros((SIZE, SIZE))},
    }
