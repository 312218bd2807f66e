"""`nst weights fetch`, `show` and `add`: the VGG that judges, brought to this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.cli import console, options
from nst_core.objectives.settings import LossNetworkName
from nst_core.wording import columns, quoted

if TYPE_CHECKING:
    from nst_core.objectives.weights.kept import WeightsAtHand

app = typer.Typer(
    no_args_is_help=True, help="Weights of the loss network, which training and fitting need."
)

_AllLayers = Annotated[
    bool,
    typer.Option(
        "--all-layers",
        help="Keep the deepest layers too, such as relu5_1 of Gatys' recipe: three times as much.",
    ),
]


@app.command()
def fetch(
    name: Annotated[LossNetworkName, typer.Option(help="Which network.")] = "vgg19",
    all_layers: _AllLayers = False,
    json: options.Json = False,
) -> None:
    """Download weights ahead of their first use, once; what was interrupted goes on.

    Some 575 MB are downloaded, and 12 of them kept. What torch.hub's cache has is not downloaded
    again. NST_WEIGHTS_URL names the address of a folder with torchvision's files, for a mirror.

    Example: nst weights fetch
    """
    with console.shown_progress() as show_progress:
        from nst_core.objectives.layers import activation_indices
        from nst_core.objectives.weights.fetching import fetch as fetch_weights
        from pipeline.work.downloads import shown_in

        layers = activation_indices(name) if all_layers else ()
        path = fetch_weights(name, layers, shown_in(show_progress))
    _tell_kept(path, json=json)


@app.command()
def show(json: options.Json = False) -> None:
    """Show which weights are here, where, and which of them are used.

    Example: nst weights show
    """
    from nst_core.objectives.weights.kept import ORIGINALS, WEIGHTS_VARIABLE, weights_at_hand

    found = list(weights_at_hand())
    if json:
        console.print_json({"weights": [_fields(each) for each in found]})
        return
    rows = [_row(each) for each in found]
    for name, original in ORIGINALS.items():
        if all(each.name != name for each in found):
            command = f"`nst weights fetch --name {name}`"
            rows.append((name, "", "", f"not here; {command} downloads {original.megabytes} MB"))
    for line in columns(rows):
        console.say(line)
    console.hint(
        "those that come first are used, if they are as deep as is needed; before all of them "
        f"--loss-network-weights FILE, then {WEIGHTS_VARIABLE}"
    )


@app.command()
def add(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A state dict (.pth) or .safetensors: torchvision's, or Oxford's (Caffe's).",
        ),
    ],
    name: Annotated[
        LossNetworkName | None, typer.Option(help="Which network it is; default: looked for in it.")
    ] = None,
    all_layers: _AllLayers = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Take weights from a file, for machines without a network; the file is not needed any more.

    Example: nst weights add vgg19-dcbb9e9d.pth
    """
    from nst_core.objectives.weights.adding import add_weights

    path = add_weights(file, name, all_layers=all_layers, overwrite=overwrite)
    _tell_kept(path, json=json)


def _tell_kept(path: Path, *, json: bool) -> None:
    from nst_core.objectives.weights.kept import WEIGHTS_VARIABLE, weights_at_hand

    found = list(weights_at_hand())
    (kept,) = (each for each in found if each.path == path)
    if json:
        console.print_json(_fields(kept))
    else:
        console.say(f"{path}: {kept.name} up to {kept.deepest_layer}, {_megabytes(kept)}")
    if found[0].place == "variable":
        console.warn(f"{WEIGHTS_VARIABLE}={found[0].path} is used before it; unset it")


def _fields(found: WeightsAtHand) -> dict[str, Any]:
    return asdict(found) | {"path": str(found.path)}


def _row(found: WeightsAtHand) -> tuple[str, str, str, str]:
    from nst_core.objectives.weights.kept import WEIGHTS_VARIABLE

    if found.place == "variable":
        there = "" if found.size is not None else ": no such file"
        name = f"{WEIGHTS_VARIABLE}={quoted(found.path)}{there}"
        return ("any", "", _megabytes(found) if found.size is not None else "", name)
    layers = f"up to {found.deepest_layer}" if found.deepest_layer else "damaged"
    source = f" (from {found.source})" if found.place == "kept" else " (torch.hub's cache)"
    return (str(found.name), layers, _megabytes(found), f"{found.path}{source}")


def _megabytes(found: WeightsAtHand) -> str:
    return f"{(found.size or 0) / 1e6:.1f} MB"
