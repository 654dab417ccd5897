"""What `mefuse fuse` writes: formats, colours, metadata, layers, checked by running it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from conftest import HandHeld
from helpers import encoded, exif_block, exposed, jpeg_with, textured_light
from mefuse import colour, containers, exif, profiles
from mefuse.frames import Metadata

FUSE = [sys.executable, "-m", "mefuse", "fuse", "--model", "mertens", "--no-align", "--no-crop"]
EXIFTOOL = shutil.which("exiftool")
P3 = profiles.standard("p3")
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'xmlns:exif="http://ns.adobe.com/exif/1.0/" dc:source="a scan" exif:GPSLatitude="52,31.2N"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    command = [*FUSE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=120, check=False)


def told(*arguments: str | Path) -> dict[str, Any]:
    """The report of a command that has to succeed."""
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def metadata_of(path: Path) -> Metadata:
    with path.open("rb") as file:
        return containers.read_metadata(file)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three JPEGs in Display P3 with all that a camera writes."""
    folder = tmp_path_factory.mktemp("photographs")
    light, paths = textured_light(96, 128, stops=6.0), []
    for ev in (-2, 0, 2):
        block = exif_block(
            {
                0x010F: ("ASCII", b"Some Maker\0"),
                0x0110: ("ASCII", b"Some Model\0"),
                0x0112: ("SHORT", 1),
                0x011A: ("RATIONAL", (300, 1)),
                0x011B: ("RATIONAL", (300, 1)),
                0x0128: ("SHORT", 2),
                0x0132: ("ASCII", b"2024:05:06 07:08:09\0"),
                0x013B: ("ASCII", b"An Artist\0"),
                0x0213: ("SHORT", 1),
                0x8298: ("ASCII", b"Somebody\0"),
            },
            shooting={
                0x829A: ("RATIONAL", (4 << (ev + 2), 1000)),
                0x829D: ("RATIONAL", (8, 1)),
                0x8827: ("SHORT", 100),
                0x9000: ("UNDEFINED", b"0232"),
                0x9003: ("ASCII", b"2024:05:06 07:08:09\0"),
                0x9101: ("UNDEFINED", b"\1\2\3\0"),
                0x920A: ("RATIONAL", (50, 1)),
                0x9286: ("UNDEFINED", b"ASCII\0\0\0a comment"),
                0xA000: ("UNDEFINED", b"0100"),
                0xA001: ("SHORT", 65535),
                0xA002: ("LONG", 128),
                0xA003: ("LONG", 96),
                0xA434: ("ASCII", b"A Lens\0"),
            },
            gps={
                0: ("BYTE", [2, 3, 0, 0]),
                1: ("ASCII", b"N\0"),
                2: ("RATIONAL", [(52, 1), (31, 1), (12, 1)]),
            },
        )
        data = jpeg_with(
            encoded(exposed(light, ev), ".jpg"),
            (0xE1, b"Exif\0\0" + block),
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
            (0xE2, b"ICC_PROFILE\0\x01\x01" + P3),
        )
        paths.append(folder / f"IMG_{ev + 2}.jpg")
        paths[-1].write_bytes(data)
    return paths


@pytest.mark.parametrize("extension", ["png", "jpg", "tif", "webp", "avif"])
def test_metadata_and_profile_come_along(
    photographs: list[Path], tmp_path: Path, extension: str
) -> None:
    target = tmp_path / f"fused.{extension}"
    report = told(*photographs, "-o", target)
    assert report["profile"] == "Display P3"
    assert report["warnings"] == []
    kept = metadata_of(target)
    assert kept.icc == P3
    assert kept.xmp is not None
    assert b'dc:source="a scan"' in kept.xmp
    assert b"from 3 frames: IMG_0.jpg, IMG_2.jpg, IMG_4.jpg" in kept.xmp
    assert kept.exif is not None
    assert b"A Lens" in kept.exif
    assert b"mefuse " in kept.exif
    assert exif.read_exposure(io.BytesIO(kept.exif)).exposure_time_s == 16 / 1000


@pytest.mark.skipif(EXIFTOOL is None, reason="exiftool (libimage-exiftool-perl) is not installed")
@pytest.mark.parametrize("extension", ["png", "jpg", "tif"])
def test_exiftool_finds_everything_and_no_fault(
    photographs: list[Path], tmp_path: Path, extension: str
) -> None:
    target = tmp_path / f"fused.{extension}"
    told(*photographs, "-o", target)
    before, after = (_by_exiftool(path) for path in (photographs[1], target))
    changed = {"Software", "ExifImageWidth", "ExifImageHeight"}
    kept = [name for name in before if after.get(name) == before[name] or _last(name) in changed]
    assert len(kept) >= 0.95 * len(before)
    assert all(name in after for name in before if name.startswith("XMP"))
    assert _exiftool("-b", "-icc_profile", target) == P3
    faults = _exiftool("-validate", "-warning", "-a", "-s3", target).decode().splitlines()[1:]
    # Its rules for TIFF are those of 1992: no deflate, no Exif tags that are a JPEG's.
    old_rules = ("not allowed in TIFF", "0x0103 Compression", "0x001b GPSProcessingMethod")
    allowed = old_rules if extension == "tif" else ()
    assert [fault for fault in faults if not any(word in fault for word in allowed)] == []


def _exiftool(*arguments: str | Path) -> bytes:
    command = [str(EXIFTOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


def _by_exiftool(path: Path) -> dict[str, Any]:
    answer = _exiftool("-j", "-n", "-G0:1", "-EXIF:all", "-XMP:all", path)
    found: dict[str, Any] = json.loads(answer)[0]
    found.pop("SourceFile")
    return found


def _last(name: str) -> str:
    return name.rpartition(":")[2]


def test_positions_or_everything_are_left_out(photographs: list[Path], tmp_path: Path) -> None:
    for strip, target in (("gps", tmp_path / "a.jpg"), ("all", tmp_path / "b.jpg")):
        told(*photographs, "-o", target, "--strip", strip)
        kept, data = metadata_of(target), target.read_bytes()
        assert b"GPS" not in data
        assert kept.icc == P3
        assert (kept.exif is None) == (strip == "all")
        assert b"mefuse" in data or strip == "all"


def test_an_output_profile_is_converted_to_and_embedded(
    photographs: list[Path], tmp_path: Path
) -> None:
    kept, converted = tmp_path / "kept.tif", tmp_path / "srgb.tif"
    told(*photographs, "-o", kept, "--depth", "16")
    report = told(*photographs, "-o", converted, "--depth", "16", "--output-profile", "srgb")
    assert report["profile"] == "sRGB"
    assert metadata_of(converted).icc == profiles.standard("srgb")
    expected = colour.converted(tifffile.imread(kept), source=P3, target=None)
    assert np.array_equal(tifffile.imread(converted), expected)


def test_a_mixed_bracket_is_converted_aloud(photographs: list[Path], tmp_path: Path) -> None:
    plain = tmp_path / "plain.jpg"
    plain.write_bytes(encoded(exposed(textured_light(96, 128, stops=6.0), 0), ".jpg"))
    done = run(plain, *photographs[::2], "--reference", "1", "-o", tmp_path / "a.png")
    assert done.returncode == 0
    said = done.stderr.decode()
    assert said.count("converted from Display P3 to the reference's sRGB") == 2
    assert metadata_of(tmp_path / "a.png").icc is None


def test_linear_frames_come_back_linear(tmp_path: Path) -> None:
    linear = profiles.standard("srgb", linear=True)
    light, paths = textured_light(96, 128, stops=6.0), []
    for ev in (-2, 0, 2):
        pixels = np.round(np.clip(light * 2.0**ev, 0, 1) * 65535).astype(np.uint16)
        paths.append(tmp_path / f"{ev}.tif")
        tifffile.imwrite(paths[-1], pixels, photometric="rgb", iccprofile=linear)
    report = told(*paths, "-o", tmp_path / "fused.tif")
    assert report["profile"] == "sRGB, linear"
    told(*paths, "-o", tmp_path / "srgb.tif", "--output-profile", "srgb")
    one, other = (tifffile.imread(tmp_path / f"{name}.tif") for name in ("fused", "srgb"))
    assert one.dtype == other.dtype == np.uint16
    assert one.mean() < 0.8 * other.mean()  # the same light, told without and with a curve
    same = colour.converted(one, source=linear, target=None)
    assert np.abs(same.astype(int) - other).max() < 64


def deep_gradient(folder: Path) -> list[Path]:
    """A 16-bit bracket of a smooth ramp."""
    stops = np.linspace(-8, 0, 3000, dtype=np.float32)[np.newaxis, :, np.newaxis]
    light = np.broadcast_to(2.0**stops, (64, 3000, 3)).astype(np.float32)
    paths = []
    for ev in (-2, 0, 2):
        paths.append(folder / f"{ev}.tif")
        tifffile.imwrite(paths[-1], exposed(light, ev, depth=16), photometric="rgb")
    return paths


def test_16_bits_go_from_end_to_end(tmp_path: Path) -> None:
    stops = np.random.default_rng(0).uniform(-8, 0, (200, 300, 1)).astype(np.float32)
    light = np.repeat(2.0**stops, 3, axis=2)
    paths = []
    for ev in (-2, 0, 2):
        paths.append(tmp_path / f"{ev}.tif")
        tifffile.imwrite(paths[-1], exposed(light, ev, depth=16), photometric="rgb")
    told(*paths, "-o", tmp_path / "fused.tif")
    fused = tifffile.imread(tmp_path / "fused.tif")
    assert fused.dtype == np.uint16
    assert len(np.unique(fused)) > 10_000


def test_16_bits_become_8_without_bands(tmp_path: Path) -> None:
    paths = deep_gradient(tmp_path)
    told(*paths, "-o", tmp_path / "deep.tif")
    told(*paths, "-o", tmp_path / "shallow.tif", "--depth", "8")
    deep, shallow = (tifffile.imread(tmp_path / f"{n}.tif") for n in ("deep", "shallow"))
    assert shallow.dtype == np.uint8
    assert np.abs(_smooth(shallow) - _smooth(deep) / 257).max() < 0.15
    assert np.abs(_smooth(np.rint(deep / 257)) - _smooth(deep) / 257).max() > 0.3


def _smooth(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Means over columns and 8 neighbours: what the eye sees of a code or two."""
    rows = pixels[..., 1].astype(np.float64).mean(axis=0)
    return np.convolve(rows, np.ones(8) / 8, "valid")


def test_layers_are_the_aligned_frames(hand_held: HandHeld, tmp_path: Path) -> None:
    target, folder = tmp_path / "fused.tif", tmp_path / "aligned"
    command = [sys.executable, "-m", "mefuse", "fuse", "--model", "mertens", *hand_held.names]
    command += ["-o", str(target), "--layers", "--save-aligned", str(folder)]
    subprocess.run(command, check=True, timeout=120)
    saved = sorted(folder.iterdir())
    assert [path.name for path in saved] == [f"0{i}_IMG {i}.tif" for i in (1, 2, 3)]
    with tifffile.TiffFile(target) as file:
        pages = [page.asarray() for page in file.pages]
        names = [page.tags[0x011D].value for page in file.pages]
    assert names == ["fused", "IMG 1.jpg", "IMG 2.jpg", "IMG 3.jpg"]
    for page, path in zip(pages[1:], saved, strict=True):
        assert page.shape == pages[0].shape
        assert np.array_equal(page, tifffile.imread(path))
    assert subprocess.run(command, check=False, capture_output=True, timeout=120).returncode == 1
    exposure = exif.read_exposure(io.BytesIO(saved[0].read_bytes()))
    assert exposure.exposure_time_s == 1 / 200


def test_maps_of_what_was_decided(hand_held: HandHeld, tmp_path: Path) -> None:
    target, folder = tmp_path / "fused.png", tmp_path / "maps"
    asked = ("--ghost", "auto", "--save-maps", folder)
    report = told(*hand_held.paths, "-o", target, *asked)
    size = report["size"]["height"], report["size"]["width"]
    names = {f"0{i}_IMG {i}.{kind}.png" for i in (1, 2, 3) for kind in ("weights", "ghost")}
    assert {path.name for path in folder.iterdir()} == names
    total = np.zeros(size)
    for name in names:
        plane = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        assert plane.shape == size
        total += plane * name.endswith("weights.png")
    assert np.abs(total - 255).max() <= 3
    done = run(*hand_held.paths, "-o", tmp_path / "b.png", "--save-maps", folder)
    assert done.returncode == 1
    assert b"maps: is not empty; name a new folder, or give --overwrite" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "a.heic"), b"a.heic: cannot be written in this format; use .png, .jpg"),
        (("-o", "a.png", "--layers"), b"a.png: only TIFF holds layers; use .tiff"),
        (("-o", "a.jpg", "--depth", "16"), b"a.jpg: JPEG holds 8 bits; use .png"),
        (("-o", "a.png", "--save-aligned", "nowhere/x"), b"nowhere/x: there is no folder nowhere"),
        (("-o", "a.png", "--save-maps", "nowhere/x"), b"nowhere/x: there is no folder nowhere"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    arguments: tuple[str, ...], message: bytes
) -> None:
    done = run("missing 1.jpg", "missing 2.jpg", *arguments)  # it does not come to look for them
    assert done.returncode == 1
    assert message in done.stderr


def test_jpeg_xl_is_srgb_and_says_so(photographs: list[Path], tmp_path: Path) -> None:
    report = told(*photographs, "-o", tmp_path / "a.jxl")
    assert report["profile"] == "sRGB"
    assert "converted from Display P3 to sRGB" in report["warnings"][0]


def test_openexr_to_a_pipe(photographs: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("OpenEXR", reason="mefuse[exr] is not installed")
    done = run(*photographs, "-o", "-", "--format", "exr")
    assert done.returncode == 0
    assert done.stdout.startswith(b"\x76\x2f\x31\x01")
