"""Limits that a worker sets itself: its CPUs, threads and niceness."""

import os
import resource
from typing import Any, Dict

__all__ = ["CannotConfine", "limit", "set_limit", "thread_variables"]


class CannotConfine(RuntimeError):
    """A limit or the sandbox cannot be had here; the message says why, and what would help."""


def thread_variables(threads: int) -> Dict[str, str]:
    """Returns the environment variables by which the frameworks' thread pools are given a size."""
    names = (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
        # jaxlib's
        "NPROC",
        # for onnxruntime, which reads none
        "PERCEPTUM_THREADS",
    )
    return {name: str(threads) for name in names}


def set_limit(which: int, most: int) -> None:
    """Sets a limit for ever; one that is lower already stays."""
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(which, (most, most))


def limit(limits: Dict[str, Any]) -> None:
    """Raises CannotConfine for what this process may not have."""
    threads, cpus, nice = limits.get("threads"), limits.get("cpus"), limits.get("nice")
    if threads:
        os.environ.update(thread_variables(threads))
    if cpus:
        try:
            os.sched_setaffinity(0, cpus)
        except OSError as error:
            shown = ", ".join(str(number) for number in cpus)
            raise CannotConfine("it cannot run on the CPUs {}: {}".format(shown, error.strerror)) from None
    if nice is not None:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
        except OSError as error:
            raise CannotConfine(
                "it cannot have niceness {}: {}; only root may take more".format(nice, error.strerror)
            ) from None
