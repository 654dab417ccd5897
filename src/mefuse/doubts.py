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

    Where there are several such frames, one about all of them comes first.

    Args:
        bracket: the frames; their pixels are not looked at.
        alignments: one per frame, of frames that were to be aligned.
        ghost_shares: how much of each frame was replaced, 0..1; empty where none was looked for.
    """
    found = _doubts_by_frame(bracket, alignments, ghost_shares)
    if len(found) < 2:
        return found
    return [
        f"{len(found)} of {len(bracket.frames)} frames do not fit the reference; "
        "if these are several brackets, mefuse batch finds and fuses each",
        *found,
    ]


def _doubts_by_frame(
    bracket: Bracket, alignments: Sequence[Alignment], ghost_shares: Sequence[float]
) -> list[str]:
    """One sentence at most of each frame."""
    found = []
    for index, frame in enumerate(bracket.frames):
        alignment = alignments[index] if alignments else None
        share = ghost_shares[index] if ghost_shares else 0.0
        if alignment and alignment.method == "none" and alignment.residual_px is None:
            found.append(
                f"{frame.source.path}: could not be aligned, left as it is; look for ghosts, or "
                "whether it shows another scene"
            )
        elif share > _SUSPICIOUS_SHARE:
            found.append(
                f"{frame.source.path}: {share:.0%} of it differs from the reference and was "
                "replaced; look whether the frames show one scene, or leave it out"
            )
    return found


def refuse_doubtful(
    bracket: Bracket, alignments: Sequence[Alignment], ghost_shares: Sequence[float] = ()
) -> None:
    """Refuses a bracket that `doubts_about` has something to say of.

    Raises:
        AlignError: it has.
    """
    found = _doubts_by_frame(bracket, alignments, ghost_shares)
    if found:
        what = found[0].partition(";")[0].replace(", left as it is", "")
        raise AlignError(
            f"{what.replace(' and was replaced', '')}: refused with --strict; "
            "leave the frame out, or fuse without --strict and look"
        )
