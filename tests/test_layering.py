"""The order of the layers: what a module may import, and which modules must not wait for jax."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest
import readme_map

import dood_jax

PACKAGE = Path(dood_jax.__file__).parent
ROWS = (
    ("errors", "version"),
    ("types", "figures", "command_line"),
    ("geometry",),
    ("rendering",),
    ("distributions",),
    ("config",),
    ("model",),
    ("objectives",),
    ("test_time",),
    ("data", "runtime"),
    ("checkpointing",),
    ("inference",),
    ("training",),
    ("vectorize",),
    ("api",),
    ("evaluation",),
    ("demo", "export"),
    ("main",),
    ("cli",),
)
ROW_OF = {place: row for row, places in enumerate(ROWS) for place in places}
WITHOUT_JAX = (
    "dood_jax",
    "dood_jax.main",
    "dood_jax.cli",
    "dood_jax.config.resolving",
    "dood_jax.config.model",
)


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {  # an installed package holds the configs too
    module_name(path): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] != "configs"
}


def imports_of(name: str) -> set[str]:
    """Modules of the package that a module names in its imports, wherever they stand in it."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & set(MODULES)) or {node.module}
    return {module for module in found if module.split(".")[0] == "dood_jax"}


def place_of(module: str) -> str:
    """The folder or top-level module that a module belongs to."""
    return module.split(".")[1]


def test_every_module_has_a_row():
    assert {place_of(module) for module in MODULES if module != "dood_jax"} <= set(ROW_OF)


@pytest.mark.parametrize("module", [module for module in MODULES if module != "dood_jax"])
def test_imports_come_from_lower_rows_or_the_own_folder(module):
    own = place_of(module)
    for imported in imports_of(module):
        assert imported in MODULES, f"{module} imports {imported}, which does not exist"
        other = place_of(imported)
        assert other == own or ROW_OF[other] < ROW_OF[own], f"{module} imports {imported}"


def test_the_map_of_the_readme_is_that_of_the_rows():
    assert readme_map.rows() == ROWS
    assert readme_map.table(ROWS) in (Path(__file__).parents[1] / "README.md").read_text()


def test_modules_import_each_other_without_cycles():
    graph = {module: imports_of(module) - {module} for module in MODULES}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert set(order) == set(MODULES)


def test_the_top_of_the_package_names_the_python_interface_only():
    """What is imported at once needs no jax; the rest is imported at its first use."""
    assert imports_of("dood_jax") == {"dood_jax.version"}
    assert all(getattr(dood_jax, name) for name in dood_jax.__all__)


@pytest.mark.parametrize("module", WITHOUT_JAX)
def test_flags_and_settings_are_read_without_jax(module):
    program = f"import {module}, sys; assert 'jax' not in sys.modules, 'jax was imported'"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_check_for_jax_can_fail():
    program = "import dood_jax.types, sys; assert 'jax' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, check=False
    )
    assert done.returncode == 1
