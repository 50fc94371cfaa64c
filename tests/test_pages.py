"""README and docs: results are of released models, and what pages name or link to exists."""

import ast
import importlib
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import result_tables
from measure import foreign
from PIL import Image

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OF_NO_MODEL = ("rivals", "scaling")  # models trained for the comparison, none
RECORDS = [path for path in sorted(RESULTS.glob("*.json")) if path.stem not in OF_NO_MODEL]


SOURCES = [
    path
    for folder in ("dood_jax", "configs", "benchmarks", "tools", "tests", "launch")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
SECTIONS = set(re.findall(r"^#+ ([\d.]+) ", (ROOT / "docs" / "method.md").read_text(), re.MULTILINE))
CITED = re.compile(r"method\.md\]?(?:\(\S+?\))?,?\s+(\d[\d.]*\d|\d)(?:(?:, | and | to )(\d[\d.]*\d|\d))?")


def cited(text: str) -> set[str]:
    """Sections of method.md that a text names, as in "method.md 3.9", "method.md 10.4 to 10.10"."""
    return {section for found in CITED.findall(text) for section in found if section}


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_result_is_of_released_models_or_of_none(path):
    record = json.loads(path.read_text())
    assert "checkpoint" in record and not foreign(record)
    assert not record["commit"].endswith("-dirty")


def test_the_check_can_fail():
    record = json.loads((RESULTS / "transfer-mnist.json").read_text())
    assert not foreign(record)
    assert foreign({**record, "checkpoint_sha256": "0" * 64})
    assert foreign({**record, "checkpoint": "runs/mine"})
    assert foreign({key: value for key, value in record.items() if key != "checkpoint_sha256"})


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_results_that_a_page_names_are_there(page):
    named = re.findall(r"results/([\w.-]+\.(?:json|jsonl))", page.read_text())
    assert all((RESULTS / name).is_file() for name in named), named


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_files_that_a_page_links_to_are_there(page):
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text())
    for link in links:
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in slugs(target), link


def test_the_sections_of_the_method_that_code_and_pages_cite_exist():
    found = {path: cited(path.read_text()) for path in (*SOURCES, *PAGES)}
    assert len(set().union(*found.values())) > 30
    assert not {path.name: missing for path, sections in found.items() if (missing := sections - SECTIONS)}


def test_sections_are_found_in_citations():
    assert cited("(method.md 3.9) [method.md](method.md) 10.4 to 10.10, method.md 4.") == {
        *("3.9", "10.4", "10.10", "4")
    }


def test_sections_of_the_method_have_no_gaps():
    sections = re.findall(r"^#+ ([\d.]+) ", (ROOT / "docs" / "method.md").read_text(), re.MULTILINE)
    for last, this in itertools.pairwise([[int(part) for part in one.split(".")] for one in sections]):
        assert this in ([*last, 1], [*last[:-1], last[-1] + 1], [last[0] + 1])


def test_the_code_that_the_method_names_exists():
    named = re.findall(r"`((?:\w+/)*\w+\.py)(?:: ([\w, ]+))?`", (ROOT / "docs" / "method.md").read_text())
    assert len(named) > 8
    for file, functions in named:
        source = (ROOT / "dood_jax" / file).read_text()
        for name in filter(None, functions.split(", ")):
            assert re.search(rf"^ *(def|class) {name}\b|^{name}\b", source, re.MULTILINE), (file, name)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_the_programs_that_a_page_names_are_there(page):
    """Paths from the root of the repository, or inside the package."""
    named = re.findall(r"(?<![\w/.<>…-])(?:[\w-]+/)+[\w-]+\.(?:py|sh)\b", page.read_text())
    missing = [name for name in named if not any((ROOT / base / name).is_file() for base in ("", "dood_jax"))]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_what_python_examples_import_exists(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_readme_fits_on_a_few_screens():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150 and max(map(len, lines)) <= 110


@pytest.mark.slow
def test_the_python_example_of_the_readme_runs(tmp_path, monkeypatch):
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)
    line = np.zeros((64, 64), np.uint8)
    line[30:34, 10:54] = 255
    Image.fromarray(line).save(tmp_path / "digit.png")
    Image.fromarray(255 - line).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names = {"array": line / 255}
    exec(example.replace("log_likelihood(images)", "log_likelihood(images, num_particles=2)"), names)
    assert names["sketch"].strokes.control_points.shape[1:] == (6, 5, 2)


def test_the_mnist_model_keeps_its_likelihood():
    values = json.loads((RESULTS / "likelihood-mnist.json").read_text())["values"]
    assert values["log_likelihood_map"]["mean"] >= 7460


def test_the_readme_measures_likelihoods_alone():
    """Reconstruction besides takes twenty minutes without a word."""
    commands = re.findall(r"--mode=evaluate.*?\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert commands and any("--task=likelihood" in command for command in commands)


def test_the_tables_of_the_readme_are_those_of_the_results():
    assert result_tables.readme_table(RESULTS) in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("kind", ["", "-model", "-traced"])
def test_the_accuracies_of_one_shot_classification_are_those_of_the_results(kind):
    values = json.loads((ROOT / "docs" / "results" / f"one_shot-omniglot{kind}.json").read_text())["values"]
    one_way, two_way = (f"{100 * value:g} %" for value in (values["accuracy"], values["two_way"]["accuracy"]))
    page, readme = (
        (ROOT / name).read_text().replace("*", "").replace("\xa0", " ")
        for name in ("docs/one_shot.md", "README.md")
    )
    named = {"": "model and traced", "-model": "the model alone", "-traced": "traced lines alone"}[kind]
    (row,) = (line for line in page.splitlines() if line.startswith(f"| registration, {named} |"))
    assert row.split("|")[2].strip() == one_way and row.split("|")[3].strip() == two_way
    assert one_way in readme
