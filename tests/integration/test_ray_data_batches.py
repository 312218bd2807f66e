"""Reading training photographs by tasks of Ray Data."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from jobs.training.kinds import make_plan
from jobs.training.train import train
from tests.kit.training_runs import tiny_job, undisturbed


@pytest.mark.slow
def test_a_training_on_photos_read_by_ray_data_is_the_same(
    photos: Path, vgg19_file: Path, tmp_path: Path, ray_here: None
) -> None:
    """The corrupt photo is replaced by the next one, in both."""
    content = tmp_path / "content"
    content.mkdir()
    for path in photos.rglob("*.jpg"):
        (content / path.name).write_bytes(path.read_bytes())
    (content / "bad.jpg").write_bytes(b"no picture")
    job = tiny_job(tmp_path, content, vgg19_file, steps=12)
    weights, losses = undisturbed(make_plan(job))
    report = train(dataclasses.replace(job, loader="ray-data"))
    assert report.steps == 12
    assert [Path(photo["path"]).name for photo in report.unreadable] == ["bad.jpg"]
    assert report.losses["total"] == losses[-1]["total"]
    trained = load_file(job.output)
    assert trained.keys() == weights.keys()
    for name, tensor in trained.items():
        torch.testing.assert_close(tensor, weights[name], rtol=0, atol=1e-6)
