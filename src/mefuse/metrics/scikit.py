"""Where scikit-image comes in: an optional library, imported when a measure needs it."""

from __future__ import annotations

from types import ModuleType

from mefuse.errors import DependencyError


def measuring_library() -> ModuleType:
    """scikit-image, with the parts that measure.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import skimage
        import skimage.color
        import skimage.measure
        import skimage.metrics
    except ImportError as err:
        raise DependencyError(
            f"scikit-image: cannot be loaded ({err}); it measures SSIM, entropy and colours, "
            "install it with pip install 'mefuse[evaluate]'"
        ) from err
    module: ModuleType = skimage
    return module
