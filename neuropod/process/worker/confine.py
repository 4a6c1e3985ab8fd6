"""Limits and the sandbox: what a worker does to itself before it imports anything that is not Python's own."""

import resource
from typing import Any, Dict, Tuple

from .enclosure import enclose
from .limits import CannotConfine, limit, set_limit

__all__ = ["CannotConfine", "confine"]


def confine(order: Dict[str, Any], keep: Tuple[int, ...] = ()) -> None:
    """Applies an order: {"limits": {...}, "sandbox": {...}}, of which either may be absent.

    In a sandbox it returns in another process than the one that called it (`enclosure` says more), in which no
    descriptor is open but `keep` and the standard three.

    Raises CannotConfine: nothing is applied in part and passed over, and the worker must not go on.
    """
    limits = order.get("limits") or {}
    limit(limits)
    sandbox = order.get("sandbox")
    if sandbox:
        enclose(sandbox, bool(limits.get("cpus")), tuple(keep))
    elif limits.get("memory_bytes"):
        set_limit(resource.RLIMIT_DATA, limits["memory_bytes"])
