"""Training jobs: what was asked for, checked at birth, with the defaults of the program.

Nothing heavy is imported here, so that the command line can show the defaults at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from nst_core.checkpoints.style_spec import STYLE_SEPARATORS
from nst_core.checks import check_pixels
from nst_core.engines.names import DeviceChoice
from nst_core.errors import InputError
from nst_core.networks.registry import NormName, Padding, Upsampling
from nst_core.objectives.settings import (
    BOLD_STYLE_WEIGHT,
    GATYS_STYLE_LAYERS,
    LossNetworkName,
    ObjectiveSettings,
    ReconstructionSettings,
)
from nst_core.training.settings import TrainingSettings

ArchitectureChoice = Literal["lean", "johnson", "johnson-paper", "texture"]
LoaderChoice = Literal["local", "ray-data"]
PresetChoice = Literal["fast", "balanced", "quality"]


@dataclass(frozen=True)
class Preset:
    """Values that go together; each of them can be given otherwise."""

    width: int
    """Channels of a lean network at half size."""
    johnson_width: int
    """Channels of Johnson et al.'s network at full size."""
    steps: int
    image_size: int
    style_size: int = 512


PRESETS: Mapping[PresetChoice, Preset] = {
    "fast": Preset(width=24, johnson_width=16, steps=800, image_size=192),
    "balanced": Preset(width=32, johnson_width=32, steps=4000, image_size=256),
    "quality": Preset(width=48, johnson_width=32, steps=20000, image_size=384),
}

EXTENSION_STEPS = 0.1
"""Part of a preset's steps that a style takes which is added to a trained network."""
EXTENSION_RATE = 5e-3
"""Learning rate for the few parameters of such a style."""

LARGEST_TEXTURE = 512
"""Shorter side in pixels that a texture image is shrunk to, unless a size is given."""


STYLE_OBJECTIVE = ObjectiveSettings(
    style_weight=BOLD_STYLE_WEIGHT, lattice_weight=0.2, balanced=True
)
"""Bold for every painting; the layers and scales are those of ``bold_objective``."""


@dataclass(frozen=True, kw_only=True)
class TrainGenerator:
    """What every training run has."""

    output: Path
    """The checkpoint to write."""
    training: TrainingSettings = field(default_factory=TrainingSettings)
    norm: NormName = "instance"
    """Normalisation in the generator."""
    loss_network: LossNetworkName = "vgg19"
    """The VGG that judges."""
    loss_network_weights: Path | None = None
    """Its weights; default torchvision's download."""
    device: DeviceChoice = "auto"
    workers: tuple[int, int] = (1, 1)
    """MIN:MAX goes on with fewer, and takes in more, as nodes go and come."""
    cpus_per_worker: int | None = None
    """Default: an equal share."""
    address: str = "local"
    """`local`, or the address of a running Ray cluster."""
    loader: LoaderChoice = "local"
    """ray-data reads photographs on any machine of the cluster.

    Else each worker's machine reads its own."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""
    run_dir: Path | None = None
    """Metrics, previews, checkpoints; default OUTPUT.run."""
    resume: bool = False
    """Go on with the run in the run folder; its options need not be repeated, more --steps make it
    longer."""
    overwrite: bool = False
    """Replace an existing output."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Those that the command line gave, by parameter: ``--resume`` need not repeat them."""

    def __post_init__(self) -> None:
        least, most = self.workers
        asked = str(most) if least == most else f"{least}:{most}"
        if least < 1:
            raise InputError(
                f"--workers {asked}: 1 or more are needed; leave it out for 1, the default"
            )
        if least > most:
            raise InputError(
                f"--workers {asked}: at least and at most, in this order; try {most}:{least}"
            )
        if self.loader == "ray-data" and least != most:
            raise InputError(
                f"--loader ray-data: with --workers {asked} the workers could take the CPUs "
                f"that its tasks need, and both wait for ever; use --workers {most}"
            )
        if self.cpus_per_worker is not None and self.cpus_per_worker < 1:
            raise InputError(f"--cpus-per-worker {self.cpus_per_worker}: at least 1 is needed")
        if self.checkpoint_every < 1:
            raise InputError(f"--checkpoint-every {self.checkpoint_every}: at least 1 is needed")

    @property
    def run_folder(self) -> Path:
        """Absolute: Ray's workers have another working folder."""
        return run_folder_of(self.output, self.run_dir)


def run_folder_of(output: Path, run_dir: Path | None) -> Path:
    """Return where a run is written: ``run_dir``, or beside the output. Absolute."""
    return (run_dir or output.with_suffix(".run")).absolute()


@dataclass(frozen=True, kw_only=True)
class TrainStyle(TrainGenerator):
    """Train a generator for one or several style images on photographs."""

    style_images: tuple[Path, ...]
    """The picture whose style is learnt; several: one network for all of them.

    By conditional instance normalisation."""
    content: tuple[str, ...]
    """Photographs to learn on: folder, glob, list (.txt), URI. Repeatable."""
    objective: ObjectiveSettings = STYLE_OBJECTIVE
    architecture: ArchitectureChoice = "lean"
    """lean: the fastest; johnson: the everyday variant of the paper's; johnson-paper: the paper's
    own network; texture: multi-scale g(y, z).

    ``lean`` is this project's own, ``johnson`` Johnson et al.'s, ``texture`` Ulyanov et al.'s."""
    width: int = PRESETS["balanced"].width
    """Channels of the first layer.

    Not of texture networks, whose widths are fixed."""
    strokes: tuple[float, ...] = ()
    """Sizes of strokes to learn beside each other, for --stroke; such as 0.5,1,2.

    Each painting is learnt at every one of them; none: only that of ``style_size``, stroke 1."""
    padding: Padding = "reflect"
    """Padding of the everyday variant's convolutions."""
    upsampling: Upsampling = "nearest"
    """How the lean network enlarges: nearest, for grain as fine as a painting's; bilinear, without
    small squares, softer."""
    style_size: int = PRESETS["balanced"].style_size
    """Shorter side of the style image: larger, broader strokes."""
    extend: Path | None = None
    """Add to this style network, a bundled pack or a file: only the new styles' own few parameters
    are fitted.

    The output has all its styles and the new ones."""
    calibrate: bool = True
    """Calibrate for 8 bits at the end, so that CPUs compute it faster."""
    start: str = "auto"
    """Trained weights to start from; auto: the bundled ones where they are of the same kind, with
    the nearest of their styles.

    All of them are fitted. ``none``: random weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pixels("--style-size", self.style_size)
        _check_width(self.width)
        if self.architecture == "texture" and self.width != TrainStyle.width:
            raise InputError(
                f"--width {self.width}: --architecture texture has a fixed one; leave it out"
            )
        if self.padding != "reflect" and self.architecture != "johnson":
            raise InputError(
                f"--padding {self.padding}: only --architecture johnson lets it be chosen"
            )
        if self.upsampling != "nearest" and self.architecture != "lean":
            raise InputError(
                f"--upsampling {self.upsampling}: only --architecture lean lets it be chosen"
            )
        if self.architecture == "texture" and self.training.stability_weight:
            raise InputError(
                "--stability-weight: a texture network draws new noise for every picture, so "
                "that none of them can follow another; use --architecture johnson"
            )
        self._check_extension()
        self._check_strokes()
        self._check_names()

    def _check_strokes(self) -> None:
        ascending = list(self.strokes) == sorted(set(self.strokes))
        if not (ascending and all(0.125 <= stroke <= 8 for stroke in self.strokes)):
            raise InputError(
                f"--strokes {','.join(map(str, self.strokes))}: numbers from 0.125 to 8 in "
                "ascending order are needed; try 0.5,1,2"
            )
        if self.strokes and self.extend is not None:
            raise InputError("--extend takes the strokes from the checkpoint; leave out --strokes")
        for stroke in self.strokes:
            check_pixels(
                f"--style-size {self.style_size} at stroke {stroke:g}:",
                round(self.style_size * stroke),
            )

    def _check_extension(self) -> None:
        if self.extend is not None and self.start not in ("auto", "none"):
            raise InputError("--extend starts from its own checkpoint; leave out --from")
        own = ("architecture", "norm", "padding", "upsampling")
        if self.extend is not None and any(
            getattr(self, name) != getattr(TrainStyle, name) for name in own
        ):
            raise InputError(
                "--extend takes architecture and normalisation from the checkpoint; leave out "
                "--architecture, --norm, --padding and --upsampling"
            )

    def _check_names(self) -> None:
        if not self.style_images:
            raise InputError("no style image: name at least one picture")
        names = self.style_names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(
                f"two style images called {twice[0]}: their names become the styles' names; "
                "rename one"
            )
        statistics = len(self.objective.statistics)
        if statistics not in (1, len(names)):
            raise InputError(
                f"--style-statistic: {statistics} for {len(names)} style images; one for all, or "
                "one for each"
            )
        if self.extend is None and len(names) == 1 and not self.strokes:
            return
        if self.norm != "instance":
            raise InputError(
                f"--norm {self.norm}: several styles in one network need --norm instance"
            )
        bad = [name for name in names if set(name) & set(STYLE_SEPARATORS)]
        if bad:
            raise InputError(
                f"style image {bad[0]}: its name becomes the style's name, where : , = mean "
                "something else; rename it"
            )

    @property
    def style_names(self) -> tuple[str, ...]:
        """Names of the images' files, without their endings."""
        return tuple(path.stem for path in self.style_images)

    @property
    def arguments(self) -> dict[str, object]:
        """Arguments of the architecture's class."""
        if self.architecture == "texture":
            return {"norm": self.norm, "stylizes": True}
        arguments: dict[str, object] = {"width": self.width, "norm": self.norm}
        if self.architecture == "johnson":
            return arguments | {"padding": self.padding}
        # Checkpoints from before there was a choice do not name it.
        return arguments | ({} if self.upsampling == "nearest" else {"upsampling": self.upsampling})


@dataclass(frozen=True, kw_only=True)
class TrainTexture(TrainGenerator):
    """Train a texture network g(z) on one picture of a texture."""

    texture_image: Path
    """The picture of the texture."""
    training: TrainingSettings = field(
        default_factory=partial(TrainingSettings, steps=1500, batch_size=4, learning_rate=1e-2)
    )
    objective: ObjectiveSettings = field(
        default_factory=partial(
            ObjectiveSettings,
            content_weight=0.0,
            style_weight=1.0,
            style_layers=GATYS_STYLE_LAYERS,
        )
    )
    levels: int = 5
    """Levels of noise; more for larger patterns.

    Each more doubles the size of what the network can make up."""
    texture_size: int | None = None
    """Shorter side of the texture image; default its own, 512 at most."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.training.stability_weight:
            raise InputError("--stability-weight: a texture has no content that could move; use 0")
        if not 1 <= self.levels <= 8:
            raise InputError(f"--scales {self.levels}: 1 to 8 are allowed; the papers have 5 or 6")
        if self.texture_size is not None:
            check_pixels("--texture-size", self.texture_size)

    @property
    def arguments(self) -> dict[str, object]:
        """Arguments of the architecture's class."""
        return {"scales": self.levels, "norm": self.norm, "stylizes": False}


@dataclass(frozen=True, kw_only=True)
class TrainSuperResolution(TrainGenerator):
    """Train a super-resolution network on a folder of photographs."""

    content: tuple[str, ...]
    """Photographs to learn on: folder, glob, list (.txt), URI. Repeatable."""
    training: TrainingSettings = field(default_factory=partial(TrainingSettings, image_size=288))
    objective: ReconstructionSettings = field(default_factory=ReconstructionSettings)
    norm: NormName = "batch"
    scale: int = 4
    """4 or 8."""
    width: int = 64
    """Channels of the first layer."""
    start: str = "none"
    """Trained weights to start from, such as x4: the feature loss begins where the pixel loss
    ended.

    All of them are fitted. ``none``: random weights."""

    def __post_init__(self) -> None:
        if self.scale not in (4, 8):
            raise InputError(f"--scale {self.scale}: 4 or 8 is allowed")
        super().__post_init__()
        _check_width(self.width)
        if self.training.image_size % self.scale:
            raise InputError(
                f"--image-size {self.training.image_size}: a multiple of the scale, {self.scale}, "
                "is needed; the paper has 288"
            )

    @property
    def arguments(self) -> dict[str, object]:
        """Arguments of the architecture's class."""
        return {"scale": self.scale, "width": self.width, "norm": self.norm}


def preset_values(
    preset: PresetChoice, *, architecture: str, scaling: str, extends: bool
) -> dict[str, Any]:
    """Return the values of TrainStyle that a preset stands for, where they are not given."""
    values = PRESETS[preset]
    training = TrainingSettings(steps=values.steps, image_size=values.image_size)
    if extends:
        steps = round(values.steps * EXTENSION_STEPS)
        training = replace(training, steps=steps, learning_rate=EXTENSION_RATE)
    width = values.width if architecture == "lean" else values.johnson_width
    return {
        "training": training,
        # The papers have no such term as the lattice's.
        "objective": STYLE_OBJECTIVE
        if scaling == "relative"
        else ObjectiveSettings(lattice_weight=0.0),
        "width": TrainStyle.width if architecture == "texture" else width,  # theirs are fixed
        "style_size": values.style_size,
    }


def checkpoint_to_extend(name: str | None) -> Path | None:
    """Return the file of the network that is to be extended, by its name too. Raises InputError."""
    if name is None:
        return None
    if Path(name).suffix or Path(name).exists():
        return Path(name)
    from nst_core.checkpoints.library import find_checkpoint

    found = find_checkpoint(name)
    if found.path is None:
        raise InputError(f"--extend {name}: there is no network in it; name a checkpoint")
    return found.path


def _check_width(width: int) -> None:
    if not 4 <= width <= 256:
        raise InputError(f"--width {width}: 4 to 256 is allowed")
