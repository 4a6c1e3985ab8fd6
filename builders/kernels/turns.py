"""Taking turns within a kernel: threads that are in it at the same time share its work without asking Python.

Between two calls of Stages.each the caller goes through Python and wakes the others, which takes 0.1 to 0.2 ms; within
a kernel, a microsecond. Nobody waits for a thread that has not come: whoever is there takes all turns that are left,
and waits only for turns that others have taken and are busy with.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from perceptum.inputs.kernel import inner

__all__ = ["take_turn", "wait_for"]

_SPINS = 2000
"""How often a waiting thread looks before it yields its CPU each time: others may need that CPU to get there."""


def _added(_: Any, address: Any, value: Any) -> Any:
    """Adds to the int64 at an address, and returns what was there before; others see all that was written earlier."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", where, arguments[1], "seq_cst")

    return numba.types.int64(numba.types.int64, numba.types.int64), generate


def _seen(_: Any, address: Any) -> Any:
    """The int64 at an address, as it is now."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(where, "seq_cst", 8)

    return numba.types.int64(numba.types.int64), generate


def _yielded(_: Any) -> Any:
    """Lets other threads have the CPU."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        name = "sched_yield"
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        return builder.call(function, [])

    return numba.types.int32(), generate


_add: Any = intrinsic(_added)
_look: Any = intrinsic(_seen)
_yield: Any = intrinsic(_yielded)


@inner
def take_turn(counter_at: int) -> Any:
    """Returns 0 to the thread that asks first, then 1, and so on. counter_at: address of an int64 that begins at 0."""
    return _add(counter_at, np.int64(1))


@inner
def wait_for(counter_at: int, value: int) -> None:
    """Waits until a counter has a value. Call it only if the threads that will count have started."""
    looks = 0
    while _look(counter_at) < value:
        looks += 1
        if looks > _SPINS:
            _yield()
