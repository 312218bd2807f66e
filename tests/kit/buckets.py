"""Buckets: what tests put into them, and find there."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from tests.kit.media import moving_picture


def put_picture(service: Any, bucket: str, key: str, number: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(moving_picture(number, 40, 30)).save(file, "PNG")
    service.put_object(Bucket=bucket, Key=key, Body=file.getvalue())
    return file.getvalue()
