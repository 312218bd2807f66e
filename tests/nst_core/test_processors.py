import os
from pathlib import Path

import pytest
import torch

from nst_core.processors import has_avx512, usable_processors


@pytest.mark.parametrize(
    ("quota", "most"), [("50000 100000", 1), ("150000 100000", 2), ("3200000 100000", 32)]
)
def test_a_containers_quota_bounds_the_processors(tmp_path: Path, quota: str, most: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(f"{quota}\n")
    assert usable_processors(file) == min(most, len(os.sched_getaffinity(0)))


@pytest.mark.parametrize("text", ["max 100000\n", "", "what"])
def test_without_a_quota_all_of_the_affinity_is_used(tmp_path: Path, text: str) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(text)
    assert usable_processors(file) == len(os.sched_getaffinity(0))
    assert usable_processors(tmp_path / "absent") == len(os.sched_getaffinity(0))


def test_an_affinity_of_one_processor_is_one() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_processors() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_avx512_is_told_from_the_systems_own_list(tmp_path: Path) -> None:
    lists = {"new": "avx2 avx512f avx512bw", "old": "sse2 avx2", "alike": "avx2 avx512fp"}
    for name, flags in lists.items():
        (tmp_path / name).write_text(f"processor : 0\nflags : fpu {flags} rtm\n")
    seen = [name for name in (*lists, "absent") if has_avx512(tmp_path / name)]
    assert seen == ["new"]


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the system has no such list")
def test_avx512_is_seen_where_torch_sees_it() -> None:
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        assert has_avx512()
