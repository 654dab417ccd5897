"""Real camera raw files, where ../shared/data/raw lies beside the repository; else all skip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import rawpy
from numpy.typing import NDArray

from helpers import SRGB_TO_XYZ, write_dng
from mefuse import read
from mefuse.discover import find_sources
from mefuse.errors import InputError, ReadError
from mefuse.frames import Exposure, Frame
from mefuse.fuse import fuse_files
from mefuse.raw.files import read_header
from mefuse.raw.rendering import plan_rendering
from mefuse.settings import FuseSettings, RawSettings

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "raw"
NAMES = [
    "canon_d30_bayer.CRW",
    "canon_g1_gmcy.CRW",
    "cfa_12bit_ljpeg.dng",
    "cfa_14bit_colorchart.dng",
    "linear_lossy_canon6d.dng",
]
DNG_COLOURS = {"R": 0, "G": 1, "B": 2, "C": 3, "M": 4, "Y": 5}
pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="no ../shared/data/raw beside the repository"
)


def linear_mean(frame: Frame) -> float:
    encoded = frame.pixels[8:-8, 8:-8].astype(np.float64) / 65535
    return float(
        np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4).mean()
    )


@dataclass(frozen=True)
class Original:
    """The middle of what a real sensor gave, 0..1 above its black, and how to read its colours."""

    light: NDArray[np.float64]
    cells: tuple[tuple[int, ...], ...]
    planes: bytes | None
    matrix: NDArray[np.float64]
    balance: NDArray[np.float64]


def original(name: str) -> Original:
    with rawpy.imread(str(SHARED / name)) as raw:
        black, colours = min(raw.black_level_per_channel), raw.num_colors
        top, left = ((side // 2 - 384) // 2 * 2 for side in raw.raw_image_visible.shape[:2])
        middle = raw.raw_image_visible[top : top + 768, left : left + 768]
        light = np.maximum(middle.astype(np.float64) - black, 0)
        light = light / (raw.white_level - black)
        letters = raw.color_desc.decode()
        pattern = () if raw.raw_pattern is None else raw.raw_pattern
        daylight = np.array(raw.daylight_whitebalance[:colours])
        matrix = np.array(raw.rgb_xyz_matrix[:colours])
        if not matrix.any():  # a DNG: LibRaw keeps only what became of its matrix
            inverse = np.linalg.inv(raw.color_matrix[:, :3])
            matrix = np.diag(1 / daylight) @ inverse @ np.linalg.inv(SRGB_TO_XYZ)
        balance = np.array(raw.camera_whitebalance[:colours])
    return Original(
        light=light if len(pattern) else light[..., :3],
        cells=tuple(tuple(DNG_COLOURS[letters[i]] for i in row) for row in pattern),
        planes=bytes(DNG_COLOURS[x] for x in letters[:colours]) if len(pattern) else None,
        matrix=matrix,
        balance=daylight if balance.min() <= 0 else balance,
    )


def write_exposures(name: str, folder: Path, stops: list[int]) -> list[Path]:
    """DNGs of the file's own mosaic, as if exposed so many stops more, clipped at white."""
    own = original(name)
    black = 512 if own.cells else 0
    paths = []
    for number, stop in enumerate(stops):
        light = np.minimum(own.light * 2.0**stop, 1.0)
        path = folder / f"{Path(name).stem}_{number}.dng"
        write_dng(
            path,
            np.round(black + 60000 * light).astype(np.uint16),
            pattern=own.cells,
            planes=own.planes,
            exposure_time=(1, 2 ** (8 - stop)),
            white=60000 + black,
            black=black,
            neutral=tuple(own.balance[1] / own.balance),
            matrix=own.matrix,
        )
        paths.append(path)
    return paths


@pytest.mark.parametrize("name", NAMES)
def test_decodes(name: str) -> None:
    frame = read.read_frame(*find_sources([SHARED / name]))
    assert min(frame.size) > 800
    assert 500 < frame.pixels.mean() < 60000


@pytest.mark.parametrize("name", NAMES)
def test_means_follow_a_ladder_of_its_own_exposures(name: str, tmp_path: Path) -> None:
    # As much darker as the white balance brightens a colour: nothing clips, so means can follow.
    own = original(name)
    brightest = -int(np.ceil(np.log2(own.light.max() * own.balance.max() / own.balance.min())))
    stops = [min(0, brightest) - step for step in range(4)]
    bracket = read.read_bracket(find_sources(write_exposures(name, tmp_path, stops)))
    means = np.array([linear_mean(frame) for frame in bracket.frames])
    assert bracket.ev_source == "exif"
    assert means / means[-1] == pytest.approx([1 / 8, 1 / 4, 1 / 2, 1], rel=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_fuses_with_exposures_of_itself(name: str, tmp_path: Path) -> None:
    frames = write_exposures(name, tmp_path, [-2, 0, 2])
    fused = tmp_path / "fused.png"
    model = "ipl" if name == NAMES[0] else "mertens"  # the network costs seconds
    settings = FuseSettings(model=model, align=False, raw=RawSettings(demosaic="ahd"))
    report = fuse_files([*frames], fused, settings=settings)
    assert [frame.ev for frame in report.frames] == [-2, 0, 2]
    pixels = cv2.imread(str(fused), cv2.IMREAD_UNCHANGED)
    assert pixels is not None and pixels.dtype == np.uint16
    assert pixels.shape[:2] == report.size
    assert np.percentile(pixels, 90) > 8000


def test_exposures_that_only_libraw_knows() -> None:
    told = {name: read_header(*find_sources([SHARED / name])).source.exposure for name in NAMES}
    assert told["canon_d30_bayer.CRW"].exposure_time_s == pytest.approx(5, rel=0.02)
    assert told["canon_d30_bayer.CRW"].iso == 100
    assert told["canon_g1_gmcy.CRW"].exposure_time_s == pytest.approx(8, rel=0.02)
    assert told["cfa_14bit_colorchart.dng"] == Exposure()


def test_the_sensors_own_saturation_is_found() -> None:
    for name, lowest, highest in (("canon_d30_bayer.CRW", 3640, 3690), (NAMES[3], 12944, 12944)):
        plan = plan_rendering(find_sources([SHARED / name]))
        assert lowest <= plan.rendering.saturation <= highest


@pytest.mark.parametrize("name", [NAMES[0], NAMES[1], NAMES[4]])
def test_the_makers_crop_has_the_shape_of_the_makers_preview(name: str) -> None:
    with rawpy.imread(str(SHARED / name)) as raw:
        preview = cv2.imdecode(np.frombuffer(raw.extract_thumb().data, np.uint8), 1)
    assert preview is not None
    height, width = read.read_frame(*find_sources([SHARED / name])).size
    assert width / height == pytest.approx(preview.shape[1] / preview.shape[0], rel=0.002)


def test_files_of_two_cameras() -> None:
    with pytest.raises(InputError, match="is from another camera than"):
        read.read_bracket(find_sources([SHARED / name for name in NAMES[:2]]))


def test_a_file_that_libraw_cannot_decode() -> None:
    with pytest.raises(ReadError, match="is no raw file that LibRaw can decode; convert it"):
        read.read_frame(*find_sources([SHARED / "gopro_hero8.GPR"]))
