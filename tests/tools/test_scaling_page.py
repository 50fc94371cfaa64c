"""The page on scaling: its arithmetic by hand, its counts against programs, and that it is up to date."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest
import scaling_measured as measured
import scaling_model as model
import scaling_page as page

from dood_jax.config.resolving import default_config, resolve

ROOT = Path(__file__).parents[2]


@pytest.fixture
def counted():
    """Round numbers: 28 of 92 bytes are the optimiser's, so that each of 16 images has 4."""
    return model.Counted(
        batch_size=16, multiply_adds=800, products=10, traffic=92, parameters=1, reduced=4000, image=100
    )


@pytest.fixture
def chip():
    return model.Chip(
        name="c",
        peak=1000,
        bandwidth=100,
        links=(model.Links(4, 2000, 0.25), model.Links(64, 1000, 0.5)),
        torus=False,
        source="",
    )


@pytest.fixture
def assumed():
    return model.Assumed(products=0.5, traffic=0.5, start=0.1, links=0.5)


def test_a_step_on_one_chip(counted, chip, assumed):
    """10 x 0.1 s of starts; 1600 operations at 500 a second; 92 bytes at 50 a second."""
    assert model.chip_seconds(counted, chip, assumed, 16) == pytest.approx(1 + 3.2 + 1.84)
    assert model.chip_seconds(counted, chip, assumed, 4) == pytest.approx(1 + 0.8 + (28 + 16) / 50)
    assert model.chip_seconds(counted, chip, assumed, 16, models=3) == pytest.approx(1 + 3 * 5.04)


def test_the_reduction_goes_over_near_links_first(counted, chip, assumed):
    """Each of 4 chips sends 2 x 3/4 of 4000 bytes in 2 x 2 hops; of 8 also 2 x 1/2 of a fourth in 2 x 1."""
    assert model.sent_bytes(counted, 4) == 6000
    assert model.reduce_seconds(counted, chip, assumed, 1) == 0
    assert model.reduce_seconds(counted, chip, assumed, 4) == pytest.approx(6000 / 1000 + 4 * 0.25)
    assert model.reduce_seconds(counted, chip, assumed, 8) == pytest.approx(7 + 1000 / 500 + 2 * 0.5)


@pytest.mark.parametrize(
    ("size", "tree", "torus"), [(1, 0, 0), (2, 2, 2), (8, 6, 8), (16, 8, 12), (256, 16, 60)]
)
def test_hops(size, tree, torus):
    assert model.hops(size, torus=False) == tree
    assert model.hops(size, torus=True) == torus


def test_a_split_batch(counted, chip, assumed):
    """6.04 s alone; a quarter of the batch takes 2.68 s, the reduction 7 s."""
    row = model.data_parallel(counted, chip, assumed, 4, 16)
    assert row["seconds"] == pytest.approx(9.68)
    assert row["images"] == pytest.approx(16 / 9.68)
    assert row["input"] == pytest.approx(100 * 4 / 9.68)
    assert row["efficiency"] == pytest.approx(6.04 / (4 * 9.68))


def test_a_grown_batch(counted, chip, assumed):
    row = model.data_parallel(counted, chip, assumed, 4, 64)
    assert row["seconds"] == pytest.approx(6.04 + 7)
    assert row["efficiency"] == pytest.approx(6.04 / 13.04)


def test_models_side_by_side_need_no_link(counted, chip, assumed):
    rows = [model.many_models(counted, chip, assumed, chips, 1) for chips in (1, 64)]
    assert [row["efficiency"] for row in rows] == [1, 1]
    assert rows[1]["images"] == pytest.approx(64 * rows[0]["images"])
    assert model.many_models(counted, chip, assumed, 2, 3)["efficiency"] == pytest.approx(3 * 6.04 / 16.12)


def test_it_stops_paying_at_the_first_that_does_not():
    rows = [{"chips": n, "efficiency": e} for n, e in ((1, 1.0), (2, 0.5), (4, 0.4), (8, 0.6))]
    assert model.last_that_pays(rows) == 2


def test_the_study(counted, chip, assumed):
    """Five models on two chips, three on the fullest: 6.04 s each, or stacked 1 + 3 x 5.04 s."""
    study = lambda stacked: model.study_seconds(counted, chip, assumed, 10, 5, 2, stacked)
    assert study(stacked=False) == pytest.approx(10 * 3 * 6.04)
    assert study(stacked=True) == pytest.approx(10 * 16.12)


def test_costs():
    assert page.cost(1.5, 8, None) == "12.00 × price"
    assert page.cost(1.5, 8, 2.0) == "24.00"


def test_the_page_is_up_to_date():
    prices = dict.fromkeys([*model.CHIPS, "cores"])
    written = (ROOT / "docs" / "scaling.md").read_text()
    assert page.page(ROOT / "docs" / "results", model.Assumed(), prices) == written


def test_numbers_of_the_page_come_from_files(tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    found = json.loads((ROOT / "docs" / "results" / "scaling.json").read_text())
    found["counted"]["parameters"] = 1_234_567
    found["simulated"]["one batch over devices"] = {"1": 1.0, "2": 0.8, "4": 8.0}
    (results / "scaling.json").write_text(json.dumps(found))
    (results / "metrics-mnist.jsonl").write_text('{"step": 4321, "seconds": 9000}\n')
    (results / "seeds-mnist.json").write_text('{"seeds": [{"minutes": 120}, {"minutes": 150}]}')
    (tmp_path / "performance.md").write_text("operations read and write 3.00 GiB")
    text = page.page(results, model.Assumed(), {"v5e": 3.0, "h100": None, "cores": 0.5})
    for part in ("1,234,567", "3.22 GB", "| 1.00 | 1.25 | 0.12 |", "4,321 steps", "| 50.0 | 25.00 |"):
        assert part in text


def test_every_chip_count_stands_on_the_page(counted, assumed):
    rows = page.scaling_table(counted, model.V5E, assumed)[2:]
    assert [int(row.split("|")[1]) for row in rows] == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert all("–" in row for row in rows[5:]) and not any("–" in row for row in rows[:5])


@pytest.mark.slow
def test_what_is_averaged_is_the_tree_of_parameters():
    """Against the reductions in the traced program over two devices."""
    config = measured.small()
    step = measured.traced(config, "data")
    program = jax.make_jaxpr(step.function, axis_env=[("data", 2)])(*step.inputs)
    reduced = sum(
        variable.aval.size * variable.aval.dtype.itemsize
        for equation in program.eqns
        if equation.primitive.name.startswith("psum")
        for variable in equation.invars
        if hasattr(variable.aval, "dtype")
    )
    counts = measured.counts(config)
    assert counts["reduced"] == 4 * counts["parameters"]
    assert 0 <= reduced - counts["reduced"] < 200  # metrics and the mean brush


def test_products_in_a_loop_count_as_often_as_it_goes_round():
    def function(matrix):
        return jax.lax.scan(lambda carry, _: (carry @ matrix, None), matrix @ matrix, length=6)[0]

    program = jax.make_jaxpr(function)(jax.numpy.eye(3))
    assert measured.calls_of(program.jaxpr) == 7


@pytest.mark.slow
def test_the_stored_counts_are_those_of_the_default_model():
    stored = json.loads((ROOT / "docs" / "results" / "scaling.json").read_text())["counted"]
    assert measured.counts(resolve(default_config())) == stored


@pytest.mark.parametrize("flag", ["--products=0", "--links=1.5", "--start=-1"])
def test_an_impossible_assumption_is_one_line(flag):
    command = [sys.executable, str(ROOT / "tools" / "scaling_page.py"), flag]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and flag in done.stderr and done.stderr.count("\n") == 1


def test_measuring_ends_where_a_process_fails(monkeypatch):
    monkeypatch.setattr(
        measured, "started", lambda *_: subprocess.Popen([shutil.which("false")], stdout=subprocess.PIPE)
    )
    with pytest.raises(RuntimeError, match="exit codes"):
        measured.simulated()
