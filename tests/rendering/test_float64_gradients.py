"""Runs the float64 gradient checks in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

from dood_jax.config.model import CHOICES

HERE = Path(__file__).parent


def test_hand_written_gradients_of_the_brushes_are_those_of_autodiff_in_float64():
    environment = {**os.environ, "JAX_ENABLE_X64": "1", "PYTHONPATH": str(HERE.parent.parent)}
    command = [sys.executable, str(HERE / "float64_gradients.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    checks = set(done.stdout.splitlines())
    assert all(sum(line.split(":")[0] == brush for line in checks) >= 6 for brush in CHOICES["brush"])
