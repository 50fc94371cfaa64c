"""The page of results is what its script makes of the files beside it."""

import json
from pathlib import Path

import results_page

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date():
    written = (ROOT / "docs" / "results.md").read_text()
    assert results_page.page(ROOT / "docs" / "results", ROOT / "checkpoints") == written


def test_every_number_of_the_page_comes_from_a_file(tmp_path):
    study = json.loads((ROOT / "docs" / "results" / "transfer.json").read_text())
    source = next(iter(study["values"]["l1"]))
    study["values"]["table"]["map"][source]["mnist"]["mean"] = 1234.4
    study["values"]["l1"][source]["mnist"]["mean"] = 4321.4
    (tmp_path / "transfer-changed.json").write_text(json.dumps(study))
    page = results_page.page(tmp_path, tmp_path)
    assert "## transfer-changed" in page
    assert "1,234 ± " in page and "| 4321 (" in page


def test_a_model_on_its_own_set_stands_beside_the_paper(tmp_path):
    record = json.loads((ROOT / "docs" / "results" / "likelihood-kmnist.json").read_text())
    record["values"]["log_likelihood_map"] = {"mean": 1234.4, "stderr": 5.4}
    (tmp_path / "likelihood-changed.json").write_text(json.dumps(record))
    assert "| with | 500 | 200 | 1,234 ± 5 | 4,780 | " in results_page.page(tmp_path, tmp_path)


def test_curves_are_of_images_that_are_not_learned_from(tmp_path):
    lines = [
        {"kind": "train", "seconds": 1, "log_likelihood": 5},
        {"kind": "validation", "seconds": 120, "log_likelihood": 7},
    ]
    (tmp_path / "metrics-x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert results_page.learning_curves(tmp_path) == {"x": {"from nothing": ([2.0], [7])}}


def test_the_page_of_rivals_is_up_to_date():
    record = json.loads((ROOT / "docs" / "results" / "rivals.json").read_text())
    assert results_page.rivals_page(record) == (ROOT / "docs" / "rivals.md").read_text()
