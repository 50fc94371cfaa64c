"""The model a user holds: load it; infer, sample, complete, vary and render drawings."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from dood_jax.checkpointing import restore
from dood_jax.checkpointing.metadata import meta_of_member, num_models, read_meta
from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.model import ModelConfig
from dood_jax.data import preprocessing
from dood_jax.errors import BadInput, require_choice, require_seed
from dood_jax.inference import infer
from dood_jax.inference.batching import example_keys
from dood_jax.inference.infer import Effort
from dood_jax.rendering import source_grid
from dood_jax.runtime import parallel
from dood_jax.types import Array, BrushParams, Sketch

# What ink and the networks need takes most of a second to import, so where it is needed it is imported: to
# infer by a program that is kept takes no network.
if TYPE_CHECKING:
    from dood_jax.model.networks import Params
    from dood_jax.model.prior import Spread
    from dood_jax.model.variation import TypeNoise
    from dood_jax.vectorize.drawing import InkDrawing
    from dood_jax.vectorize.reading import Scan

_SMALL_BATCH_SIZE = 16  # where an image costs so much that padding to a batch would be felt
_HAIR = 1e-3  # by which pixels may lie outside 0..1: resizing leaves as much


@dataclasses.dataclass(frozen=True)
class Model:
    """A trained model: config, parameters, the brush used where none is given, and where it comes from."""

    config: ModelConfig
    params: "Params"
    brush: BrushParams  # scalars
    meta: dict[str, Any]
    name: str = ""  # by which it was loaded

    def __repr__(self) -> str:
        """In a line, without the parameters."""
        size, config = self.config.image_size, self.config
        count = sum(leaf.size for leaf in jax.tree_util.tree_leaves(self.params))
        return (
            f"Model({self.name!r}: {count:,} parameters, images of {size} x {size},"
            f" up to {config.num_strokes} strokes, {config.iterations} iterations)"
        )

    def infer(
        self,
        images: ArrayLike,
        key: Array | int = 0,
        num_particles: int = 1,
        num_strokes: int | None = None,
        iterations: int | None = None,
        revisions: int = 0,
        newton_steps: int | None = None,
    ) -> Sketch:
        """Strokes of [B, H, W] images, 0..1, ink = 1.

        Args:
          images: to be drawn.
          key: or a seed.
          num_particles: drawings tried an image; the one of highest ELBO is returned.
          num_strokes: most strokes, T; as trained if None.
          iterations: of iterative inference; as trained if None, 0 for the first pass alone, which is several
            times as fast.
          revisions: so many times a stroke is added, replaced or taken away, all are iterated again, and what
            is better stays (method.md 5.2). Each takes as long as the iterations do; four draw much nearer,
            above all what the model was not trained on.
          newton_steps: of Gauss and Newton after the iterations (method.md 5.3); as the model has it if None.

        Images that look inverted, or enlarged in another way than the model's own, are drawn with a warning;
        `dood_jax.prepare` makes what it takes of any.

        Raises:
          BadInput: images of another shape or range, or a number below 1.
        """
        images = self._checked(images)
        _check_positive(num_particles=num_particles, num_strokes=num_strokes)
        keys = _keys(key, len(images))
        if iterations is not None and (iterations < 0 or (iterations and not self.config.iterations)):
            raise BadInput(f"iterations={iterations}; this model was trained with {self.config.iterations}")
        iterations = self.config.iterations if iterations is None else iterations
        if revisions < 0 or (revisions and not iterations):
            raise BadInput(f"revisions={revisions} with {iterations} iterations; give 0")
        if newton_steps and not iterations:
            raise BadInput(f"newton_steps={newton_steps} with {iterations} iterations; give 0")
        effort = Effort(num_particles, num_strokes or self.config.num_strokes, iterations, revisions)
        return infer.infer(self._ending_with(newton_steps), self.params, images, keys, effort)

    def optimize(self, images: ArrayLike, sketch: Sketch, num_steps: int = 100) -> Sketch:
        """`infer`'s drawings of [B, H, W] images after gradient steps on each alone (method.md 10.11)."""
        images = self._checked(images)
        _check_positive(num_steps=num_steps)
        if len(sketch.canvases) != len(images):
            raise BadInput(f"{len(sketch.canvases)} drawings of {len(images)} images; give one of each")
        return infer.optimize(self.config, self.params, images, sketch, num_steps, _SMALL_BATCH_SIZE)

    def sample(
        self,
        n: int,
        key: Array | int = 0,
        num_strokes: int | None = None,
        spread: "Spread | None" = None,
        brush: BrushParams | None = None,
    ) -> Sketch:
        """Generates n drawings (method.md 10.5).

        Args:
          n: how many.
          key: or a seed.
          num_strokes: most strokes, T; as trained if None.
          spread: how far they stray from what is most likely; as learned if None. `Spread(0.1, 0.84, 0.1)` is
            the published one.
          brush: [n] or scalars: one brush a drawing. If None, sampled where the model has a prior of brushes,
            else the mean one of training.
        """
        from dood_jax.inference import generate
        from dood_jax.model.prior import LEARNED

        _check_positive(n=n, num_strokes=num_strokes)
        keys = _keys(key, n)
        given = None
        if brush is not None or not self.config.has_latent_brush:
            given = BrushParams(*(_for_each("brush", value, n) for value in (brush or self.brush)[:3]))
        if given is not None and self.config.has_latent_brush:
            taper = None if brush is None else brush.taper
            given = given._replace(taper=np.broadcast_to(np.float32(0 if taper is None else taper), (n, 2)))
        strokes = num_strokes or self.config.num_strokes
        return generate.sample(self.config, self.params, given, keys, strokes, spread or LEARNED)

    def vary(
        self,
        sketch: Sketch,
        key: Array | int = 0,
        noise: "TypeNoise | None" = None,
        fix_rotation_units: bool = False,
    ) -> Sketch:
        """A new exemplar of each drawing: the same strokes by another hand (method.md 10.7).

        The noise is `SMALL_NOISE` if None; `SMALL_NOISE.times(2)` is twice that. As published an exemplar's
        angle in radians is taken for degrees, so that it hardly turns; with `fix_rotation_units` it turns by
        its whole angle.

        Raises:
          BadInput: the model's strokes are no curves, or there are no drawings.
        """
        from dood_jax.inference import generate
        from dood_jax.model.variation import SMALL_NOISE

        require_choice("model.decoder", self.config.decoder, ("curve",))
        _check_positive(drawings=len(sketch.canvases))
        keys = _keys(key, len(sketch.canvases))
        noise = noise or SMALL_NOISE
        return generate.vary(self.config, self.params, sketch, keys, noise, fix_rotation_units)

    def complete(
        self,
        sketch: Sketch,
        num_prefix_strokes: ArrayLike,
        key: Array | int = 0,
        num_strokes: int | None = None,
        spread: "Spread | None" = None,
    ) -> Sketch:
        """Takes the first strokes of drawings further, as the model itself would go on (method.md 10.8).

        Args:
          sketch: of N drawings of T strokes.
          num_prefix_strokes: [N], or one number for all: first strokes that stay, if so many are drawn.
          key: or a seed.
          num_strokes: most new strokes, S; as trained if None.
          spread: see `sample`.

        Returns:
          N drawings of T + S strokes.

        Raises:
          BadInput: the model's strokes are no curves, there are no drawings, or a negative number.
        """
        from dood_jax.inference import generate
        from dood_jax.model.prior import LEARNED

        require_choice("model.decoder", self.config.decoder, ("curve",))
        _check_positive(num_strokes=num_strokes, drawings=len(sketch.canvases))
        drawn = sketch.strokes.presence.sum(1).astype(np.int32)
        counts = np.minimum(_for_each("num_prefix_strokes", num_prefix_strokes, len(drawn)), drawn)
        if counts.min() < 0:
            raise BadInput(f"num_prefix_strokes={counts.min()}; give 0 or more")
        keys = _keys(key, len(drawn))
        more = num_strokes or self.config.num_strokes
        return generate.complete(self.config, self.params, sketch, counts, keys, more, spread or LEARNED)

    def log_likelihood(
        self,
        images: ArrayLike,
        key: Array | int = 0,
        num_particles: int = 200,
        optimize_steps: int = 0,
        revisions: int = 0,
        newton_steps: int | None = None,
    ) -> np.ndarray:
        """[B] importance-weighted bound on log p(x) of [B, H, W] images, in nats (method.md 10.1).

        Where the brush has no prior it bounds the largest log p(x | brush). Compare it between images
        that hold as much ink: a blank one has more than a digit. Of a single image it changes by tens
        of nats from machine to machine and with the other images of a call, since iterations amplify
        rounding; means do not. With `optimize_steps` the posterior of each image takes so many gradient
        steps first; with `revisions` each drawing is revised so many times, and with `newton_steps`
        iterations end with so many, as by `infer`.
        """
        from dood_jax.inference import bounds

        images = self._checked(images)
        _check_positive(num_particles=num_particles, optimize_steps=optimize_steps or None)
        keys = _keys(key, len(images))
        settings = EvaluationConfig(
            num_particles=num_particles,
            batch_size=_SMALL_BATCH_SIZE,
            optimize_steps=optimize_steps,
            revisions=revisions,
        )
        group = parallel.DeviceGroup.local()
        config = self._ending_with(newton_steps)
        return bounds.bound(config, self.params, images, keys, settings, group).log_likelihood

    def _ending_with(self, newton_steps: int | None) -> ModelConfig:
        """The model's settings, with so many Gauss-Newton steps unless None."""
        if newton_steps is None:
            return self.config
        if newton_steps and not self.config.settle:
            raise BadInput(f"newton_steps={newton_steps}; iterations of this model do not settle, give 0")
        return dataclasses.replace(self.config, newton_steps=newton_steps)

    def to_source_grid(self, images: ArrayLike, canvases: ArrayLike) -> np.ndarray:
        """[B, ..., H, W] canvases, each on the grid that its one of [B, H, W] images was made on.

        This is what the model compares with images (method.md 4.1): blurred where an image was enlarged,
        otherwise as drawn.
        """
        images, canvases = _check_images(images, self.config.image_size), np.asarray(canvases)
        if len(canvases) != len(images) or canvases.shape[-2:] != images.shape[-2:]:
            raise BadInput(f"canvases {canvases.shape} of images {images.shape}; give as many, as large")
        return np.asarray(_to_source_grid(self.config.source_size, images, canvases))

    def render(self, strokes: Sketch, size: int | None = None) -> np.ndarray:
        """[B, T, size, size] canvases of `infer`'s or `sample`'s drawings, at any image size."""
        _check_positive(size=size)
        return np.asarray(_render(self.config, self.params, strokes.strokes, strokes.brush, size))

    def to_ink(self, sketch: Sketch, size: int = 400, source: str = "") -> "list[InkDrawing]":
        """B drawings of this model as pen strokes on pages of `size` pixels, with their formats.

        Raises:
          BadInput: the model's strokes are no curves, or a size below 1.
        """
        from dood_jax.vectorize import drawing

        require_choice("model.decoder", self.config.decoder, ("curve",))
        _check_positive(size=size)
        placed = np.asarray(_placed(sketch.strokes.layout, sketch.strokes.control_points))
        brush = sketch.brush
        if self.config.placement == "glimpse":  # a brush is as large as its window
            brush = brush._replace(ink_width=brush.ink_width * np.abs(sketch.strokes.layout[..., 2]))
        brushes = [jax.tree_util.tree_map(lambda v, i=i: v[i], brush) for i in range(len(placed))]
        return [
            drawing.drawing_of(points, presence, one, size, self.config, source)
            for points, presence, one in zip(placed, sketch.strokes.presence, brushes, strict=True)
        ]

    def vectorize(self, image: "ArrayLike | str | Path | Scan", source: str = "") -> "InkDrawing":
        """The pen strokes of one image of lines, of any size, in drawing order.

        Args:
          image: an image file, of which the first page or frame is taken, a `Scan` that was read already, or
            [H, W], [H, W, 3] or [H, W, 4] grey levels or colours: integers, or floats in 0..1 or 0..255. Ink
            may be darker or brighter than paper; what is transparent is paper.
          source: names the drawing in its formats; the file's name if there is one.

        A large image is traced at a smaller size; the drawing's `notes` say so, and its strokes are in pixels
        of the image as it was given.

        Raises:
          BadInput: it cannot be read, nothing is drawn on it, or the model's strokes are no curves.
        """
        from dood_jax.vectorize import colours, page, reading, tracing
        from dood_jax.vectorize.drawing import InkDrawing

        require_choice("model.decoder", self.config.decoder, ("curve",))
        if isinstance(image, str | Path):
            scan = reading.read(Path(image))
        else:
            scan = image if isinstance(image, reading.Scan) else reading.scan_of(image)
        found = page.remove_background(scan.grey, scan.colour)
        strokes, l1 = tracing.strokes_of(found, self._recognise, self.config.image_size)
        if scan.colour is not None:
            strokes = colours.coloured(strokes, scan.colour, found.ink)
        height, width = scan.grey.shape
        notes = (*scan.notes, *found.notes)
        drawn = InkDrawing(tuple(strokes), width, height, source or scan.source, l1, notes)
        return drawn.resized(*scan.size) if scan.size else drawn

    def _checked(self, images: ArrayLike) -> np.ndarray:
        """float32 [B, H, W], with a warning for those that look inverted or enlarged in another way."""
        images = _check_images(images, self.config.image_size)
        preprocessing.warn_of_odd(images, self.config.source_size)
        return images

    def _recognise(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[N, H, W] windows -> [N, T, S, 2] points along the curves, unit square, and [N, T] presence.

        By the first pass alone: it is asked which ways go together, not where they lie to a pixel.
        """
        keys = _keys(0, len(windows))
        return infer.first_curves(self.config, self.params, windows, keys)


def load(name_or_dir: str | Path, member: int = 0) -> Model:
    """Loads a released model by name, or any checkpoint by its folder.

    Of several models that were trained together, `member` picks one. Raises BadInput if there is none, or if
    the checkpoint is damaged. Compiled programs are kept in the user's cache folder (`~/.cache/dood_jax`, or
    where JAX is told to), so that only the first process waits for the compiler.
    """
    parallel.keep_compiled_programs()
    path = restore.find(str(name_or_dir))
    whole = read_meta(path)
    count = num_models(whole)
    if not 0 <= member < count:
        raise BadInput(f"evaluation.member={member}, but {path} holds {count} (0 is the first)")
    meta = meta_of_member(whole, member)
    config = restore.model_of(path, meta)
    try:
        brush = BrushParams(**{name: np.float32(value) for name, value in meta["brush"].items()})
    except TypeError as error:
        raise BadInput(f"{path} does not describe a model of this version ({error})") from error
    params = restore.read_params(path, config, whole, member)
    return Model(config, params, brush, meta, str(name_or_dir))


def _check_images(images: ArrayLike, size: int) -> np.ndarray:
    try:
        images = np.asarray(images)
        if np.iscomplexobj(images):
            raise TypeError
        images = images.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"images are {str(images)[:60]!r}, no array of numbers; dood_jax.prepare makes one of files"
        ) from error
    if images.ndim != 3 or images.shape[1:] != (size, size) or not len(images):
        raise BadInput(
            f"images have shape {list(images.shape)}; this model takes [B, {size}, {size}], which"
            " dood_jax.prepare makes of any"
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= -_HAIR and high <= 1 + _HAIR):
        raise BadInput(
            f"pixels lie in {low:g}..{high:g}; scale them to 0..1, ink = 1, as dood_jax.prepare does"
        )
    return np.clip(images, 0, 1)


def _check_positive(**numbers: int | None) -> None:
    for name, value in numbers.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise BadInput(f"{name}={str(value)[:60]} is no whole number; give one from 1 on")
        if value < 1:
            raise BadInput(f"{name}={value}; give at least 1")


def _for_each(name: str, value: ArrayLike, count: int) -> np.ndarray:
    """[count] of one number or as many."""
    if np.shape(value) not in ((), (count,)):
        raise BadInput(
            f"{name} have shape {list(np.shape(value))}; give one number, or one for each of {count}"
        )
    return np.broadcast_to(value, (count,))


def _keys(key: Array | int, count: int) -> Array:
    """[count] typed keys of what a seed or a key stands for; raises BadInput for what is neither."""
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and not key.shape:
        return example_keys(key, count)
    seed = key.item() if isinstance(key, np.ndarray | np.generic | jax.Array) and not np.shape(key) else key
    if type(seed) is not int:
        raise BadInput(f"key={str(key)[:60]} is no seed; give a whole number, or a key of jax.random.key")
    return _seeded_keys(np.uint32(require_seed("key", seed)), count)


@functools.partial(jax.jit, static_argnums=1)  # one program, and not one to make each key of the other
def _seeded_keys(seed: Array, count: int) -> Array:
    return example_keys(jax.random.key(seed), count)


@functools.partial(jax.jit, static_argnums=0)
def _to_source_grid(source_size: int, images: Array, canvases: Array) -> Array:
    return jax.vmap(functools.partial(source_grid.to_source_grid, source_size))(images, canvases)


@functools.partial(jax.jit, static_argnums=(0, 4))
def _render(
    config: ModelConfig, params: "Params", strokes: Any, brush: BrushParams, size: int | None
) -> Array:
    from dood_jax.model.drawing import render

    return jax.vmap(functools.partial(render, config, params, image_size=size))(strokes, brush)


@jax.jit
def _placed(layout: Array, control_points: Array) -> Array:
    """[N, T, P, 2] control points on the canvas."""
    from dood_jax import geometry

    return jax.vmap(geometry.place_strokes)(layout, control_points)
