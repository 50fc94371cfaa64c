"""The functions of a model that are exported: infer, sample, complete, vary and render one drawing.

They are pure: all that is random is an input. Inputs and outputs are arrays with names: what one function
returns as `layout` another takes as `strokes_layout`, since ONNX has no input and output of one name. Nothing
is imported here that needs more than JAX and Flax, for the environment that writes ONNX has little else.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax import geometry
from dood_jax.config.model import ModelConfig
from dood_jax.model import dood, drawing, iterative_inference, sampling, variation
from dood_jax.model.brush_latents import STROKE_NUMBERS, BrushNoise
from dood_jax.model.families import brush_limits
from dood_jax.model.iterative_inference import PosteriorNoise
from dood_jax.model.networks import Params
from dood_jax.model.prior import PriorNoise, Spread
from dood_jax.model.recognition import StrokeNoise, stroke_noise
from dood_jax.model.variation import SMALL_NOISE, ExemplarNoise
from dood_jax.types import Array, BrushParams, StrokeLatents

Arrays = dict[str, Array]  # by name

_LIMITS = dict.fromkeys(("image", "presence", "canvases"), (0.0, 1.0))
_UNIFORM, _NORMAL = "uniform in 0..1", "standard normal"
_SPREAD = "how far samples stray: factor of the standard deviations of"
_MEANINGS = {  # last part of a name -> what the array holds
    "image": "pixels, ink = 1, row 0 at the top",
    "presence": "1: the stroke is drawn; 0: it is not, and its other numbers mean nothing",
    "layout": "shift x, shift y, scale, angle in radians, in the signed square -1..1",
    "control_points": "(x, y) in the unit square of the stroke's own frame; x to the right, y down",
    "canvas_points": "(x, y) of the control points on the canvas, in its unit square; x to the right, y down",
    "ink_width": "standard deviation of the brush as a fraction of the image's side",
    "ink_slope": "slope of the squash of a stroke's ink",
    "canvas_slope": "slope of the squash of the canvas",
    "taper": "logarithm of the width at the first and last control point over that in the middle",
    "canvases": "pixels of the canvas after each stroke, ink = 1, row 0 at the top",
    "num_prefix_strokes": "first strokes that stay, at most as many as are drawn",
    "shift": f"{_SPREAD} the shifts of layouts",
    "size": f"{_SPREAD} the scale and angle of layouts",
    "points": f"{_SPREAD} control points",
    "strength": "how unlike the drawing its exemplar is: factor of the published noise, 0 for no change",
    "temperature": "below 1, likely components of the prior's mixtures come more often",
}


class Port(NamedTuple):
    """An input or an output of a function."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    meaning: str  # and its unit
    limits: tuple[float, float] | None = None
    distribution: str | None = None  # of an input that is noise
    default: float | None = None  # of an input that may be left as it is

    def spec(self) -> jax.ShapeDtypeStruct:
        """Shape and type, as JAX traces them."""
        return jax.ShapeDtypeStruct(self.shape, np.dtype(self.dtype))


class Function(NamedTuple):
    """A function that is exported."""

    name: str
    meaning: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    call: Callable[[Params, Arrays], Arrays]  # of parameters, as float16 or float32, and inputs by name


def functions_of(config: ModelConfig) -> list[Function]:
    """The functions of a model whose strokes are curves, each of one drawing.

    Where it has no prior of brushes, `sample` takes one; the card of an export has its usual brush.
    """
    count, points = config.num_strokes, config.num_points
    strokes = StrokeLatents(_floats(count), _floats(count, 4), _floats(count, points, 2))
    taper = _floats(count, 2) if config.has_latent_brush else None
    drawn = {"strokes": strokes, "brush": BrushParams(_floats(count), _floats(count), _floats(), taper)}
    image = {"image": _floats(config.image_size, config.image_size), "first_noise": _first_noise(config)}
    noise = {"noise": _posterior_noise(config)} if config.iterations else {}
    generated = {"noise": _prior_noise(config), "spread": Spread(*(_floats() for _ in Spread._fields))}
    given = {} if config.has_latent_brush else {"brush": BrushParams(_floats(), _floats(), _floats())}
    prefix = {"num_prefix_strokes": jax.ShapeDtypeStruct((), np.int32)}
    varied = {
        "noise": ExemplarNoise(_floats(count, points, 2), _floats(3), _floats(7)),
        "strength": _floats(),
    }
    make = lambda *parts: _function(config, *parts)
    return [
        make("infer", "draws an image, iterations and all", _infer, {**image, **noise}),
        make("sample", "generates a drawing", _sample, {**given, **generated}),
        make("complete", "keeps first strokes and goes on", _complete, {**drawn, **prefix, **generated}),
        make("vary", "the same strokes by another hand", _vary, {**drawn, **varied}),
        make("render", "draws strokes on a canvas", _render, drawn),
    ]


def in_float32(params: Params) -> Params:
    """Parameters as functions compute with them; a program that is traced holds them as they are given."""
    return jax.tree_util.tree_map(lambda leaf: jnp.asarray(leaf).astype(jnp.float32), params)


def _infer(config: ModelConfig, params: Params, given: dict[str, Any]) -> Arrays:
    """What `Model.infer` does for one drawing: the first pass, the iterations, a sample of what they find."""
    image = given["image"]
    strokes, brush, *_ = drawing.draw_from_noise(config, params, image, given["first_noise"])
    if config.iterations:
        posterior = drawing.iterate(config, params, image, strokes, brush, config.iterations)
        strokes, brush, *_ = iterative_inference.sample_from_noise(
            posterior, strokes.presence, given["noise"]
        )
    return _drawn(config, params, strokes, brush)


def _sample(config: ModelConfig, params: Params, given: dict[str, Any]) -> Arrays:
    parts = given.get("brush"), given["noise"], given["spread"]
    strokes, brush = sampling.sample_from_noise(config, params, *parts)
    one_each = lambda values: jnp.broadcast_to(values, strokes.presence.shape)
    if not config.has_latent_brush:
        brush = brush._replace(ink_width=one_each(brush.ink_width), ink_slope=one_each(brush.ink_slope))
    return _drawn(config, params, strokes, brush)


def _complete(config: ModelConfig, params: Params, given: dict[str, Any]) -> Arrays:
    parts = (given[name] for name in ("strokes", "brush", "num_prefix_strokes", "noise", "spread"))
    return _drawn(config, params, *variation.complete_from_noise(config, params, *parts))


def _vary(config: ModelConfig, params: Params, given: dict[str, Any]) -> Arrays:
    """What `Model.vary` does for one drawing."""
    parts = given["strokes"], given["brush"], given["noise"], SMALL_NOISE.times(given["strength"])
    return _drawn(config, params, *variation.exemplar_from_noise(config, *parts))


def _render(config: ModelConfig, params: Params, given: dict[str, Any]) -> Arrays:
    return {"canvases": drawing.render(config, params, given["strokes"], given["brush"])}


def _drawn(config: ModelConfig, params: Params, strokes: StrokeLatents, brush: BrushParams) -> Arrays:
    """The arrays of a drawing."""
    return {
        **_named(strokes),
        **_named(brush),
        "canvas_points": geometry.place_strokes(strokes.layout, strokes.control_points),
        "canvases": drawing.render(config, params, strokes, brush),
    }


def _function(
    config: ModelConfig,
    name: str,
    meaning: str,
    run: Callable[[ModelConfig, Params, dict[str, Any]], Arrays],
    inputs: dict[str, Any],
) -> Function:
    """The function that `run` computes of a tree of inputs, given here by their shapes."""
    structure, named = jax.tree_util.tree_structure(inputs), _named(inputs)

    def call(params, arrays):
        tree = jax.tree_util.tree_unflatten(structure, [arrays[name] for name in named])
        return run(config, in_float32(params), tree)

    of_params = jax.eval_shape(functools.partial(dood.init, config), jax.random.key(0))
    outputs = jax.eval_shape(call, of_params, named)
    takes, gives = (
        tuple(_port(config, name, leaf) for name, leaf in arrays.items()) for arrays in (named, outputs)
    )
    return Function(name, meaning, takes, gives, call)


def _named(tree: Any) -> Arrays:
    """Leaves by the names of all that leads to them, as in `noise_layout_component`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="_"): leaf for path, leaf in leaves}


def _port(config: ModelConfig, name: str, leaf: Any) -> Port:
    """What the input or output with this name is."""
    shape, dtype = tuple(leaf.shape), str(leaf.dtype)
    if "noise" in name:
        is_uniform = name.endswith(("presence", "component"))
        return Port(name, shape, dtype, "noise", distribution=_UNIFORM if is_uniform else _NORMAL)
    limits = {**_LIMITS, "num_prefix_strokes": (0, config.num_strokes), **brush_limits(config)._asdict()}
    last = name.removeprefix("strokes_").removeprefix("brush_").removeprefix("spread_")
    port = Port(name, shape, dtype, _MEANINGS[last], limits.get(last))
    if name.startswith("spread_") or name == "strength":
        return port._replace(default=1.0)
    return port


def _first_noise(config: ModelConfig) -> StrokeNoise:
    """Shapes of the noise of the first pass."""
    noise = lambda key: stroke_noise(key, config.num_points, config.has_latent_brush)
    return jax.eval_shape(
        lambda key: jax.vmap(noise)(jax.random.split(key, config.num_strokes)), jax.random.key(0)
    )


def _posterior_noise(config: ModelConfig) -> PosteriorNoise:
    """Shapes of the noise of the posterior that iterations end in."""
    count = config.num_strokes
    of_brush = BrushNoise(_floats(count, STROKE_NUMBERS), _floats()) if config.has_latent_brush else None
    return PosteriorNoise(_floats(count, 4), _floats(count, config.num_points, 2), of_brush)


def _prior_noise(config: ModelConfig) -> PriorNoise:
    """Shapes of the noise of strokes that are sampled from the prior."""
    return jax.eval_shape(
        lambda key: sampling.noise_of_strokes(config, key, config.num_strokes), jax.random.key(0)
    )


def _floats(*shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, np.float32)
