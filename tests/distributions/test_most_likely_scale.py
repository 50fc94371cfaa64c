"""The scale that is most likely, against others close to it."""

import numpy as np
import pytest

from dood_jax.distributions import pixels


@pytest.mark.parametrize(
    ("log_prob", "most_likely_scale"),
    [
        (pixels.laplace_log_prob, pixels.most_likely_laplace_scale),
        (pixels.normal_log_prob, pixels.most_likely_normal_scale),
    ],
)
def test_no_other_scale_is_more_likely(log_prob, most_likely_scale):
    random = np.random.default_rng(0)
    images = random.random((50, 3, 4)).astype(np.float32)
    canvases = random.random((50, 3, 4)).astype(np.float32) ** 2
    scale = np.asarray(most_likely_scale(images, canvases))
    nats = lambda scale: sum(
        float(log_prob(image, canvas, scale)) for image, canvas in zip(images, canvases, strict=True)
    )
    best = nats(scale)
    for row, column in np.ndindex(scale.shape):
        for factor in (0.97, 1.03):
            other = scale.copy()
            other[row, column] *= factor
            assert nats(other) < best
