"""How far downloads are, told as a job's progress."""

from __future__ import annotations

from nst_core.objectives.weights.download import Download, OnDownload
from pipeline.work.progress import OnProgress, Progress

_MEGABYTE = 10**6


def shown_in(on_progress: OnProgress) -> OnDownload:
    """Return what tells of a download: its size before it begins, then how long it will take."""
    is_told = False

    def show(state: Download) -> None:
        nonlocal is_told
        done, total = state.done // _MEGABYTE, state.total // _MEGABYTE
        news = f"downloads {state.name}, {total or 'some'} MB, from {state.host}, this once"
        if state.done and not is_told:
            news += f"; {done} MB of it are here already"
        rate = state.per_second / _MEGABYTE
        on_progress(
            Progress(
                done,
                total,
                "MB",
                per_second=rate or None,
                seconds_left=state.seconds_left,
                estimates=True,
                is_all=bool(total),
                news="" if is_told else news,
            )
        )
        is_told = True

    return show
