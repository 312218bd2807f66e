"""Written by `python -m tests.nst.test_stub`: functions take the fields of specifications."""

from PIL.Image import Image
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from fractions import Fraction
from jobs.preview.preview import PreviewReport
from jobs.training.train import TrainingReport
from nst_core.checkpoints.library import Style
from nst_core.errors import NstError as NstError
from numpy import dtype
from numpy import ndarray
from numpy import uint8
from pathlib import Path
from pipeline.films.report import StylizeVideoReport
from pipeline.pictures.report import StylizeImagesReport
from pipeline.work.progress import Progress
from torchvision.transforms.v2._transform import Transform
from typing import Any
from typing import Literal
from typing import TypeVar

_Picture = TypeVar("_Picture", ndarray[tuple[Any, ...], dtype[uint8]], Image)
__version__: str
__all__ = [
    "NstError",
    "RandomStyle",
    "StylizeBatches",
    "Stylizer",
    "fit_style",
    "load_style",
    "preview",
    "stylize_images",
    "stylize_video",
    "train_style",
]

class RandomStyle(Transform):  # type: ignore[misc]
    """Stylizes images at random: each with probability ``p``, in one of the ``styles``.

    Between ``strength[0]`` and ``strength[1]`` of it, by chance, is blended with the image. Images
    are those of PIL, and tensors of [... x] 3 x H x W, uint8 or floats from 0 to 1; boxes, masks
    and labels pass. Chance is torch's, which a DataLoader seeds in each of its workers.
    """

    p: float
    strength: tuple[float, float]
    def __init__(
        self,
        styles: str | Path | Style | Iterable[str | Path | Style] = ...,
        *,
        keep_colors: bool = False,
        engine: Literal["auto", "torch", "openvino"] = "auto",
        device: Literal["auto", "cpu", "cuda", "rocm", "mps", "xpu"] = "auto",
        precision: Literal["auto", "float32", "bfloat16", "float16", "int8"] = "auto",
        match_histogram: bool = False,
        stroke: float | None = None,
        noise: float | None = None,
        p: float = 0.5,
        strength: tuple[float, float] = ...,
    ) -> None: ...
    def make_params(
        self,
        flat_inputs: list[Any],
    ) -> dict[str, Any]:
        """Choose for one sample whether, in which style and how strongly."""
    def transform(
        self,
        inpt: Any,
        params: dict[str, Any],
    ) -> Any:
        """Stylize an image or a video; whatever else there is in a sample is returned."""

class StylizeBatches:
    """What `ray.data.Dataset.map_batches` calls: stylizes the pictures in a column of each batch.

    Give it the class, and the style as ``fn_constructor_kwargs``: each actor then loads the network
    once. A style from `load_style` needs no file on the actors' machines.
    """
    def __init__(
        self,
        style: str | Path | Style,
        *,
        strength: float = 1.0,
        strengths: Mapping[str, float] = ...,
        keep_colors: bool = False,
        engine: Literal["auto", "torch", "openvino"] = "auto",
        device: Literal["auto", "cpu", "cuda", "rocm", "mps", "xpu"] = "auto",
        precision: Literal["auto", "float32", "bfloat16", "float16", "int8"] = "auto",
        match_histogram: bool = False,
        stroke: float | None = None,
        noise: float | None = None,
        column: str = "image",
    ) -> None: ...
    def __call__(
        self,
        batch: dict[str, Any],
    ) -> dict[str, Any]:
        """Return a batch with the pictures stylized: uint8, RGB, H x W x 3, of any sizes."""

class Stylizer:
    """Applies a style to pictures, with the pixels that `nst stylize images` gives them.

    The network is loaded with the first picture, and again where a copy has come to another
    process. `torch.set_num_threads` says how many threads it takes.
    """

    style: Style
    def __init__(
        self,
        style: str | Path | Style,
        *,
        strength: float = 1.0,
        strengths: Mapping[str, float] = ...,
        keep_colors: bool = False,
        engine: Literal["auto", "torch", "openvino"] = "auto",
        device: Literal["auto", "cpu", "cuda", "rocm", "mps", "xpu"] = "auto",
        precision: Literal["auto", "float32", "bfloat16", "float16", "int8"] = "auto",
        match_histogram: bool = False,
        stroke: float | None = None,
        noise: float | None = None,
    ) -> None: ...
    def __call__(
        self,
        picture: _Picture,
    ) -> _Picture:
        """Return a picture stylized: of PIL's, or an array of uint8, RGB, [N x] H x W x 3."""
    @property
    def engine(
        self,
    ) -> str:
        """What computes, such as ``openvino cpu int8``; ``none`` before the first picture."""

def fit_style(
    painting: str | Path,
    content: str | Path | Iterable[str | Path] = ...,
    *,
    name: str | None = None,
    fit_steps: int = 60,
    loss_network_weights: str | Path | None = None,
    device: Literal["auto", "cpu", "cuda", "rocm", "mps", "xpu"] = "auto",
    calibrate: bool = True,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] = ...,
) -> Style:
    """Fit a style to a painting, in about a minute, as `nst styles fit` does.

    What was fitted before, without a name, is returned at once. Raises InputError for a name that
    there is (``overwrite`` replaces it), LossNetworkError for weights that are not at hand, and
    TrainingDiverged.
    """

def load_style(
    style: str | Path | Style,
    *,
    device: Literal["auto", "cpu", "cuda", "rocm", "mps", "xpu"] = "auto",
    fit_steps: int | None = None,
    loss_network_weights: str | Path | None = None,
    content: str | Path | Iterable[str | Path] = ...,
    on_progress: Callable[[Progress], None] = ...,
) -> Style:
    """Find a style by its name, file or picture; it may travel to machines without that file.

    A picture is fitted now, in a minute, unless it has been before: best to ``content``, the
    pictures or films that are to be stylized. Raises InputError, and what `fit_style` raises.
    """

def preview(
    inputs: str | Path | Iterable[str | Path],
    output: str | Path = ...,
    *,
    styles: str | Path | Style | Iterable[str | Path | Style] = ...,
    frames: int = 4,
    at: str | Iterable[str] = ...,
    strokes: float | Iterable[float] = ...,
    strengths: float | Iterable[float] = ...,
    keep_colors: bool = False,
    mask: str | Path | None = None,
    mask_style: str | Path | Style | None = None,
    timeline: str | Path | None = None,
    max_side: int = 640,
    device: Literal["auto", "cpu", "cuda", "rocm", "mps", "xpu"] = "auto",
    fit_steps: int | None = None,
    loss_network_weights: str | Path | None = None,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] = ...,
) -> PreviewReport:
    """Show frames of films, and pictures, in many styles: a sheet or a page, as `nst preview` does.

    Raises InputError or EnvironmentProblem where nothing at all can be shown.
    """

def stylize_images(
    sources: str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    styles_per_image: int | None = None,
    seed: int = 0,
    format: Literal["same", "png", "jpeg", "webp"] = "same",
    quality: int = 95,
    max_side: int | None = None,
    mask: str | None = None,
    mask_style: str | Path | Style | None = None,
    max_pixels: int = 200000000,
    tile: Literal["auto", "off"] | int = "auto",
    refine: int = 0,
    refine_styles: str | Path | Iterable[str | Path] = ...,
    sheet: bool = False,
    report: str | Path | None = None,
    resume: bool = True,
    overwrite: bool = False,
    manifest: Literal["jsonl", "csv", "parquet", "none"] | None = None,
    split: str = "",
    annotations: str | None = None,
    max_failures: int | str | None = None,
    shard_pictures: int = 1000,
    shard_megabytes: int = 1000,
    style: str | Path | Style | Iterable[str | Path | Style],
    strength: float = 1.0,
    strengths: Mapping[str, float] = ...,
    keep_colors: bool = False,
    engine: Literal["auto", "torch", "openvino"] = "auto",
    device: Literal["auto", "cpu", "cuda", "rocm", "mps", "xpu"] = "auto",
    precision: Literal["auto", "float32", "bfloat16", "float16", "int8"] = "auto",
    stroke: float | None = None,
    noise: float | None = None,
    fit_steps: int | None = None,
    loss_network_weights: str | Path | None = None,
    address: str = "local",
    workers: int | None = None,
    cpus_per_worker: float | None = None,
    gpus_per_worker: float | None = None,
    on_progress: Callable[[Progress], None] = ...,
) -> StylizeImagesReport:
    """Stylize pictures into a folder, or a bucket, as `nst stylize images` does.

    Pictures that fail are named in the report, and the rest goes on. Raises MediaError where all
    of them fail, InputError and EnvironmentProblem where nothing can start.
    """

def stylize_video(
    inputs: str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    start: str | float | Fraction | None = None,
    end: str | float | Fraction | None = None,
    duration: str | float | Fraction | None = None,
    fps: str | float | Fraction | None = None,
    coherence: float = 0.0,
    mask: str | Path | None = None,
    mask_style: str | Path | Style | None = None,
    timeline: str | Path | None = None,
    segment_seconds: float = 5.0,
    segment_deadline: float = 1800.0,
    codec: Literal["h264", "hevc", "av1", "vp9", "ffv1", "prores"] | None = None,
    crf: int | None = None,
    preset: str | None = None,
    encoder: Literal["software", "nvenc"] = "software",
    decoder: Literal["auto", "software", "nvdec"] = "auto",
    tonemap: bool = False,
    max_side: int | None = None,
    work_dir: str | Path | None = None,
    resume: bool = True,
    allow_damaged: bool = False,
    allow_left_out: bool = False,
    overwrite: bool = False,
    style: str | Path | Style | Iterable[str | Path | Style],
    strength: float = 1.0,
    strengths: Mapping[str, float] = ...,
    keep_colors: bool = False,
    engine: Literal["auto", "torch", "openvino"] = "auto",
    device: Literal["auto", "cpu", "cuda", "rocm", "mps", "xpu"] = "auto",
    precision: Literal["auto", "float32", "bfloat16", "float16", "int8"] = "auto",
    stroke: float | None = None,
    noise: float | None = None,
    fit_steps: int | None = None,
    loss_network_weights: str | Path | None = None,
    address: str = "local",
    workers: int | None = None,
    cpus_per_worker: float | None = None,
    gpus_per_worker: float | None = None,
    encoders: int | Literal["auto"] = 0,
    on_progress: Callable[[Progress], None] = ...,
) -> StylizeVideoReport:
    """Stylize films, as `nst stylize video` does; several styles give an output each.

    Films that fail are told in their part of the report, and the rest goes on. Raises MediaError
    where all of them fail, InputError and EnvironmentProblem where nothing can start.
    """

def train_style(
    style_images: str | Path | Iterable[str | Path],
    content: str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    steps: int | None = None,
    batch_size: int = 4,
    accumulate: int = 1,
    image_size: int | None = None,
    learning_rate: float | None = None,
    style_rate: float = 4.0,
    schedule: Literal["constant", "step", "cosine"] = "cosine",
    warmup_steps: int = 20,
    final_rate: float = 0.05,
    decay: float = 0.8,
    decay_every: int = 2000,
    decay_from: int | None = None,
    clip_norm: float | None = None,
    average: float = 0.999,
    stability_weight: float = 0.0,
    stability_from: float = 0.0,
    seed: int = 0,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    norm: Literal["instance", "batch"] = "instance",
    loss_network: Literal["vgg16", "vgg19"] = "vgg19",
    loss_network_weights: str | Path | None = None,
    device: Literal["auto", "cpu", "cuda", "rocm", "mps", "xpu"] = "auto",
    workers: int | tuple[int, int] = ...,
    cpus_per_worker: int | None = None,
    address: str = "local",
    loader: Literal["local", "ray-data"] = "local",
    checkpoint_every: int = 100,
    run_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    content_weight: float = 1.0,
    style_weight: float | None = None,
    tv_weight: float = 0.0,
    scaling: Literal["relative", "paper", "authors", "gatys", "plain"] = "relative",
    content_layers: str | Iterable[str] | None = None,
    style_layers: str | Iterable[str] | None = None,
    scales: float | Iterable[float] | None = None,
    statistics: Literal["gram", "mean-covariance"]
    | Iterable[Literal["gram", "mean-covariance"]] = ...,
    lattice_weight: float | None = None,
    shading_weight: float = 0.0,
    palette_weight: float = 0.0,
    normalized_gradients: bool = False,
    pooling: Literal["max", "average"] = "max",
    balanced: bool | None = None,
    architecture: Literal["lean", "johnson", "johnson-paper", "texture"] = "lean",
    width: int | None = None,
    strokes: float | Iterable[float] = ...,
    padding: Literal["reflect", "zeros"] = "reflect",
    upsampling: Literal["nearest", "bilinear"] = "nearest",
    style_size: int | None = None,
    extend: str | Path | None = None,
    calibrate: bool = True,
    start: str = "auto",
    preset: Literal["fast", "balanced", "quality"] = "balanced",
    on_progress: Callable[[Progress], None] = ...,
) -> TrainingReport:
    """Train a style's network on photographs, in minutes to hours, as `nst train style` does.

    ``preset`` sets steps, image_size, width and style_size where they are None. With ``resume``,
    repeat the keywords of the run. Raises InputError, EnvironmentProblem and TrainingFailed.
    """
