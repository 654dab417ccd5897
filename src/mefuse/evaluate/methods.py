"""Methods to compare: a model, the plain average, a picture or a folder of fused pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from mefuse.aligned import Aligned
from mefuse.errors import InputError
from mefuse.evaluate import AVERAGE
from mefuse.evaluate.cases import PICTURES, Case
from mefuse.evaluate.scene import Frames, Picture, Scene, read_picture
from mefuse.finish import fuse_with_look
from mefuse.models import MODELS, Fuser, find_model, load_fuser
from mefuse.settings import FuseSettings

BUILT_IN = (*MODELS, AVERAGE)
TRUTH_FOLDER = "truth"  # in a folder of fused pictures, those of the frames without motion


class Method(Protocol):
    """Something that gives a fused picture of a scene."""

    @property
    def name(self) -> str:
        """What tables call it."""

    def fuse(self, scene: Scene) -> Picture:
        """The fused picture, (H, W, 3) uint8 RGB, as large as the scene's view."""

    def fuse_still(self, scene: Scene) -> Picture | None:
        """The same of the frames without motion; None where there is none."""


@dataclass(frozen=True, slots=True)
class FusingMethod:
    """A method that fuses frames itself: `fuse_frames` gives the picture of aligned frames."""

    name: str
    fuse_frames: Callable[[Frames], Picture]

    def fuse(self, scene: Scene) -> Picture:
        """See `Method`."""
        return self.fuse_frames(scene.frames)

    def fuse_still(self, scene: Scene) -> Picture | None:
        """See `Method`."""
        return None if scene.still is None else self.fuse_frames(scene.still)


@dataclass(frozen=True, slots=True)
class PictureMethod:
    """A fused picture that is there already."""

    name: str
    path: Path

    def fuse(self, scene: Scene) -> Picture:
        """See `Method`."""
        return scene.view.cut(read_picture(self.path), str(self.path))

    def fuse_still(self, scene: Scene) -> Picture | None:  # noqa: ARG002
        """See `Method`."""
        return None


@dataclass(frozen=True, slots=True)
class FolderMethod:
    """A folder of fused pictures, each with the name of its bracket."""

    name: str
    folder: Path

    def fuse(self, scene: Scene) -> Picture:
        """See `Method`.

        Raises:
            InputError: there is no picture of this bracket, or one of another size.
            ReadError: it cannot be read.
        """
        found = _named(self.folder, scene.case)
        if found is None:
            name = Path(scene.case.name).name
            raise InputError(
                f"{self.folder}: holds no picture of the bracket {scene.case.name}; "
                f"call it {name}.png or leave the bracket out"
            )
        return scene.view.cut(read_picture(found), str(found))

    def fuse_still(self, scene: Scene) -> Picture | None:
        """See `Method`; looked for in the folder's own folder `truth`."""
        found = _named(self.folder / TRUTH_FOLDER, scene.case)
        return None if found is None else scene.view.cut(read_picture(found), str(found))


def load_method(name: str, *, device: str = "auto", weights: Path | None = None) -> Method:
    """One of mefuse's own methods, ready.

    Args:
        name: one of `BUILT_IN`. A network fuses as users get it; the yardsticks mertens and
            average take the frames as they are, moved things and all.
        device: where networks run.
        weights: another weights file for networks than the one shipped.

    Raises:
        InputError: no such method or device name.
        DeviceError: the device is absent.
        WeightsError: the weights are missing or damaged.
    """
    if name == AVERAGE:
        return FusingMethod(name, average)
    if not find_model(name).is_network:
        return FusingMethod(name, partial(_fuse_plainly, load_fuser(name, device="cpu")))
    fuser = load_fuser(name, device=device, path=weights)
    return FusingMethod(name, partial(_fuse_as_users_get_it, fuser))


def average(frames: Frames) -> Picture:
    """The mean of the frames, pixel by pixel: what any method has to beat."""
    count = len(frames.pixels)
    total = np.full(frames.pixels[0].shape, count // 2, np.uint16)
    for pixels in frames.pixels:
        total += pixels
    total //= count
    return total.astype(np.uint8)


def _fuse_plainly(fuser: Fuser, frames: Frames) -> Picture:
    """What a yardstick makes of frames that lie on their reference."""
    bracket = Aligned.of(frames.pixels, reference=frames.reference, ghost="off")
    fused = fuser.fuse(bracket, depth=8, slice_size=None, on_slice=None)
    return np.asarray(fused.pixels, np.uint8)


def _fuse_as_users_get_it(fuser: Fuser, frames: Frames) -> Picture:
    """What a network makes of such frames, ghosts removed, in the default look."""
    defaults = FuseSettings()
    bracket = Aligned.of(
        frames.pixels, reference=frames.reference, ghost=defaults.ghost, isos=frames.isos
    )
    fused = fuse_with_look(fuser, bracket, look=defaults.look, depth=8)
    return np.asarray(fused.pixels, np.uint8)


def _named(folder: Path, case: Case) -> Path | None:
    """The picture in a folder that has the bracket's name, with or without its folders."""
    for name in dict.fromkeys((case.name, case.name.replace("/", "_"), Path(case.name).name)):
        place = folder / name
        beside = sorted(place.parent.glob("*")) if place.parent.is_dir() else []
        for path in beside:
            if path.stem == place.name and path.suffix.lower() in PICTURES and path.is_file():
                return path
    return None
