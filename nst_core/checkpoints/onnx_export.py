"""A generator as an ONNX file, for programs that have neither torch nor nst.

Batch, height and width stay free. Written by torch's exporter that traces: it records
`InstanceNormalization` as one node and the sizes by names, in a second; the newer exporter needs
ten and ``onnxscript`` beside. What it wrote is computed by onnxruntime, where that is installed,
and compared with torch before the file gets its name.
"""

from __future__ import annotations

import copy
import io
import json
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from nst_core import __version__
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.errors import EnvironmentProblem, InputError, VerificationError
from nst_core.files import write_whole
from nst_core.libraries import configure
from nst_core.networks.generator import Generator

INPUT_NAME = "image"
OPSET = 17
LARGEST_ERROR = 1e-3
"""Between onnxruntime and torch, on the scale [0, 1]: a quarter of one of 256 levels."""

_EXAMPLE_SIZE = (64, 96)
_CHECKED_SIZE = (61, 45)
"""Neither is a multiple of anything, and neither was traced."""


@dataclass(frozen=True)
class OnnxExport:
    """What was written."""

    path: Path
    output_name: str
    """``stylized``, or ``upscaled`` where the picture gets larger. The input is ``image``."""
    scale: int
    """How many times wider and higher the output is."""
    min_side: int
    """The least height and width that the graph can compute."""
    largest_error: float | None
    """Against torch, on the scale [0, 1]; None: onnxruntime is not installed, nothing checked."""


def export_onnx(generator: Generator, info: CheckpointInfo, output: Path) -> OnnxExport:
    """Write the generator as ``output``: N x 3 x H x W in [0, 1] to the same, ``scale`` times.

    ``info`` goes into the file's metadata. ``generator`` stays as it is.
    Raises InputError for a generator that draws noise, EnvironmentProblem without the package
    onnx, VerificationError where onnxruntime computes something else; nothing is written then.
    """
    if generator.draws_noise:
        raise InputError(
            f"{info.architecture} draws noise for every picture, and an ONNX file would keep one; "
            "export a style of another architecture"
        )
    if find_spec("onnx") is None:
        raise EnvironmentProblem(
            "ONNX export needs the package onnx; `pip install onnx onnxruntime`"
        )
    network = copy.deepcopy(generator).eval().float().cpu()
    scale, min_side = network.scale, network.min_side
    name = "stylized" if scale == 1 else "upscaled"
    output.parent.mkdir(parents=True, exist_ok=True)
    model = _described(_trace(network, name, scale), info, name, scale, min_side)
    largest_error = _compare(network, model, min_side) if find_spec("onnxruntime") else None
    write_whole(output, model)
    return OnnxExport(output, name, scale, min_side, largest_error)


def _trace(network: Generator, output_name: str, scale: int) -> bytes:
    model = io.BytesIO()
    sides = ("height", "width") if scale == 1 else ("output_height", "output_width")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter(
            "ignore"
        )  # it calls itself old, and warns of the branch that is meant
        torch.onnx.export(
            network,
            (torch.rand(1, 3, *_EXAMPLE_SIZE, generator=torch.Generator().manual_seed(0)),),
            model,  # type: ignore[arg-type]  # the old exporter takes files, too
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[output_name],
            dynamic_axes={
                INPUT_NAME: {0: "batch", 2: "height", 3: "width"},
                output_name: {0: "batch", 2: sides[0], 3: sides[1]},
            },
        )
    return model.getvalue()


def _described(
    traced: bytes, info: CheckpointInfo, output_name: str, scale: int, side: int
) -> bytes:
    import onnx

    model = onnx.load_from_string(traced)
    model.producer_name, model.producer_version = "nst", __version__
    times = "" if scale == 1 else f"{scale} "
    properties = {
        "architecture": info.architecture,
        "arguments": json.dumps(info.arguments),
        "training": json.dumps(info.training),
        "input": f"{INPUT_NAME}: RGB, float32 in [0, 1], batch x 3 x height x width",
        "output": f"{output_name}: RGB, float32 in [0, 1], "
        f"batch x 3 x {times}height x {times}width",
        "scale": str(scale),
        "min_side": str(side),
    }
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


@torch.no_grad()
def _compare(network: Generator, model: bytes, min_side: int) -> float:
    """Compute two pictures of a size that was not traced. Raises VerificationError."""
    configure()  # before onnxruntime is imported
    import onnxruntime  # type: ignore[import-untyped]

    height, width = (max(side, min_side) for side in _CHECKED_SIZE)
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    expected: Tensor = network(images)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # two small pictures: more would only wait for each other
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        found = torch.from_numpy(session.run(None, {INPUT_NAME: images.numpy()})[0])
    except Exception as error:  # onnxruntime has a class for every kind, and no common one
        raise VerificationError(
            f"onnxruntime {onnxruntime.__version__} cannot compute the export ({error}); "
            "it is not kept: try another version of torch or onnxruntime"
        ) from error
    fits = found.shape == expected.shape
    largest_error = float((found - expected).abs().max()) if fits else float("inf")
    if not largest_error < LARGEST_ERROR:
        raise VerificationError(
            f"onnxruntime {onnxruntime.__version__} computes the export otherwise than torch, by "
            f"{largest_error:.2g} on the scale [0, 1] where {LARGEST_ERROR:g} is allowed; "
            "it is not kept: try another version of torch or onnxruntime"
        )
    return largest_error
