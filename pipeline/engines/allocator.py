import ctypes

# Parameters of mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_NEVER = -1


def keep_freed_memory() -> None:
    """Have this process reuse freed memory instead of returning it to the system, for good.

    By default glibc returns the memory of every large tensor of PyTorch and requests it again for
    the next layer. The page faults that follow take a fifth of the time of a standard R50-FPN. From
    now on glibc makes no further arena, since other arenas than the first cannot hold large blocks;
    maps no single blocks; and never returns memory. Without glibc, do nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)
