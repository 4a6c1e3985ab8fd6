"""Shards written one after another here, or side by side by processes that each open the log for themselves."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import xxhash

from perceptum.inputs import LogError, Source
from perceptum.inputs.store import Shard, ShardOptions, Target, write_shard

__all__ = ["write_shards"]


class _Stopped(Exception):
    """Raised inside a worker between two records, when the conversion is given up."""


def write_shards(
    reopen: Callable[[], Source],
    source: Source,
    shards: Sequence[Shard],
    target: Target,
    options: ShardOptions,
    workers: int,
) -> Iterator[Shard]:
    """Yields each shard once it is written; the bytes do not depend on the number of workers. Raises LogErrors."""
    if workers == 1 or len(shards) < 2:
        for shard in shards:
            write_shard(source, shard, target, options, xxhash.xxh3_128)
            yield shard
        return
    # spawned, not forked: libraries with threads of their own do not survive a fork
    context = multiprocessing.get_context("spawn")
    # not an Event: a worker that is killed while it looks at one leaves its lock closed, and `set` would wait forever
    stop = context.RawValue(ctypes.c_bool, False)
    arguments = (reopen, target, options, stop)
    pool = ProcessPoolExecutor(min(workers, len(shards)), context, _start, arguments)
    try:
        with _no_interrupt():
            waiting = {pool.submit(_write, shard): shard for shard in shards}
        for done in as_completed(waiting):
            done.result()
            yield waiting[done]
    except BrokenProcessPool as error:
        raise LogError(
            f"{target.location}: a worker process was killed, perhaps for lack of memory; "
            "run again to go on, with fewer --workers"
        ) from error
    finally:
        stop.value = True
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Holds Ctrl-C back from this thread, and from the processes it starts, which inherit that.

    One that is still importing knows no better than to die of it with a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# what a worker process keeps from one shard to the next
_here: dict[str, Any] = {}


def _start(reopen: Callable[[], Source], target: Target, options: ShardOptions, stop: Any) -> None:
    """Runs once in each worker."""
    # Ctrl-C reaches every process of the terminal; the parent tells us when to stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _here.update(source=reopen(), target=target, options=options, stop=stop)


def _end_with_parent() -> None:
    """A pool's workers wait forever for a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _write(shard: Shard) -> None:
    write_shard(_here["source"], shard, _here["target"], _here["options"], xxhash.xxh3_128, _check_stop)


def _check_stop() -> None:
    if _here["stop"].value:
        raise _Stopped
