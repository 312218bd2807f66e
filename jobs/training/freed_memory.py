"""What becomes of memory that this process frees."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # parameters of mallopt, by glibc's malloc.h
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Let the C library keep what is freed from now on for the next blocks; glibc only.

    By itself glibc gives large blocks back at once, and each page that it gets again costs a
    fault: a tenth of the time of a training on CPUs, whose steps need the same blocks again and
    again. What was freed before is given back here: blocks of other sizes leave holes that later
    ones do not fit into.
    """
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    library.malloc_trim(0)
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
