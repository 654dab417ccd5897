"""Pictures that scenes are made of, read from a folder: HDR ones and photographs.

The one loader for training and for `mefuse synth`. It knows no scene and no camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mefuse.errors import DependencyError, InputError, ReadError

HDR_SUFFIXES = frozenset({".hdr", ".exr"})
PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
_LARGEST = 6e4  # float16 ends at 65504
_MIDDLE = 0.18  # median luminance that HDR pictures are scaled to


@dataclass(frozen=True, slots=True)
class Picture:
    """A source of radiance: linear (3, H, W) float16 for HDR, display-referred uint8 otherwise."""

    name: str
    pixels: Tensor

    @property
    def is_hdr(self) -> bool:
        """Whether the pixels are scene-linear."""
        return self.pixels.dtype == torch.float16


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """The files of a folder by what they hold, in the order of their names."""

    hdr: tuple[Path, ...]
    photos: tuple[Path, ...]

    @staticmethod
    def scanned(folder: Path) -> PictureFolder:
        """What lies in the folder and below it.

        Raises:
            InputError: there is no HDR picture.
        """
        paths = sorted(folder.rglob("*"))
        hdr = tuple(path for path in paths if path.suffix.lower() in HDR_SUFFIXES)
        photos = tuple(path for path in paths if path.suffix.lower() in PHOTO_SUFFIXES)
        if not hdr:
            raise InputError(f"{folder}: no .hdr or .exr in it; name a folder that has some")
        return PictureFolder(hdr, photos)


def read_picture(path: Path) -> Picture:
    """One picture; an HDR one is scaled so that its median luminance is 0.18.

    Raises:
        DependencyError: an .exr, and the package that reads it is not installed.
        ReadError: the file cannot be decoded.
    """
    suffix = path.suffix.lower()
    pixels = _exr(path) if suffix == ".exr" else _opencv(path, is_hdr=suffix == ".hdr")
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    if tensor.dtype == torch.float32:
        # In place: an 8k panorama has 400 MB.
        scale = _MIDDLE / tensor.mean(0).median().clamp_min(1e-6)
        tensor = tensor.mul_(scale).clamp_(0, _LARGEST).half()
    return Picture(path.name, tensor.contiguous())


def load_pictures(folder: Path, *, device: str = "cpu", exr: bool = False) -> list[Picture]:
    """All pictures below a folder that can be read, in the order of their names.

    Args:
        folder: .hdr are scene-linear, .jpg and .png photographs; the rest is passed over.
        device: where the pixels go.
        exr: read .exr too. Off by default, for a recipe's pictures must not depend on what else
            is installed.

    Raises:
        DependencyError: an .exr is wanted, and the package that reads it is not installed.
    """
    suffixes = {".hdr", ".jpg", ".png"} | ({".exr"} if exr else set())
    pictures = []
    for path in sorted(folder.rglob("*")):
        if path.suffix not in suffixes:
            continue
        try:
            picture = read_picture(path)
        except ReadError:
            continue
        pictures.append(Picture(picture.name, picture.pixels.to(device)))
    return pictures


def _opencv(path: Path, *, is_hdr: bool) -> NDArray[Any]:
    """(H, W, 3) RGB, float32 or uint8."""
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR if is_hdr else cv2.IMREAD_COLOR
    pixels = cv2.imread(str(path), flags)
    if pixels is None:
        raise ReadError(f"{path}: cannot be decoded; take it out of the folder")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels))


def _exr(path: Path) -> NDArray[np.float32]:
    """(H, W, 3) float32 RGB of an OpenEXR file; gray ones three times."""
    try:
        import OpenEXR
    except ImportError as err:
        raise DependencyError(
            f"{path}: needs the package OpenEXR; install mefuse[train], or use .hdr pictures"
        ) from err
    try:
        with OpenEXR.File(str(path)) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except RuntimeError as err:
        raise ReadError(f"{path}: cannot be decoded ({err}); take it out of the folder") from err
    found = next((channels[name] for name in ("RGB", "RGBA") if name in channels), None)
    if found is None:
        gray = channels.get("Y", next(iter(channels.values())))
        found = np.repeat(gray[..., np.newaxis], 3, axis=2)
    return np.ascontiguousarray(np.nan_to_num(found[..., :3]), np.float32)
