"""Device names: what they mean, and that an absent device is an error."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


@pytest.mark.parametrize(
    ("version", "seen", "asked"),
    [
        ("2.9.0+cpu", 1, False),
        ("2.9.0", 0, False),
        ("2.9.0", 1, True),
        ("2.9.0+cu128", 2, True),
        ("2.9.0+rocm6.4", 0, True),
        (None, 1, False),
    ],
)
def test_torch_is_asked_only_where_there_may_be_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str | None, seen: int, asked: bool
) -> None:
    def installed(name: str) -> str:
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    asking: list[bool] = []
    torch = SimpleNamespace(
        cuda=SimpleNamespace(
            is_available=lambda: bool(asking.append(True)) or True, device_count=lambda: 3
        )
    )
    monkeypatch.setattr(metadata, "version", installed)
    kfd = tmp_path / "kfd"
    monkeypatch.setattr(device, "_AMD_DRIVER", kfd)
    if version is not None and "rocm" in version:
        kfd.touch()
    monkeypatch.setattr(device, "_driver_count", lambda: seen)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with monkeypatch.context() as patch:
        patch.setattr("builtins.__import__", _importing(torch))
        assert device.cuda_count() == (3 if asked else 0)
    assert asking == ([True] if asked else [])


def _importing(torch: SimpleNamespace) -> Callable[..., object]:
    """An import that gives this torch."""
    real = builtins.__import__

    def imported(name: str, *how: Any) -> object:
        return torch if name == "torch" else real(name, *how)

    return imported


def test_a_driver_that_is_not_there_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(device.ctypes, "CDLL", missing)
    assert device._driver_count() == 0


@pytest.mark.parametrize(("failure", "count"), [(0, 2), (100, 0)])
def test_a_driver_tells_how_many_it_sees(
    monkeypatch: pytest.MonkeyPatch, failure: int, count: int
) -> None:
    def count_into(place: Any) -> int:
        place._obj.value = 2
        return 0

    driver = SimpleNamespace(cuInit=lambda _: failure, cuDeviceGetCount=count_into)
    monkeypatch.setattr(device.ctypes, "CDLL", lambda _: driver)
    assert device._driver_count() == count


def test_the_cpu_is_always_there() -> None:
    first = list_devices()[0]
    assert first.name == "cpu"
    assert first.threads is not None and first.threads > 0
