"""glibc's allocator, as processes want it that make and drop megabytes with every batch.

Elsewhere (musl, macOS) there is nothing to be set, and this does nothing.
"""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8
_LIBC = ctypes.CDLL(None)


def use_one_arena() -> None:
    """For all threads: of those that hold one interpreter lock, one allocates at a time.

    To be called before there are threads. Each would get an arena, and keep what it ever filled.
    """
    if hasattr(_LIBC, "mallopt"):
        _LIBC.mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Give the system the pages that lie free among those in use; a millisecond or two.

    The allocator itself gives back only the end of its heap, and something lives there always: a
    worker grew by a sixth in its first 300,000 events without keeping an object more.
    """
    if hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)
