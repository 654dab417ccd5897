"""Which processor runs a network: a name as the user gives it -> a device that is really there.

Knows torch's device names and nothing of models. Importing torch takes longer than fusing on the
CPU, so it is asked only where its build and the machine's driver leave room for a GPU.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from mefuse.errors import DeviceError, InputError

_AMD_DRIVER = Path("/dev/kfd")  # of Linux; on Windows there is nothing like it to look for


@dataclass(frozen=True, slots=True)
class Device:
    """A device that a network can run on; `threads` of a CPU, `memory_bytes` of a GPU."""

    name: str
    description: str
    threads: int | None = None
    memory_bytes: int | None = None


def list_devices() -> list[Device]:
    """The CPU, and each GPU that torch can use."""
    devices = [Device("cpu", platform.machine(), threads=os.cpu_count())]
    return devices + [_gpu(index) for index in range(cuda_count())]


def resolve_device(name: str) -> str:
    """The device that `name` stands for: "cpu" or "cuda:N".

    Args:
        name: "auto" (the first GPU when there is one, else the CPU), "cpu", "cuda" or "cuda:N".

    Raises:
        InputError: the name means nothing.
        DeviceError: a device asked for by name is not there; never replaced by another.
    """
    if name == "cpu":
        return "cpu"
    index = cuda_index(name)
    count = cuda_count()
    if name == "auto":
        return "cuda:0" if count else "cpu"
    if index >= count:
        raise DeviceError(f"{name}: {_seen(count)}; use --device auto or cpu")
    return f"cuda:{index}"


def cuda_index(name: str) -> int:
    """The number of the GPU that "cuda" or "cuda:N" names (0 for "auto"): loads nothing.

    Raises:
        InputError: the name is none of auto, cpu, cuda, cuda:N.
    """
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d{1,3}))?", name)
    if match is None:
        raise InputError(f"{name}: no such device; use auto, cpu, cuda or cuda:N")
    return int(match[1] or 0)


def cuda_count() -> int:
    """How many GPUs torch can use, 0 where its build or the machine has none."""
    if not _may_have_gpu():
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def peak_device_bytes(name: str) -> int | None:
    """Memory that this process has held on a GPU at most; None for the CPU."""
    if name == "cpu":
        return None
    import torch

    return int(torch.cuda.max_memory_allocated(name))


def _gpu(index: int) -> Device:
    """What torch tells of a GPU."""
    import torch

    seen = torch.cuda.get_device_properties(index)
    return Device(f"cuda:{index}", seen.name, memory_bytes=seen.total_memory)


def _may_have_gpu() -> bool:
    """Whether it is worth importing torch to ask: a driver sees one and its build knows GPUs.

    Builds of torch say what they are for in their version: 2.9.0+cpu, 2.9.0+cu128, 2.9.0+rocm6.4,
    or nothing, which on Linux means CUDA.
    """
    if "torch" in sys.modules:
        return True
    seen = _driver_count()
    if seen == 0 and sys.platform != "win32" and not _AMD_DRIVER.exists():
        return False
    from importlib import metadata  # it loads a parser of mails, for 0.05 s

    try:
        build = metadata.version("torch").partition("+")[2]
    except metadata.PackageNotFoundError:
        return False
    return build.startswith("rocm") or (build != "cpu" and seen > 0)


def _driver_count() -> int:
    """How many GPUs NVIDIA's driver sees, 0 where there is no driver (macOS never has one)."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
        count = ctypes.c_int(0)
        failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    except (OSError, AttributeError):  # no such library, or one that is none of NVIDIA's
        return 0
    return 0 if failed else count.value


def _seen(count: int) -> str:
    """What there is instead, for a message."""
    if count == 0:
        return "no CUDA device here"
    return "this machine has only cuda:0" + (f" to cuda:{count - 1}" if count > 1 else "")
