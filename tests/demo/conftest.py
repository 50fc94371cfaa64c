"""A server of the page whose only model is tiny and knows nothing, and a browser for those that need one."""

import shutil

import numpy as np
import pytest
from asking import png

from dood_jax import api
from dood_jax.types import BrushParams

NAME = "tiny"


@pytest.fixture(scope="session")
def model(tiny, lively) -> api.Model:
    brush = BrushParams(*map(np.float32, (0.03, 0.5, 0.5)))
    presence = {**lively["posterior_presence"]["out"], "bias": np.full(1, 9, np.float32)}
    eager = {**lively, "posterior_presence": {**lively["posterior_presence"], "out": presence}}
    return api.Model(tiny, eager, brush, {"config": {"data": {"name": "mnist"}}}, NAME)


@pytest.fixture(scope="session")
def tiny_service(model):
    """A service that has loaded its model."""
    from dood_jax.demo import service

    found = service.Service((NAME,))
    found._models[NAME] = model
    return found


@pytest.fixture(scope="session")
def app(tiny_service):
    from dood_jax.demo import server
    from dood_jax.demo.service import Warmup

    return server.make_app(tiny_service, Warmup((NAME,)))


@pytest.fixture
def client(app):
    """As the page asks; the start's compiling is left out."""
    from starlette.testclient import TestClient

    return TestClient(app, "http://127.0.0.1:8000", headers={"x-dood-client": "test"})


@pytest.fixture(scope="module")
def browser():
    """Chromium: the system's, or the one that Playwright installs; skips where there is neither."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with playwright.sync_playwright() as runner:
        try:
            started = runner.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no browser: {str(error).splitlines()[0]}")
        yield started
        started.close()


@pytest.fixture(scope="session")
def line() -> np.ndarray:
    """float32 [100, 100] ink of one straight line, 6 pixels wide, from (20, 30) to (80, 70)."""
    along = np.linspace(0, 1, 400)[:, None, None]
    y, x = np.mgrid[:100, :100] + 0.5
    distance = np.hypot(x - (20 + 60 * along), y - (30 + 40 * along)).min(0)
    return np.clip(3.5 - distance, 0, 1).astype(np.float32)


@pytest.fixture(scope="session")
def image(line) -> bytes:
    """The line as a PNG, dark on white."""
    return png(1 - line)
