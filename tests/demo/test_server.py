"""The page's server as a browser, and as somebody unfriendly, meets it."""

import asyncio
import base64
import io
import json
import re
import threading
from pathlib import Path
from xml.etree import ElementTree

import jax
import numpy as np
import pytest
from asking import png, raw_get
from PIL import Image
from scipy import special

httpx2 = pytest.importorskip("httpx2", reason="httpx2 is not installed; pip install '.[dev]'")
testclient = pytest.importorskip("starlette.testclient", reason="the extra `demo` is not installed")
server = pytest.importorskip("dood_jax.demo.server", reason="the extra `demo` is not installed")

from dood_jax.demo import images, service
from dood_jax.objectives import iwae

STATIC = Path(server.__file__).parent / "static"


def ask(client, kind: str, data: bytes, **query):
    return client.post("/api/drawings", params={"kind": kind, **query}, content=data)


def drawn(client, kind: str, data: bytes, **query) -> dict:
    response = ask(client, kind, data, **query)
    assert response.status_code == 200, response.text
    return response.json()


def refused(response, status: int) -> str:
    assert response.status_code == status, response.text
    return response.json()["message"]


@pytest.fixture(scope="module")
def redrawn(app, image) -> dict:
    return drawn(
        testclient.TestClient(app, "http://localhost", headers={"x-dood-client": "m"}), "redraw", image
    )


def test_getting_ready_waits_for_its_turn_and_survives_a_failure(monkeypatch):
    """The queue is full at first; a job that fails does not end those after it."""
    calls = []

    class Queue:
        async def run(self, client, job):
            calls.append(job)
            if len(calls) == 1:
                raise service.Busy("later")
            job()

    async def at_once(seconds):
        assert seconds == 1

    def fail():
        raise MemoryError("no room")

    done = []

    class Warmup:
        def jobs(self, of):
            return [lambda: None, fail, lambda: None]

        def job_done(self):
            done.append(True)

    served = server.Server(service=None, warmup=Warmup())
    monkeypatch.setattr(served, "_queue", Queue())
    monkeypatch.setattr(server.asyncio, "sleep", at_once)
    asyncio.run(served.warm())
    assert len(done) == 3 and len(calls) == 4


def test_every_file_of_the_page_is_served_and_says_nothing_of_other_servers(client):
    assert {path.name for path in STATIC.iterdir()} == {name for name, _ in server._FILES.values()}
    for address, (name, kind) in server._FILES.items():
        response = client.get(address)
        assert response.content == (STATIC / name).read_bytes()
        assert response.headers["content-type"].startswith(kind)
        assert "default-src 'self'" in response.headers["content-security-policy"]
        assert not re.findall(r"(?:https?:)?//\w[\w.]*\.\w+", response.text.replace("http://www.w3.org", ""))


def test_the_page_names_only_what_there_is(client):
    page = client.get("/").text
    script = "".join(path.read_text() for path in STATIC.glob("*.js"))
    for address in re.findall(r'(?:href|src)="([\w.]+)"', page) + re.findall(r'from "\./([\w.]+)"', script):
        assert client.get(f"/{address}").status_code == 200
    identifiers = set(re.findall(r'id="([\w-]+)"', page))
    assert set(re.findall(r'byId\("([\w-]+)"\)', script)) <= identifiers
    formats = set(re.findall(r'data-format="([\w-]+)"', page))
    assert {"svg", "inkml", "json"} <= formats <= set(server.WRITERS)
    assert set(re.findall(r'data-kind="(\w+)"', page)) == set(service.KINDS)


@pytest.mark.parametrize(
    "path",
    [
        "/../setup.py",
        "/static/page.js",
        "/page.js/../server.py",
        "/../../../../etc/passwd",
        "//etc/passwd",
        "/..\\..\\setup.py",
        "/api/drawings/../../server.py",
        "/api/drawings/..%2f..%2fserver.py",
        "/api/drawings/../../../../../../etc/passwd.svg",
        "/server.py",
    ],
)
def test_no_other_file_can_be_read(app, path):
    status, body = raw_get(app, path)
    assert status == 404 and b"message" in body and len(body) < 200


def test_pages_of_other_servers_are_turned_away(client, image):
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    response = client.post("/api/drawings", content=image, headers={"x-dood-client": ""})
    assert "x-dood-client" in refused(response, 400)


@pytest.mark.slow
def test_a_drawing_is_numbered_as_the_model_and_numpy_count(redrawn, model, image):
    image = images.model_input(images.read(image), model.config.image_size, "mnist")
    keys = jax.random.split(jax.random.key(0), service._PARTICLES)
    weigh = lambda key: iwae.sample_particle(model.config, model.params, image, key, service._MOST_STROKES)
    found = jax.jit(jax.vmap(weigh))(keys)
    elbo = np.asarray(found.elbo, np.float64)
    assert redrawn["nats"] == pytest.approx(special.logsumexp(elbo) - np.log(len(elbo)), rel=1e-4)
    best = elbo.argmax()
    assert redrawn["l1"] == pytest.approx(np.abs(image - found.canvas[best]).sum(), rel=1e-3)
    (drawing,) = redrawn["drawings"]
    assert len(drawing["strokes"]) == found.drawing.strokes.presence[best].sum()


def test_windows_are_where_the_layouts_are(redrawn):
    (drawing,) = redrawn["drawings"]
    for stroke in drawing["strokes"]:
        corners = np.array(stroke["window"])
        sides = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1)
        assert np.allclose(sides, sides[0], atol=0.5)  # turned and scaled, but square
        middle = np.array(stroke["points"]).mean(0)
        assert np.linalg.norm(middle - corners.mean(0)) < 1.5 * sides[0]


def test_the_answer_depends_on_the_seed_alone(client, image, redrawn):
    again = drawn(client, "redraw", image)
    assert again["drawings"][0]["strokes"] == redrawn["drawings"][0]["strokes"]
    other = drawn(client, "redraw", image, seed=1)
    assert other["drawings"][0]["strokes"] != redrawn["drawings"][0]["strokes"]


def test_exports_hold_the_strokes_that_were_shown(client, redrawn):
    (drawing,) = redrawn["drawings"]
    get = lambda kind: client.get(f"/api/drawings/{drawing['id']}.{kind}")
    starts = np.array([stroke["points"][0] for stroke in drawing["strokes"]])
    ends = np.array([stroke["points"][-1] for stroke in drawing["strokes"]])

    response = get("svg")
    assert response.headers["content-type"].startswith("image/svg+xml")
    assert re.fullmatch(
        r'attachment; filename="drawing-[\w-]+\.svg"', response.headers["content-disposition"]
    )
    root = ElementTree.fromstring(response.text)
    paths = root.findall(".//{*}path")
    numbers = [np.array(re.findall(r"-?[\d.]+", path.get("d")), float).reshape(-1, 2) for path in paths]
    assert np.allclose([points[0] for points in numbers], starts, atol=0.06)
    assert np.allclose([points[-1] for points in numbers], ends, atol=0.06)

    traces = ElementTree.fromstring(get("inkml").text).findall(".//{*}trace")
    first = [np.array(trace.text.split(",")[0].split(), float) for trace in traces]
    assert np.allclose(first, starts, atol=0.06)
    assert len(json.loads(get("json").text)["strokes"]) == len(starts)
    with Image.open(io.BytesIO(get("gif").content)) as film:
        assert film.n_frames > 1
    assert ElementTree.fromstring(get("animated-svg").text).findall(".//{*}animate")


def test_tracing_follows_the_line(client, image):
    answer = drawn(client, "trace", image)
    (stroke,) = answer["drawings"][0]["strokes"]
    points = np.array(stroke["points"])
    assert answer["nats"] is None and stroke["window"] is None
    along, last = np.linspace(0, 1, 50)[:, None], len(points) - 1
    order = np.arange(last + 1)
    curve = special.comb(last, order) * along**order * (1 - along) ** (last - order) @ points
    across = (curve - [200, 300]) @ np.array([-40, 60]) / np.hypot(40, 60)
    assert np.abs(across).max() < 5  # of 1000; the pen is 60 wide
    assert stroke["width"] == pytest.approx(60, abs=6)


def test_varying_gives_eight_that_are_alike_and_not_the_same(client, image):
    drawings = drawn(client, "vary", image)["drawings"]
    assert len(drawings) == 8
    assert len({json.dumps(drawing["strokes"]) for drawing in drawings}) == 8
    assert len({drawing["id"] for drawing in drawings}) == 8


def test_completions_keep_what_was_drawn_and_add_to_it(client, image, redrawn):
    drawings = drawn(client, "complete", image)["drawings"]
    before = redrawn["drawings"][0]["strokes"]
    assert 1 < len(drawings) <= 8
    for drawing in drawings:
        kept = [stroke for stroke in drawing["strokes"] if stroke["kept"]]
        added = [stroke for stroke in drawing["strokes"] if not stroke["kept"]]
        assert [stroke["points"] for stroke in kept] == [stroke["points"] for stroke in before]
        assert 1 <= len(added) <= 4
    new = {json.dumps(drawing["strokes"][len(before) :]) for drawing in drawings}
    assert len(new) == len(drawings)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_a_dropped_image_fills_the_sheet(client, line, kind):
    small = np.pad(1 - line, ((0, 300), (0, 500)), constant_values=1)
    response = client.post("/api/sheet", content=png(small, kind))
    assert response.status_code == 200 and response.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(response.content)) as opened:
        ink = 1 - np.asarray(opened, float) / 255
    rows, columns = (np.flatnonzero((ink > 0.5).any(axis)) for axis in (1, 0))
    assert ink.shape == (480, 480)
    assert columns[-1] - columns[0] == pytest.approx(0.76 * 480, abs=8)
    assert (columns[0] + columns[-1]) / 2 == pytest.approx(240, abs=4)
    assert (rows[0] + rows[-1]) / 2 == pytest.approx(240, abs=4)


def fifty_megapixels() -> bytes:
    file = io.BytesIO()
    Image.new("1", (8000, 6250), 1).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("address", ["/api/sheet", "/api/drawings"])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"Dear model,\n", "no image"),
        (b"", "no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image"),
        (b"\x93NUMPY\x01\x00", "no image"),
        (lambda image: image[: len(image) // 2], "cannot be read"),
        (lambda _: fifty_megapixels(), "8000 x 6250 pixels are more than 20,000,000"),
    ],
)
def test_what_is_no_image_is_refused_in_a_line(client, image, address, data, said):
    message = refused(client.post(address, content=data(image) if callable(data) else data), 400)
    assert said in message and "\n" not in message


def test_a_blank_sheet_is_refused(client):
    assert "nothing is drawn" in refused(ask(client, "redraw", png(np.ones((60, 60)))), 400)


def test_too_many_bytes_are_refused_whether_announced_or_not(client):
    data = b"\0" * (images.MOST_BYTES + 1)
    assert "12 MB" in refused(client.post("/api/sheet", content=data), 413)
    parts = (data[: 2**20] for _ in range(13))
    assert "12 MB" in refused(client.post("/api/sheet", content=parts), 413)


@pytest.mark.parametrize(
    "query",
    [
        {"kind": "steal"},
        {"model": "../../etc"},
        {"model": "mnist"},  # released, but not offered here
        {"seed": "-1"},
        {"seed": "9999999999"},
        {"seed": "zero"},
    ],
)
def test_what_is_not_offered_is_refused(client, image, query):
    (value,) = query.values()
    assert value in refused(client.post("/api/drawings", params=query, content=image), 400)


def test_a_client_waits_for_its_answer_and_others_are_told_how_many_are_before_them(
    app, tiny_service, image, monkeypatch
):
    may_go = threading.Event()
    answer = lambda *_: may_go.wait(30) and service.Answer([], 0)
    monkeypatch.setattr(tiny_service, "answer", answer)

    async def two_clients():
        browser = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1")
        async with browser:
            ask = lambda name: browser.post("/api/drawings", content=image, headers={"x-dood-client": name})
            state = lambda name: browser.get("/api/status", headers={"x-dood-client": name})
            first = asyncio.create_task(ask("one"))
            while not (await state("nobody")).json()["ahead"]:
                await asyncio.sleep(0.01)
            second = asyncio.create_task(ask("two"))
            while (await state("nobody")).json()["ahead"] < 2:
                await asyncio.sleep(0.01)
            ahead = [(await state(name)).json()["ahead"] for name in ("one", "two")]
            refusal = await ask("one")
            may_go.set()
            return ahead, refusal, [(await task).status_code for task in (first, second)]

    ahead, refusal, answered = asyncio.run(two_clients())
    assert ahead == [0, 1] and answered == [200, 200]
    assert "still being worked on" in refused(refusal, 429)


def test_a_drawing_that_is_gone_cannot_be_downloaded(app, tiny_service, client, image, monkeypatch):
    assert "gone" in refused(client.get("/api/drawings/abc.svg"), 404)
    monkeypatch.setattr(server, "_MOST_KEPT", 2)
    idents = [drawn(client, "redraw", image)["drawings"][0]["id"] for _ in range(3)]
    answers = [client.get(f"/api/drawings/{ident}.svg").status_code for ident in idents]
    assert answers == [404, 200, 200]
    assert client.get(f"/api/drawings/{idents[2]}.exe").status_code == 404


def test_examples_are_made_up_where_no_data_lie(client, monkeypatch, tmp_path, tiny_service, model):
    monkeypatch.delenv("DOOD_DATA_DIR", raising=False)
    assert client.get("/api/examples").json() == {"sets": []}  # its one model is of none of the sets
    monkeypatch.setattr(tiny_service, "names", ("mnist",))
    monkeypatch.setitem(tiny_service._models, "mnist", model)
    (found,) = client.get("/api/examples").json()["sets"]
    assert found["title"] == "MNIST" and found["generated"] and len(found["images"]) == 4


def test_examples_come_from_the_users_data(client, monkeypatch, tmp_path):
    monkeypatch.setenv("DOOD_DATA_DIR", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (3, 50, 50)).astype(np.uint8)
    np.savez(tmp_path / "mnist_test.npz", image=images, label=np.arange(3))
    (tmp_path / "kmnist_test.npz").write_bytes(b"damaged")
    (found,) = client.get("/api/examples").json()["sets"]
    assert not found["generated"]
    shown = [base64.b64decode(url.partition(",")[2]) for url in found["images"]]
    shown = [255 - np.asarray(Image.open(io.BytesIO(data))) for data in shown]
    assert np.array_equal(np.array(shown), images)


def test_a_prepared_set_is_asked_for_by_its_categories(client, monkeypatch, tmp_path):
    monkeypatch.setenv("DOOD_DATA_DIR", str(tmp_path))
    asked = {}
    monkeypatch.setattr(images.prepared, "find", lambda _, name, split, kinds: asked.update({name: kinds}))
    assert client.get("/api/examples").json() == {"sets": []}
    assert asked["quickdraw"][:3] == ("eye", "bicycle", "tree") and asked["mnist"] == ()


def test_the_start_compiles_every_kind_and_says_how_far_it_is(app, tiny_service, monkeypatch):
    asked = []
    monkeypatch.setattr(
        tiny_service, "answer", lambda kind, name, ink, seed: asked.append((kind, name, ink.max()))
    )
    warmup = server.Warmup(("tiny", "second"))
    started = server.Server(tiny_service, warmup)
    assert warmup.progress() == {"ready": [], "compiling": "redraw/tiny"}
    asyncio.run(started.warm())
    assert asked == [(kind, "tiny", 1) for kind in service.KINDS] + [("redraw", "second", 1)]
    assert warmup.progress()["compiling"] == ""
    assert warmup.progress()["ready"][-2:] == ["redraw/second", "examples"]
