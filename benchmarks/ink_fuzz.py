"""Random pictures through `dood vectorize`: what goes wrong, the most memory, and the slowest.

    python benchmarks/ink_fuzz.py [--count=1000] [--seed=0] [--side=400] [--checkpoint=synthetic]

Every picture has a random size, paper, pens, mode and format; a third of the files are damaged. Nothing may
be raised, a file that is not drawn must be named in one line, and what is plainly a drawing must be drawn.
"""

import argparse
import contextlib
import io
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from PIL import Image, ImageDraw

from dood_jax import api
from dood_jax.vectorize import batch
from dood_jax.vectorize.drawing import InkDrawing
from dood_jax.vectorize.formats import WRITERS
from dood_jax.vectorize.reading import Scan

MOST_SECONDS = 60.0
UNEXPECTED = "please report"  # in the line about an error that nobody foresaw
MODES = {
    ".png": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    ".jpg": ("L", "RGB", "CMYK"),
    ".bmp": ("1", "L", "P", "RGB"),
    ".gif": ("L", "P", "RGBA"),
    ".tif": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"),
    ".webp": ("RGB", "RGBA"),
    ".npy": ("L", "LA", "RGB", "RGBA", "F"),
    ".pdf": ("RGB",),
}
PAPERS = ("white", "grey", "black", "clear", "card", "light", "noise", "random", "blank", "frame")
_REPORT_EVERY = 100  # pictures
DAMAGES = ("cut", "bytes", "suffix", "empty", "text")


class Picture(NamedTuple):
    """A file, and what it must become."""

    path: Path
    about: str
    is_plain: bool  # a drawing on even paper in a good file: it must be drawn


def write_picture(folder: Path, index: int, rng: np.random.Generator, side: int) -> Picture:
    """Writes a random file; `side` is the largest of its picture."""
    paper = str(rng.choice(PAPERS))
    image = _picture(paper, _size(rng, side), rng)
    suffix = str(rng.choice(list(MODES)))
    mode = str(rng.choice(MODES[suffix]))
    path = folder / f"{index:04}{suffix}"
    pages = (
        int(rng.integers(2, 4)) if suffix in (".tif", ".gif", ".webp", ".pdf") and rng.random() < 0.3 else 1
    )
    _save(image, path, mode, pages)
    damage = str(rng.choice(DAMAGES)) if rng.random() < 1 / 3 else ""
    path = _damaged(path, damage, rng)
    about = f"{paper} {image.width}x{image.height} {mode} {suffix} {pages} {damage}"
    is_plain = paper in ("white", "grey") and not damage and min(image.size) >= 60
    return Picture(path, about, is_plain)


def _size(rng: np.random.Generator, side: int) -> tuple[int, int]:
    """Mostly some dozens to hundreds of pixels; now and then a single row, or a long strip."""
    width, height = (int(value) for value in np.exp(rng.uniform(np.log(8), np.log(side), 2)))
    return (width, int(rng.integers(1, 6))) if rng.random() < 0.05 else (width, height)


def _picture(paper: str, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """An RGBA picture of some lines, rings, dots and areas on some paper."""
    wide, high = size
    if paper in ("noise", "random"):
        deviation = 30 if paper == "noise" else 128
        grain = np.clip(rng.normal(200, deviation, (high, wide, 3)), 0, 255).astype(np.uint8)
        image = Image.fromarray(grain).convert("RGBA")
    else:
        grounds = {"grey": (190, 190, 180, 255), "black": (20, 20, 20, 255), "clear": (0, 0, 0, 0)}
        image = Image.new("RGBA", size, grounds.get(paper, (255, 255, 255, 255)))
    if paper == "light":
        ramp = np.linspace(rng.uniform(60, 200), 255, wide)[None].repeat(high, 0)
        image = Image.fromarray(ramp.astype(np.uint8)).convert("RGBA")
    pen = ImageDraw.Draw(image)
    if paper not in ("blank", "random"):
        for _ in range(rng.integers(1, 12)):
            _mark(pen, size, rng, is_bright=paper == "black")
    if paper == "frame":
        pen.rectangle([0, 0, wide - 1, high - 1], outline="black", width=int(rng.integers(1, 4)))
    if paper == "card":
        whole = Image.new("RGBA", (wide + 20, high + 20))
        whole.paste(image, (10, 10))
        image = whole.rotate(float(rng.uniform(-20, 20)), Image.Resampling.BICUBIC)
    return image


def _mark(pen: ImageDraw.ImageDraw, size: tuple[int, int], rng: np.random.Generator, is_bright: bool) -> None:
    """A line, a ring, a dot or a filled area, as large as the picture allows."""
    low, high = (200, 256) if is_bright else (0, 90)
    colour = tuple(int(value) for value in rng.integers(low, high, 3))
    width = int(rng.integers(1, 2 + min(12, min(size) // 8)))
    corners = [tuple(int(rng.integers(0, limit)) for limit in size) for _ in range(4)]
    box = [*np.min(corners, axis=0).tolist(), *np.max(corners, axis=0).tolist()]
    match rng.integers(4):
        case 0:
            pen.line(corners, fill=colour, width=width)
        case 1:
            pen.ellipse(box, outline=colour, width=width)
        case 2:
            x, y = corners[0]
            pen.ellipse([x - width, y - width, x + width, y + width], fill=colour)
        case _:
            pen.line(corners[:2], fill=colour, width=width)


def _save(image: Image.Image, path: Path, mode: str, pages: int) -> None:
    """Writes a picture in a mode, `pages` times over if it may have several."""
    if mode in ("I;16", "F"):
        grey = np.asarray(image.convert("L"))
        values = grey.astype(np.uint16) * 257 if mode == "I;16" else grey.astype(np.float32) / 255
        converted = Image.fromarray(values)
    else:
        converted = image.convert("RGB").convert(mode) if mode == "CMYK" else image.convert(mode)
    if path.suffix == ".npy":
        np.save(path, np.asarray(converted))
        return
    more = {} if pages == 1 else {"save_all": True, "append_images": [converted.rotate(90)] * (pages - 1)}
    converted.save(path, **more)


def _damaged(path: Path, damage: str, rng: np.random.Generator) -> Path:
    """Damages a file, or gives it the suffix of another kind, and returns its path."""
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: rng.integers(len(content))]
    elif damage == "bytes":
        for place in rng.integers(len(content), size=rng.integers(1, 20)):
            content[place] = rng.integers(256)
    elif damage in ("empty", "text"):
        content = bytearray(b"" if damage == "empty" else b"not a picture\n")
    path.write_bytes(content)
    if damage != "suffix":
        return path
    return path.rename(path.with_suffix(str(rng.choice(list(MODES)))))


class Result(NamedTuple):
    """What became of one picture."""

    faults: list[str]  # what went wrong
    seconds: float  # of all cores together


def run(vectorize: Callable[[Scan], InkDrawing], picture: Picture, out: Path) -> Result:
    """Vectorizes one picture into every format."""
    started = time.process_time()
    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(told):
        outcome = batch.export(vectorize, batch.gather([picture.path]), batch.Options(tuple(WRITERS)), out)
    lines = said.getvalue().splitlines()
    faults = [
        line for line in lines if UNEXPECTED in line or not line.startswith(f"dood_jax: {picture.path}")
    ]
    if picture.is_plain and outcome.failures:
        faults += [f"not drawn: {line}" for line in outcome.failures]
    if not outcome.failures and not outcome.counts:
        faults.append("neither drawn nor refused")
    if len(told.getvalue().splitlines()) != len(outcome.counts):
        faults.append("not one line for each drawing")
    seconds = time.process_time() - started
    if seconds > MOST_SECONDS:
        faults.append(f"it took {seconds:.0f} s")
    return Result(faults, seconds)


def peak_megabytes() -> int:
    """The most memory this process has had; `ru_maxrss` would count what started it as well."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def main(argv: list[str] | None = None) -> None:
    """Exits with 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=400, help="the largest of a picture, in pixels")
    parser.add_argument("--checkpoint", default="synthetic")
    options = parser.parse_args(argv)
    model = api.load(options.checkpoint)
    num_faults, slowest, peak = 0, (0.0, ""), (peak_megabytes(), "start")
    with tempfile.TemporaryDirectory() as folder:
        for index in range(options.count):
            rng = np.random.default_rng([options.seed, index])
            picture = write_picture(Path(folder), index, rng, options.side)
            result = run(model.vectorize, picture, Path(folder, "out"))
            num_faults += bool(result.faults)
            for fault in result.faults:
                print(f"{index} {picture.about}: {fault}", flush=True)
            slowest = max(slowest, (result.seconds, f"{index} {picture.about}"))
            peak = max(peak, (peak_megabytes(), f"{index} {picture.about}"), key=lambda pair: pair[0])
            picture.path.unlink()
            if (index + 1) % _REPORT_EVERY == 0:
                print(f"{index + 1} of {options.count} pictures, {num_faults} with a fault", flush=True)
    print(f"{options.count} pictures, {num_faults} with a fault")
    print(f"Slowest {slowest[0]:.1f} s: {slowest[1]}\nMost memory {peak[0]} MB: {peak[1]}")
    sys.exit(num_faults > 0)


if __name__ == "__main__":
    main()
