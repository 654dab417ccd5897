"""Device names: what they mean, and that an absent device is an error."""

from __future__ import annotations

import pytest

from mefuse import device
from mefuse.device import cuda_index, list_devices, resolve_device
from mefuse.errors import DeviceError, InputError


@pytest.mark.parametrize(
    ("name", "count", "resolved"),
    [
        ("cpu", 0, "cpu"),
        ("cpu", 2, "cpu"),
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda:0"),
        ("cuda", 1, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_names(monkeypatch: pytest.MonkeyPatch, name: str, count: int, resolved: str) -> None:
    monkeypatch.setattr(device, "cuda_count", lambda: count)
    assert resolve_device(name) == resolved


@pytest.mark.parametrize(
    ("name", "count", "says"),
    [("cuda", 0, "no CUDA device"), ("cuda:1", 1, "only cuda:0;"), ("cuda:9", 3, "to cuda:2")],
)
def test_an_absent_device(
    monkeypatch: pytest.MonkeyPatch, name: str, count: int, says: str
) -> None:
    monkeypatch.setattr(device, "cuda_count", lambda: count)
    with pytest.raises(DeviceError, match=says):
        resolve_device(name)


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", "cuda:1 "])
def test_names_that_mean_nothing(name: str) -> None:
    with pytest.raises(InputError, match="use auto, cpu, cuda or cuda:N"):
        cuda_index(name)


def test_the_cpu_is_always_there() -> None:
    first = list_devices()[0]
    assert first.name == "cpu"
    assert first.threads is not None and first.threads > 0
