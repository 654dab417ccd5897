"""The synthetic camera: exposure, noise, response and JPEG do what their names say."""

import cv2
import numpy as np
import pytest
import torch

from mefuse.synth.camera import Camera, jpeg

CLEAN = Camera(gamma=2.0, contrast=0.0, read_noise=0.0, shot_noise=0.0)


def _noise():
    return torch.Generator().manual_seed(1)


def test_a_frame_is_the_exposed_radiance_through_the_response():
    radiance = torch.linspace(0, 2, 64).reshape(1, 8, 8).expand(3, 8, 8)
    frames = CLEAN.expose(radiance, torch.tensor([0.25, 1.0]), noise=_noise())
    wanted = torch.stack((radiance * 0.25, radiance)).clamp(0, 1).sqrt()
    assert torch.allclose(frames, wanted, atol=0.5 / 255 + 1e-6)


def test_noise_grows_with_light_and_is_seeded():
    camera = Camera(gamma=1.0, contrast=0.0, read_noise=0.01, shot_noise=0.05)
    frames = [
        camera.expose(torch.full((3, 64, 64), level), torch.ones(1), noise=_noise())
        for level in (0.1, 0.5, 0.5)
    ]
    assert torch.equal(frames[1], frames[2])
    wanted = (0.01**2 + 0.05**2 * 0.5) ** 0.5
    assert frames[1].std().item() == pytest.approx(wanted, rel=0.05)
    assert frames[0].std() < frames[1].std()


@pytest.mark.parametrize("quality", [60, 90])
def test_jpeg_loses_what_a_real_encoder_loses(rng, quality):
    picture = cv2.resize(rng.uniform(0, 255, (24, 24, 3)), (96, 96), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    settings = [
        cv2.IMWRITE_JPEG_QUALITY, quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    ]  # fmt: skip
    coded = cv2.imdecode(cv2.imencode(".jpg", picture[..., ::-1], settings)[1], 1)[..., ::-1]
    tensor = torch.from_numpy(picture / 255.0).permute(2, 0, 1).float()[None]
    ours = jpeg(tensor, quality=quality)[0].permute(1, 2, 0).numpy() * 255
    loss = np.abs(coded.astype(float) - picture).mean()
    assert np.abs(ours - coded).mean() < 0.35 * loss


def test_drawn_cameras_differ_and_are_repeatable():
    one, two = (Camera.drawn(np.random.default_rng(seed)) for seed in (1, 2))
    assert one != two
    assert one == Camera.drawn(np.random.default_rng(1))
