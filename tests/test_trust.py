"""Trust in colours: the best-exposed frame's counts most, but not where it is dark or noisy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mefuse.trust import ColourTrust

RNG = np.random.default_rng(0)
LUMA = np.stack(  # (2, h, w): the first well exposed everywhere, the second clipped in one half
    (np.tile(np.linspace(0.2, 0.7, 64), (48, 1)), np.tile(np.linspace(0.6, 1.0, 64), (48, 1)))
).astype(np.float32)


def energies(sigma: float) -> NDArray[np.float32]:
    """Of white noise in the finest band."""
    scatter = 1 + 0.1 * RNG.standard_normal(LUMA.shape)
    return np.asarray((0.926 * sigma) ** 2 * scatter, np.float32)


def test_the_best_exposed_frame_is_preferred() -> None:
    best, other = ColourTrust.of(LUMA, energies(0.001), rounding=1 / 255).log_weights(LUMA)
    assert best.max() > 1.5
    assert (best[:, 10:] > other[:, 10:] + 0.3).all()
    assert (other >= 0).all()


def test_not_where_it_is_dark() -> None:
    trust = ColourTrust.of(LUMA, energies(0.001), rounding=1 / 255)
    assert (trust.log_weights(np.full_like(LUMA, 0.04)) == 0).all()


@pytest.mark.parametrize("part", [np.s_[:, :16, :16], np.s_[:, 5:40, 30:64]])
def test_a_part_is_treated_as_in_the_whole(part: tuple[slice, ...]) -> None:
    trust = ColourTrust.of(LUMA, energies(0.01), rounding=1 / 255)
    assert np.array_equal(trust.log_weights(LUMA[part]), trust.log_weights(LUMA)[part])


def test_noise_takes_the_preference_back() -> None:
    quiet, noisy = (
        ColourTrust.of(LUMA, energies(sigma), rounding=1 / 255).log_weights(LUMA)[0]
        for sigma in (0.001, 0.03)
    )
    assert (noisy < 0.5 * quiet)[:, 10:40].all()


def test_frames_alike_are_preferred_alike() -> None:
    twins = np.repeat(LUMA[:1], 2, axis=0)
    added = ColourTrust.of(twins, np.repeat(energies(0.002)[:1], 2, 0), rounding=1 / 255)
    one, other = added.log_weights(twins)
    assert np.array_equal(one, other)
