"""How much memory this process has taken at most, is free, and the machine has."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

_OPENCV_NO_MEMORY = -4  # cv2.error.code: StsNoMem
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
# Blocks from here on are given back when they are freed: frames of 80 megapixels and more.
_LARGE_BYTES = 256 << 20
_KEPT_BYTES = 512 << 20


def peak_memory_bytes() -> int | None:
    """The largest resident memory of this process so far; None where the system does not tell.

    On Linux from /proc, because getrusage there starts from what the process held before it
    became this program: a shell's or a Python parent's peak would count as ours.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows has no getrusage
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def available_memory_bytes() -> int | None:
    """Memory that can be taken without swapping, or within a container's limit.

    None where the system does not tell.
    """
    status = Path("/proc/meminfo")
    lines = status.read_text().splitlines() if status.exists() else []
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    limit, used = (Path("/sys/fs/cgroup") / f"memory.{name}" for name in ("max", "current"))
    if limit.exists() and used.exists() and limit.read_text().strip().isdigit():
        taken = int(used.read_text()) - _given_back_bytes()
        free.append(max(0, int(limit.read_text()) - taken))
    return min(free) if free else None


def _given_back_bytes() -> int:
    """What a container holds of files only as long as nobody wants the memory.

    It counts as used, and after large files were read it fills what is left of the limit.
    """
    told = Path("/sys/fs/cgroup") / "memory.stat"
    lines = told.read_text().splitlines() if told.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))


def machine_memory_bytes() -> int | None:
    """The memory that this process may use: the machine's, or less where a container limits it.

    None where the system does not tell.
    """
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return min(memory, int(text)) if text.isdigit() else memory


def keep_freed() -> None:
    """Has glibc keep freed memory for what comes next, up to 512 MB, as a process of ours can.

    By default it gives large blocks back at once and takes them anew, page by page: a tenth of the
    processor time of fusing. Other C libraries are left as they are.
    """
    adjust = _of_glibc("mallopt")
    if adjust is None:
        return
    if not adjust(_MMAP_THRESHOLD, _LARGE_BYTES):  # before 2.35 it takes no more than 32 MB
        adjust(_MMAP_THRESHOLD, 32 << 20)
    adjust(_TRIM_THRESHOLD, _KEPT_BYTES)


def return_freed() -> None:
    """Gives the system what was freed: glibc keeps much of it, where threads shared the heap."""
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


@cache
def _of_glibc(name: str) -> Callable[..., int] | None:
    """A function of the heap that only glibc has; None where the C library is another one."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    library = ctypes.CDLL(None)
    return getattr(library, name, None) if hasattr(library, "malloc_trim") else None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: Python's, numpy's, OpenCV's or a GPU's."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's
        return True
    return getattr(error, "code", None) == _OPENCV_NO_MEMORY
