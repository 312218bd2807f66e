"""The decoder of a graphics card that is not there: frames of software, stored as cards do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import av
import pytest

from pipeline.segments import card_decoder

Spoil = Callable[[int, av.VideoFrame], av.VideoFrame | None]
"""What becomes of a frame, by its number in its decoder; None: it is lost. May raise."""

_STORED = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le"}


class FakeDecoder:
    """What PyAV returns where it is given a HWAccel."""

    is_hwaccel = True

    def __init__(self, card: FakeCard, codec: str) -> None:
        vars(self)["_card"] = card
        vars(self)["_software"] = card.create_software({"av1": "libdav1d"}.get(codec, codec), "r")
        vars(self)["_count"] = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._software, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._software, name, value)

    def decode(self, packet: Any) -> list[av.VideoFrame]:
        """Decode by software, and store frames as NVDEC does."""
        found = []
        for frame in self._software.decode(packet):
            stored = self._card.spoil(self._count, frame)
            vars(self)["_count"] += 1
            if stored is not None:
                found.append(stored.reformat(format=_STORED[stored.format.name], threads=1))
                self._card.frames += 1
        return found


class FakeCard:
    """Stands in for PyAV's HWAccel and for what it makes decoders with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.frames = 0
        """How many it has decoded."""
        self.options: list[dict[str, str]] = []
        self.codecs: list[str] = []
        self.spoil: Spoil = lambda number, frame: frame
        self.create_software: Any = av.VideoCodecContext.create
        monkeypatch.setattr(card_decoder, "HWAccel", self._hwaccel)
        monkeypatch.setattr(av, "VideoCodecContext", self)

    def _hwaccel(self, kind: str, *, options: dict[str, str], **_: Any) -> str:
        assert kind == "cuda"
        self.options.append(options)
        return kind

    def create(self, codec: str, mode: str, hwaccel: str | None = None) -> Any:
        """Do what VideoCodecContext.create does."""
        if hwaccel is None:
            return self.create_software(codec, mode)
        self.codecs.append(codec)
        return FakeDecoder(self, codec)
