"""What makes a bracket doubtful: frames that may not show one scene. A leaf.

Such a bracket is fused with a warning, or, where that was asked for, refused. Knows what alignment
and the search for ghosts found; no pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

from mefuse.align import Alignment
from mefuse.errors import AlignError
from mefuse.frames import Bracket

_SUSPICIOUS_SHARE = 0.4  # of a frame that moved: the busiest scenes drawn for training reach 0.3


def doubts_about(
    bracket: Bracket, alignments: Sequence[Alignment], ghost_shares: Sequence[float] = ()
) -> list[str]:
    """A sentence for each frame that may show something else than the reference.

    Args:
        bracket: the frames; their pixels are not looked at.
        alignments: one per frame, of frames that were to be aligned.
        ghost_shares: how much of each frame was replaced, 0..1; empty where none was looked for.
    """
    names = [frame.source.path for frame in bracket.frames]
    found = [
        f"{name}: could not be aligned, left as it is; look for ghosts, or whether it shows "
        "another scene"
        for name, alignment in zip(names, alignments, strict=False)
        if alignment.method == "none" and alignment.residual_px is None
    ]
    return found + [
        f"{name}: {share:.0%} of it differ from the reference and were replaced; "
        "look whether the frames show one scene, or leave it out"
        for name, share in zip(names, ghost_shares, strict=False)
        if share > _SUSPICIOUS_SHARE
    ]


def refuse_doubtful(
    bracket: Bracket, alignments: Sequence[Alignment], ghost_shares: Sequence[float] = ()
) -> None:
    """Refuses a bracket that `doubts_about` has something to say of.

    Raises:
        AlignError: it has.
    """
    found = doubts_about(bracket, alignments, ghost_shares)
    if found:
        what = found[0].partition(";")[0].replace(", left as it is", "")
        raise AlignError(
            f"{what.replace(' and were replaced', '')}: refused with --strict; "
            "leave the frame out, or fuse without --strict and look"
        )
