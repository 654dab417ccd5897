"""Standard streams that are closed, full or without a reader: told in one line, harming no file."""

from __future__ import annotations

import os
import sys

# What a descriptor is opened for in the place of a closed one: reading from what may only be
# written to, and the other way round, fails as it should. Words for nobody go nowhere.
_IN_PLACE_OF = (
    ("stdin", "r", os.O_WRONLY),
    ("stdout", "w", os.O_RDONLY),
    ("stderr", "w", os.O_WRONLY),
)


def open_closed() -> None:
    """Opens streams that the command was started without.

    Otherwise the next file that is opened would get the descriptor of one, and what a library
    written in C says on standard error would land in a picture.
    """
    for name, mode, flags in _IN_PLACE_OF:
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, flags)
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def drop_unwritable() -> None:
    """Drops what is buffered for standard output where that cannot be written to."""
    try:
        sys.stdout.flush()
    except OSError:
        silence()


def silence() -> None:
    """Sends what is still to come on standard output nowhere: its end cannot take it."""
    # What is buffered would fail again when Python closes it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def unwritable(error: OSError) -> str:
    """One sentence on standard output that cannot be written to."""
    reason = (error.strerror or str(error)).lower()
    return f"standard output: writing failed ({reason}); make room or choose another place"
