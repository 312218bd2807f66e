"""What a worker does with a picture. An ordinary class; no Ray here."""

from __future__ import annotations

from nst_core.stylizer import Stylizer
from pipeline.image_files import ImageTask, read_picture, write_picture


class ImageWorker:
    """Reads, stylizes and writes pictures with one Stylizer."""

    def __init__(self, stylizer: Stylizer) -> None:
        self._stylizer = stylizer

    @property
    def engine(self) -> str:
        """What computes, for the report."""
        return self._stylizer.engine

    def process(self, task: ImageTask) -> None:
        """Do one picture. Raises MediaError for one that cannot be read or written."""
        picture = read_picture(task.source, max_side=task.max_side)
        stylized = self._stylizer.stylize(picture.rgb)
        write_picture(task.output, stylized, picture, quality=task.quality)
