"""The looks of one film's frames: what the tasks of its segments are told, and what decides it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from fractions import Fraction
from itertools import groupby
from typing import Any

from nst_core.checkpoints.style_spec import StyleSpec
from pipeline.films.span import timecode
from pipeline.looks.direction import Direction, Scene
from pipeline.looks.look import Look, SegmentMask, Share, Shares
from pipeline.looks.mask import FilmMask, mask_of
from pipeline.segments.plan import Segment
from pipeline.source.source_video import SourceVideo
from pipeline.source.trimming import film_seconds


class FilmLooks:
    """Says which looks the frames of a film have, by a direction."""

    def __init__(
        self,
        direction: Direction,
        film: SourceVideo,
        size: tuple[int, int],
        fps: Fraction | None,
    ) -> None:
        """``size`` is the width and height of the frames that networks take.

        ``fps`` are the pictures of a second where masks are numbered ones. Raises InputError and
        MediaError, also for a mask that ends before the film.
        """
        self._direction = direction
        self._film = film
        self._size = size
        self._fps = fps
        self._masks: dict[str, FilmMask] = {}
        self._shares: dict[int, Shares] = {}
        """By the frame's PTS; empty where all of all frames is of one look."""
        self.first = self._look(direction.scene.spec)
        """One that workers can be made ready for."""
        if direction.scene.mask or direction.timeline:
            self._direct()

    @property
    def warnings(self) -> list[str]:
        """What a film does not get of what is asked for, in words."""
        return [*self._limits(), *self._beyond_the_end()]

    def _limits(self) -> list[str]:
        """What styles do not reach of the strokes that are asked for."""
        choices = (spec.strokes_of(style) for spec, style in self._direction.styles.items())
        width, height = self._size
        limits = (choice.limit(height, width) for choice in choices)
        return list(dict.fromkeys(limit for limit in limits if limit))

    def _beyond_the_end(self) -> Iterator[str]:
        """Yield the entries of a timeline that begin after the last frame, of a whole film."""
        if self._film.cut or not self._direction.timeline:
            return
        (last,) = film_seconds(self._film, self._film.packets.shown_pts[-1:])
        for moment in self._direction.timeline:
            if moment.scene != self._direction.scene and moment.start > last:
                yield (
                    f"line {moment.line} of the timeline begins at {timecode(moment.start)}, "
                    f"after the last frame ({timecode(Fraction(float(last)))})"
                )

    def of(self, segment: Segment) -> dict[str, Any]:
        """Return what a segment's task is told: its looks, shares and masks. Raises MediaError."""
        if self.is_one:
            return {"looks": (self.first,)}
        shares = self._shares_of(segment)
        every = dict.fromkeys(share for each in dict.fromkeys(shares) for share in each)
        return {
            "looks": tuple(dict.fromkeys(share.look for share in every)),
            "shares": shares,
            "masks": self._masks_of(segment, every),
        }

    def identity(self, segment: Segment) -> str:
        """Return what decides a segment's content beside what decides that of all, as a hash.

        It is empty where there is nothing of the kind.
        """
        if self.is_one:
            return ""
        runs = [
            [len(list(run)), [self._identity_of(share) for share in shares]]
            for shares, run in groupby(self._shares_of(segment))
        ]
        return hashlib.sha256(json.dumps(runs, sort_keys=True).encode()).hexdigest()

    @property
    def is_one(self) -> bool:
        """Whether all of all frames is of one look."""
        return not self._shares

    def identity_of_all(self) -> list[object] | None:
        """Return what decides the only look; None where segments have identities of their own."""
        return self._identity_of_look(self.first) if self.is_one else None

    @property
    def mask_bytes_a_second(self) -> float:
        """Bytes of the pictures that masks are made of; 0 where they are films, or no masks."""
        return sum(mask.bytes_a_second for mask in self._masks.values())

    def check_unchanged(self) -> None:
        """Raise MediaError where a mask is not what it was when it was probed."""
        for mask in self._masks.values():
            mask.check_unchanged()

    def close(self) -> None:
        """Close the masks."""
        for mask in self._masks.values():
            mask.close()

    def _direct(self) -> None:
        """Give each frame its shares; those of one scene are one and the same."""
        shown = self._film.packets.shown_pts
        every: dict[tuple[tuple[Scene, float], ...], Shares] = {}
        last: dict[str, int] = {}
        for pts, seconds in zip(
            shown.tolist(), film_seconds(self._film, shown).tolist(), strict=True
        ):
            scenes = self._direction.scenes_at(seconds)
            if scenes not in every:
                every[scenes] = tuple(share for each in scenes for share in self._of_scene(*each))
            self._shares[pts] = every[scenes]
            last |= {share.mask: pts for share in every[scenes] if share.mask}
        for name, pts in last.items():
            self._masks[name].check_reaches(pts)
        looks = (share.look for shares in every.values() for share in shares)
        computing = (each for each in looks if self._direction.styles[each.spec].path)
        self.first = next(computing, self.first)

    def _of_scene(self, scene: Scene, amount: float = 1.0) -> list[Share]:
        """Return the shares of a scene in a frame; its mask is opened where it is new."""
        if not (scene.mask and scene.rest):
            return [Share(self._look(scene.spec), amount)]
        path = mask_of(scene.mask, self._film.path)
        name = str(path)
        if name not in self._masks:
            self._masks[name] = FilmMask(path, self._film, self._fps)
        return [
            Share(self._look(scene.spec), amount, name),
            Share(self._look(scene.rest), amount, name, outside=True),
        ]

    def _look(self, spec: StyleSpec) -> Look:
        width, height = self._size
        return Look(spec, spec.strokes_of(self._direction.styles[spec]).of(height, width))

    def _shares_of(self, segment: Segment) -> tuple[Shares, ...]:
        return tuple(self._shares[pts] for pts in (*segment.warm_pts, *segment.owned_pts))

    def _masks_of(self, segment: Segment, shares: dict[Share, None]) -> tuple[SegmentMask, ...]:
        names = dict.fromkeys(share.mask for share in shares if share.mask)
        return tuple(self._masks[name].of(segment) for name in names)

    def _identity_of(self, share: Share) -> list[object]:
        mask = self._masks[share.mask].identity if share.mask else None
        return [self._identity_of_look(share.look), share.amount, mask, share.outside]

    def _identity_of_look(self, look: Look) -> list[object]:
        """What is new is there only where it was asked for: else pieces of before are used."""
        style = self._direction.styles[look.spec].with_stroke(look.stroke)
        how = {"style": look.spec.style, **look.spec.options_for(style)}
        del how["stroke"]  # what it came to is in the fingerprint
        if how["noise"] is None:
            del how["noise"]
        return [style.fingerprint, how]
