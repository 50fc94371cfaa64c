"""Images to features by patches: plain matrix products, no convolutions.

An encoder sees one or more images. Their patch embeddings are added, so that the embedding of an image
that does not change between strokes is computed once; two images need no input for their difference, which
is a linear function of both.
"""

import jax.numpy as jnp
from flax import linen as nn

from dood_jax.types import Array

PATCH = 5  # pixels along a patch; sizes of images and glimpses are multiples of it


def patches(image: Array) -> Array:
    """[H, W] -> [H/5, W/5, 25] non-overlapping patches."""
    height, width = image.shape
    grid = image.reshape(height // PATCH, PATCH, width // PATCH, PATCH)
    return grid.transpose(0, 2, 1, 3).reshape(height // PATCH, width // PATCH, PATCH**2)


class PatchEncoder(nn.Module):
    """Patches -> 24, merged by windows -> 48, flattened -> features; SiLU after each.

    Even grids merge 2 x 2 windows side by side, odd ones 3 x 3 windows that overlap by one patch.
    """

    num_images: int
    features: int
    patch_features: int = 24
    window_features: int = 48

    def setup(self) -> None:
        """Declares one patch embedding an image and the shared layers above them."""
        init = nn.initializers.variance_scaling(1 / self.num_images, "fan_in", "uniform")
        self.embeddings = [nn.Dense(self.patch_features, kernel_init=init) for _ in range(self.num_images)]
        init = nn.initializers.lecun_uniform()
        self.merge = nn.Dense(self.window_features, kernel_init=init)
        self.out = nn.Dense(self.features, kernel_init=init)

    def __call__(self, image: Array) -> Array:
        """Features [D] of a [H, W] image, of an encoder that sees one."""
        return self.encode(self.embed(0, patches(image)))

    def embed(self, which: int, patched: Array) -> Array:
        """The patch embedding [h, w, 24] of image `which`, given its patches [h, w, 25]."""
        return self.embeddings[which](patched)

    def encode(self, embedded: Array) -> Array:
        """Features [D] of the sum of the images' embeddings [h, w, 24]."""
        windows = self.merge(_windows(nn.silu(embedded)))
        return nn.silu(self.out(nn.silu(windows).reshape(-1)))


def _windows(grid: Array) -> Array:
    """[h, w, C] -> [h', w', k*k*C] windows at stride 2: k = 2 for an even grid, else 3 (overlapping)."""
    height, width, channels = grid.shape
    if height % 2 == 0:
        pairs = grid.reshape(height // 2, 2, width // 2, 2, channels)
        return pairs.transpose(0, 2, 1, 3, 4).reshape(height // 2, width // 2, 4 * channels)
    shifted = [grid[i : height - 2 + i : 2, j : width - 2 + j : 2] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, axis=-1)
