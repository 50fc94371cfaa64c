"""Nothing that is read can run code: no pickle, no eval, and NumPy is told so wherever it loads."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [path for place in ("dood_jax", "launch", "benchmarks") for path in (ROOT / place).rglob("*.py")]
FORBIDDEN = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def faults_of(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.split(".")[0] for alias in node.names}
            names |= {(node.module or "").split(".")[0]} if isinstance(node, ast.ImportFrom) else set()
            found += sorted(names & FORBIDDEN)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            allows = [word.value for word in node.keywords if word.arg == "allow_pickle"]
            told = [isinstance(value, ast.Constant) and value.value is False for value in allows]
            if called in ("eval", "exec") or (called in ("np.load", "numpy.load") and told != [True]):
                found.append(f"{called} in line {node.lineno}")
            found += [f"allow_pickle in line {node.lineno}"] * (told == [False])
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled(path):
    assert faults_of(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    "code",
    ["import pickle", "from dill import load", "np.load(x)", "np.load(x, allow_pickle=True)", "eval(x)"],
)
def test_it_would_be_found(code):
    assert faults_of(ast.parse(code))
