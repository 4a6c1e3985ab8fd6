"""A file in memory that holds no descriptor: `mmap` keeps one for as long as anything of the mapping is in use."""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["map_private"]

_FAILED = ctypes.c_void_p(-1).value


class _Mapping:
    """What numpy takes the memory from, and holds for as long as anything looks at it."""

    def __init__(self, address: int, nbytes: int) -> None:
        self.__array_interface__ = {"data": (address, False), "shape": (nbytes,), "typestr": "|u1", "version": 3}
        # not when the interpreter ends, where others may still look at it
        weakref.finalize(self, _libc().munmap, address, nbytes).atexit = False


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    # the last one is an offset, of as many bits as an address
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_ssize_t]
    libc.mmap.restype = ctypes.c_void_p
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return libc


def map_private(file: int, nbytes: int) -> NDArray[np.uint8]:
    """Returns the first bytes of an open file, which may be closed then; unmapped when nothing uses them any more.

    They are private and writable, not read-only, since a framework that writes into them must not end the process.
    Raises OSError.
    """
    address = _libc().mmap(None, nbytes, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE, file, 0)
    if address == _FAILED:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return np.asarray(_Mapping(address, nbytes))
