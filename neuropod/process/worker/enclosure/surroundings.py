"""What a process brings along from outside, variables and open descriptors: a sandbox leaves next to none of it."""

import contextlib
import os
import stat
from typing import List, Sequence, Tuple

from . import kernel

__all__ = ["close_all_but", "descriptors", "is_kept", "replace_variables", "secure_standard"]

_NAMES = (
    "LANG",
    "LANGUAGE",
    "TZ",
    "LD_LIBRARY_PATH",
    "NPROC",
    "PERCEPTUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "KERAS_BACKEND",
    "TF_USE_LEGACY_KERAS",
)
_BEGINNINGS = (
    "LC_",
    "OMP_",
    "MKL_",
    "KMP_",
    "GOMP_",
    "OPENBLAS_",
    "NUMEXPR_",
    "MALLOC_",
    "XLA_",
    "JAX_",
    # TensorFlow's by parts: Terraform's TF_VAR_ are often passwords
    "TF_CPP_",
    "TF_CUDNN_",
    "TF_DETERMINISTIC_",
    "TF_ENABLE_",
    "TF_FORCE_",
    "TF_GPU_",
    "TF_NUM_",
    "TF_XLA_",
)
_OWN = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "USER": "model", "LOGNAME": "model"}


def is_kept(name: str) -> bool:
    """Whether a variable of the parent is passed on: those that frameworks read, and none that names a secret."""
    return name in _NAMES or name.startswith(_BEGINNINGS)


def replace_variables(also: Sequence[str]) -> None:
    """Leaves the variables that are kept, and `also`; the memory that the process got them in is cleared, which
    /proc/self/environ would show."""
    kept = {name: value for name, value in os.environ.items() if is_kept(name) or name in also}
    kept.update(_OWN)
    with open("/proc/self/stat") as stream:
        # the name of the program, in brackets, may hold anything
        words = stream.read().rpartition(")")[2].split()
    start, end = int(words[47]), int(words[48])
    os.environ.clear()
    kernel.clear_memory(start, end)
    os.environ.update(kept)


def descriptors() -> List[int]:
    """Returns the numbers of what is open, but for the standard three."""
    return [number for number in map(int, os.listdir("/proc/self/fd")) if number > 2]


def close_all_but(keep: Tuple[int, ...], numbers: List[int]) -> None:
    for number in numbers:
        if number not in keep:
            # it is closed already where it is the one that listed them
            with contextlib.suppress(OSError):
                os.close(number)


def secure_standard() -> None:
    """Standard input is empty. The others stay only where they are pipes or sockets: a file or a terminal could be
    opened again through /proc, to be read or to be written over."""
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            mode = 0
        if number == 0 or not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            os.dup2(null, number)
    if null > 2:
        os.close(null)
