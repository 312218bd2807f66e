"""What new users type by mistake: one line that says what to do, exit code 2, nothing written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from tests.kit.command_line import nst
from tests.kit.media import make_clip, moving_picture

_V = "stylize video film.mp4 -o out.mp4 --style identity"
_I = "stylize images a.jpg -o out --style identity"

MISTAKES = [
    ("stylize images film.mp4 -o out --style identity", "`nst stylize video`"),
    ("stylize images film.mp4 film.mkv -o out --style identity", "`nst stylize video`"),
    ("styles fit film.mp4", "film.mp4: a video"),
    ("styles fit none.jpg", "none.jpg: no such"),
    ("styles fit painting.jpg --content none", "none: no picture or film"),
    ("styles fit painting.jpg --name a:b", "--name a:b"),
    ("styles fit painting.jpg --name wave", "--name wave: a bundled style"),
    ("styles fit painting.jpg --fit-steps 0", "--fit-steps 0"),
    ("stylize images a.jpg -o out --style painting.jpg --fit-steps -1", "--fit-steps -1"),
    ("styles remove wave", "wave: no style of this machine's own"),
    ("stylize images a.jpg -o out --style film.mp4", "film.mp4"),
    ("stylize images a.jpg -o out --style folder", "a folder"),
    ("styles show painting.jpg", "a picture"),
    ("styles export painting.jpg -o out.onnx", "a picture"),
    ("styles export wave -o wave.pth", "name it wave.onnx"),
    ("upscale a.jpg -o out --model painting.jpg", "a picture"),
    ("synthesize painting.jpg -o out.png --size 64", "a picture"),
    ("optimize film.mp4 --style painting.jpg -o out.png", "`nst train style painting.jpg"),
    ("optimize a.jpg --style film.mp4 -o out.png", "film.mp4: a video"),
    (
        "optimize a.jpg --style wave -o out.png",
        "`nst stylize images a.jpg -o out.png --style",
    ),
    ("optimize a.jpg --style painting.jpg -o out", "the ending says the format"),
    ("optimize folder --style painting.jpg -o out.png", "folder"),
    ("train style film.mp4 --content folder -o out.safetensors", "film.mp4: a video"),
    ("train style painting.jpg --content none -o out.safetensors", "none: no such"),
    (f"{_V} --device cuda", "--device cpu"),
    (f"{_I} --device cuda", "--device cpu"),
    (f"{_V} --max-side -1", "--max-side -1"),
    (f"{_V} --workers -1", "--workers -1"),
    (f"{_V} --encoders 2", "--encoders 2: this runs on one machine, and not on a cluster"),
    (f"{_V} --encoders 2 --address h:1 --workers 0", "--encoders 2: this runs on one machine"),
    (f"{_V} --encoders 2 --address h:1 --encoder nvenc", "encodes on the GPU itself"),
    (f"{_V} --encoders many", "--encoders many: auto, or how many"),
    (f"{_V} --segment-seconds -5", "--segment-seconds -5"),
    (f"{_V} --start x", "--start x: seconds or a timecode are needed"),
    (f"{_V} --end 1:75", "--end 1:75: seconds or a timecode are needed"),
    (f"{_V} --start 2 --end 1", "--end 1: it must be later than the start, 2 s"),
    (f"{_V} --end 1 --duration 1", "give one of them"),
    (f"{_V} --duration 0", "--duration 0: more than 0"),
    (f"{_V} --start 100", "--start 100: it ends at"),
    (f"{_V} --start 0.001 --end 0.002", "ask for a longer part"),
    (f"{_V} --strength 7", "--strength 7"),
    (f"{_V} --crf -3", "crf"),
    (f"{_I} --quality 0", "--quality 0"),
    (f"{_I} --tile 3", "--tile 3"),
    (f"{_I} --seed -1", "--seed -1"),
    ("stylize images a.jpg -o text.txt --style identity", "-o text.txt: a file"),
    ("stylize images none.jpg -o out --style identity", "none.jpg: no such"),
    ("stylize images none*.jpg -o out --style identity", "none*.jpg: no match"),
    ("stylize images empty -o out --style identity", "no pictures"),
    ("stylize video none.mp4 -o out.mp4 --style identity", "none.mp4: no such"),
    ("stylize video film.mp4 -o film.mp4 --style identity", "would replace its own input"),
    ("styles import painting.jpg -o out.safetensors", "`nst train style painting.jpg"),
    ("styles import film.mp4 -o out.safetensors", "a video, no checkpoint"),
    ("styles calibrate nosuch --content none -o out.safetensors", "nosuch"),
    ("styles calibrate identity --content none -o out.safetensors", "has no network"),
    ("styles calibrate wave --content none -o out.safetensors", "none: no such"),
    (f"{_V} --strength 60", "60 percent is 0.6"),
    (f"{_V} --strength 1.5", "--strength 1.5: a number from 0 to 1 is needed"),
    ("stylize video film.mp4 -o out.xyz --style identity", ".xyz"),
    ("stylize video film.mp4 -o text.txt --style identity", "text.txt"),
    ("evaluate --video film.mp4 none.mp4", "none.mp4"),
    ("evaluate", "--checkpoint"),
    ("synthesize wave -o out.png --size 64", "`nst stylize`"),
    ("synthesize bricks -o out.mp4 --size 64", ".png"),
    ("synthesize bricks -o out.png --size big", "512x768"),
    ("upscale a.jpg -o out --model wave", "`nst stylize`"),
    ("upscale none.jpg -o out --model x4", "none.jpg"),
    ("styles import painting.jpg -o out.safetensors", "painting.jpg"),
    ("styles import none.pth -o out.safetensors", "none.pth"),
    ("styles show none.safetensors", "none.safetensors"),
    ("jobs list --address foo", "http://"),
    ("jobs submit -- cluster up", "cluster"),
    ("jobs submit -- stylize vidio a.mp4", "(did you mean 'video'?)"),
    ("cluster status --address nowhere.invalid:1", "nowhere.invalid"),
    ("demo -o clip.mp4", "such as clip"),
    ("cluster render kuberay -o kube.yaml", "such as kube"),
    ("stylize images a.jpg -o out.mp4 --style identity", "a video's name"),
    ("upscale a.jpg -o out.mp4 --model x4", "a video's name"),
    ("upscale film.mp4 -o out.png --model x4", ".png"),
    ("upscale folder -o out.png --model x4", "out.png/"),
    ("stylize images a.jpg -o out --style wave,udnie", "--style again"),
    ("stylize video film.mp4 -o out.mp4 --style wave=0.5", "pack:wave=0.7"),
    ("stylize video '' -o out.mp4 --style wave", "an empty name"),
    ("stylize video film.mp4 -o '' --style wave", "an empty name"),
    ("stylize video film.mp4 -o out.mp4 --style ''", "an empty name"),
    ("stylize images a.jpg '' -o out --style wave", "an empty name"),
    ("stylize video - -o out.mp4 --style identity", "standard input"),
    ("stylize video . -o - --style identity", "takes one film that is a file"),
    ("stylize images a.jpg -o - --style identity", "standard input or output"),
    ("stylize video pipe -o out.mp4 --style identity", "pipe: a pipe"),
    ("upscale pipe -o out --model x4", "pipe: a pipe"),
    ("optimize pipe --style painting.jpg -o out.png", "pipe: a pipe"),
    ("stylize images a.jpg -o out --style pipe", "pipe: a pipe"),
    ("stylize video film.mp4 -o /proc/out.mp4 --style identity", "/proc"),
    ("stylize images folder -o /proc/out --style identity", "/proc/out"),
    ("synthesize bricks -o /proc/out.png --size 64", "/proc/out.png"),
    ("demo -o /proc/out", "/proc/out"),
    ("styles show ''", "an empty name"),
    ("train style painting.jpg --content folder -o out.png", "out.safetensors"),
    ("styles calibrate a.safetensors --content folder -o out.jpg", "out.safetensors"),
    ("bench --only engine", "(did you mean engines?)"),
    ("bench --video none.mp4", "none.mp4"),
]


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("things")
    make_clip(folder / "film.mp4")
    (folder / "film.mkv").write_bytes((folder / "film.mp4").read_bytes())
    Image.fromarray(moving_picture(0)).save(folder / "a.jpg")
    Image.fromarray(moving_picture(1)).save(folder / "painting.jpg")
    Image.fromarray(moving_picture(1)).save(folder / "noending", "PNG")
    for name in ("folder", "empty"):
        (folder / name).mkdir()
    Image.fromarray(moving_picture(2)).save(folder / "folder" / "b.jpg")
    (folder / "text.txt").write_text("a text\n")
    os.mkfifo(folder / "pipe")
    return folder


def _snapshot(folder: Path) -> dict[str, float]:
    return {str(path): path.stat().st_mtime for path in folder.rglob("*")}


@pytest.mark.parametrize(("line", "words"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_one_line_with_what_to_try(
    line: str, words: str, things: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--device cuda" in line and os.environ.get("NST_REQUIRE_GPU") == "1":
        pytest.skip("there is a CUDA device here")
    monkeypatch.chdir(things)
    before = _snapshot(things)
    ended = nst(*(word.strip("'") for word in line.split()))
    assert ended.code == 2
    assert words in ended.error_line
    assert _snapshot(things) == before
