import subprocess
import sys

import pytest

# Page faults of the second half of many allocations larger than glibc keeps by default.
_COUNT = """
import resource
import numpy as np
{first}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(64 << 20, dtype=np.uint8)
before = faults()
for _ in range(5):
    np.ones(64 << 20, dtype=np.uint8)
print(faults() - before)
"""
_KEEP = "from pipeline.engines.allocator import keep_freed_memory; keep_freed_memory()"


def faults(first: str) -> int:
    code = _COUNT.format(first=first)
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_memory_is_reused():
    kept = faults(_KEEP)
    assert kept < 100
    assert faults("") > 10 * max(kept, 1), "without it, glibc returns the memory"
