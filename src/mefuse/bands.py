"""A picture that comes band by band, so that it is never held whole. A leaf.

A band is some full rows of the picture. Bands come from the top, each once, made when they are
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
Change = Callable[[Pixels, int], Pixels]  # a band and its first row -> the band changed


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """A picture in bands: (H, W, 3) uint8 or uint16.

    `make` starts making its bands, (h, W, 3) each, from the top; it is called once.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    make: Callable[[], Iterator[Pixels]]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole picture."""
        height, width, channels = self.shape
        return height * width * channels * self.dtype.itemsize

    def changed(self, change: Change, dtype: np.dtype[Any]) -> Bands:
        """The picture with every band changed on its way; `change` gives pixels of `dtype`."""

        def make() -> Iterator[Pixels]:
            top = 0
            for band in self.make():
                yield change(band, top)
                top += len(band)

        return Bands(self.shape, dtype, make)

    def then(self, check: Callable[[], None]) -> Bands:
        """The same picture; once its last band is made, `check` may still refuse it."""

        def make() -> Iterator[Pixels]:
            yield from self.make()
            check()

        return Bands(self.shape, self.dtype, make)

    def whole(self) -> Pixels:
        """The picture in one piece."""
        bands = self.make()
        first = next(bands)
        if len(first) == self.shape[0]:
            return first
        picture = np.empty(self.shape, self.dtype)
        picture[: len(first)] = first
        top = len(first)
        for band in bands:
            picture[top : top + len(band)] = band
            top += len(band)
        return picture


def in_rows(picture: Pixels | Bands, count: int) -> Iterator[Pixels]:
    """A picture in pieces of `count` full rows, the last one perhaps shorter."""
    if not isinstance(picture, Bands):
        yield from (picture[top : top + count] for top in range(0, len(picture), count))
        return
    waiting: list[Pixels] = []
    for band in picture.make():
        waiting.append(band)
        while (have := sum(map(len, waiting))) >= count:
            rows = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
            yield rows[:count]
            waiting = [rows[count:]] if have > count else []
    if waiting:
        yield waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
