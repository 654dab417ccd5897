"""Bad input of every kind: one sentence, the right exit code, nothing written, no harm."""

from __future__ import annotations

import os
import random
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from PIL import Image

from conftest import HandHeld
from helpers import encoded, exif_block, exposed, jpeg_with, jpeg_with_exif, textured_light
from mefuse.bench import faults
from mefuse.bench.damage import Kind, kinds, mutated
from mefuse.cli import main
from mefuse.discover import find_sources
from mefuse.errors import ReadError
from mefuse.read import read_frame

LIGHT = textured_light(60, 80)
PIXELS = exposed(LIGHT, 2.0)
KINDS = kinds()
OPTIONS = ("--model", "mertens", "--no-align", "--no-crop")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.png"
    path.write_bytes(encoded(exposed(LIGHT, 0.0), ".png"))
    return path


def fuse(*frames: Path, output: Path, options: tuple[str, ...] = OPTIONS) -> Result:
    names = [os.fsdecode(frame) for frame in frames]
    return CliRunner().invoke(main, ["fuse", *names, "-o", str(output), *options])


def refused(bad: Path, good: Path) -> str:
    """What is said of a bracket with a bad frame: one line, and nothing is left."""
    folder = good.parent
    before = set(folder.iterdir())
    done = fuse(good, bad, output=folder / "fused.png")
    assert done.exit_code == 1, done.output
    assert done.stdout == ""
    assert isinstance(done.exception, SystemExit)
    said = done.stderr
    assert said.count("\n") == 1
    assert said.endswith("\n")
    assert set(folder.iterdir()) == before
    return said


def _gif(path: Path) -> None:
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def _cyclic(path: Path) -> None:
    """Directories that point at each other, with counts that no file can hold."""
    block = bytearray(exif_block({0x0112: ("SHORT", 1)}, shooting={0x829A: ("RATIONAL", (1, 50))}))
    struct.pack_into("<I", block, 10 + 12 * 2, 8)  # the directory after the first is the first
    at = block.index(struct.pack("<HH", 0x8769, 4)) + 8
    struct.pack_into("<I", block, at, 8)
    count = block.index(struct.pack("<HH", 0x829A, 5)) + 4
    struct.pack_into("<I", block, count, 0xFFFFFFFF)
    path.write_bytes(jpeg_with_exif(encoded(PIXELS, ".jpg"), bytes(block)))


def _float_tiff(path: Path) -> None:
    pixels = PIXELS.astype(np.float32) / 255
    pixels[3, 5] = np.nan
    tifffile.imwrite(path, pixels, photometric="rgb")


NOT_FRAMES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "empty": ("a.jpg", lambda p: p.touch(), "is empty"),
    "folder": ("a.jpg", lambda p: p.mkdir(), "is a folder"),
    "fifo": ("a.jpg", os.mkfifo, "is not a regular file"),
    "device": ("a.jpg", lambda p: p.symlink_to("/dev/zero"), "is not a regular file"),
    "loop": ("a.jpg", lambda p: p.symlink_to(p), "cannot be opened"),
    "dangling": ("a.jpg", lambda p: p.symlink_to("nowhere"), "no such file"),
    "missing": ("a.jpg", lambda p: p, "no such file"),
    "text": ("a.jpg", lambda p: p.write_text("not a picture\n" * 99), "is no picture that mefuse"),
    "raw text": ("a.nef", lambda p: p.write_text("not a picture\n" * 99), "is no raw file, "),
    "one pixel": ("a.png", lambda p: p.write_bytes(encoded(PIXELS[:1, :1], ".png")), "1x1"),
    "a line": (
        "a.png",
        lambda p: p.write_bytes(encoded(np.zeros((1, 60000, 3), np.uint8), ".png")),
        "60000x1",
    ),
    "cmyk": (
        "a.jpg",
        lambda p: Image.fromarray(PIXELS).convert("CMYK").save(p, format="JPEG"),
        "is a CMYK picture",
    ),
    "nan": ("a.tif", _float_tiff, "holds 32-bit floating-point pixels"),
    "lab": (
        "a.tif",
        lambda p: tifffile.imwrite(p, PIXELS, photometric="cielab"),
        "is a CIELAB TIFF",
    ),
    "a newline in its name": ("a\nb.jpg", lambda p: p.write_text("x"), "is no picture"),
    "no utf-8 in its name": (os.fsdecode(b"a\xff\xfe.jpg"), lambda p: p.write_text("x"), "is no"),
}


@pytest.mark.parametrize("case", NOT_FRAMES, ids=list(NOT_FRAMES))
def test_what_is_no_frame_is_refused_in_one_line(case: str, good: Path) -> None:
    name, make, says = NOT_FRAMES[case]
    make(good.parent / name)
    assert says in refused(good.parent / name, good)


FRAMES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "palette": (
        "a.png",
        lambda p: Image.fromarray(PIXELS).quantize(64).save(p, format="PNG"),
        "",
    ),
    "gif": ("a.gif", _gif, ""),
    "animated webp": (
        "a.webp",
        lambda p: Image.fromarray(PIXELS).save(
            p, save_all=True, append_images=[Image.fromarray(255 - PIXELS)], lossless=True
        ),
        "",
    ),
    "pages": (
        "a.tif",
        lambda p: tifffile.imwrite(p, np.stack([PIXELS, 255 - PIXELS]), photometric="rgb"),
        "has several pages, only the first is used",
    ),
    "wrong extension": ("a.tif", lambda p: p.write_bytes(encoded(PIXELS, ".png")), ""),
    "cyclic exif": ("a.jpg", _cyclic, ""),
    "broken profile": (
        "a.jpg",
        lambda p: p.write_bytes(
            jpeg_with(encoded(PIXELS, ".jpg"), (0xE2, b"ICC_PROFILE\0\x01\x01" + b"\xff" * 500))
        ),
        "profile",
    ),
    "a newline in its name": ("a\nb.png", lambda p: p.write_bytes(encoded(PIXELS, ".png")), ""),
    "no utf-8 in its name": (
        os.fsdecode(b"a\xff.png"),
        lambda p: p.write_bytes(encoded(PIXELS, ".png")),
        "",
    ),
}


@pytest.mark.parametrize("case", FRAMES, ids=list(FRAMES))
def test_odd_frames_are_read_as_what_they_show(case: str, good: Path) -> None:
    name, make, warns = FRAMES[case]
    path = good.parent / name
    make(path)
    frame = read_frame(find_sources([path])[0])
    assert np.abs(frame.pixels.astype(int) - PIXELS).mean() < 12  # a palette of 64, and JPEG
    assert any(warns in warning for warning in frame.warnings) or not warns
    output = good.parent / "fused.png"
    done = fuse(good, path, output=output)
    assert done.exit_code == 0, done.output
    assert output.exists()


def test_a_file_that_vanishes_or_changes_while_it_is_read(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = good.parent / "bad.png"
    real = Path.open

    cut = encoded(PIXELS, ".png")[:700]
    changes: list[tuple[Callable[[], object], str]] = [
        (bad.unlink, "bad.png: cannot be read (no such file"),
        (lambda: bad.write_bytes(cut), "bad.png: is truncated"),
    ]
    for change, says in changes:
        opened: list[Path] = []

        def opening(
            self: Path,
            *args: object,
            change: Callable[[], object] = change,
            opened: list[Path] = opened,
            **more: object,
        ) -> object:
            opened.append(self)
            if self == bad and opened.count(bad) == 2:  # its header was looked at before
                change()
            return real(self, *args, **more)

        bad.write_bytes(encoded(PIXELS, ".png"))
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", opening)
            done = fuse(good, bad, output=good.parent / "fused.png")
        assert done.exit_code == 1
        assert says in done.stderr
        assert not (good.parent / "fused.png").exists()


def test_a_full_disk_at_any_point_leaves_nothing(hand_held: HandHeld, tmp_path: Path) -> None:
    output = tmp_path / "fused.png"
    # What measures coverage writes files too, and says so when it cannot.
    unmeasured = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    for share in (0.0, 0.3, 0.9, 0.999):
        whole = 90_000

        def limit(most: int = int(share * whole)) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

        done = subprocess.run(
            [sys.executable, "-m", "mefuse", "fuse", *hand_held.names, "-o", str(output), *OPTIONS],
            preexec_fn=limit, env=unmeasured, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert done.returncode == 1, (share, done)
        assert "writing failed" in done.stderr
        assert "Traceback" not in done.stderr
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told_before_any_work(hand_held: HandHeld, tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    done = fuse(*hand_held.paths, output=tmp_path / "fused.png")
    assert done.exit_code == 1
    assert "is not writable" in done.stderr


def test_temporary_files_are_private_and_beside_the_target(
    hand_held: HandHeld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Path, int]] = []
    real = os.fsync

    def noting(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            seen.append((path, path.stat().st_mode & 0o777))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    assert fuse(*hand_held.paths, output=tmp_path / "fused.tiff").exit_code == 0
    assert seen
    assert all(mode == 0o600 and path.parent == tmp_path for path, mode in seen)


def test_fusing_needs_no_network(
    hand_held: HandHeld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise AssertionError("no network")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, denied, raising=False)
    for name in ("create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, denied)
    output = tmp_path / "fused.png"
    assert fuse(*hand_held.paths, output=output, options=()).exit_code == 0
    assert CliRunner().invoke(main, ["info", "--json"]).exit_code == 0
    done = CliRunner().invoke(
        main, ["batch", *hand_held.names, "-o", str(tmp_path / "b"), "--model", "mertens"]
    )
    assert done.exit_code == 0
    assert CliRunner().invoke(main, ["report", str(tmp_path / "b")]).exit_code == 0


def test_no_shell_and_no_pickle_in_the_package() -> None:
    forbidden = ("shell=True", "os.system", "import pickle", "pickle.", "torch.load(", " eval(")
    for file in (Path(faults.__file__).parents[1]).rglob("*.py"):
        text = file.read_text()
        found = [word for word in forbidden if word in text]
        if file.parent.name == "train":  # its own checkpoints, and of these tensors alone
            assert text.count("torch.load(") == text.count("weights_only=True")
            found = [word for word in found if word != "torch.load("]
        assert not found, file.name


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_damaged_frames_do_no_harm(kind: Kind, tmp_path: Path) -> None:
    dice = random.Random(f"damage {kind.name}")
    for _ in range(4):
        case = faults.write_case(tmp_path, kind, dice, other=dice.choice(KINDS).frames[0])
        verdict = faults.fuse_case(case)
        assert verdict.end in ("fused", "refused"), verdict.message
        assert verdict.left_behind == ()
        assert verdict.seconds < faults.LONGEST_S
    assert {path.name[:5] for path in tmp_path.iterdir()} == {"frame"}


def test_the_same_seed_does_the_same_damage() -> None:
    data = KINDS[0].frames[0]
    first, again, other = (mutated(data, random.Random(seed), other=data) for seed in (1, 1, 2))
    assert first == again != other
    assert first != data


def test_harm_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch itself: errors that are no sentences, ends of the process and what is left."""

    def broken(*_: object, **__: object) -> None:
        (tmp_path / "left.part").touch()
        raise ZeroDivisionError

    case = faults.write_case(tmp_path, KINDS[0], random.Random(0), other=b"")
    monkeypatch.setattr("mefuse.fuse.fuse_files", broken)
    verdict = faults.fuse_case(case)
    assert verdict.end == "traceback"
    assert verdict.left_behind == ("left.part",)
    assert faults.is_harmful(verdict)
    assert not faults.is_harmful(faults.Verdict("refused", "a: b; c"))
    assert faults.is_harmful(faults.Verdict("refused", "a: b; c", peak_bytes=2 << 30))
    assert faults.is_harmful(faults.Verdict("fused", seconds=11))


def test_opencv_says_nothing_of_damaged_files(tmp_path: Path) -> None:
    good = encoded(PIXELS, ".avif")
    path = tmp_path / "a.avif"
    path.write_bytes(good.replace(b"ipma", b"ipmb"))
    done = subprocess.run(
        [sys.executable, "-m", "mefuse", "fuse", *[str(path)] * 2, "-o", str(tmp_path / "o.png")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr


def test_a_read_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(PIXELS, ".png")[:99])
    with pytest.raises(ReadError, match=r"a\.png: is truncated or damaged; copy it again"):
        read_frame(find_sources([path])[0])
    assert cv2.utils.logging.getLogLevel() == cv2.utils.logging.LOG_LEVEL_SILENT
