"""The page of results is what its script makes of the files beside it."""

import json
from pathlib import Path

import pytest
import result_tables
import results_page

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date():
    written = (ROOT / "docs" / "results.md").read_text()
    assert results_page.page(ROOT / "docs" / "results", ROOT / "checkpoints") == written


def test_every_number_of_the_page_comes_from_a_file(tmp_path):
    study = json.loads((ROOT / "docs" / "results" / "transfer-mnist.json").read_text())
    source = next(iter(study["values"]["l1"]))
    study["values"]["table"]["map"][source]["mnist"]["mean"] = 1234.4
    study["values"]["l1"][source]["mnist"]["mean"] = 4321.4
    (tmp_path / "transfer-mnist.json").write_text(json.dumps(study))
    page = results_page.page(tmp_path, tmp_path)
    assert "## Across sets" in page
    assert "1,234 ± " in page and "| 4321 (" in page


def test_a_table_takes_the_place_of_the_one_with_its_first_line():
    page = "text\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n| a |\n|---|\n| 3 |\nend\n"
    table = "| a |\n|---|\n| 4 |\n| 5 |"
    assert results_page.with_table(page, table) == page.replace("| 3 |", "| 4 |\n| 5 |")
    with pytest.raises(ValueError, match="b"):
        results_page.with_table(page, "| b |\n|---|")


def test_models_that_were_measured_alike_share_a_table(tmp_path):
    study = json.loads((ROOT / "docs" / "results" / "transfer-mnist.json").read_text())
    for model, images in (("one", 500), ("two", 500), ("three", 250)):
        values = study["values"]
        table = {scale: {model: rows["mnist"]} for scale, rows in values["table"].items()}
        values = {
            **values,
            "table": table,
            **{key: {model: values[key]["mnist"]} for key in ("l1", "strokes")},
        }
        settings = {**study["config"], "evaluation": {**study["config"]["evaluation"], "num_images": images}}
        record = {**study, "values": values, "config": settings, "n": images}
        (tmp_path / f"transfer-{model}-revised.json").write_text(json.dumps(record))
    page = results_page.page(tmp_path, tmp_path)
    (section,) = page.split("## ")[-1:]
    first, second = section.split(" 250 images a set")
    assert first.count("| one | map |") == first.count("| two | map |") == 1
    assert "| three | map |" not in first and second.count("| three | map |") == 1


def test_a_model_on_its_own_set_stands_beside_the_paper(tmp_path):
    record = json.loads((ROOT / "docs" / "results" / "likelihood-kmnist.json").read_text())
    record["values"]["log_likelihood_map"] = {"mean": 1234.4, "stderr": 5.4}
    (tmp_path / "likelihood-changed.json").write_text(json.dumps(record))
    assert "| with | – | 500 | 200 | 1,234 ± 5 | 4,780 | " in results_page.page(tmp_path, tmp_path)


def test_curves_are_of_images_that_are_not_learned_from(tmp_path):
    lines = [
        {"kind": "train", "seconds": 1, "log_likelihood": 5},
        {"kind": "validation", "seconds": 120, "log_likelihood": 7},
    ]
    (tmp_path / "metrics-x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert results_page.learning_curves(tmp_path) == {"x": ([2.0], [7])}


def test_the_first_measurement_above_the_paper_is_named():
    table = results_page.passing_table({"mnist": ([1.0, 2.0, 3.0], [7093, 7095, 7200]), "x": ([1.0], [9])})
    assert table.splitlines()[2:] == ["| mnist | 7,094 | 2 | 7,095 |"]
    assert results_page.passing_table({"mnist": ([1.0], [7])}).endswith("| mnist | 7,094 | – | – |")


def test_the_page_of_rivals_is_up_to_date():
    record = json.loads((ROOT / "docs" / "results" / "rivals.json").read_text())
    assert results_page.rivals_page(record) == (ROOT / "docs" / "rivals.md").read_text()


def test_the_released_seed_is_one_of_the_table():
    record = json.loads((ROOT / "docs" / "results" / "seeds-mnist.json").read_text())
    study = json.loads((ROOT / "docs" / "results" / "transfer-mnist.json").read_text())
    (one,) = (seed for seed in record["seeds"] if seed["checkpoint_sha256"] == study["checkpoint_sha256"])
    for name, cell in study["values"]["table"]["map"]["mnist"].items():
        assert abs(one["map"][name]["mean"] - cell["mean"]) < cell["stderr"] / 5


def test_seeds_have_their_mean_and_spread(tmp_path):
    seed = lambda number, value: {
        "seed": number,
        "checkpoint_sha256": str(number),
        "trained_at_commit": f"c{number}",
        "validation": {"log_likelihood": value},
        "map": {name: {"mean": value + 1} for name in result_tables.SETS},
        "l1": {"mnist": {"mean": 27.04}},
        "fid_ratio": value / 1000,
    }
    seeds = [seed(number, value) for number, value in enumerate((1000.0, 1010.0, 1050.0))]
    record = {"checkpoint": "mnist", "checkpoint_sha256": "2", "seeds": seeds}
    (tmp_path / "seeds-mnist.json").write_text(json.dumps(record))
    page = results_page.page(tmp_path, tmp_path)
    assert "Seed 2 is released" in page
    assert "| 1 | c1 | 1,010 | 1,011 | " in page and " | 27.0 | 1.01 | – |" in page
    assert "| mean ± sd |  | 1,020 ± 26 | 1,021 ± 26 | " in page and " | 1.02 ± 0.03 | – |" in page
