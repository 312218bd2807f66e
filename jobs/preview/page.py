"""The page of a preview: one HTML file with all pictures in it, which asks no network."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

_TEMPLATE = Path(__file__).with_name("page.html")
_PLACE = "/* the preview's data */"
_QUALITY = 88


@dataclass(frozen=True)
class PageFrame:
    """One frame, and what each style made of it."""

    label: str
    source: Image.Image
    stylized: Sequence[Image.Image]
    """In the order of the page's looks."""


def render_page(frames: Sequence[PageFrame], looks: Sequence[dict[str, str]]) -> str:
    """Return the page. A look has a ``style``, and a ``stroke`` or ``strength`` where several are.

    Every look of a frame differs from the others in at least one of them.
    """
    data: dict[str, Any] = {
        "looks": list(looks),
        "frames": [
            {
                "label": frame.label,
                "width": frame.source.width,
                "height": frame.source.height,
                "source": _inlined(frame.source),
                "stylized": [_inlined(picture) for picture in frame.stylized],
            }
            for frame in frames
        ],
    }
    # Within a script nothing may look like its end.
    text = json.dumps(data, ensure_ascii=True).replace("<", "\\u003c")
    return _TEMPLATE.read_text(encoding="utf-8").replace(_PLACE, text)


def _inlined(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
