from __future__ import annotations

import subprocess
import sys

import pytest

_SCRIPT = """
import os
from jobs.training.loop import keep_freed_memory

def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

def freed():
    block = bytearray(b"x") * (256 << 20)
    before = held()
    del block
    return before - held()

print(freed())
keep_freed_memory()
print(freed())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is meant")
def test_large_blocks_are_given_back_until_they_are_to_be_kept() -> None:
    command = (sys.executable, "-c", _SCRIPT)
    result = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    before, after = map(int, result.stdout.split())
    assert before > 200  # MiB
    assert after < 20
