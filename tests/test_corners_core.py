"""Corners of the core: encoders that refuse, memory that is not told, levels of one step."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pytest
import torch

from helpers import encoded, exposed, jpeg_with, textured_light
from mefuse import deliver, landing, memory, profiles
from mefuse.aligned import Aligned
from mefuse.cli.batch import Part
from mefuse.cli.signals import Stop, stopping
from mefuse.errors import InputError, WriteError
from mefuse.evaluate.records import matrix_of, read_json
from mefuse.frames import Metadata
from mefuse.level_stream import LevelFuser
from mefuse.levels import power_shares
from mefuse.maps import _write as write_map
from mefuse.models import load_network_type
from mefuse.models.deepfuse import DeepFuse, DeepFuseConfig
from mefuse.models.lcndr import LCNDRConfig
from mefuse.models.mertens import MertensFuser, load_fuser
from mefuse.reduced import read_reduced
from mefuse.settings import FuseSettings
from mefuse.slices import slices_of
from mefuse.transforms import _rough
from mefuse.write import write_picture
from mefuse.write.jxl import _distance

FRAMES = [exposed(textured_light(72, 104, stops=6), ev) for ev in (-2, 0, 2)]


def written(target: Path, form: str) -> None:
    write_picture(FRAMES[0], target, format=form, quality=90, metadata=Metadata(), overwrite=False)


@pytest.mark.parametrize("model", ["deepfuse", "mertens"])
def test_models_that_fuse_whole_give_it_as_one_band(model: str) -> None:
    torch.manual_seed(3)
    network = DeepFuse(DeepFuseConfig(width=4)).eval().requires_grad_(False)
    device = torch.device("cpu")
    fuser = MertensFuser() if model == "mertens" else LevelFuser(model, network, device=device)
    bracket = Aligned.of(FRAMES, reference=1, ghost="off")
    how: dict[str, Any] = {"depth": 8, "slice_size": 64, "on_slice": None}
    whole = fuser.fuse(bracket, **how)
    banded = fuser.fuse(bracket, **how, in_bands=True)
    assert banded.pixels.size == 0
    assert banded.bands is not None
    assert np.array_equal(banded.bands.whole(), whole.pixels)


def test_a_model_without_weights_takes_none_and_has_no_network() -> None:
    with pytest.raises(InputError, match=r"w: the model mertens has no weights; leave the file"):
        load_fuser("mertens", device="cpu", path=Path("w"))
    with pytest.raises(InputError, match="mertens: has no network"):
        load_network_type("mertens")


def test_sizes_of_networks_are_plain_values() -> None:
    for config in (DeepFuseConfig(), LCNDRConfig()):
        assert type(config)(**config.to_dict()) == config


def test_one_level_shares_evenly() -> None:
    shares = power_shares([torch.rand(1, 4, 3, 3)])
    assert torch.equal(shares, torch.full((1, 4, 3, 3), 0.25))


@pytest.mark.parametrize("size", [0, -8, 12])
def test_a_slice_size_off_the_grid_is_an_error(size: int) -> None:
    with pytest.raises(ValueError, match="is not a positive multiple"):
        list(slices_of(64, 64, size))


def test_pairs_of_points_on_one_line_give_a_shift() -> None:
    start = np.column_stack([np.arange(9.0), np.zeros(9)])
    found = _rough(start, start + np.array([3, 4]), np.ones(9))
    assert np.allclose(found, [1, 0, 3, 0, 1, 4, 0, 0])


def test_folders_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, says in (("file", "is a file; name a folder"), ("none/a", "there is no folder")):
        with pytest.raises(WriteError, match=says):
            deliver.check_folders(FuseSettings(save_maps=str(tmp_path / name)))


def test_records_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(no such file"):
        read_json(tmp_path / "a.json")
    for rows in ([["a"]], [[1, 2], [3]], [[1, 0, 0]] * 2, [[1, 0, 0], [0, 1, 0], [0, 0, 0]]):
        with pytest.raises(InputError, match="no 3x3 matrix"):
            matrix_of({"transform": rows}, tmp_path)


def test_encoders_that_give_nothing_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "imencode", lambda *_: (False, np.empty(0, np.uint8)))
        with pytest.raises(WriteError, match=r"a\.png: cannot be encoded as PNG"):
            write_map(np.zeros((8, 8), np.uint8), tmp_path / "a.png", overwrite=False)
        patch.setattr(cv2, "imencodeWithMetadata", lambda *_: (False, np.empty(0, np.uint8)))
        with pytest.raises(WriteError, match=r"a\.jpg: encoding gave nothing; try another"):
            written(tmp_path / "a.jpg", "jpeg")

    def refusing(*_: object, **__: object) -> None:
        raise cv2.error("no")

    with monkeypatch.context() as patch:
        patch.setattr(cv2, "imencode", refusing)
        patch.setattr(cv2, "imencodeWithMetadata", refusing)
        with pytest.raises(WriteError, match=r"a\.webp: encoding failed"):
            written(tmp_path / "a.webp", "webp")
    import imagecodecs

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(imagecodecs, "jpegxl_encode", broken)
    with pytest.raises(WriteError, match=r"a\.jxl: encoding failed \(no\)"):
        written(tmp_path / "a.jxl", "jxl")
    assert list(tmp_path.iterdir()) == []


def test_lower_qualities_of_jpeg_xl_are_further_off() -> None:
    assert [_distance(quality) for quality in (100, 99, 30)] == pytest.approx([0, 0.19, 6.4])
    assert _distance(29) > _distance(30)


def test_disks_that_fail_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.png"
    with landing.open_new(tmp_path / "part") as file, monkeypatch.context() as patch:

        def failing(_: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        patch.setattr(os, "fsync", failing)
        with pytest.raises(WriteError, match=r"part: writing failed \(input/output error\)"):
            landing.finish(file)
    with pytest.raises(WriteError, match=r"a\.png: writing failed \(no such file"):
        landing.put(tmp_path / "gone", target, overwrite=True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(WriteError, match=r"a\.png: folder .* is not writable; choose another"):
        landing.check_target(target, overwrite=False)


def test_memory_where_the_system_tells_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = memory.peak_memory_bytes()
    machine = memory.machine_memory_bytes()
    assert told
    assert machine
    for name, text in (("memory.max", "5000000\n"), ("memory.current", "2000000\n")):
        (tmp_path / name).write_text(text)
    real = Path

    def elsewhere(*parts: str) -> Path:
        if parts[0] == "/sys/fs/cgroup":
            return tmp_path
        if parts[0] == "/sys/fs/cgroup/memory.max":
            return tmp_path / "memory.max"
        return real("/nowhere") if parts[0].startswith("/proc") else real(*parts)

    monkeypatch.setattr(memory, "Path", elsewhere)
    assert memory.available_memory_bytes() == 3_000_000
    # What is kept of files that were read is given back as soon as it is wanted.
    (tmp_path / "memory.stat").write_text("anon 400000\ninactive_file 1500000\nactive_file 9\n")
    assert memory.available_memory_bytes() == 4_500_000
    assert memory.machine_memory_bytes() == 5_000_000
    assert 0.5 < memory.peak_memory_bytes() / told < 4  # by getrusage, with the parent's share

    def untold(_: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", untold)
    assert memory.machine_memory_bytes() is None
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available_memory_bytes() is None


@pytest.fixture
def heard() -> Iterator[None]:
    """Signals as a program in the foreground hears them; in the background SIGINT is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_a_second_signal_interrupts_at_once() -> None:
    with stopping() as stop, stop.deferred():
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        Stop().receive(signal.SIGINT, None)


def test_signals_are_left_alone_outside_the_main_thread() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[Any] = []

    def work() -> None:
        with stopping():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_part_is_taken_as_text_or_as_numbers() -> None:
    assert Part().convert("2/8", None, None) == (2, 8)
    assert Part().convert((2, 8), None, None) == (2, 8)
    with pytest.raises(click.BadParameter, match="is not of the form 2/8"):
        Part().convert("9/8", None, None)


def test_a_reduced_jpeg_is_in_srgb_whatever_its_profile(tmp_path: Path) -> None:
    pixels = exposed(textured_light(600, 800), 1.0)
    icc = profiles.standard("p3")
    plain = encoded(pixels, ".jpg")
    tagged = jpeg_with(plain, (0xE2, b"ICC_PROFILE\0\x01\x01" + icc))
    found = []
    for name, data in (("plain.jpg", plain), ("p3.jpg", tagged)):
        (tmp_path / name).write_bytes(data)
        found.append(read_reduced(tmp_path / name, 100).pixels.astype(int))
    chroma = [np.abs(seen - seen.mean(-1, keepdims=True)).mean() for seen in found]
    assert chroma[1] > chroma[0]  # P3's colours are stronger than sRGB's of the same numbers
    assert found[0].shape == found[1].shape
