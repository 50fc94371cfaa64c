"""Resizing by matrices against PIL, and products along both sides against einsum."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dood_jax.rendering.source_grid import bilinear, through


@pytest.mark.parametrize(("before", "after"), [(28, 50), (50, 28), (105, 50), (7, 7)])
def test_bilinear_weights_resize_as_pil_does(before, after):
    image = np.random.default_rng(0).uniform(0, 1, (before, before)).astype(np.float32)
    resize = bilinear(before, after)
    by_pil = Image.fromarray(image).resize((after, after), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(through(jnp.asarray(image), [resize, resize]), by_pil, atol=2e-6)


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_products_run_along_rows_then_columns_whatever_leads(leading):
    random = np.random.default_rng(1)
    images = random.normal(size=(*leading, 4, 5)).astype(np.float32)
    down, across = (random.normal(size=size).astype(np.float32) for size in ((4, 6), (5, 7)))
    expected = np.einsum("...hw,hi,wj->...ij", images, down, across)
    np.testing.assert_allclose(through(jnp.asarray(images), [down, across]), expected, rtol=1e-4, atol=1e-5)
