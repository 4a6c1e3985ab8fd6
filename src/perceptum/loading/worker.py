"""A worker's end: it builds batches in memory that the parent maps, and says with numbers where they lie."""

from __future__ import annotations

import faulthandler
import json
import pickle
import select
import signal
import socket
import traceback
from contextlib import suppress
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.builders import Tensors
from perceptum.builders.memory import Memory
from perceptum.builders.pool import Pool
from perceptum.inputs.first_calls import watch
from perceptum.neuropod.frameworks.handoff import address
from perceptum.neuropod.process.memory import SharedMemory
from perceptum.neuropod.process.worker import wire
from perceptum.neuropod.process.worker.shared import Chunk

from .messages import BATCH, CHUNK, FAILED, GIVEN_BACK, LEFT_OUT, PLAN, At, Job
from .work import Built, Work

__all__ = ["serve"]

_MOST_JOB_BYTES = 1 << 16
_MOST_FRAMES = 20
"""Of a traceback that the parent is told."""


def serve(connection: socket.socket, jobs: socket.socket, control: int, keep_bytes: int, work: Work) -> None:
    """Builds what there is to build until no more jobs can come, or the parent is gone."""
    # the parent decides what Ctrl-C in its terminal means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    with suppress(wire.Closed):
        _Worker(connection, jobs, control, keep_bytes, work).serve()


class _Worker:
    def __init__(
        self, connection: socket.socket, jobs: socket.socket, control: int, keep_bytes: int, work: Work
    ) -> None:
        self._connection = connection
        self._jobs = jobs
        self._page = Chunk(control).memory
        self._work = work
        self._memory = SharedMemory("perceptum batches", sparse=True)
        self._pools: dict[str, Memory] = {
            model: Pool(self._memory, keep_bytes=keep_bytes) for model in work.builder.specs
        }
        self._held: dict[tuple[int, int], NDArray[Any]] = {}
        """Chunk and offset of a block -> the array over it, which the parent has not given back."""
        self._sent_chunks = 0
        self._plans: dict[str, int] = {}
        self._waited_s = 0.0
        self._at = At(0, 0)
        watch(lambda prepares: self._is_at(self._at._replace(prepares=int(prepares))))

    def _is_at(self, at: At) -> None:
        """Writes it where the parent looks when it waits long, or when this process has died."""
        self._at = at
        at.write(self._page)

    def serve(self) -> None:
        ready = select.poll()
        ready.register(self._connection, select.POLLIN)
        ready.register(self._jobs, select.POLLIN)
        while True:
            begin_s = perf_counter()
            found = {descriptor for descriptor, _ in ready.poll()}
            self._waited_s += perf_counter() - begin_s
            if self._connection.fileno() in found:
                self._take_back()
            elif self._jobs.fileno() in found:
                try:
                    data = self._jobs.recv(_MOST_JOB_BYTES, socket.MSG_DONTWAIT)
                # another worker was quicker
                except BlockingIOError:
                    continue
                if not data:
                    return
                self._do(Job.unpacked(data))

    def _take_back(self) -> None:
        kind, body, _ = wire.receive(self._connection)
        assert kind == GIVEN_BACK
        for place in wire.unpack(body):
            self._held.pop((place >> 48, place & (1 << 48) - 1), None)

    def _do(self, job: Job) -> None:
        self._is_at(At(job.ticket, 0))
        try:
            built = self._work.build(job, self._pools, lambda number: self._is_at(At(job.ticket, number)))
        except BaseException as error:
            self._say_failed(job, error)
        else:
            self._say_built(job, built)
        self._is_at(At(0, 0))

    def _say_failed(self, job: Job, error: BaseException) -> None:
        text = "".join(traceback.format_exception(error, limit=-_MOST_FRAMES))
        said = {
            "ticket": job.ticket,
            "text": f"{type(error).__name__}: {error}",
            "notes": list(getattr(error, "__notes__", ())),
            "traceback": text,
        }
        pickled = b""
        # what an error holds may not go to another process, or not come out of it there
        with suppress(Exception):
            pickled = pickle.dumps(error)
            pickle.loads(pickled)
        head = json.dumps(said).encode()
        wire.send(self._connection, FAILED, len(head).to_bytes(8, "little") + head + pickled)

    def _say_built(self, job: Job, built: Built) -> None:
        """Sends where the tensors lie; the names that are new, and new memory, go before."""
        for position, why in built.left_out:
            body = json.dumps({"ticket": job.ticket, "position": int(position), "why": why}).encode()
            wire.send(self._connection, LEFT_OUT, body)
        blocks: dict[tuple[int, int], list[int]] = {}
        numbers: list[int] = []
        for tensors in built.tensors.values():
            for array in tensors.values():
                root, chunk, begin = self._root(array)
                # the block of a tensor without elements has none either
                block = blocks.setdefault((chunk, begin), [len(blocks), 0])
                self._held[chunk, begin] = root
                offset = address(array) - address(root) if array.size else 0
                block[1] = max(block[1], offset + array.nbytes)
                numbers += [block[0], offset, *array.shape]
        places = [0, 0, len(blocks)]
        for (chunk, begin), (_, nbytes) in blocks.items():
            places += [chunk, begin, nbytes]
        while self._sent_chunks < len(self._memory.arena.chunks):
            descriptor = self._memory.arena.chunks[self._sent_chunks].descriptor
            wire.send(self._connection, CHUNK, b"", [descriptor])
            self._sent_chunks += 1
        plan, times = self._plan(built.tensors)
        head = [job.ticket, plan, len(built.positions), len(times)]
        seconds = np.array([built.took_s, self._waited_s, *times], np.float64)
        self._waited_s = 0.0
        parts = (wire.pack(head), built.positions.tobytes(), seconds.tobytes(), wire.pack(places + numbers))
        wire.send(self._connection, BATCH, b"".join(parts))

    def _root(self, array: NDArray[Any]) -> tuple[NDArray[Any], int, int]:
        """Returns the array over the whole block in which a tensor lies, and the block's place."""
        root = array
        while isinstance(root.base, np.ndarray):
            root = root.base
        found = self._memory.find(address(root), max(root.nbytes, 1))
        if found is None:
            # memory of others, such as a cache's: the parent has it not
            root = self._memory.empty(array.shape, array.dtype)
            root[...] = array
            return self._root(root)
        return root, *found

    def _plan(self, built: dict[str, Tensors]) -> tuple[int, list[float]]:
        """Returns the number of what names a batch's numbers, and those that are not places: counts, seconds."""
        rows, dropped, times = [], [], []
        for model, tensors in built.items():
            rows += [[model, name, array.dtype.str, array.ndim] for name, array in tensors.items()]
            dropped += [[model, reason] for reason in tensors.dropped]
            times += [float(count) for count in tensors.dropped.values()]
        first = next(iter(built.values()), Tensors({}))
        said = {"rows": rows, "dropped": dropped, "stages": list(first.times_s), "once": list(first.once_s)}
        words = json.dumps(said)
        if words not in self._plans:
            self._plans[words] = len(self._plans)
            wire.send(self._connection, PLAN, words.encode())
        return self._plans[words], [*times, *first.times_s.values(), *first.once_s.values()]
