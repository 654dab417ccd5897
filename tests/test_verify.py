"""A written file is looked at before it gets its name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from mefuse import write
from mefuse.errors import WriteError
from mefuse.frames import Metadata
from mefuse.landing import open_new
from mefuse.write.verify import check_written

PIXELS = np.random.default_rng(3).integers(0, 256, (40, 56, 3), dtype=np.uint8)
FORMATS = ["png", "jpeg", "tiff", "webp", "avif", "jxl", "exr"]


DEEP = np.multiply(PIXELS, 257, dtype=np.uint16)


def stored(path: Path | BinaryIO, form: str) -> None:
    pixels = DEEP if form == "exr" else PIXELS
    write.write_picture(pixels, path, format=form, quality=90, metadata=Metadata(), overwrite=False)


@pytest.mark.parametrize("form", FORMATS)
def test_a_whole_file_passes_by_name_and_by_stream(tmp_path: Path, form: str) -> None:
    stored(tmp_path / "a", form)
    with open_new(tmp_path / "b") as file:
        stored(file, form)
        assert file.tell() == os.fstat(file.fileno()).st_size
    assert (tmp_path / "a").stat().st_size == (tmp_path / "b").stat().st_size


def test_a_stream_that_holds_something_else_too_is_left_to_its_owner(tmp_path: Path) -> None:
    with open_new(tmp_path / "album") as file:
        file.write(b"cover")
        stored(file, "png")
        stored(file, "png")
        assert file.tell() == os.fstat(file.fileno()).st_size
    album = (tmp_path / "album").read_bytes()
    assert (album[:5], album.count(b"\x89PNG")) == (b"cover", 2)


@pytest.mark.parametrize("form", ["png", "jpeg", "tiff", "webp"])
def test_a_file_without_its_end_is_refused(tmp_path: Path, form: str) -> None:
    stored(tmp_path / "a", form)
    with (tmp_path / "a").open("r+b") as file:
        file.truncate(file.seek(0, 2) - 3)
        file.seek(0, 2)
        with pytest.raises(WriteError, match="a: was not stored whole"):
            check_written(file, (40, 56), format=form, name="a")


@pytest.mark.parametrize("form", FORMATS)
def test_what_a_disk_lost_is_noticed(tmp_path: Path, form: str) -> None:
    stored(tmp_path / "a", form)
    with (tmp_path / "a").open("r+b") as file:
        end = file.seek(0, 2)
        os.ftruncate(file.fileno(), end // 2)
        with pytest.raises(WriteError, match=f"{end // 2} of {end} bytes"):
            check_written(file, (40, 56), format=form, name="a")


@pytest.mark.parametrize("form", FORMATS[:-1])
def test_another_picture_is_refused(tmp_path: Path, form: str) -> None:
    stored(tmp_path / "a", form)
    with (tmp_path / "a").open("r+b") as file:
        file.seek(0, 2)
        with pytest.raises(WriteError, match="was not stored whole"):
            check_written(file, (40, 57), format=form, name="a")


def test_nothing_is_left_of_a_file_that_lost_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstat

    class Shorter:
        def __init__(self, descriptor: int) -> None:
            self._status = real(descriptor)

        def __getattr__(self, name: str) -> object:
            value = getattr(self._status, name)
            return value - 1 if name == "st_size" and value else value

    monkeypatch.setattr("mefuse.write.verify.os.fstat", Shorter)
    with pytest.raises(WriteError, match="was not stored whole"):
        stored(tmp_path / "a.png", "png")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
