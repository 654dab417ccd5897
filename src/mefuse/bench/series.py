"""How well neighbours of a series match: the step in luma and colour in what two of them show.

    python -m mefuse.bench.series FOLDER [--model ipl|mertens] [--count 8] [--kinds pan ...]

FOLDER holds .hdr panoramas of the whole sphere. Of each, a camera takes brackets: `pan` turns by a
third of what it sees and meters each view anew, `white` does so with an automatic white balance
too, `locked` with one exposure and one white balance; `still` stands while the light falls by four
stops, warms and is metered in thirds of a stop; `manual` the same, two stops, with one exposure.
Everything is fused twice, alone and as a series. A step is the difference of means over what both
neighbours show: of luma in parts of full scale, of colour as the distance in CIELAB's a and b; the
true transform between views is known. `drift` is the luma of the last less that of the first, and
`flicker` the mean second difference of luma, for the time-lapses. Prints one JSON object per kind.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mefuse.aligned import Aligned
from mefuse.errors import InputError
from mefuse.finish import fuse_with_look
from mefuse.frames import Bracket, Exposure, Frame, Source
from mefuse.gamut import LUMA
from mefuse.models import Fuser, load_fuser
from mefuse.series import Rendition, Series, measure_bracket
from mefuse.settings import LookSettings
from mefuse.synth.camera import Camera
from mefuse.synth.pictures import PictureFolder, read_picture

Kind = Literal["pan", "white", "locked", "still", "manual"]
STILL: tuple[Kind, ...] = ("still", "manual")
SIZE = (320, 480)
FIELD_OF_VIEW = 70.0  # degrees across
LADDER_EV = (-2.5, 0.0, 2.5)
METERED = 0.16  # linear light that a camera brings a view's geometric mean to
STILL_EV = {"still": -4.0, "manual": -2.0}  # by how much the light falls
CAMERA = Camera(jpeg_quality=92)


@dataclass(frozen=True, slots=True)
class Steps:
    """Between neighbours: mean steps, and for a camera that stands what became of time."""

    luma: float
    luma_worst: float
    colour: float
    colour_worst: float
    drift: float
    flicker: float


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One bracket and how its camera was turned."""

    bracket: Bracket
    yaw: float
    pitch: float


def take_views(light: NDArray[np.float32], kind: Kind, *, count: int, seed: int) -> list[View]:
    """Brackets of one scene; `light` is (H, W, 3), linear, of the whole sphere."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 360)
    views, locked = [], 0.0
    for k in range(count):
        yaw = start if kind in STILL else start + k * FIELD_OF_VIEW / 3
        pitch = 0.0 if kind in STILL else float(rng.normal(0, 2))
        seen = _seen(light, yaw, pitch)
        if kind in STILL:
            past = k / max(count - 1, 1)
            warm = np.exp2(np.array([0.0, -0.15, -0.5]) * past)
            seen = (seen * warm * 2.0 ** (STILL_EV[kind] * past)).astype(np.float32)
        metered = float(np.log2(METERED) - np.log2(seen.mean(-1) + 1e-4).mean())
        metered = round(metered * 3) / 3
        locked = metered if k == 0 else locked
        gain_ev = locked if kind in ("locked", "manual") else metered
        if kind == "white":
            seen = (seen * _white_balance(seen)).astype(np.float32)
        views.append(View(_bracket(seen, gain_ev, rng), yaw, pitch))
    return views


def _seen(light: NDArray[np.float32], yaw: float, pitch: float) -> NDArray[np.float32]:
    """What a camera sees of the sphere, (h, w, 3)."""
    height, width = SIZE
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack((columns, rows, np.ones(SIZE)), -1).reshape(-1, 3)
    rays = pixels @ (_turn(yaw, pitch) @ np.linalg.inv(_lens())).T
    x, y, z = (rays / np.linalg.norm(rays, axis=1, keepdims=True)).T
    across = (np.arctan2(x, z) / (2 * np.pi) + 0.5) * light.shape[1] - 0.5
    down = (np.arcsin(y) / np.pi + 0.5) * light.shape[0] - 0.5
    across, down = (part.reshape(SIZE).astype(np.float32) for part in (across, down))
    seen = cv2.remap(light, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(seen, np.float32)


def _lens() -> NDArray[np.float64]:
    height, width = SIZE
    focal = width / 2 / np.tan(np.radians(FIELD_OF_VIEW / 2))
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])


def _turn(yaw: float, pitch: float) -> NDArray[np.float64]:
    """From the camera's axes to the scene's."""
    a, b = np.radians((yaw, pitch))
    around = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    up = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return np.asarray(around @ up)


def _white_balance(seen: NDArray[np.float32]) -> NDArray[np.float64]:
    """What an automatic white balance does: half of what would make the view's mean gray."""
    mean = np.minimum(seen, np.quantile(seen, 0.98)).mean((0, 1)).astype(np.float64)
    gains: NDArray[np.float64] = np.clip((mean[1] / mean) ** 0.5, 0.75, 1.35)
    return gains


def _bracket(seen: NDArray[Any], gain_ev: float, rng: np.random.Generator) -> Bracket:
    noise = torch.Generator().manual_seed(int(rng.integers(2**31)))
    radiance = torch.from_numpy(np.ascontiguousarray(seen, np.float32)).permute(2, 0, 1)
    gains = torch.exp2(torch.tensor(LADDER_EV, dtype=torch.float32) + gain_ev)
    exposed = CAMERA.expose(radiance.contiguous(), gains, noise=noise)
    frames = tuple(
        Frame(
            Source(Path("view"), Exposure(2.0 ** (gain_ev + step - 6), 8.0, 100.0)),
            np.ascontiguousarray(frame.transpose(1, 2, 0)),
        )
        for step, frame in zip(
            LADDER_EV, (exposed * 255).round().to(torch.uint8).numpy(), strict=True
        )
    )
    return Bracket(frames, len(frames) // 2, LADDER_EV, "pixels")


def fuse_views(
    views: Sequence[View], fuser: Fuser, looks: Sequence[Rendition | None]
) -> list[NDArray[Any]]:
    """The views' fused pixels in 16 bits; None is a bracket that stands alone."""
    fused = []
    for view, given in zip(views, looks, strict=True):
        look = LookSettings() if given is None else replace(LookSettings(), **asdict(given))
        frames = [frame.pixels for frame in view.bracket.frames]
        aligned = Aligned.of(frames, reference=view.bracket.reference, ghost="off")
        fused.append(fuse_with_look(fuser, aligned, look=look, depth=16).pixels)
    return fused


def measure_steps(views: Sequence[View], fused: Sequence[NDArray[Any]]) -> Steps:
    """Steps between neighbours, in what both show."""
    steps: list[tuple[float, float]] = []
    lumas: list[float] = []
    for (one, pixels), (other, others) in pairwise(zip(views, fused, strict=True)):
        first, second = _shared(one, other, pixels, others)
        lab = [
            cv2.cvtColor(part.reshape(-1, 1, 3), cv2.COLOR_RGB2Lab).mean((0, 1))
            for part in (first, second)
        ]
        luma = [float((part @ np.array(LUMA, np.float32)).mean()) for part in (first, second)]
        steps.append((abs(luma[1] - luma[0]), float(np.hypot(*(lab[1] - lab[0])[1:]))))
        lumas += luma if not lumas else luma[1:]
    luma_steps, colours = np.array(steps).T
    return Steps(
        float(luma_steps.mean()), float(luma_steps.max()),
        float(colours.mean()), float(colours.max()),
        lumas[-1] - lumas[0],
        float(np.abs(np.diff(lumas, 2)).mean()),
    )  # fmt: skip


def _shared(
    one: View, other: View, pixels: NDArray[Any], others: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The pixels that two views share, (P, 3) of each, 0..1."""
    turn = _turn(other.yaw, other.pitch).T @ _turn(one.yaw, one.pitch)
    transform = _lens() @ turn @ np.linalg.inv(_lens())
    height, width = SIZE
    rows, columns = np.mgrid[:height, :width]
    there = np.stack((columns, rows, np.ones(SIZE)), -1) @ transform.T
    x, y = there[..., 0] / there[..., 2], there[..., 1] / there[..., 2]
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1) & (there[..., 2] > 0)
    moved = cv2.remap(others, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    full = np.float32(65535)
    return np.asarray(pixels[inside] / full), np.asarray(moved[inside] / full)


def measure(light: NDArray[np.float32], kind: Kind, fuser: Fuser, *, count: int, seed: int) -> Any:
    """Steps of one series: alone, and as a series."""
    views = take_views(light, kind, count=count, seed=seed)
    series = Series()
    for view in views:
        series.add(measure_bracket(view.bracket, fuser))
    alone: list[Rendition | None] = [None] * len(views)
    return {
        name: asdict(measure_steps(views, fuse_views(views, fuser, looks)))
        for name, looks in (("alone", alone), ("series", series.renditions()))
    } | {"linked": series.linked}


def main(arguments: list[str] | None = None) -> None:
    """Measures, and writes JSON lines to stdout."""
    parser = argparse.ArgumentParser(prog="python -m mefuse.bench.series", description=__doc__)
    parser.add_argument("folder", type=Path, help="of .hdr panoramas")
    parser.add_argument("--model", default="ipl")
    parser.add_argument("--count", type=int, default=8, help="brackets of a series")
    parser.add_argument("--scenes", type=int, default=12, help="panoramas, evenly picked")
    parser.add_argument("--kinds", nargs="+", default=get_args(Kind), choices=get_args(Kind))
    parser.add_argument("--each", action="store_true", help="also one line per scene")
    options = parser.parse_args(arguments)
    paths = [p for p in PictureFolder.scanned(options.folder).hdr if p.suffix == ".hdr"]
    if not paths:
        raise InputError(f"{options.folder}: no .hdr in it; name a folder that has some")
    paths = paths[:: max(len(paths) // options.scenes, 1)][: options.scenes]
    fuser = load_fuser(options.model, device="cpu")
    for kind in options.kinds:
        found = []
        for seed, path in enumerate(paths):
            light = read_picture(path).pixels.float().permute(1, 2, 0).contiguous().numpy()
            found.append(measure(light, kind, fuser, count=options.count, seed=seed))
            if options.each:
                line = {"kind": kind, "scene": path.stem, **found[-1]}
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()
        sys.stdout.write(json.dumps({"kind": kind, **_means(found)}) + "\n")
        sys.stdout.flush()


def _means(found: Sequence[Any]) -> dict[str, Any]:
    """Means over scenes; the worst step of all."""
    means: dict[str, Any] = {"scenes": len(found)}
    means["linked"] = round(float(np.mean([one["linked"] for one in found])), 3)
    for name in ("alone", "series"):
        means[name] = {
            key: round(
                float((np.max if "worst" in key else np.mean)([one[name][key] for one in found])), 4
            )
            for key in found[0][name]
        }
    return means


if __name__ == "__main__":
    main()
