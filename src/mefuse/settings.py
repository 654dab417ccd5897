"""What a user can choose, with the defaults.

The one home of defaults; the command line and the library both take them from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Depth = Literal[8, 10, 12, 16]
OutputProfile = Literal["keep", "srgb", "p3", "adobe-rgb", "prophoto"]
Strip = Literal["gps", "all"]
Compression = Literal["none", "fast", "small", "zstd"]
GhostRemoval = Literal["off", "auto", "strong"]
WhiteBalance = Literal["camera", "auto", "daylight"] | tuple[float, float, float]
LookPreset = Literal["natural", "vivid"]
Prefer = Literal["raw", "jpeg"]
RawSpace = Literal["srgb", "p3", "adobe-rgb", "prophoto"]

# Ways to demosaic that LibRaw has unless it was built with its GPL packs.
DEMOSAICS = ("linear", "vng", "ppg", "ahd", "dcb", "dht", "aahd")


@dataclass(frozen=True, slots=True)
class RawSettings:
    """How raw files are developed: one way for all frames of a bracket."""

    white_balance: WhiteBalance = "camera"  # of the reference; or multipliers of R, G, B
    # Measured on mosaics of sharp photographs: dht is 1.4 dB above ahd, LibRaw's own default, with
    # noise and without, and takes twice its time.
    demosaic: str = "dht"
    half_size: bool = False  # half the rows and columns, many times faster
    space: RawSpace = "srgb"  # of the developed pixels; an output profile that is wider goes before
    profile: bytes | None = None  # ICC profile of `space`; None only for sRGB


# The largest frame that is decoded: twice a camera's 150, and what one makes that shifts its sensor
# (400), fit; a bracket of three such takes 4.5 GB.
MAX_MEGAPIXELS = 500.0

# How far each control of the look goes to either side of 0.
EXPOSURE_LIMIT_EV = 2.0
CONTRAST_LIMIT = SATURATION_LIMIT = 1.0


@dataclass(frozen=True, slots=True)
class LookSettings:
    """How light, how contrasty and how colourful the fused picture is; 0 changes nothing."""

    preset: LookPreset = "natural"
    exposure_ev: float = 0.0  # -2..2; the lightest tones change less, so that none is cut off
    contrast: float = 0.0  # -1..1
    saturation: float = 0.0  # -1 gray .. 1 about twice as colourful
    # Stops by which every bracket of a series is lighter than its reference; None: it stands alone.
    series_key_ev: float | None = None
    series_tint_ev: tuple[float, float] = (0.0, 0.0)  # stops of red and of blue, for a series

    @property
    def is_neutral(self) -> bool:
        """Whether every pixel stays as the model made it."""
        return self == LookSettings()


@dataclass(frozen=True, slots=True)
class FuseSettings:
    """Everything that decides the fused pixels and how they are written."""

    model: str = "ipl"
    reference: int | None = None  # index into the frames as given; None: chosen from the pixels
    align: bool = True
    crop: bool = True
    ghost: GhostRemoval = "auto"  # how readily what moved is replaced
    device: str = "auto"  # auto | cpu | cuda | cuda:N
    slice_size: int | Literal["whole"] | None = None  # px, of 64s; None: chosen by the model
    depth: Depth | None = None  # None: more than 8 where a frame and the format have it
    format: str | None = None  # None: by the output's extension
    quality: int = 95  # of the lossy formats, 1..100
    compression: Compression = "fast"  # of PNG and TIFF, both without loss
    output_profile: OutputProfile = "keep"  # the reference's, or a standard one
    strip: Strip | None = None  # metadata to leave out: positions, or all
    layers: bool = False  # TIFF: the aligned frames as further pages
    save_aligned: str | None = None  # a folder for the aligned frames
    save_maps: str | None = None  # a folder for weight maps and ghost masks
    overwrite: bool = False
    max_megapixels: float = MAX_MEGAPIXELS  # a frame whose header claims more is refused
    strict: bool = False  # refuse a bracket that may be wrong, where else there is a warning
    raw: RawSettings = RawSettings()
    look: LookSettings = LookSettings()


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """Everything that decides which files become which brackets."""

    recursive: bool = False  # look into the folders of a folder
    prefer: Prefer = "raw"  # which file of a RAW+JPEG pair is used
    size: int | None = None  # frames of every bracket; None: as the exposures tell
    gap_s: float | None = None  # longest pause between two frames; None: chosen from the exposures
    by_folder: bool = False  # every folder is one bracket
