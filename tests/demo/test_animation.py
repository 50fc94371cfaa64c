"""The animated image of the page's drawings."""

from xml.etree import ElementTree

import numpy as np
import pytest

from dood_jax import api
from dood_jax.demo import animation, service
from dood_jax.demo.images import shapes
from dood_jax.vectorize.curves import InkStroke
from dood_jax.vectorize.drawing import InkDrawing

SVG = "{http://www.w3.org/2000/svg}"


def shown(*lengths: float) -> service.Shown:
    """Upright strokes of given lengths, side by side."""
    strokes = tuple(
        InkStroke(np.linspace([100 * i, 0], [100 * i, length], 4), 40.0, False, 1.0)
        for i, length in enumerate(lengths, start=1)
    )
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * 300.0
    return service.Shown(InkDrawing(strokes, 1000, 1000), np.tile(corners, (len(lengths), 1, 1)))


def times_of(element: ElementTree.Element, attribute: str) -> list[float]:
    (found,) = (one for one in element.findall(f"{SVG}animate") if one.get("attributeName") == attribute)
    assert len(found.get("values").split(";")) == len(found.get("keyTimes").split(";"))
    return [float(time) for time in found.get("keyTimes").split(";")]


def test_strokes_come_one_after_the_other_each_as_long_as_its_way():
    shape = shapes()["star"]
    root = ElementTree.fromstring(animation.animate([(shape, shown(900, 450)), (shape, shown(300))]))
    cells = root.findall(f"{SVG}svg")
    assert [len(cell.findall(f"{SVG}path")) for cell in cells] == [2, 1]
    assert all(len(cell.findall(f"{SVG}polyline")) == len(shape) for cell in cells)
    durations = {float(one.get("dur").rstrip("s")) for one in root.iter(f"{SVG}animate")}
    (seconds,) = durations  # all begin again together
    first, second = (times_of(path, "stroke-dashoffset")[1:3] for path in cells[0].findall(f"{SVG}path"))
    assert 0 < first[0] < first[1] < second[0] < second[1] < 1
    drawing = seconds * (first[1] - first[0]) - seconds * (second[1] - second[0])
    assert drawing == pytest.approx(450 / 900, abs=0.02)
    assert seconds * (1 - second[1]) == pytest.approx(2, abs=0.02)


def test_a_window_is_seen_while_its_stroke_is_drawn():
    root = ElementTree.fromstring(animation.animate([(shapes()["five"], shown(500, 500))]))
    (cell,) = root.findall(f"{SVG}svg")
    for path, window in zip(cell.findall(f"{SVG}path"), cell.findall(f"{SVG}polygon"), strict=True):
        assert times_of(window, "opacity")[1:] == times_of(path, "stroke-dashoffset")[1:3]
        assert window.get("opacity") == "0"  # where nothing moves


def test_the_command_draws_every_shape(model, monkeypatch, tmp_path):
    monkeypatch.setattr(api, "load", lambda name: model)
    out = tmp_path / "new" / "drawing.svg"
    animation.main([f"--out={out}"])
    cells = ElementTree.fromstring(out.read_text()).findall(f"{SVG}svg")
    assert len(cells) == len(shapes()) and all(cell.findall(f"{SVG}path") for cell in cells)


def test_a_model_that_is_not_there_is_one_line(capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        animation.main([f"--out={tmp_path}/a.svg", "--checkpoint=nowhere"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "nowhere" in said and said.count("\n") == 1
