"""How much memory a training process keeps that it does not need."""

import ctypes
import os

# mallopt(3): the parameters' numbers in malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 2**31 - 1
_GIGABYTE = 2**30
# Blocks of another size at each step leave gaps between them that none fits into. What is given
# back comes again page by page: every so many steps that costs about one in a hundred.
TIDY_EVERY = 8


def reuse_freed_memory() -> bool:
    """Keep freed memory for the next step instead of returning it; false where that is not glibc.

    Every step on a CPU asks for the same large blocks. Returned to the system, each comes back page
    by page and zeroed, which took a sixth of a bfloat16 step; kept, it costs about 2 % more memory.
    For processes that only train, for it stays so until they end. Their loop gives back what is
    free every `TIDY_EVERY` steps, or the gaps would grow.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    kept = library.mallopt(_MMAP_THRESHOLD, _GIGABYTE)
    return bool(kept and library.mallopt(_TRIM_THRESHOLD, _LARGEST))


def return_freed_memory() -> None:
    """Give back what is free now: after loading, much that no step will ask for again."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def keep_few_kernels() -> None:
    """Let oneDNN keep 128 compiled products instead of 1,024; before the first one is made.

    It compiles one for each shape, of about a megabyte, and a packed row has another length at
    each step: the older ones are not met again.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
