"""One-shot classification at tiny size: what is written and cached, and what is said without the set."""

import dataclasses
import json
import types

import numpy as np
import pytest

from dood_jax.config.evaluation import OneShotConfig
from dood_jax.config.resolving import resolve
from dood_jax.data import omniglot
from dood_jax.data.dataset import Dataset
from dood_jax.data.omniglot import OneShotRuns
from dood_jax.errors import BadInput
from dood_jax.evaluation.one_shot import registration, strokes, task, tokens
from dood_jax.evaluation.one_shot.task import Drawings

LETTERS = (
    [[[0.2, 0.2], [0.2, 0.8], [0.7, 0.8]]],
    [[[0.2, 0.2], [0.8, 0.2]], [[0.5, 0.2], [0.5, 0.8]]],
    [[[0.2, 0.2], [0.8, 0.8]], [[0.8, 0.2], [0.2, 0.8]]],
)


class NoCache:
    """Stores nothing."""

    def get(self, part):
        return None

    def put(self, part, **arrays):
        pass


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """Two runs of three characters: bars at three heights, queries in another order, one support blank."""
    directory = tmp_path_factory.mktemp("one_shot")
    support = np.zeros((2, 3, 105, 105), np.uint8)
    for way in range(3):
        support[:, way, 20 + 25 * way : 24 + 25 * way, 20:80] = 1
    query = support[:, [1, 2, 0]]
    support[1, 0] = 0
    bits = lambda images: np.packbits(images.reshape(2, 3, -1), axis=-1)
    label = np.array([[1, 2, 0]] * 2)
    np.savez(directory / "omniglot_oneshot.npz", support=bits(support), query=bits(query), label=label)
    return directory


@pytest.fixture
def on_pack(tiny, pack, monkeypatch):
    monkeypatch.setattr(task, "_OPTIMIZE_STEPS", 0)
    settings = {"num_parses": 1, "fit_steps": 2, "num_candidates": 2}
    data = {"name": "omniglot", "dir": str(pack), "image_size": 20}
    return resolve({"data": data, "one_shot": settings, "evaluation": {"num_particles": 2}})


def with_form(config, **changes):
    return dataclasses.replace(config, one_shot=dataclasses.replace(config.one_shot, **changes))


def test_accuracies_and_misses_are_written(models, on_pack, tmp_path):
    task.run(models[:1], on_pack, tmp_path)
    record = json.loads((tmp_path / "results" / "one_shot-omniglot.json").read_text())
    values = record["values"]
    assert record["n"] == 6
    assert len(values["per_run"]) == 2
    assert values["accuracy"] == pytest.approx(np.mean(values["per_run"]))
    assert len(values["misses"]) == round(6 * (1 - values["accuracy"]))
    assert 0 <= values["two_way"]["assigned"] <= 1
    assert not list((tmp_path / "results").glob(".one_shot*"))


def test_a_killed_measurement_goes_on_where_it_was(models, on_pack, tmp_path, monkeypatch):
    whole = task.run(models[:1], on_pack, tmp_path / "whole")
    register, calls = registration.register_all, []

    def counted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return register(*arguments)

    monkeypatch.setattr(registration, "register_all", counted)
    with pytest.raises(KeyboardInterrupt):
        task.run(models[:1], on_pack, tmp_path)
    monkeypatch.setattr(strokes, "parse", lambda *_: pytest.fail("drawn again"))
    assert task.run(models[:1], on_pack, tmp_path) == whole
    assert len(calls) == 5  # of two runs, drawn in two ways; one was interrupted


@pytest.mark.slow
def test_tokens_are_fitted_for_the_likeliest_supports_alone(models, on_pack, tmp_path):
    asked = with_form(on_pack, form="token_optimization", fix_rotation_units=True)
    values = task.run(models[:1], asked, tmp_path)
    assert len(values["per_run"]) == 2
    name = "one_shot-omniglot-token_optimization-fixed_rotation.json"
    assert "two_way" not in json.loads((tmp_path / "results" / name).read_text())["values"]
    screen = np.random.default_rng(0).normal(size=(2, 3, 3))
    scores = np.arange(6.0).reshape(3, 2)  # of two candidates for each query
    cache = types.SimpleNamespace(get=lambda part: {"scores": scores})
    found = tokens.energies(models[0], asked, task.load(asked), screen, cache)
    likeliest = np.argsort(screen, -1).argsort(-1) < 2
    np.testing.assert_array_equal(np.isfinite(found), likeliest)
    np.testing.assert_array_equal(found[likeliest].reshape(2, 3, 2), -np.stack([scores, scores]))


def drawn(curves):
    found = [strokes.segments_of_curves([np.array(curve) for curve in one], 24) for one in curves]
    stacked = strokes.stack_segments(found)
    return stacked._replace(**{name: values[None, None] for name, values in stacked._asdict().items()})


@pytest.mark.parametrize("moved", [0.0, 0.1])
def test_letters_are_told_apart_either_way(moved):
    others = [[[[x * 0.9 + moved, y + 0.1 * x] for x, y in curve] for curve in one] for one in LETTERS]
    sides = Drawings(drawn(LETTERS), drawn(others), ("traced",))
    found = task.register_runs(sides, registration.Registration(), NoCache())
    for energies in task.combine(*found):
        assert energies.shape == (1, 3, 3)
        assert energies.argmin(-1).tolist() == [[0, 1, 2]]


def test_misses_are_named_as_the_files_are():
    energies = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
    answers = np.array([[0, 1], [0, 1]])
    assert task.misses(energies, answers) == [
        {"run": 1, "item": 1, "class": 1, "taken_for": 2},
        {"run": 2, "item": 2, "class": 2, "taken_for": 1},
    ]


def test_lines_are_traced_where_the_ink_is():
    image = np.zeros((105, 105), np.uint8)
    image[50:53, 20:80] = 255
    (line,) = strokes.trace(image)
    np.testing.assert_allclose(line[:, 1], 51.5 / 105, atol=0.01)
    assert sorted(line[[0, -1], 0] * 105) == pytest.approx([20, 80], abs=3)
    assert strokes.trace(0 * image) == []


def test_a_missing_set_is_one_line(models, on_pack, tmp_path):
    data = dataclasses.replace(on_pack.data, dir=str(tmp_path))
    said = (
        r"has neither omniglot_oneshot\.npz nor all_runs\.zip .*; fetch https://\S+ into it, or give --config"
    )
    with pytest.raises(BadInput, match=said):
        task.run(models[:1], dataclasses.replace(on_pack, data=data), tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [{"form": "drawn"}, {"episodes": "test"}, {"num_parses": 0}, {"num_candidates": -1}, {"fit_steps": 0}],
)
def test_settings_are_checked(wrong):
    with pytest.raises(BadInput, match=next(iter(wrong))):
        OneShotConfig(**wrong)


def test_a_window_is_filled_by_the_character():
    image = np.zeros((105, 105), np.uint8)
    image[10:20, 30:90] = 255
    window = strokes.ink_window(image)
    shown = strokes.crop(image, window, 50)
    rows, columns = np.nonzero(shown > 0.5)
    assert np.ptp(columns) + 1 == pytest.approx(40, abs=1)
    assert (rows.mean(), columns.mean()) == pytest.approx((24.5, 24.5), abs=0.6)
    assert shown.sum() / 50**2 * window[2] ** 2 == pytest.approx(600 / 105**2, rel=0.05)
    np.testing.assert_array_equal(strokes.ink_window(0 * image), [0, 0, 1])


def test_episodes_show_characters_of_one_alphabet_by_two_drawers():
    alphabet, character, drawer = (
        part.ravel() for part in np.meshgrid([0, 1], np.arange(1, 23), np.arange(1, 21), indexing="ij")
    )
    few = (alphabet == 1) & (character > 19)  # too few for an episode
    who = np.stack([alphabet, character, drawer], -1)[~few]
    images = np.zeros((len(who), 4, 4), np.uint8)
    images[:, 0, :3] = who
    attributes = dict(zip(omniglot.ATTRIBUTES[:3], who.T, strict=True))
    found = omniglot.episodes(Dataset(images, np.zeros(len(who)), {}, attributes), 3, 0)
    assert isinstance(found, OneShotRuns)
    for supports, queries, answers in zip(*found, strict=True):
        shown = supports[:, 0, :3], queries[:, 0, :3]
        assert all(len({*side[:, 0]}) == 1 and len({*side[:, 2]}) == 1 for side in shown)
        assert supports[0, 0, 2] != queries[0, 0, 2]
        assert len({*supports[:, 0, 1]}) == 20
        assert supports[0, 0, 0] == 0
        np.testing.assert_array_equal(supports[answers, 0, 1], queries[:, 0, 1])
    is_small = who[:, 0] == 1
    small = {name: values[is_small] for name, values in attributes.items()}
    with pytest.raises(BadInput, match="no alphabet"):
        omniglot.episodes(Dataset(images[is_small], np.zeros(19 * 20), {}, small), 1, 0)
