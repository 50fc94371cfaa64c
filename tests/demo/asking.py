"""How the tests talk to the page's server."""

import asyncio
import io

import numpy as np
from PIL import Image


def png(grey: np.ndarray, kind: str = "PNG") -> bytes:
    """An image file of [H, W] grey values, 0..1."""
    file = io.BytesIO()
    Image.fromarray(np.round(255 * grey).astype(np.uint8)).save(file, kind)
    return file.getvalue()


def raw_get(app, path: str) -> tuple[int, bytes]:
    """Status and body for a path that no client would leave as it is."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"x-dood-client", b"raw")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])
