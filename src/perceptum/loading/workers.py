"""The parent's end of the workers: jobs in, batches out in their turn, and no more memory ahead than is allowed."""

from __future__ import annotations

import json
import math
import os
import pickle
import select
import socket
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perceptum.builders import Tensors
from perceptum.errors import LoaderError, WorkerDied
from perceptum.neuropod.process.outputs import Answer, Outputs
from perceptum.neuropod.process.remote_errors import RemoteError
from perceptum.neuropod.process.worker import wire
from perceptum.neuropod.process.worker.shared import Chunk, make_file

from .messages import BATCH, CHUNK, CONTROL_BYTES, FAILED, GIVEN_BACK, LEFT_OUT, PLAN, At, Job
from .patience import Patience
from .starting import Begun, Starts
from .stats import Stats
from .work import Built, Work

__all__ = ["OnDeath", "Workers"]

OnDeath = Literal["raise", "skip", "retry"]
_LOOK_S = 0.5
_MOST_DEATHS = 3
"""In a row, with no batch in between: then it is not the sample's fault."""
_MOST_GIVEN_BACK = 4096
_END_S = 1.0
"""How long the system may take to end all that were killed; it ends them later all the same."""
_SAY_S = 0.5
"""How long a worker that hangs may take to say where it is."""


class _Plan(NamedTuple):
    """What the numbers of a batch are called."""

    rows: list[tuple[str, str]]
    """(model, tensor)."""
    dropped: list[tuple[str, str]]
    stages: list[str]
    once: list[str]


@dataclass
class _Ready:
    """A batch that lies in a worker's memory, or why there is none."""

    worker: _Worker
    positions: NDArray[np.int64]
    plan: int
    answer: Answer | None
    seconds: NDArray[np.float64]
    left_out: list[tuple[int, str]]
    error: BaseException | None = None

    @property
    def nbytes(self) -> int:
        return 0 if self.answer is None else sum(nbytes for _, _, nbytes in self.answer.blocks)


class _Worker:
    """One worker, and the memory of its that this process has mapped."""

    def __init__(self, starts: Starts, jobs: socket.socket, patience: Patience) -> None:
        self.socket, theirs = socket.socketpair()
        control = -1
        try:
            control = make_file("perceptum loader", CONTROL_BYTES)
            self._page = Chunk(control, owns=False).memory
            self.process: Begun = starts.start(self.socket, theirs, jobs, control)
        except BaseException:
            self.socket.close()
            raise
        finally:
            theirs.close()
            if control >= 0:
                os.close(control)
        self.patience = patience
        self.outputs = Outputs()
        self.plans: list[_Plan] = []
        self.left_out: list[tuple[int, str]] = []
        self.lent: dict[int, int] = {}
        """Place of a block that is ready or that somebody holds -> bytes."""
        self.unread: list[int] = []
        """Places of blocks that nobody is to have."""
        self._takes = select.poll()
        self._takes.register(self.socket, select.POLLOUT)

    @property
    def at(self) -> At:
        return At.read(self._page)

    def give_back(self) -> None:
        """Says to the worker which blocks nobody holds any more."""
        while True:
            places = [*self.unread, *self.outputs.given_back(_MOST_GIVEN_BACK)]
            self.unread.clear()
            if not places:
                return
            # it reads nothing, since it is long at something, or hangs: it hears of them later
            if not self._takes.poll(0):
                self.unread = places
                return
            for place in places:
                self.lent.pop(place, None)
            # one that has died is seen elsewhere
            with suppress(wire.Closed, OSError):
                wire.send(self.socket, GIVEN_BACK, wire.pack(places))

    def learn(self, body: bytes) -> None:
        said = json.loads(body)
        self.outputs.learn(
            len(self.plans), [[str(k), dtype, rank] for k, (_, _, dtype, rank) in enumerate(said["rows"])]
        )
        rows = [(model, name) for model, name, _, _ in said["rows"]]
        self.plans.append(_Plan(rows, [tuple(row) for row in said["dropped"]], said["stages"], said["once"]))

    def read(self, body: bytes) -> tuple[int, _Ready]:
        """Returns the ticket, and the batch."""
        ticket, plan, samples, times = wire.unpack(body[:32])
        numbers_at = 32 + 8 * samples
        answer_at = numbers_at + 8 * (2 + times)
        positions = np.frombuffer(body, np.int64, samples, 32)
        seconds = np.frombuffer(body, np.float64, 2 + times, numbers_at)
        answer = self.outputs.read(plan, body[answer_at:])
        for chunk, offset, nbytes in answer.blocks:
            self.lent[chunk << 48 | offset] = nbytes
        left_out, self.left_out = self.left_out, []
        return ticket, _Ready(self, positions, plan, answer, seconds, left_out)

    def forget(self, ready: _Ready) -> None:
        """Nobody wants that batch."""
        if ready.answer is not None:
            self.unread += [chunk << 48 | offset for chunk, offset, _ in ready.answer.blocks]

    def close(self, most_s: float) -> None:
        self.process.kill()
        self.socket.close()
        self.process.wait(most_s)


class Workers:
    """Worker processes that do jobs, whoever is free, and whose batches come in the order of the jobs.

    Args:
        most_ahead: jobs that may be given out and not delivered.
        most_bytes: of all batches that are ready or held, and of those that are being built, each as large as the
            largest so far. The one that is waited for is built whatever is held.
        on_death: what to do where a worker dies: raise; leave out the sample that it died of; or try it once more.
        timeout_s: how long a worker may be at one sample; longer is a death.
    """

    def __init__(
        self,
        work: Work,
        starts: Starts,
        count: int,
        stats: Stats,
        *,
        most_ahead: int,
        most_bytes: int,
        on_death: OnDeath,
        timeout_s: float = math.inf,
    ) -> None:
        self._work = work
        self._starts = starts
        self._stats = stats
        self._most_ahead, self._most_bytes = most_ahead, most_bytes
        self._on_death = on_death
        self._timeout_s = timeout_s
        self._look_s = min(_LOOK_S, timeout_s / 4)
        self._owner = os.getpid()
        self._jobs, self._taken = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._workers: dict[int, _Worker] = {}
        """By the descriptor of its socket."""
        self._poll = select.poll()
        self._ticket = 0
        self._open: dict[int, Job] = {}
        """Given out and not delivered, by ticket."""
        self._ready: dict[int, _Ready] = {}
        self._largest = 0
        self._deaths = 0
        self._tried: set[int] = set()
        self._is_closed = self._is_over = False
        _all.add(self)
        try:
            for _ in range(count):
                self._start_one()
        except BaseException:
            self.close()
            raise

    def _start_one(self) -> None:
        worker = _Worker(self._starts, self._taken, Patience(self._timeout_s))
        self._workers[worker.socket.fileno()] = worker
        self._poll.register(worker.socket, select.POLLIN)

    @property
    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self._workers.values()]

    @property
    def is_usable(self) -> bool:
        return not self._is_closed and os.getpid() == self._owner

    @property
    def held_bytes(self) -> int:
        return sum(sum(worker.lent.values()) for worker in self._workers.values())

    def built(self, epoch: int, start: int, batches: range) -> Iterator[Built]:
        """Yields these batches of an epoch. Whatever is raised in a worker for a batch is raised here in its turn."""
        tickets: list[int] = []
        wanted = iter(batches)
        following = next(wanted, None)
        in_turn: BaseException | None = None
        try:
            self._forget_open()
            while following is not None or tickets:
                if self._is_closed:
                    raise LoaderError("the loader was closed in the middle of this loop")
                following = self._give_out(epoch, start, following, wanted, tickets)
                ticket = tickets[0]
                while ticket not in self._ready:
                    self._wait()
                    following = self._give_out(epoch, start, following, wanted, tickets)
                ready = self._ready.pop(ticket)
                del tickets[0], self._open[ticket]
                # before the caller is at it, who may take long
                following = self._give_out(epoch, start, following, wanted, tickets)
                if ready.error is not None:
                    in_turn = None if isinstance(ready.error, WorkerDied) else ready.error
                    raise ready.error
                built = self._arrays(ready)
                del ready
                yield built
                del built
        except GeneratorExit:
            raise
        except BaseException as error:
            # Ctrl-C, perhaps in the middle of a message
            if error is not in_turn:
                self.close()
            raise

    def _give_out(
        self, epoch: int, start: int, following: int | None, wanted: Iterator[int], tickets: list[int]
    ) -> int | None:
        """Gives out as many jobs as there is room for, and returns the batch of the next one."""
        for worker in self._workers.values():
            worker.give_back()
        while following is not None and self._has_room():
            self._ticket += 1
            job = self._open[self._ticket] = Job(self._ticket, epoch, start, following)
            tickets.append(self._ticket)
            self._jobs.send(job.packed(), socket.MSG_NOSIGNAL)
            following = next(wanted, None)
        self._stats.held_bytes = held = self.held_bytes
        self._stats.most_held_bytes = max(self._stats.most_held_bytes, held)
        return following

    def _has_room(self) -> bool:
        if not self._open:
            return True
        coming = len(self._open) - len(self._ready) + 1
        # before the first one nobody knows how large they are: each worker may begin with one
        if not self._largest:
            return len(self._open) < min(self._most_ahead, len(self._workers))
        return len(self._open) < self._most_ahead and self.held_bytes + coming * self._largest <= self._most_bytes

    def _forget_open(self) -> None:
        """Jobs of an epoch that was left early: not begun, they are taken back; begun, nobody takes what they give."""
        self._drain()
        self._open.clear()
        for ready in self._ready.values():
            ready.worker.forget(ready)
        self._ready.clear()

    def _drain(self) -> None:
        """Takes the jobs back that no worker has taken."""
        with suppress(BlockingIOError):
            while True:
                self._taken.recv(1 << 16, socket.MSG_DONTWAIT)

    def _wait(self) -> None:
        begin_s = perf_counter()
        found = self._poll.poll(self._look_s * 1e3)
        waited_s = perf_counter() - begin_s
        self._stats.waited_s += waited_s
        for descriptor, _ in found:
            worker = self._workers[descriptor]
            try:
                self._read(worker)
            except (wire.Closed, OSError):
                self._replace(worker)
        # no wait counts for more than it should have taken: this process may have stood still too
        waited_s = min(waited_s, self._look_s)
        for worker in [w for w in self._workers.values() if w.patience.is_over(w.at, waited_s)]:
            self._end(worker)

    def _end(self, worker: _Worker) -> None:
        """A worker hangs: it is killed when it has said where, so that its place is free."""
        worker.process.abort()
        worker.process.wait(_SAY_S)
        worker.process.kill()
        self._replace(worker, hung=True)

    def _read(self, worker: _Worker) -> None:
        kind, body, descriptors = wire.receive(worker.socket)
        # no call between here and what closes them: Ctrl-C comes in calls
        try:
            self._take(worker, kind, body, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _take(self, worker: _Worker, kind: int, body: bytes, descriptors: list[int]) -> None:
        if kind == CHUNK:
            worker.outputs.map(descriptors[0])
        elif kind == PLAN:
            worker.learn(body)
        elif kind == LEFT_OUT:
            said = json.loads(body)
            worker.left_out.append((said["position"], said["why"]))
        elif kind == BATCH:
            ticket, ready = worker.read(body)
            self._deaths = 0
            self._largest = max(self._largest, ready.nbytes)
            self._put(ticket, ready)
        else:
            assert kind == FAILED
            ticket, error = _error_of(body)
            self._deaths = 0
            nothing = np.zeros(0, np.int64)
            self._put(ticket, _Ready(worker, nothing, 0, None, np.zeros(2), [], error))

    def _put(self, ticket: int, ready: _Ready) -> None:
        # of an epoch that was left, or built twice: its worker died, as it seemed, before it was begun
        if ticket in self._open and ticket not in self._ready:
            self._ready[ticket] = ready
        else:
            ready.worker.forget(ready)

    def _arrays(self, ready: _Ready) -> Built:
        assert ready.answer is not None
        plan = ready.worker.plans[ready.plan]
        writable = self._work.builder.plan.options.writable
        tensors = {model: Tensors({}) for model, _ in plan.rows}
        for (model, name), array in zip(plan.rows, ready.worker.outputs.arrays(ready.answer).values(), strict=True):
            array.flags.writeable = writable
            tensors[model][name] = array
        took_s, idle_s, *rest = ready.seconds.tolist()
        for (model, reason), count in zip(plan.dropped, rest, strict=False):
            tensors[model].dropped[reason] = int(count)
        rest = rest[len(plan.dropped) :]
        for own in tensors.values():
            own.times_s.update(zip(plan.stages, rest, strict=False))
            own.once_s.update(zip(plan.once, rest[len(plan.stages) :], strict=True))
        self._stats.idle_s += idle_s
        return Built(ready.positions, tensors, ready.left_out, took_s)

    def _replace(self, worker: _Worker, *, hung: bool = False) -> None:
        """A worker has died, or was ended since it hung: another takes its place, or who waits is told."""
        at = worker.at
        descriptor = worker.socket.fileno()
        self._poll.unregister(descriptor)
        del self._workers[descriptor]
        worker.socket.close()
        ended = worker.process.wait()
        self._stats.deaths += 1
        self._deaths += 1
        job = self._open.get(at.ticket)
        if at.ticket in self._ready:
            job = None
        if job is not None:
            where = f"while it built {self._work.sample(job, at.sample)}"
        else:
            where = "while it was started" if not worker.plans else "between two batches"
            if at.ticket:
                where = "over a batch that nobody waits for any more"
        how = f"longer than timeout_s={self._timeout_s:g}, and was {ended}" if hung else str(ended)
        message = f"a worker of the loader {'hung' if hung else 'died'} {where}: {how}"
        is_tried = job is not None and job.ticket in self._tried
        if self._on_death == "raise" or self._deaths > _MOST_DEATHS or (self._on_death == "retry" and is_tried):
            error = WorkerDied(message)
            for line in ended.lines:
                error.add_note(line)
            if job is None:
                raise error
            # in its turn: those before it are built, or others are at them
            nothing = np.zeros(0, np.int64)
            self._ready[job.ticket] = _Ready(worker, nothing, 0, None, np.zeros(2), [], error)
            return
        if job is not None:
            self._tried.add(job.ticket)
            if self._on_death == "skip":
                self._open[job.ticket] = job._replace(left_out=(*job.left_out, at.sample))
                position = self._work.share(job.start).batch(job.batch)[at.sample]
                index = self._work.order.frame(job.epoch, position)
                what = "a worker hung at it" if hung else "a worker died of it"
                self._stats.left_out.append(f"{self._work.frame_name(index)}: {what}: {how}")
        self._start_one()
        self._give_out_again()

    def _give_out_again(self) -> None:
        """Gives out anew what no worker is at: the one that died may have taken a job and not begun with it. What is
        built twice for that is the same, and one of the two is let go."""
        self._drain()
        begun = {worker.at.ticket for worker in self._workers.values()}
        for ticket, job in self._open.items():
            if ticket not in self._ready and ticket not in begun:
                self._jobs.send(job.packed(), socket.MSG_NOSIGNAL)

    def close(self) -> None:
        """Kills the workers. What was delivered stays: its memory goes with the last array over it.

        What an interrupt, a second Ctrl-C, leaves of that is done by the next call.
        """
        self._is_closed = True
        if self._is_over or os.getpid() != self._owner:
            return
        self._ready.clear()
        for worker in self._workers.values():
            worker.process.kill()
        until_s = monotonic() + _END_S
        for descriptor, worker in list(self._workers.items()):
            worker.close(max(until_s - monotonic(), 0.0))
            del self._workers[descriptor]
        self._jobs.close()
        self._taken.close()
        self._starts.close()
        _all.discard(self)
        self._is_over = True

    def forget(self) -> None:
        """In a forked child: the workers are its parent's, and must see when that is gone."""
        self._is_closed = self._is_over = True
        for worker in self._workers.values():
            worker.socket.close()
        self._jobs.close()
        self._taken.close()
        self._starts.forget()


_all: weakref.WeakSet[Workers] = weakref.WeakSet()


def _forget_all() -> None:
    for workers in list(_all):
        workers.forget()
    _all.clear()


os.register_at_fork(after_in_child=_forget_all)


def _error_of(body: bytes) -> tuple[int, BaseException]:
    """Returns the ticket, and what was raised in the worker, with its traceback as the cause."""
    size = int.from_bytes(body[:8], "little")
    said, pickled = json.loads(body[8 : 8 + size]), body[8 + size :]
    error: BaseException = LoaderError(said["text"])
    if pickled:
        # made by code that runs here too
        with suppress(Exception):
            found = pickle.loads(pickled)
            if isinstance(found, Exception):
                error = found
    if not hasattr(error, "__notes__"):
        for note in said["notes"]:
            error.add_note(note)
    error.__cause__ = RemoteError(said["traceback"])
    return said["ticket"], error
