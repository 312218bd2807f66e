"""What this machine has: versions, devices, engines, codecs, weights."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil

from nst_core.caches import cache_folder, caches
from nst_core.engines.names import DeviceChoice, EngineChoice
from nst_core.errors import EnvironmentProblem, NstError
from nst_core.wording import counted
from pipeline.encoding.encoders import NVENC_CODECS, choose_encoder
from pipeline.encoding.output_frame import plan_output
from pipeline.films.settings import CodecChoice, EncoderKind, FilmSettings
from pipeline.source.source_video import ColorTags, VideoStreamInfo

_PACKAGES = ("torch", "torchvision", "av", "ray", "numpy", "pillow", "safetensors", "typer")
_OPTIONAL_PACKAGES = ("openvino",)
_CODECS: tuple[CodecChoice, ...] = ("h264", "hevc", "av1", "vp9", "ffv1", "prores")
_LITTLE_ROOM = 10**9
"""Bytes."""
_PROBE_STREAM = VideoStreamInfo(
    codec="h264",
    extradata=None,
    codec_tag="",
    bits_per_coded_sample=0,
    width=256,
    height=256,
    pixel_format="yuv420p",
    time_base=Fraction(1, 25),
    rate=Fraction(25),
    sample_aspect_ratio=None,
    color=ColorTags(range=1, primaries=2, transfer=2, matrix=2),
)


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    name: str
    ok: bool
    text: str
    needed: bool = True
    """Whether the program is of no use without it."""


def examine(*, needs_gpu: bool = False) -> list[Finding]:
    """Look at everything; nothing is changed or downloaded.

    ``needs_gpu``: the program is of no use without a GPU, and what compiles for it and computes on
    it is looked at too.
    """
    return [
        Finding("python", True, platform.python_version()),
        *(_package(name, needed=True) for name in _PACKAGES),
        *(_package(name, needed=False) for name in _OPTIONAL_PACKAGES),
        _cpus(),
        _cuda(needed=needs_gpu),
        *(_gpu_parts() if needs_gpu else ()),
        *_styles_and_engines(),
        *_untested_gpus(),
        *(_encoder(codec, needed=codec == "h264") for codec in _CODECS),
        *(_encoder(codec, kind="nvenc", needed=False) for codec in _nvenc_codecs()),
        _loss_network(),
        *_caches(),
        *_room(),
        _cluster(),
    ]


def _package(name: str, *, needed: bool) -> Finding:
    try:
        version = importlib.metadata.version(name)
        if name in ("torch", "torchvision"):
            __import__(name)  # a mismatched pair is installed and cannot be imported
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, f"not installed; pip install {name}", needed)
    except (ImportError, RuntimeError, OSError) as error:
        text = f"{version} does not import ({error}); torch and torchvision must be a pair"
        return Finding(name, False, text, needed)
    return Finding(name, True, version, needed)


def _cpus() -> Finding:
    from nst_core.processors import usable_processors

    return Finding("cpus", True, f"{usable_processors()} for this process")


def _cuda(*, needed: bool) -> Finding:
    import torch

    if not torch.cuda.is_available():
        why = _attempt("cuda", _start_cuda).text if needed else "no device that torch can use"
        return Finding("cuda", False, why if needed else f"{why}; the CPU works too", needed)
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    made_by = f"ROCm {torch.version.hip}: " if torch.version.hip else ""
    return Finding("cuda", True, made_by + ", ".join(names), needed)


def _start_cuda() -> str:
    """Start CUDA, for the words in which torch says why it does not: no driver, or an old one."""
    import torch

    torch.cuda.init()  # type: ignore[no-untyped-call]
    return f"no device that torch (CUDA {torch.version.cuda}) can use"


def _gpu_parts() -> Iterator[Finding]:
    """What a GPU wants beside its driver: a compiler, a network computed, a decoder's library."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    text = compiler or "none; Triton compiles with it what it starts kernels with: install gcc"
    yield Finding("c compiler", compiler is not None, text)
    yield _attempt("engine cuda", _run_on_gpu)
    yield _attempt("video decoder", _video_library, needed=False)
    yield _attempt("decoder h264 nvdec", _decode_by_card, needed=False)


def _run_on_gpu() -> str:
    from nst_core.checkpoints.library import bundled_styles, find_style
    from nst_core.engines.choice import make_engine

    return _run(make_engine(find_style(bundled_styles()[0]).load(), device="cuda"))


def _video_library() -> str:
    """Load the driver's decoder, which containers get with NVIDIA_DRIVER_CAPABILITIES=video."""
    ctypes.CDLL("libnvcuvid.so.1")
    return "libnvcuvid is here"


def _decode_by_card() -> str:
    """Decode a few frames by the card and by software."""
    from pipeline.segments.encoder import SegmentEncoder
    from pipeline.segments.packet_reader import PacketReader
    from pipeline.segments.plan import plan_segments
    from pipeline.segments.task import SegmentTask
    from pipeline.segments.worker import equal_by_card
    from pipeline.source.source_video import probe

    settings = choose_encoder(Path("probe.mkv"), _PROBE_STREAM)
    output = plan_output(_PROBE_STREAM, settings)
    encoder = SegmentEncoder(_PROBE_STREAM, output)
    for pts in range(3):
        picture = np.roll(np.arange(384 * 256, dtype=np.uint8).reshape(384, 256), 4 * pts, axis=0)
        encoder.encode(av.VideoFrame.from_ndarray(picture, "yuv420p"), pts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "probe.nut")
        path.write_bytes(encoder.finish())
        source = probe(path)
        (segment,) = plan_segments(source.packets, time_base=source.info.time_base, seconds=5.0)
        with PacketReader(source) as reader:
            packets = reader.read(segment)
    if not equal_by_card(SegmentTask(segment, source.info, output, packets)):
        raise EnvironmentProblem("it gives other frames than software does, which is used, then")
    return "works, and gives the frames that software gives"


def _nvenc_codecs() -> tuple[CodecChoice, ...]:
    """Where there is a graphics card: its encoder is of no interest elsewhere."""
    import torch

    return NVENC_CODECS if torch.cuda.is_available() and not torch.version.hip else ()


def _styles_and_engines() -> Iterator[Finding]:
    from nst_core.checkpoints.library import bundled_styles, find_style
    from nst_core.engines.choice import make_engine

    names = bundled_styles()
    text = ", ".join(names) or "none; the installation is damaged, install it anew"
    yield Finding("bundled styles", bool(names), text)
    if not names:
        return
    style = find_style(names[0])
    yield _attempt("engine torch", lambda: _run(make_engine(style.load(), engine="torch")))
    yield _attempt(
        "engine openvino",
        lambda: _run(
            make_engine(style.load(), engine="openvino", device="cpu", eight_bit=style.eight_bit)
        ),
        needed=False,
    )


def _untested_gpus() -> Iterator[Finding]:
    """What computes on GPUs that nobody has tried the program on."""
    from nst_core.checkpoints.library import bundled_styles, find_style
    from nst_core.engines.choice import make_engine, untested_gpus

    for engine, device in untested_gpus():

        def computed(engine: EngineChoice = engine, device: DeviceChoice = device) -> str:
            network = find_style(bundled_styles()[0]).load()
            return _run(make_engine(network, engine=engine, device=device))

        found = _attempt(f"engine {engine} {device}", computed, needed=False)
        yield replace(found, text=f"{found.text}; not tested: compare with --device cpu")


def _run(engine: object) -> str:
    import torch

    from nst_core.engines.engine import Engine

    chosen: Engine = engine  # type: ignore[assignment]
    chosen.run(torch.rand(1, 3, 64, 64))
    return f"{chosen.name} works"


def _encoder(codec: CodecChoice, *, kind: EncoderKind = "software", needed: bool) -> Finding:
    """Encode a frame: that a codec is listed does not mean that it opens."""
    name = f"encoder {codec}" if kind == "software" else f"encoder {codec} {kind}"
    return _attempt(name, lambda: _encode(codec, kind), needed=needed)


def _encode(codec: CodecChoice, kind: EncoderKind) -> str:
    from pipeline.segments.encoder import check_encoder

    settings = choose_encoder(
        Path("probe.mkv"), _PROBE_STREAM, FilmSettings(codec=codec, encoder=kind)
    )
    check_encoder(_PROBE_STREAM, plan_output(_PROBE_STREAM, settings))
    return f"{settings.encoder} works"


def _loss_network() -> Finding:
    """Weights are looked for where they would be, and not downloaded."""
    from nst_core.objectives.weights.kept import WEIGHTS_VARIABLE, weights_at_hand

    found = list(weights_at_hand())
    if found and found[0].place == "variable":
        text = f"{WEIGHTS_VARIABLE}={found[0].path}"
        return Finding("loss network", found[0].size is not None, text, False)
    if found:
        return Finding("loss network", True, ", ".join(str(each.path) for each in found), False)
    text = (
        "no weights here yet; training downloads them, once (575 MB, of which 12 are kept), or "
        "takes --loss-network-weights FILE; see `nst weights`"
    )
    return Finding("loss network", False, text, False)


def _caches() -> Iterator[Finding]:
    for cache in caches():
        text = f"{counted(cache.files, 'files')}, {_readable(cache.size)} in {cache.path}"
        command = "nst clean --all" if cache.stays else "nst clean"
        hint = f"; `{command}` empties it" if cache.files else ""
        yield Finding(cache.name, True, text + hint, False)


def _room() -> Iterator[Finding]:
    """Room on the disks that are written to, and in memory."""
    for name, folder in (
        ("disk, this folder", Path.cwd()),
        ("disk, temporary", Path(tempfile.gettempdir())),
        ("disk, caches", _there(cache_folder())),
    ):
        usage = shutil.disk_usage(folder)
        text = f"{_readable(usage.free)} free of {_readable(usage.total)} ({folder})"
        enough = usage.free >= _LITTLE_ROOM
        yield Finding(name, enough, text + ("" if enough else "; make room"), False)
    memory = psutil.virtual_memory()
    text = f"{_readable(memory.available)} free of {_readable(memory.total)}"
    yield Finding("memory", memory.available >= _LITTLE_ROOM, text, False)


def _there(folder: Path) -> Path:
    """Return the innermost of a folder and those around it that exists."""
    return next(each for each in (folder, *folder.absolute().parents) if each.exists())


def _readable(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _cluster() -> Finding:
    address = os.environ.get("NST_ADDRESS")
    if not address:
        return Finding(
            "cluster", True, "none named (NST_ADDRESS); work runs on this machine", False
        )
    from cluster.connection import cluster_resources, ray_session

    def connect() -> str:
        with ray_session(address):
            resources = cluster_resources()
            cpus, gpus = resources.get("CPU", 0), resources.get("GPU", 0)
            return f"{address}: {cpus:g} CPUs, {gpus:g} GPUs"

    return _attempt("cluster", connect)


def _attempt(name: str, action: Callable[[], str], *, needed: bool = True) -> Finding:
    try:
        return Finding(name, True, action(), needed)
    except (NstError, ImportError, RuntimeError, OSError, ValueError) as error:
        return Finding(name, False, " ".join(str(error).split()), needed)
