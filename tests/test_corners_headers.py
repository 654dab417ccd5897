"""Corners of headers: rarer forms, and structures that lead nowhere."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from helpers import encoded, exif_block, exposed, jpeg_with_exif, textured_light
from mefuse import boxes, containers, exif, exif_copy, extent
from mefuse.errors import InputError, MefuseError
from mefuse.group.pixels import with_raw_exposure
from mefuse.group.run import find_brackets
from mefuse.group.shots import Shot, read_shots
from mefuse.group.twins import _may_be_one_exposure
from mefuse.makernotes import Bracketing, read_bracketing
from mefuse.reduced import read_reduced
from mefuse.settings import GroupSettings
from mefuse.wholeness import is_whole

PIXELS = exposed(textured_light(60, 80), 1.0)
JPEG = encoded(PIXELS, ".jpg")


def read_shot(path: Path) -> Shot:
    (found,) = read_shots([path])
    assert isinstance(found, Shot)
    return found


def metadata_of(data: bytes) -> object:
    return containers.read_metadata(io.BytesIO(data))


def test_metadata_of_a_fuji_raw_is_that_of_its_jpeg() -> None:
    inner = jpeg_with_exif(JPEG, exif_block({0x0110: ("ASCII", b"X-T5\0")}))
    data = b"FUJIFILMCCD-RAW ".ljust(84, b"\0") + struct.pack(">I", 160)
    data = data.ljust(160, b"\0") + inner
    found = containers.read_metadata(io.BytesIO(data))
    assert found.exif is not None
    assert b"X-T5" in found.exif


def test_a_cr3_without_its_structures_has_no_metadata() -> None:
    data = b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(40)
    assert metadata_of(data) == containers.Metadata()


def test_fill_bytes_between_segments_are_passed_over() -> None:
    block = exif_block({0x0110: ("ASCII", b"Camera\0")})
    plain = jpeg_with_exif(JPEG, block)
    filled = plain[:2] + b"\xff" * 5 + plain[2:]
    assert containers.read_metadata(io.BytesIO(filled)).exif == block
    assert list(containers.jpeg_segments(io.BytesIO(b"\xff\xd8\xff\xe1\0\0"))) == []  # size 0
    assert list(containers.jpeg_segments(io.BytesIO(b"\xff\xd8\xff\xd9\0\2"))) == []  # EOI


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff\x01" * 200_000,
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0tEXt\0\0\0\0" * 20_000,
        b"RIFF\xff\xff\xff\x7fWEBP" + b"ABCD\0\0\0\0" * 20_000,
        b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x08free" * 20_000,
    ],
    ids=["jpeg", "png", "webp", "jxl"],
)
def test_structures_without_end_are_left(data: bytes) -> None:
    assert metadata_of(data) == containers.Metadata()
    assert extent.size_of(io.BytesIO(data)) is None


def test_a_jpeg_of_endless_scans_is_not_whole() -> None:
    start = JPEG.index(b"\xff\xda")
    scan = JPEG[start:-2]
    assert is_whole(JPEG[:start] + scan * 3 + b"\xff\xd9")
    assert not is_whole(JPEG[:start] + scan * 300 + b"\xff\xd9")


def test_boxes_of_more_than_four_gigabytes_say_so_in_eight_bytes() -> None:
    data = struct.pack(">I4sQ", 1, b"wide", 20) + b"abcd" + struct.pack(">I4s", 8, b"next")
    found = list(boxes.boxes(io.BytesIO(data)))
    assert [(box.name, box.at, box.size) for box in found] == [(b"wide", 16, 4), (b"next", 28, 0)]


def test_of_two_colours_the_first_counts_and_odd_items_are_passed_over() -> None:
    def box(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(content), name) + content

    colours = [box(b"colr", b"nclx" + struct.pack(">HH", *codes)) for codes in ((9, 16), (1, 13))]
    odd = box(b"colr", b"none") + box(b"free", b"")
    properties = box(b"iprp", box(b"ipco", odd + b"".join(colours)))
    items = box(b"iinf", bytes(6) + box(b"infe", b"\1" + bytes(20)) + box(b"free", bytes(16)))
    data = box(b"ftyp", b"heic\0\0\0\0heic") + box(b"meta", bytes(4) + items + properties)
    assert boxes.describe(io.BytesIO(data)).coded == (9, 16)


def test_rarer_sizes(tmp_path: Path) -> None:
    lossy = io.BytesIO()
    Image.fromarray(PIXELS).save(lossy, "WEBP", quality=50)
    assert extent.size_of(lossy) == (60, 80)
    odd = lossy.getvalue()[:12] + b"ODD " + lossy.getvalue()[16:]
    assert extent.size_of(io.BytesIO(odd)) is None
    os2 = b"BM" + bytes(12) + struct.pack("<IHH", 12, 80, 60) + bytes(40)
    assert extent.size_of(io.BytesIO(os2)) == (60, 80)
    code = b"\xff\x4f\xff\x51" + bytes(4) + struct.pack(">IIII", 84, 63, 4, 3) + bytes(40)
    assert extent.size_of(io.BytesIO(code)) == (60, 80)


def test_nikon_and_olympus_notes_that_lead_nowhere() -> None:
    for make, note in (
        (b"NIKON\0", b"Nikon\0\x02\x10\0\0" + b"??" + bytes(30)),
        (b"OLYMPUS\0", b"OLYMPUS\0II\x03\0" + bytes(30)),
    ):
        block = exif_block(
            {0x010F: ("ASCII", make)}, shooting={exif.MAKER_NOTE: ("UNDEFINED", note)}
        )
        tiff = exif.TiffReader(io.BytesIO(block))
        entry = tiff.subdirectory(exif.EXIF_IFD)[exif.MAKER_NOTE]
        assert read_bracketing(tiff, entry, make=make[:-1].decode()) == Bracketing()


def test_a_cr3_tells_its_shot_from_boxes_of_its_own(tmp_path: Path) -> None:
    main = exif_block({0x0110: ("ASCII", b"EOS R5\0")})
    shot = exif_block({0x829A: ("RATIONAL", (1, 125))})
    data = b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(40)
    for name, block in ((b"CMT1", main), (b"CMT2", shot), (b"CMT3", b"no TIFF")):
        data += struct.pack(">I", len(block) + 8) + name + block
    path = tmp_path / "a.cr3"
    path.write_bytes(data)
    found = read_shot(path)
    assert found.camera == "EOS R5"
    assert found.bracketing == Bracketing()


def test_shots_without_a_time_contradict_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    shot = read_shot(path)
    assert shot.taken_s is None
    assert _may_be_one_exposure(shot, shot)


def test_a_raw_file_that_cannot_be_read_keeps_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.nef"
    path.write_bytes(b"no raw file " * 99)
    shot = read_shot(path)
    assert with_raw_exposure(shot) is shot


@pytest.mark.parametrize("settings", [GroupSettings(size=1), GroupSettings(gap_s=-1.0)])
def test_impossible_groups_are_refused(settings: GroupSettings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"at least 2 frames|give seconds, 0 or more"):
        find_brackets([tmp_path / "a.jpg"], settings=settings)


def test_a_reduced_picture_of_a_damaged_file_is_refused(tmp_path: Path) -> None:
    large = encoded(exposed(textured_light(600, 800), 1.0), ".jpg")
    for name, data in (("cut.jpg", large[:-900]), ("empty.jpg", large[:200])):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(MefuseError, match=name):
            read_reduced(path, 64)


def test_exif_with_places_that_lead_nowhere_is_copied_without_them() -> None:
    block = exif_block(
        {0x0110: ("ASCII", b"Camera\0"), 0x0100: ("LONG", 1), 0x0101: ("LONG", 2)},
        shooting={exif_copy.INTEROP_IFD: ("LONG", 0xFFFFFF)},
    )
    tiff = exif.TiffReader(io.BytesIO(block))
    assert exif_copy.without_thumbnail(block) == block
    assert exif_copy.without_thumbnail(b"no TIFF") == b"no TIFF"
    assert tiff.subdirectory(exif.EXIF_IFD)


def test_a_picture_reduced_is_the_one_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), np.ascontiguousarray(PIXELS[..., ::-1]))
    found = read_reduced(path, 40)
    assert max(found.pixels.shape) <= 80
