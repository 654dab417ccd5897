"""IPTC: what is carried of Photoshop's blocks, in JPEG and TIFF, and what is stripped."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import encoded, exif_block, exposed, jpeg_with, textured_light
from mefuse import containers, iptc
from mefuse.frames import Metadata
from mefuse.write.embed import in_jpeg

EXIFTOOL = shutil.which("exiftool")


def dataset(number: int, value: bytes) -> bytes:
    return struct.pack(">BBBH", 0x1C, 2, number, len(value)) + value


CAPTION = dataset(120, b"A house by the sea")
CITY = dataset(90, b"Lisbon")
PREVIEW = dataset(202, b"x" * 40_000)  # longer than a size of 15 bits tells
LONG = struct.pack(">BBBHI", 0x1C, 2, 202, 0x8004, 70_000) + bytes(70_000)
RECORD = CAPTION + CITY
DIGEST = hashlib.md5(RECORD, usedforsecurity=False).digest()
BLOCK = iptc.resource(0x0404, RECORD) + iptc.resource(0x0425, DIGEST)
WITH_OTHERS = (
    b"8BIM\x04\x0c\x03odd\x00\x00\x00\x03abc\x00"  # a thumbnail with a name, of an odd size
    + iptc.resource(0x040F, b"a profile")
    + BLOCK
    + iptc.resource(2000, b"a path")
)
JPEG = encoded(exposed(textured_light(48, 64, stops=6.0), 0), ".jpg")


def record_of(block: bytes | None) -> bytes:
    return dict(iptc.resources(block or b""))[0x0404]


def test_only_what_tells_of_the_photograph_is_carried() -> None:
    assert len(list(iptc.resources(WITH_OTHERS))) == 5
    assert iptc.carried(WITH_OTHERS) == BLOCK
    assert iptc.carried(iptc.resource(2000, b"a path")) is None
    assert iptc.carried(b"") is None


def test_places_go_with_the_positions_and_the_digest_follows() -> None:
    assert iptc.finished(BLOCK, strip_gps=False) == BLOCK
    found = dict(iptc.resources(iptc.finished(BLOCK, strip_gps=True) or b""))
    assert found[0x0404] == CAPTION
    assert found[0x0425] == hashlib.md5(CAPTION, usedforsecurity=False).digest()
    assert iptc.finished(iptc.resource(0x0404, CITY), strip_gps=True) is None
    assert iptc.finished(None, strip_gps=False) is None


def test_padding_is_told_from_the_record() -> None:
    assert iptc.unpadded(RECORD + bytes(3)) == RECORD
    assert iptc.unpadded(RECORD + b"odd") == RECORD + b"odd"
    assert iptc.unpadded(bytes(4)) == bytes(4)


def test_a_padded_record_keeps_its_digest_current() -> None:
    found = dict(iptc.resources(iptc.padded(BLOCK)))
    assert found[0x0404] == RECORD + bytes(2)
    assert found[0x0425] == hashlib.md5(found[0x0404], usedforsecurity=False).digest()
    stale = iptc.resource(0x0404, RECORD) + iptc.resource(0x0425, bytes(16))
    assert dict(iptc.resources(iptc.padded(stale)))[0x0425] == bytes(16)
    assert iptc.padded(iptc.padded(BLOCK)) == iptc.padded(BLOCK)


@pytest.mark.parametrize("preview", [dataset(202, b"x" * 9000), LONG])
def test_the_references_preview_goes(preview: bytes) -> None:
    block = iptc.resource(0x0404, CAPTION + preview + CITY)
    assert record_of(iptc.finished(block, strip_gps=False)) == RECORD


def test_a_block_of_several_segments_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    long = iptc.resource(0x0404, CAPTION * 4000)
    data = b"".join(bytes(piece) for piece in in_jpeg(JPEG, Metadata(iptc=long)).pieces)
    assert containers.read_metadata(io.BytesIO(data)).iptc == long
    monkeypatch.setattr(containers, "_LARGEST_BLOCK_BYTES", 1000)
    assert containers.read_metadata(io.BytesIO(data)).iptc is None  # not gathered without end


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_blocks_never_raise(data: st.DataObject) -> None:
    block = bytearray(WITH_OTHERS)
    places = st.integers(0, len(block) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        block[at] = value
    kept = iptc.carried(bytes(block[: data.draw(st.integers(0, len(block)))]))
    assert len(iptc.finished(kept, strip_gps=True) or b"") <= len(kept or b"")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two JPEGs with a place in EXIF, in XMP and in IPTC."""
    folder = tmp_path_factory.mktemp("iptc")
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
        b'syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        b'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" dc:source="a scan" '
        b'photoshop:City="Lisbon"/></rdf:RDF></x:xmpmeta>'
    )
    light, paths = textured_light(48, 64, stops=6.0), []
    for ev in (-2, 1):
        block = exif_block(
            {0x0110: ("ASCII", b"A Model\0")},
            shooting={0x829A: ("RATIONAL", (4 << (ev + 2), 1000))},
            gps={1: ("ASCII", b"N\0"), 2: ("RATIONAL", [(52, 1), (31, 1), (12, 1)])},
        )
        data = jpeg_with(
            encoded(exposed(light, ev), ".jpg"),
            (0xE1, b"Exif\0\0" + block),
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet),
            (0xED, b"Photoshop 3.0\0" + WITH_OTHERS),
        )
        paths.append(folder / f"{ev + 2}.jpg")
        paths[-1].write_bytes(data)
    return paths


def fused(paths: list[Path], target: Path, *more: str) -> str:
    """Runs the command; what it said."""
    command = [sys.executable, "-m", "mefuse", "fuse", "--model", "mertens", "--no-align"]
    done = subprocess.run(
        [*command, *map(str, paths), "-o", str(target), *more],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stderr.decode()


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_jpeg_and_tiff_keep_it_and_can_be_read_again(
    photographs: list[Path], tmp_path: Path, name: str
) -> None:
    assert "IPTC" not in fused(photographs, tmp_path / name)
    with (tmp_path / name).open("rb") as file:
        kept = containers.read_metadata(file).iptc
    assert kept == (BLOCK if name.endswith("jpg") else iptc.padded(BLOCK))
    if name.endswith("tif"):
        with tifffile.TiffFile(tmp_path / name) as tiff:
            tag = tiff.pages.first.tags[33723]
            assert (tag.dtype, tag.count) == (4, 9)
        assert RECORD in (tmp_path / name).read_bytes()


def test_what_has_no_place_for_it_says_so(photographs: list[Path], tmp_path: Path) -> None:
    assert "left out the IPTC block" in fused(photographs, tmp_path / "a.png")
    assert "IPTC" not in fused(photographs, tmp_path / "b.png", "--strip", "all")


def test_a_batch_names_the_picture_once(photographs: list[Path], tmp_path: Path) -> None:
    plan = {"mefuse_plan": 1, "brackets": [{"frames": list(map(str, photographs))}]}
    command = [sys.executable, "-m", "mefuse", "batch", "--plan", "-", "-o", str(tmp_path)]
    done = subprocess.run(
        [*command, "--model", "mertens", "--no-align"],
        input=json.dumps(plan).encode(), capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    (told,) = [line for line in done.stderr.decode().splitlines() if "IPTC" in line]
    assert told.startswith(f"Warning: {tmp_path}") and told.count(".png") == 1


@pytest.mark.skipif(EXIFTOOL is None, reason="exiftool (libimage-exiftool-perl) is not installed")
@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_exiftool_sees_what_is_kept_and_what_is_stripped(
    photographs: list[Path], tmp_path: Path, name: str
) -> None:
    seen = {}
    for strip in ("nothing", "gps", "all"):
        target = tmp_path / f"{strip}_{name}"
        fused(photographs, target, *(() if strip == "nothing" else ("--strip", strip)))
        asked = ("-j", "-G0", "-EXIF:all", "-XMP:all", "-IPTC:all", "-GPS:all", "-warning")
        answer = subprocess.run(
            [str(EXIFTOOL), *asked, str(target)], capture_output=True, timeout=60, check=True
        )
        seen[strip] = json.loads(answer.stdout)[0]
    whole, without, nothing = seen["nothing"], seen["gps"], seen["all"]
    assert not any("Warning" in tag for told in seen.values() for tag in told)
    for tag in ("EXIF:GPSLatitude", "XMP:City", "IPTC:City"):
        assert tag in whole, tag
        assert tag not in without, tag
    for tag in ("EXIF:Model", "XMP:Source", "IPTC:Caption-Abstract"):
        assert whole[tag] == without[tag], tag
    assert not any(tag.startswith(("XMP", "IPTC", "GPS")) for tag in nothing)
    assert "EXIF:Model" not in nothing
    assert "EXIF:ExposureTime" not in nothing
