"""The upscaling job in this process: pictures and videos, four times as large."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from jobs.applying.stylize_images import stylize_images
from jobs.applying.stylize_video import stylize_videos
from jobs.applying.upscale import sort_sources, upscale
from jobs.specs.applying import PoolSpec, StylizeImages, StylizeVideo, Upscale
from nst_core.checkpoints.checkpoint import load_generator, save_generator
from nst_core.checkpoints.info import CheckpointInfo
from nst_core.checkpoints.library import Style, find_style
from nst_core.checkpoints.style_spec import StyleSpec
from nst_core.engines.choice import make_engine
from nst_core.engines.openvino_engine import OpenVinoEngine
from nst_core.errors import InputError
from nst_core.large_pictures.tiled_engine import TiledEngine
from nst_core.networks.super_resolution import SuperResolutionNet
from nst_core.networks.texture import TextureNet
from nst_core.stylizer import Stylizer
from pipeline.films.settings import FilmSettings
from pipeline.pictures.settings import PictureSettings
from pipeline.work.progress import Progress
from tests.kit.command_line import app
from tests.kit.media import decoded_frames, make_clip, moving_picture, psnr, stream_packets

HERE = PoolSpec(workers=0)


def _save_network(path: Path, scale: int) -> Path:
    """Random weights, and the running averages of a few pictures: no layer is left as it began."""
    torch.manual_seed(2)
    network = SuperResolutionNet(scale, width=4)
    with torch.no_grad():
        for number in range(20):
            picture = torch.from_numpy(moving_picture(number)).permute(2, 0, 1)[None] / 255
            network(picture)
    arguments = {"scale": scale, "width": 4, "norm": "batch"}
    save_generator(path, network, CheckpointInfo("super-resolution", arguments))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save_network(tmp_path_factory.mktemp("model") / "x4.safetensors", 4)


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of 64x48 with sound, a keyframe every 4 frames."""
    path = tmp_path_factory.mktemp("clip") / "short.mp4"
    options = {"g": "4", "bf": "2", "sc_threshold": "0"}
    make_clip(path, frames=12, width=64, height=48, options=options)
    return path


@pytest.fixture
def sources(tmp_path: Path, short_clip: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    Image.fromarray(moving_picture(0, 40, 37)).save(folder / "a.png")
    Image.fromarray(moving_picture(1, 33, 48)).save(folder / "deep" / "b.jpg", quality=95)
    (folder / "deep" / short_clip.name).write_bytes(short_clip.read_bytes())
    return folder


def _job(source: Path, output: Path, model: Path, **options: Any) -> Upscale:
    model_spec = StyleSpec(
        str(model), command="upscale", match_histogram=options.pop("match_histogram", False)
    )
    pictures = {name: options.pop(name) for name in ("max_pixels",) if name in options}
    if "overwrite" in options:  # for both
        pictures["overwrite"] = options["overwrite"]
    return Upscale(
        sources=(str(source),),
        output=str(output),
        model=model_spec,
        pool=HERE,
        pictures=PictureSettings(**pictures),
        films=FilmSettings(segment_seconds=0.16, **options),
    )


def test_pictures_and_videos_of_a_folder_come_out_four_times_as_large(
    sources: Path, short_clip: Path, model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    report = upscale(_job(sources, output, model))
    assert report.images is not None
    assert report.videos is not None
    assert (report.images.total, report.images.done) == (2, 2)
    stylizer = Stylizer(find_style(str(model)))
    with Image.open(sources / "a.png") as before, Image.open(output / "a.png") as after:
        assert after.size == (160, 148)
        np.testing.assert_array_equal(np.asarray(after), stylizer.stylize(np.asarray(before)))
    with Image.open(output / "deep" / "b.jpg") as after:
        assert after.size == (132, 192)

    (video,) = report.videos.inputs
    assert video.status == "done", video.error
    assert (video.frames_in, video.frames_out) == (12, 12)
    assert video.segments["total"] == 3
    assert video.verified is not None
    assert video.verified.everything
    before_frames, after_frames = decoded_frames(short_clip), decoded_frames(output / "short.mp4")
    assert {frame.shape for _, frame in after_frames} == {(192, 256)}
    assert [time for time, _ in after_frames] == [time for time, _ in before_frames]
    assert stream_packets(output / "short.mp4", "audio") == stream_packets(short_clip, "audio")


@pytest.mark.parametrize("scale", [4, 8])
def test_openvino_enlarges_as_torch_does_at_any_size(scale: int, tmp_path: Path) -> None:
    path = _save_network(tmp_path / "network.safetensors", scale)
    torch_engine = make_engine(load_generator(path)[0], engine="torch", device="cpu")
    openvino = make_engine(load_generator(path)[0], engine="openvino", precision="float32")
    for height, width in ((31, 45), (16, 16), (3, 1)):
        images = torch.rand(2, 3, height, width)
        reference = torch_engine.run(images)
        assert reference.shape == (2, 3, scale * height, scale * width)
        # Sums in another order: as near as float32 lets them be.
        assert psnr(openvino.run(images).numpy(), reference.numpy(), peak=1) > 80


def test_tiles_leave_no_seam(tmp_path: Path) -> None:
    network = load_generator(_save_network(tmp_path / "network.safetensors", 4))[0]
    engine = make_engine(network, engine="torch", device="cpu")
    images = torch.rand(2, 3, 47, 131)  # several tiles across, the last ones overlapping more
    whole = engine.run(images)
    tiled = TiledEngine(engine, scale=4, tile_side=48).run(images)
    assert torch.allclose(tiled, whole, atol=1e-5)
    # It is the margins that make it so: half of them is not enough.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nst_core.large_pictures.tiled_engine.REACH", 8)
        seams = TiledEngine(engine, scale=4, tile_side=48).run(images)
    assert not torch.allclose(seams, whole, atol=1e-5)


def test_pictures_larger_than_a_tile_go_through_tiles(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Stylizer(find_style(str(model))).stylize(moving_picture(0))
    monkeypatch.setattr("nst_core.large_pictures.tiled_engine._OUTPUT_SIDE", 4 * 40)
    shapes = set()
    run = OpenVinoEngine.run

    def noted(self: OpenVinoEngine, images: torch.Tensor) -> torch.Tensor:
        shapes.add(tuple(images.shape))
        return run(self, images)

    monkeypatch.setattr(OpenVinoEngine, "run", noted)
    tiled = Stylizer(find_style(str(model))).stylize(moving_picture(0))
    assert shapes == {(1, 3, 40, 40)}
    assert psnr(tiled, whole) > 50


def test_videos_of_odd_sizes_need_no_padding_once_enlarged(model: Path, tmp_path: Path) -> None:
    source = tmp_path / "odd.mkv"
    make_clip(source, codec="ffv1", width=45, height=31, frames=3, sound=False)
    report = upscale(_job(source, tmp_path / "out", model, codec="h264")).videos
    assert report is not None
    assert (report.inputs[0].status, report.inputs[0].warnings) == ("done", [])
    assert decoded_frames(tmp_path / "out" / "odd.mkv")[0][1].shape == (124, 180)


def test_an_untagged_source_that_grows_into_high_definition_keeps_its_colours(
    model: Path, tmp_path: Path
) -> None:
    # Players take untagged video of 720 lines and more for BT.709, and less for BT.601.
    matrices = []
    for name, height in (("small.mp4", 40), ("large.mp4", 180)):
        make_clip(tmp_path / name, width=64, height=height, frames=2, sound=False)
        upscale(_job(tmp_path / name, tmp_path / "out", model))
        with av.open(str(tmp_path / "out" / name)) as container:
            matrices.append(int(container.streams.video[0].codec_context.colorspace))
    assert matrices == [2, 6]  # unspecified; SMPTE 170M, the numbers of BT.601


def test_a_size_that_the_encoder_does_not_take_is_told_before_any_work(tmp_path: Path) -> None:
    source = tmp_path / "wide.mp4"
    make_clip(source, width=2304, height=16, frames=2, sound=False)
    model = _save_network(tmp_path / "x8.safetensors", 8)
    report = upscale(_job(source, tmp_path / "out", model))
    assert report.nothing_started
    assert report.videos is not None
    assert "does not open for 18432x128" in str(report.videos.inputs[0].error)


def test_an_interrupted_run_goes_on_with_what_is_finished(
    sources: Path, model: Path, tmp_path: Path
) -> None:
    undisturbed = tmp_path / "undisturbed"
    upscale(_job(sources, undisturbed, model))

    def interrupt(progress: Progress) -> None:
        if progress.unit == "frames" and progress.done >= 4:
            raise KeyboardInterrupt

    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        upscale(_job(sources, output, model), interrupt)
    assert not (output / "short.mp4").exists()
    report = upscale(_job(sources, output, model))
    assert report.images is not None
    assert (report.images.reused, report.images.done) == (2, 0)
    assert report.videos is not None
    segments = report.videos.inputs[0].segments
    assert segments["reused"] >= 1
    assert segments["done"] == 3 - segments["reused"]
    assert (output / "short.mp4").read_bytes() == (undisturbed / "short.mp4").read_bytes()


def test_nothing_is_reused_once_the_network_or_the_histogram_has_changed(
    short_clip: Path, model: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    network, info = load_generator(model)
    network.tail.bias.data += 1  # type: ignore[union-attr, operator]
    save_generator(other, network, info)

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    output = tmp_path / "out"
    for job in (_job(short_clip, output, model), _job(short_clip, output, other)):
        with pytest.raises(KeyboardInterrupt):
            upscale(job, interrupt)
    report = upscale(_job(short_clip, output, other, match_histogram=True)).videos
    assert report is not None
    assert report.inputs[0].segments["reused"] == 0


def test_matching_the_histogram_gives_the_colours_of_the_source(
    sources: Path, short_clip: Path, model: Path, tmp_path: Path
) -> None:
    plain, matched = tmp_path / "plain", tmp_path / "matched"
    upscale(_job(sources, plain, model))
    upscale(_job(sources, matched, model, match_histogram=True))
    source = np.asarray(Image.open(sources / "a.png"), np.float64)

    def colour_error(folder: Path) -> float:
        found = np.asarray(Image.open(folder / "a.png"), np.float64)
        difference: np.ndarray = np.abs(found.mean((0, 1)) - source.mean((0, 1)))
        return float(difference.max())

    assert colour_error(plain) > 30  # random weights know nothing of colours
    # They give 45 to 67 different values in a channel: each becomes one value, however many
    # pixels have it, and the source's 256 are met only so nearly.
    assert colour_error(matched) < 6

    def means_and_spreads(video: Path) -> tuple[np.ndarray, np.ndarray]:
        with av.open(str(video)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return np.mean(frames, axis=(0, 1, 2)), np.std(frames, axis=(0, 1, 2))

    mean, spread = means_and_spreads(short_clip)
    grey_mean, grey_spread = means_and_spreads(plain / "short.mp4")
    found_mean, found_spread = means_and_spreads(matched / "short.mp4")
    assert max(abs(grey_mean - mean)) > 25
    assert max(abs(found_mean - mean)) < 12
    assert max(grey_spread) < 10
    assert min(found_spread) > 20
    assert min(spread) > 20


def test_transparency_is_enlarged_too(model: Path, tmp_path: Path) -> None:
    picture = Image.fromarray(moving_picture(0, 24, 20)).convert("RGBA")
    alpha = Image.linear_gradient("L").resize((24, 20))
    picture.putalpha(alpha)
    picture.save(tmp_path / "a.png")
    upscale(_job(tmp_path / "a.png", tmp_path / "out", model))
    with Image.open(tmp_path / "out" / "a.png") as after:
        expected = np.asarray(alpha.resize((96, 80), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(np.asarray(after.getchannel("A")), expected)


def test_large_pictures_are_refused_by_a_bound_that_can_be_raised(
    sources: Path, model: Path, tmp_path: Path
) -> None:
    picture, output = sources / "a.png", tmp_path / "out"  # of 40x37 pixels
    report = upscale(_job(picture, output, model, max_pixels=1479)).images
    assert report is not None
    assert "--max-pixels" in report.failures[0]["error"]
    report = upscale(_job(picture, output, model, max_pixels=1480)).images
    assert report is not None
    assert (report.done, report.failed) == (1, 0)


def test_sources_are_sorted_by_kind(sources: Path, tmp_path: Path) -> None:
    clip = sources / "deep" / "short.mp4"
    nowhere = str(tmp_path / "nowhere")
    both = sort_sources([str(sources)], nowhere)
    assert (both.pictures, both.videos) == ((str(sources),), (clip,))
    matched = sort_sources([str(sources / "deep" / "*")], nowhere)
    assert (matched.pictures, matched.videos) == ((str(sources / "deep" / "b.jpg"),), (clip,))
    nameless = tmp_path / "picture.jfif"
    nameless.write_bytes((sources / "deep" / "b.jpg").read_bytes())
    strange = tmp_path / "film.xyz"
    strange.write_bytes(clip.read_bytes())
    looked_into = sort_sources([str(nameless), str(strange)], nowhere)
    assert (looked_into.pictures, looked_into.videos) == ((str(nameless),), (strange,))


def test_a_folder_of_videos_alone_is_no_folder_of_pictures(
    short_clip: Path, model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(short_clip.read_bytes())
    for _ in range(2):  # the second finds what the first has made, in a folder inside the source
        report = upscale(_job(folder, folder / "large", model, overwrite=True))
        assert report.images is None
        assert report.videos is not None
        assert [video.input for video in report.videos.inputs] == [str(folder / "a.mp4")]


@pytest.mark.parametrize("name", ["nothing.png", "empty"])
def test_a_source_with_nothing_in_it_is_refused(name: str, model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no such file|neither a picture nor a video"):
        upscale(_job(tmp_path / name, tmp_path / "out", model))


def test_two_videos_of_one_name_are_told_before_the_pictures_are_begun(
    sources: Path, short_clip: Path, model: Path, tmp_path: Path
) -> None:
    (sources / short_clip.name).write_bytes(short_clip.read_bytes())
    output = tmp_path / "out"
    with pytest.raises(InputError, match="would both become"):
        upscale(_job(sources, output, model))
    assert not output.exists()


def test_a_single_source_and_a_files_name_are_a_file(
    sources: Path, model: Path, tmp_path: Path
) -> None:
    for source, name in ((sources / "a.png", "b.jpg"), (sources / "deep" / "short.mp4", "b.mkv")):
        output = tmp_path / name
        report = upscale(_job(source, output, model))
        assert output.is_file()
        with pytest.raises(InputError, match=r"b\.\w+/"):
            upscale(_job(sources, tmp_path / f"other-{name}", model))
        assert (report.images is None) == (name == "b.mkv")
    assert {path.name for path in tmp_path.iterdir()} >= {"b.jpg", "b.mkv"}
    assert not (tmp_path / "report.json").exists()


def test_every_command_refuses_the_checkpoints_of_the_others(
    style: Style, model: Path, sources: Path, tmp_path: Path
) -> None:
    texture = tmp_path / "texture.safetensors"
    arguments = {"scales": 2, "norm": "instance", "stylizes": False}
    save_generator(texture, TextureNet(**arguments), CheckpointInfo("texture", arguments))  # type: ignore[arg-type]
    out = tmp_path / "out"
    for checkpoint, words in ((model, "use `nst upscale`"), (texture, "use `nst synthesize`")):
        spec = StyleSpec(str(checkpoint))
        with pytest.raises(InputError, match=words):
            stylize_images(StylizeImages((str(sources),), str(out), (spec,), HERE))
        with pytest.raises(InputError, match=words):
            stylize_videos(StylizeVideo((sources / "deep" / "short.mp4",), out, spec, HERE))
    for name in (str(style.path), "wave", "identity"):
        with pytest.raises(InputError, match="use `nst stylize`"):
            upscale(_job(sources, out, Path(name)))
    with pytest.raises(InputError, match="use `nst synthesize`"):
        upscale(_job(sources, out, texture))
    with pytest.raises(InputError, match="nst train super-resolution"):
        upscale(_job(sources, out, tmp_path / "none.safetensors"))
    assert not out.exists()


def test_an_upscaled_picture_is_not_mixed_with_its_source(model: Path) -> None:
    with pytest.raises(InputError, match="leave them out"):
        StyleSpec(str(model), strength=0.5, command="upscale")
    for strength, keep_colors in ((0.5, False), (0.0, False), (1.0, True)):
        with pytest.raises(ValueError, match="4 times"):
            Stylizer(find_style(str(model)), strength=strength, keep_colors=keep_colors)


def test_the_command_reports_both_kinds(sources: Path, model: Path, tmp_path: Path) -> None:
    (sources / "broken.png").write_text("no picture")
    arguments = ["upscale", str(sources), "-o", str(tmp_path / "out"), "--model", str(model)]
    result = CliRunner().invoke(app, [*arguments, "--workers", "0", "--json"])
    assert result.exit_code == 1  # one of three
    report = json.loads(result.stdout)
    assert set(report) == {"images", "videos"}
    assert (report["images"]["done"], report["images"]["failed"]) == (2, 1)
    verified = report["videos"]["inputs"][0]["verified"]
    assert all(verified[what] is True for what in ("frame_count", "pts", "copied_streams"))
    assert "broken.png" in result.stderr

    (tmp_path / "film.mp4").write_text("no film")
    arguments[1] = str(tmp_path / "film.mp4")
    result = CliRunner().invoke(app, [*arguments, "--workers", "0", "--json"])
    assert result.exit_code == 2  # nothing could start
    assert json.loads(result.stdout)["images"] is None


def test_a_film_without_an_ending_is_no_picture_whatever_pillow_knows(tmp_path: Path) -> None:
    film, picture = tmp_path / "film", tmp_path / "picture"
    film.write_bytes(b"\x00\x00\x01\xb3\x14\x00\xf0\x13" + bytes(200))  # of MPEG-1, 320 x 240
    with Image.open(film) as opened:
        assert opened.format == "MPEG"
    Image.fromarray(moving_picture(0)).save(picture, "PNG")
    found = sort_sources([str(film), str(picture)], str(tmp_path / "out"))
    assert found.videos == (film,)
    assert found.pictures == (str(picture),)


def test_a_link_loop_in_a_folder_of_films_is_told_and_the_films_are_done(
    short_clip: Path, model: Path, tmp_path: Path
) -> None:
    films, empty = tmp_path / "films", tmp_path / "empty"
    for folder in (films, empty):
        folder.mkdir()
        (folder / "loop").symlink_to(folder, target_is_directory=True)
    (films / short_clip.name).write_bytes(short_clip.read_bytes())
    report = upscale(_job(films, tmp_path / "out", model))
    assert report.images is not None
    assert report.videos is not None
    assert [each["path"] for each in report.images.failures] == [str(films / "loop")]
    assert [one.status for one in report.videos.inputs] == ["done"]
    with pytest.raises(InputError, match=r"neither a picture nor a video.*loop: links to a folder"):
        upscale(_job(empty, tmp_path / "out", model))
