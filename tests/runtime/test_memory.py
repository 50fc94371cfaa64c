"""Memory that is given back stays in the process."""

import subprocess
import sys

import pytest

_FAULTS_OF_LARGE_ARRAYS = """
import resource, sys
from dood_jax.runtime import parallel
if sys.argv[1] == "kept":
    parallel.keep_freed_memory()
large = lambda: bytearray(b"x") * (64 << 20)
large()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    large()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator of other systems has no such option")
def test_freed_memory_is_used_again_without_page_faults():
    """Four arrays of 64 MiB, one after the other, lie in the pages of the first."""
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", _FAULTS_OF_LARGE_ARRAYS, how]))
        for how in ("kept", "given back")
    }
    assert 4 * faults["kept"] < faults["given back"]
