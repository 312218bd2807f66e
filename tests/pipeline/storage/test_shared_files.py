from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest
import torch

from nst_core.checkpoints.library import Style
from nst_core.errors import EnvironmentProblem, InputError
from pipeline.storage.shared_files import shared_files


def test_who_sees_the_same_folder_passes_and_no_trace_is_left(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"1234")
    left = tmp_path / "out" / ".nst-seen-of-a-killed-command"
    left.parent.mkdir()
    left.touch()
    inputs = [str(tmp_path / "photo.jpg"), "s3://bucket/photo.jpg"]
    with shared_files(tmp_path / "out", inputs) as files:
        pickle.loads(pickle.dumps(files)).check()  # noqa: S301 - our own
    assert not list((tmp_path / "out").iterdir())


def test_a_machine_with_another_folder_of_that_name_is_told_from_this_one(tmp_path: Path) -> None:
    with shared_files(tmp_path / "out") as files:
        shutil.rmtree(tmp_path / "out")  # as on a machine that does not share it
        (tmp_path / "out").mkdir()
        with pytest.raises(EnvironmentProblem, match="does not see this folder") as caught:
            files.check()
    assert str(tmp_path / "out") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_input_that_is_another_elsewhere_is_noticed(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"1234")
    with shared_files(None, [str(photo)]) as files:
        files.check()
        photo.write_bytes(b"12345")
        with pytest.raises(EnvironmentProblem, match="does not see this file"):
            files.check()
        photo.unlink()
        with pytest.raises(EnvironmentProblem, match="does not see this file"):
            files.check()


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"), shared_files(tmp_path / "file"):
        pass


def test_a_style_can_be_loaded_where_its_file_is_not(style: Style, tmp_path: Path) -> None:
    assert style.path is not None
    copy = tmp_path / "style.safetensors"
    shutil.copy(style.path, copy)
    travelling = Style(style.name, copy, style.info, style.mixture).with_content()
    sent = pickle.dumps(travelling)
    copy.unlink()
    with torch.inference_mode():
        picture = torch.rand(1, 3, 32, 32)
        loaded = pickle.loads(sent).load()  # noqa: S301 - our own
        assert loaded(picture).equal(style.load()(picture))
