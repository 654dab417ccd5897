"""The rules computed on a device are the host's."""

import numpy as np
import pytest
import torch

from mefuse import highlights
from mefuse.gpu.trust import fine_log_weights, log_weights, noise_profiles
from mefuse.noise import noise_profile
from mefuse.trust import ColourTrust


def _seen(rng, *, size=(48, 64), flat=0.5, noise=2e-5):
    """Lumas of three exposures on the grid of 8 px, and the energy of their finest bands."""
    light = rng.uniform(0.01, 1, size).cumsum(1)
    lumas = np.stack([np.clip(light / light.max() * gain, 0, 1) for gain in (0.3, 0.9, 2.5)])
    energies = noise * (0.3 + lumas) * rng.chisquare(40, lumas.shape) / 40
    textured = rng.uniform(0, 1, size) > flat
    energies[:, textured] += rng.uniform(0, 1e-3, int(textured.sum()))
    return lumas.astype(np.float32), energies.astype(np.float32)


CASES = {
    "noisy": {},
    "large": {"size": (512, 320)},  # more blocks than are looked at
    "clean": {"noise": 1e-9},  # nothing but rounding: no bin tells anything
    "textured": {"flat": 0.0},
    "small": {"size": (8, 8)},  # too few blocks for any bin
}


@pytest.mark.parametrize("case", CASES)
def test_noise_and_trust_are_those_of_the_host(rng, case):
    lumas, energies = _seen(rng, **CASES[case])
    rounding = 1 / 255
    wanted = np.stack(
        [noise_profile(*pair, rounding=rounding) for pair in zip(lumas, energies, strict=True)]
    )
    tensors = torch.from_numpy(lumas), torch.from_numpy(energies)
    found = noise_profiles(*tensors, rounding=rounding).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-7)
    added = ColourTrust.of(lumas, energies, rounding=rounding).log_weights(lumas)
    np.testing.assert_allclose(
        log_weights(*tensors, rounding=rounding).numpy(), added, rtol=2e-3, atol=2e-3
    )


def test_a_frame_without_anything_between_black_and_white_has_no_noise():
    black, nothing = torch.zeros(2, 16, 16), torch.zeros(2, 16, 16)
    assert not noise_profiles(black, nothing, rounding=1 / 255).any()
    wanted = ColourTrust.of(black.numpy(), nothing.numpy(), rounding=1 / 255)
    np.testing.assert_allclose(
        log_weights(black, nothing, rounding=1 / 255).numpy(),
        wanted.log_weights(black.numpy()),
        atol=1e-6,
    )


def test_highlights_are_those_of_the_host(rng):
    colour = rng.uniform(0.7, 1, (3, 3, 24, 32)).astype(np.float32)
    energies = rng.uniform(0, 0.01, (3, 3, 24, 32)).astype(np.float32)
    found = fine_log_weights(torch.from_numpy(colour), torch.from_numpy(energies)).numpy()
    wanted = highlights.log_weights(colour, energies)
    assert (wanted < -1).any()
    np.testing.assert_allclose(found, wanted, atol=1e-4)
