"""Every file of the folder ``hostile``, and what must become of it: written down by hand.

The numbers come from a sequential decode of each file through its own container, with one thread
(``tests.kit.sequential_decode``), never from the program.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal["done", "damaged", "refused"]


@dataclass(frozen=True)
class HostileFile:
    """One awkward file and its expected outcome, with the program's defaults."""

    name: str
    outcome: Outcome
    frames: int = 0
    """That a sequential decode shows; the output must have each of them."""
    missing: int = 0
    """Frames with a packet in the file that the decoder does not give."""
    copied: str = ""
    """Codecs of the streams beside the main one that must arrive byte by byte, in their order."""
    keeps: str = ""
    """What else the file has, and its output must have: names of ``Reading.features``."""
    says: str = ""
    """Words of the refusal, or of the warning."""
    becomes: str = ""
    """Ending of the output, where the container of the source cannot be written."""
    rate: int | None = None
    """Frames a second of a file that has no timestamps; its frames start at zero."""

    def __post_init__(self) -> None:
        assert (self.outcome == "refused") == (not self.frames)
        assert self.outcome == "damaged" or not self.missing

    @property
    def output(self) -> str:
        """Name of the output in a folder."""
        return Path(self.name).with_suffix(self.becomes).name if self.becomes else self.name


_UNREADABLE = "packet that could not be decoded"

HOSTILE_FILES: tuple[HostileFile, ...] = (
    HostileFile("01_h264_bframes_aac.mp4", "done", 144, copied="aac"),
    HostileFile("02_h264_opengop.mp4", "done", 144, copied="aac"),
    HostileFile("02b_h264_opengop.mkv", "done", 144, copied="aac"),
    HostileFile("02c_h264_opengop.ts", "done", 144, copied="aac", becomes=".mkv"),
    HostileFile("03_hevc_opengop.mp4", "done", 144, copied="aac"),
    HostileFile("03b_hevc_opengop.mkv", "done", 144, copied="aac"),
    HostileFile("04_h264_intrarefresh.mp4", "done", 144, copied="aac"),
    HostileFile("05_vfr.mp4", "done", 88, copied="aac"),
    HostileFile("05b_vfr.mkv", "done", 88, copied="opus"),
    HostileFile("06_rot90.mov", "done", 96, copied="aac", keeps="rotation aspect"),
    HostileFile("06_rot90.mp4", "done", 96, copied="aac", keeps="rotation aspect"),
    HostileFile("07_hdr10.mp4", "done", 96, copied="aac", keeps="aspect colors depth hdr10"),
    HostileFile("07b_hdr10.mkv", "done", 96, copied="aac", keeps="aspect colors depth hdr10"),
    HostileFile("08_odd_h264_444.mp4", "done", 72, copied="aac", keeps="aspect"),
    HostileFile("08b_odd_vp9.webm", "done", 72, copied="opus", keeps="aspect"),
    HostileFile("09_audio_late.mp4", "done", 96, copied="aac"),
    HostileFile("09b_video_late.mp4", "done", 126, copied="aac"),
    HostileFile("09c_video_late.mkv", "done", 96, copied="opus"),
    HostileFile(
        "10_multi.mkv", "done", 144, copied="aac opus srt ssa", keeps="attachments chapters tags"
    ),
    HostileFile("10b_multi.mp4", "done", 144, copied="aac aac mov_text", keeps="chapters tags"),
    HostileFile("11_vp9.webm", "done", 96, copied="opus"),
    HostileFile("11b_vp8_alpha.webm", "done", 72, copied="opus", keeps="alpha"),
    HostileFile("11c_av1.mp4", "done", 72, copied="aac"),
    HostileFile("12_prores.mov", "done", 48, copied="pcm_s16le", keeps="depth"),
    # Its second frame was left out, and the file declares one frame more than it has.
    HostileFile(
        "12b_mjpeg.avi", "done", 48, copied="mp3float", keeps="colors full", becomes=".mkv"
    ),
    HostileFile("12c_mpeg4_bf.avi", "done", 72, copied="mp3float", becomes=".mkv"),
    HostileFile("12d_mpeg2.mpg", "done", 72, copied="mp2", becomes=".mkv"),
    HostileFile("12e_ffv1.mkv", "done", 48, copied="vorbis"),
    HostileFile("12f_raw.h264", "done", 72, says="no times", becomes=".mkv", rate=24),
    HostileFile("12g.flv", "done", 72, copied="mp3float", becomes=".mkv"),
    HostileFile("12h_interlaced.mp4", "done", 24, copied="aac", says="interlaced"),
    HostileFile("13_anim.gif", "done", 20),
    HostileFile("13b_anim.png", "done", 10, becomes=".mkv"),
    # FFmpeg's decoder knows still WebP only: it reports 0x0 pixels.
    HostileFile("13c_anim.webp", "refused", says="animated WebP"),
    # Nothing of it is broken, but 66 of 144 declared frames are not there.
    HostileFile("14_trunc_faststart.mp4", "damaged", 78, copied="aac", says="declares 144"),
    HostileFile("14b_trunc_nomoov.mp4", "refused", says="not a readable video"),
    # Its Matroska segment should end at byte 119050; the file does at 71430.
    HostileFile("14c_trunc.mkv", "damaged", 52, copied="opus", says="declares"),
    HostileFile("15_zero.mp4", "refused", says="the file is empty"),
    HostileFile("15b_garbage.mp4", "refused", says="not a readable video"),
    HostileFile("16_audio_only.m4a", "refused", says="no video stream"),
    HostileFile("16b_audio_cover.mp3", "refused", says="no video stream"),
    HostileFile("16c_video_cover.mp4", "done", 144, copied="aac mjpeg"),
    HostileFile("17_corrupt_mid.mp4", "damaged", 143, 1, copied="aac", says=f"1 {_UNREADABLE}"),
    HostileFile("17b_corrupt_key.mp4", "damaged", 143, 1, copied="aac", says=f"1 {_UNREADABLE}"),
    # Not one error: the decoder leaves the frames out in silence.
    HostileFile("17c_corrupt_hevc.mp4", "damaged", 129, 15, copied="aac", says="15 frames missing"),
    HostileFile("17d_corrupt_vp9.webm", "damaged", 95, 1, copied="opus", says=f"1 {_UNREADABLE}"),
    HostileFile("18_fullrange709.mp4", "done", 72, copied="aac", keeps="colors full"),
    HostileFile("18b_tv709_720.mp4", "done", 72, copied="aac", keeps="colors"),
    HostileFile("19_sar.mp4", "done", 72, copied="aac", keeps="aspect"),
    # 114 frames in the file; the edit list shows them from the third on.
    HostileFile("20_editlist_ss.mp4", "done", 112, copied="aac"),
    HostileFile("20b_ss.mkv", "done", 114, copied="aac"),
    # Two halves, the second with the timestamps of the first: it goes on where that one ended.
    HostileFile(
        *("21_reschange.ts", "done", 96),
        copied="mp2",
        keeps="aspect",
        says="those of 320x180 are scaled to 240x136",
        becomes=".mkv",
    ),
    HostileFile(
        *("22_tsdiscont.ts", "done", 96),
        copied="mp2",
        keeps="aspect",
        says="its clock is set anew at 3.48 s",
        becomes=".mkv",
    ),
    HostileFile("23_oneframe.mp4", "done", 1, copied="aac"),
    HostileFile("23b_twoframes.mp4", "done", 2, copied="aac"),
    HostileFile("24_frag.mp4", "done", 144, copied="aac"),
    HostileFile("25_onegop.mp4", "done", 144, copied="aac"),
    HostileFile("26_120fps.mp4", "done", 240, copied="aac"),
    HostileFile("27_latin1.mp4", "done", 26, copied="aac", keeps="tags"),
    HostileFile("28_alpha.mov", "done", 24, copied="aac", keeps="alpha depth"),
    HostileFile("29_tmcd.mov", "done", 48, copied="aac", keeps="timecode"),
)
