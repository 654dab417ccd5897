"""mefuse fuses bracketed exposures into one photograph.

The public names; each is loaded when first used, so that importing mefuse loads nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mefuse.errors import MefuseError
    from mefuse.fuse import fuse_files, fuse_pixels
    from mefuse.report import FuseReport
    from mefuse.settings import FuseSettings, LookSettings, RawSettings

__version__ = "0.1.0"
__all__ = [
    "FuseReport",
    "FuseSettings",
    "LookSettings",
    "MefuseError",
    "RawSettings",
    "__version__",
    "fuse_files",
    "fuse_pixels",
]

_HOMES = {
    "FuseReport": "mefuse.report",
    "FuseSettings": "mefuse.settings",
    "LookSettings": "mefuse.settings",
    "MefuseError": "mefuse.errors",
    "RawSettings": "mefuse.settings",
    "fuse_files": "mefuse.fuse",
    "fuse_pixels": "mefuse.fuse",
}


def __getattr__(name: str) -> Any:
    """Loads a public name from the module where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mefuse' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)
