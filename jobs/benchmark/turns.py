"""Measuring by turns: a machine that slows down slows down all that is compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

Case = Callable[[], float]
"""Does its work once; returns how many seconds it took."""


def timed(work: Callable[[], object], device: str = "cpu") -> Case:
    """Turn work into a case; on ``cuda`` by the device's own events, which wait for its work."""

    def case() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    def case_on_cuda() -> float:
        import torch

        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        work()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1000

    return case_on_cuda if device == "cuda" else case


def take_turns(
    cases: Mapping[str, Case], *, rounds: int, warm_up: bool = True
) -> dict[str, list[float]]:
    """Run all cases once, then again, ``rounds`` times; seconds by name, one a round.

    ``warm_up`` puts a round in front that is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    if warm_up:
        for case in cases.values():
            case()
    for _ in range(rounds):
        for name, case in cases.items():
            seconds[name].append(case())
    return seconds


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))
