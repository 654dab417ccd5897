"""Locks on single bytes of a file, which the system takes back when their process dies.

Byte locks work across machines on network file systems that have locks at all. Where there are
none, `lock` says so and the caller goes on without.
"""

from __future__ import annotations

import errno
import sys

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


def lock(descriptor: int, at: int, *, shared: bool = False, wait: bool = False) -> bool | None:
    """Locks one byte; True when it is ours, False when it is another's, None where nothing locks.

    Args:
        descriptor: an open file, readable and writable.
        at: which byte; it need not exist.
        shared: whether others may have it too, shared.
        wait: until it is free.
    """
    if sys.platform == "win32":
        return None if shared else _lock_windows(descriptor, at, wait=wait)
    import fcntl

    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.lockf(descriptor, kind | (0 if wait else fcntl.LOCK_NB), 1, at)
    except OSError as err:
        if err.errno in _NO_LOCKS:
            return None
        if err.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True


def unlock(descriptor: int, at: int) -> None:
    """Gives one byte back."""
    if sys.platform == "win32":
        import msvcrt
        import os

        os.lseek(descriptor, at, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        return
    import fcntl

    fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, at)


def _lock_windows(descriptor: int, at: int, *, wait: bool) -> bool:
    """The same on Windows, whose C library has no shared locks."""
    import msvcrt
    import os

    os.lseek(descriptor, at, os.SEEK_SET)
    try:
        mode = msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK  # type: ignore[attr-defined]
        msvcrt.locking(descriptor, mode, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True
