"""A bracket fused with all that was decided on the way: what a contact sheet shows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mefuse.align import Alignment
from mefuse.aligned import Aligned
from mefuse.clock import Clock
from mefuse.finish import fuse_with_look
from mefuse.frames import Bracket
from mefuse.fuse import align_bracket, load_model
from mefuse.ghosts import Ghosts
from mefuse.models import Fused
from mefuse.settings import FuseSettings


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """A fused bracket, `fused.weight_maps` with it.

    `moved` is what moved between the frames, whether it was replaced (`is_replaced`) or left; None
    where there is but one frame.
    """

    bracket: Bracket
    alignments: tuple[Alignment, ...]
    aligned: Aligned
    moved: Ghosts | None
    is_replaced: bool
    fused: Fused
    device: str


def dissect(bracket: Bracket, *, settings: FuseSettings, clock: Clock) -> Anatomy:
    """Fuses a bracket into 8 bits and keeps everything: for small frames.

    Raises:
        MefuseError: one of its kinds.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="load") as pool:
        loading = pool.submit(load_model, settings)  # importing torch takes a while
        alignments, aligned = align_bracket(bracket, settings=settings, clock=clock)
        is_replaced = settings.ghost != "off"
        moved = aligned.ghosts
        if not is_replaced:
            with clock.step("ghosts"):
                moved = _moved(aligned)
        fuser = loading.result()
        with clock.step("fuse"):
            fused = fuse_with_look(
                fuser, aligned, look=settings.look, depth=8, keep_weight_maps=True
            )
    return Anatomy(bracket, alignments, aligned, moved, is_replaced, fused, fuser.device)


def _moved(aligned: Aligned) -> Ghosts | None:
    """What moved in frames that are fused as they are."""
    return Aligned.of(
        aligned.frames,
        transforms=aligned.transforms,
        crop=aligned.crop,
        reference=aligned.reference,
        ghost="auto",
    ).ghosts
