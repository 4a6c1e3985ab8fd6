"""The parent's end of one worker: started, told what to load, and asked one request at a time.

A worker's numbers are not taken on trust: it may run anybody's code. Whatever it answers that makes no sense ends it.
"""

from __future__ import annotations

import json
import math
import os
import select
import socket
import struct
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Lock, RLock
from typing import Any

from numpy.typing import NDArray

from ..errors import WorkerError
from . import keeper
from .attached import Attached, attach
from .door import Door
from .keeper import Ended, Process
from .memory import SharedMemory
from .outputs import Outputs
from .printed import Printed, harmless
from .remote_errors import raised_again
from .requests import Request, Requests
from .worker import wire
from .worker.shared import Bell, Chunk, Signal, make_file

__all__ = ["Channel"]

_MOST_RETURNED = 4096
"""Blocks that are given back with one request."""
_GRACE_S = 5.0
"""How long a worker may take over what takes no time: to send what it has announced, to be killed."""
_LOOK_S = 1.0
_OWED_S = 0.05
_MOST_SEALED = 1024
"""Tensors that wait for the call that they were sealed for."""
_MOST_MESSAGES = 1 << 10
"""Before one reply: a plan, new chunks, a body."""


class _Silence:
    """How long a worker has counted no further, while it was waited for."""

    def __init__(self, most_s: float | None) -> None:
        self._most_s = most_s
        self._beats = -1
        self._silent_s = 0.0
        self._looked_s = time.monotonic()

    def is_over(self, beats: int) -> bool:
        if self._most_s is None:
            return False
        now = time.monotonic()
        # no look counts for more than it should have taken: this process may have stood still too
        self._silent_s = self._silent_s + min(now - self._looked_s, _LOOK_S) if beats == self._beats else 0.0
        self._beats, self._looked_s = beats, now
        return self._silent_s >= self._most_s


class Channel:
    """A worker process that is alive, or was."""

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        order: Mapping[str, Any],
        memory: SharedMemory,
        requests: Requests,
        wait: str,
        output_bytes: int | None = None,
        door: Door | None = None,
        door_s: float | None = None,
        socket_path: str | None = None,
        heartbeat_timeout_s: float | None = None,
    ) -> None:
        """argv: of the worker, to which the number of the descriptor of its socket is added.

        door: where a worker that inherits no descriptor connects, as argv tells it to, within door_s seconds.
        output_bytes: for a worker that is not trusted, the memory that all its outputs are in. This process makes it,
            and takes nothing else that the worker could have made; what it returns is copied out of there.
        socket_path: where a worker listens that somebody else has started; nothing is started then.
        heartbeat_timeout_s: how long a worker that is waited for may give no sign of life.
        """
        self._heartbeat_timeout_s = heartbeat_timeout_s
        self._most_bytes = output_bytes
        self._memory = memory
        self._requests = requests
        self._control = Chunk(make_file("perceptum control", wire.CONTROL_BYTES))
        ends: list[int] = []
        # whether or not anybody closes the model
        self._close_descriptors = weakref.finalize(self, _close, ends)
        self._close_descriptors.atexit = False
        for _ in range(2):
            ends += _pipe()
        # woken is read by the worker, but stays open here too: to write to a pipe that nobody has is a signal, SIGPIPE,
        # which ends a program that does not ignore it as Python does at first
        woken, self._wake, self._woken, waking = ends
        self._to_worker: Signal | Bell
        self._answered: Signal | Bell
        self._waking: Signal | Bell
        if output_bytes is None:
            self._to_worker = Signal(self._control, wire.TO_WORKER, wait, self._wake, make=True)
            self._answered = Signal(self._control, wire.TO_PARENT, wait, self._woken, make=True)
            self._waking = Signal(self._control, wire.TO_PARENT, wait, waking)
        else:
            self._to_worker, self._answered = Bell(wait, self._wake), Bell(wait, self._woken)
            self._waking = Bell(wait, waking)
        self._number = 0
        self._heard = 0
        """The last reply whose messages were read."""
        # a tensor may be sealed by one thread while another sends a call
        self._sending = RLock()
        self._sealed: deque[tuple[int, list[Any]]] = deque()
        self._plans_told = 0
        self._chunks_told = 0
        outputs = [] if output_bytes is None else [Chunk(make_file("perceptum outputs", output_bytes))]
        self._outputs = Outputs(outputs[0] if outputs else None, output_bytes)
        self._bodies: list[bytes] = []
        self._held: dict[int, list[Any]] = {}
        self._owed: Request | None = None
        self._is_writing = False
        self._is_posted = False
        """Whether the worker was woken for the last request."""
        self._is_sealing = False
        self._is_reading = False
        self._ended: Ended | None = None
        self._forgetting = Lock()
        self._is_forgotten = False
        self.seals = False
        self.is_loaded = False
        self.on_lost: Callable[[], object] | None = None
        """Called in the keeper's thread when the worker has ended."""
        self.process: Process | Attached
        printed = None if output_bytes is None else Printed()
        order = {**order, "version": wire.VERSION, "wait": wait}
        try:
            if socket_path is not None:
                # another one has started it, and ends it with this one
                self._connection, self.process = attach(socket_path, self._on_end)
            elif door is None:
                order["parent"] = os.getpid()
                self._start(argv, environment, printed)
            else:
                self._connection = door.listener
                started = self.process = keeper.start(argv, environment, [], self._on_end, printed)
                self._connection = door.admit(started, door_s)
            self._connection.settimeout(_GRACE_S)
            made = [chunk.descriptor for chunk in outputs]
            self._send(wire.ORDER, order, [self._control.descriptor, woken, waking, *made])
        except BaseException:
            # nobody will have this: Ctrl-C, or what it started has ended
            self._abandon()
            raise
        finally:
            for chunk in outputs:
                chunk.close_descriptor()
        _open.add(self)

    def _start(self, argv: Sequence[str], environment: Mapping[str, str], printed: Printed | None) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            words = [*argv, str(theirs.fileno())]
            self.process = keeper.start(words, environment, [theirs], self._on_end, printed)
        except BaseException:
            self._connection.close()
            raise
        finally:
            theirs.close()

    def _abandon(self) -> None:
        process = getattr(self, "process", None)
        if process is not None:
            process.kill()
        connection = getattr(self, "_connection", None)
        if connection is not None:
            connection.close()

    @property
    def is_over(self) -> bool:
        return self._ended is not None or self.process.over.is_set()

    def _on_end(self, ended: Ended) -> None:
        """In the keeper's thread: whoever waits for an answer is woken, and sees that there is none to come."""
        self._ended = ended
        # what the worker held nobody reads any more
        self._held.clear()
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        with self._forgetting:
            # by then another file may have the number of the pipe
            if not self._is_forgotten:
                self._waking.post()
        # looked at once: another thread may close the model at any moment
        on_lost = self.on_lost
        if on_lost is not None:
            on_lost()

    def loaded(self, seconds: float | None) -> dict[str, Any]:
        """Waits until the model is loaded, and returns what the worker says of it.

        Raises the error that loading ended with, or WorkerError.
        """
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        arriving = select.poll()
        arriving.register(self._connection, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._stopped(f"its worker did not load it within {seconds:g} s", "timeout")
            # not select, which knows descriptors below 1024 alone
            if arriving.poll(min(left, _LOOK_S) * 1e3):
                break
        kind, body, descriptors = self._receive("start", time.monotonic() + _GRACE_S)
        if kind != wire.LOADED or descriptors:
            _close(descriptors)
            raise self._garbage("what it says of loading")
        said = self._object(body)
        if "error" in said:
            self.process.over.wait(_GRACE_S)
            self.process.kill()
            raise self._raised(said["error"])
        why_code = said.get("why_code", [])
        if not isinstance(why_code, list) or not all(isinstance(why, str) for why in why_code):
            raise self._garbage("what it says of loading")
        if self._most_bytes is not None:
            said["why_code"] = [harmless(why) for why in why_code]
        self.seals = bool(said.get("seals"))
        self.is_loaded = True
        return said

    def infer(self, inputs: Mapping[str, NDArray[Any]], wanted: tuple[str, ...], seconds: float | None) -> Any:
        """Returns the outputs by name. Raises what the model raised, or WorkerError."""
        try:
            request = self._asked(inputs, wanted, seconds)
        except WorkerError as error:
            # the worker has not seen this call: another may answer it
            error.was_taken = False
            raise
        return self._finish(request, seconds)

    def _asked(self, inputs: Mapping[str, NDArray[Any]], wanted: tuple[str, ...], seconds: float | None) -> Request:
        if self._owed is not None and not self._is_reading:
            # a call before was interrupted; its answer comes first
            self._finish(self._owed, seconds, drop=True)
        with self._sending:
            is_half_sent = self._is_writing or self._is_sealing
        if is_half_sent or self._is_reading:
            what = "it was sent" if is_half_sent else "its answer was read"
            raise self._stopped(f"its worker was killed, since a call was interrupted while {what}", "died")
        request = self._requests.of(inputs, wanted)
        self._is_writing = True
        if self._plans_told < len(self._requests.plans) or self._chunks_told < len(self._memory.arena.chunks):
            self._tell()
        self._write(request)
        self._owed = request
        self._is_writing = False
        return request

    def seal(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Tells of arrays that are written, while others are not, also while a call is on its way: they are for the
        next one. Beyond so many that no call has taken, they are not told."""
        if len(self._sealed) >= _MOST_SEALED:
            return
        request = self._requests.of(inputs, ())
        with self._sending:
            if self._is_sealing:
                return
            # Ctrl-C in the middle would leave half a message, or have a chunk sent twice
            self._is_sealing = True
            self._tell()
            # the call that they are for: one that has begun has no use for them, and the worker may hear of it first
            number = self._number + 1
            # the worker reads them meanwhile: nothing else is built there, though the call may never come
            self._sealed.append((number, request.keep))
            self._send(wire.SEAL, wire.pack([number]) + request.body)
            self._is_sealing = False

    @property
    def beats(self) -> int:
        """How often the worker has counted, about every two seconds while its Python lives."""
        return int(self._control.memory[wire.BEAT : wire.BEAT + 8].cast("Q")[0])

    def close(self, seconds: float) -> None:
        """Lets the worker end by itself, and kills it if it does not."""
        self.on_lost = None
        with suppress(WorkerError):
            self._send(wire.CLOSE)
        if not self.process.over.wait(seconds):
            self.process.kill()
            self.process.over.wait(_GRACE_S)
        self.forget()

    def forget(self) -> None:
        """Closes descriptors; memory stays mapped as long as an array lies in it."""
        self._connection.close()
        self._control.close_descriptor()
        with self._forgetting:
            self._is_forgotten = True
            self._close_descriptors()

    def _tell(self) -> None:
        """Sends the plans and chunks that the worker does not know yet."""
        plans, chunks = self._requests.plans, self._memory.arena.chunks
        with self._sending:
            while self._plans_told < len(plans):
                self._send(wire.PLAN, plans[self._plans_told])
                self._plans_told += 1
            while self._chunks_told < len(chunks):
                self._send(wire.CHUNK, descriptors=[chunks[self._chunks_told].descriptor])
                self._chunks_told += 1

    def _write(self, request: Request) -> None:
        body = request.body
        memory, head = self._control.memory, wire.HEAD
        kind = wire.INFER
        if len(body) > wire.SLOT_BYTES - head.size - 8 * _MOST_RETURNED:
            self._send(wire.BODY, body)
            kind, body = kind | wire.BY_SOCKET, b""
        returned = self._outputs.given_back(_MOST_RETURNED)
        self._number += 1
        begin = wire.REQUEST + head.size
        head.pack_into(memory, wire.REQUEST, self._number, kind, 0, len(body), len(returned))
        memory[begin : begin + len(body)] = body
        if returned:
            begin += len(body)
            memory[begin : begin + 8 * len(returned)] = wire.pack(returned)
        self._is_posted = self._ended is None
        if self._is_posted:
            self._to_worker.post()

    def _finish(self, request: Request, seconds: float | None, drop: bool = False) -> Any:
        """Waits for the last answer and reads it. Ctrl-C leaves it owed: the next call does that first."""
        if drop:
            self._wait_for_owed(seconds)
        else:
            self._wait(seconds)
        while self._sealed and self._sealed[0][0] <= self._number:
            self._sealed.popleft()
        memory, head = self._control.memory, wire.HEAD
        number, kind, plan, nbytes, messages = head.unpack_from(memory, wire.REPLY)
        if number != self._number:
            raise self._garbage(f"request {number} where {self._number} was asked")
        if messages > _MOST_MESSAGES:
            raise self._garbage(f"{messages} messages")
        if messages and self._heard != number:
            deadline = time.monotonic() + _GRACE_S
            self._is_reading = True
            self._bodies.clear()
            for _ in range(messages):
                self._take(deadline)
            self._heard = number
            self._is_reading = False
        if kind & wire.BY_SOCKET:
            if not self._bodies:
                raise self._garbage("a reply without a body")
            body = self._bodies[0]
        elif nbytes > wire.SLOT_BYTES - head.size:
            raise self._garbage(f"a reply of {nbytes} bytes")
        else:
            begin = wire.REPLY + head.size
            body = bytes(memory[begin : begin + nbytes])
        kind &= ~wire.BY_SOCKET
        if kind == wire.ERROR:
            said = self._object(body)
            try:
                self._hold(request, said.get("held"), said.get("given_up"))
            except (TypeError, ValueError) as error:
                raise self._garbage(f"what it holds, which makes no sense ({error})") from error
            self._owed = None
            if drop:
                return None
            raise self._raised(said)
        if kind != wire.RESULT:
            raise self._garbage(f"a reply of kind {kind}")
        try:
            answer = self._outputs.read(plan, body)
            if answer.held or answer.given_up:
                self._hold(request, answer.held, answer.given_up)
            # not later: its blocks are given back once, by the arrays that are made now
            self._owed = None
            return self._outputs.arrays(answer)
        except (LookupError, TypeError, ValueError, OverflowError, MemoryError, struct.error) as error:
            raise self._garbage(f"outputs that make no sense ({error})") from error

    def _wait(self, seconds: float | None) -> None:
        wait = self._answered.wait
        if seconds is None:
            if not wait(_LOOK_S):
                self._wait_on(math.inf, seconds)
        else:
            deadline = time.monotonic() + seconds
            if not wait(max(min(seconds, _LOOK_S), 0)):
                self._wait_on(deadline, seconds)
        if self._ended is not None:
            died = self._died()
            # over before it looked at this request: another worker may answer it
            died.was_taken = self._is_posted and not self._to_worker.take_back()
            raise died

    def _wait_on(self, deadline: float, seconds: float | None) -> None:
        silence = _Silence(self._heartbeat_timeout_s)
        while self._ended is None:
            left = deadline - time.monotonic()
            self._require_alive(silence, left, seconds)
            if self._answered.wait(min(left, _LOOK_S)):
                return

    def _require_alive(self, silence: _Silence, left_s: float, seconds: float | None) -> None:
        if left_s <= 0:
            raise self._stopped(f"its worker did not answer within {seconds:g} s and was killed", "timeout")
        if silence.is_over(self.beats):
            lost = f"its worker has given no sign of life for {self._heartbeat_timeout_s:g} s and was killed"
            raise self._stopped(lost, "timeout")

    def _wait_for_owed(self, seconds: float | None) -> None:
        """Ctrl-C may have come when the answer's post was taken: then its number alone says that it is there."""
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        silence = _Silence(self._heartbeat_timeout_s)
        while not self._answered.wait(_OWED_S) and self._ended is None:
            if wire.HEAD.unpack_from(self._control.memory, wire.REPLY)[0] == self._number:
                # in case that it was posted just now
                self._answered.wait(_OWED_S)
                break
            self._require_alive(silence, deadline - time.monotonic(), seconds)
        if self._ended is not None:
            raise self._died()

    def _hold(self, request: Request, held: Any, given_up: Any) -> None:
        """What the model holds on to is not built into again, until it lets go or its process has ended."""
        if held:
            self._held[self._number] = request.keep
            if self._most_bytes is not None:
                # a copy: where it has ended, the keeper's thread clears it
                held_bytes = sum(array.nbytes for keep in list(self._held.values()) for array in keep)
                if held_bytes > self._most_bytes:
                    raise ValueError(f"it holds {held_bytes} bytes of its inputs")
        for number in given_up or ():
            if not isinstance(number, int):
                raise ValueError(f"request {number!r}")
            self._held.pop(number, None)
        if self._ended is not None:
            self._held.clear()

    def _take(self, deadline: float) -> None:
        """Reads one message that comes before a reply."""
        kind, body, descriptors = self._receive("died", deadline)
        # no call between here and what closes them: Ctrl-C comes in calls
        try:
            self._take_message(kind, body, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _take_message(self, kind: int, body: bytes, descriptors: list[int]) -> None:
        if kind == wire.CHUNK and len(descriptors) == 1:
            try:
                self._outputs.map(descriptors[0])
            except ValueError as error:
                raise self._garbage(str(error)) from error
            return
        if descriptors:
            raise self._garbage(f"a message of kind {kind} with descriptors")
        if kind == wire.BODY and not self._bodies:
            self._bodies.append(body)
        elif kind == wire.PLAN:
            said = self._object(body)
            try:
                self._outputs.learn(said["plan"], said["rows"])
            except (KeyError, TypeError, ValueError) as error:
                raise self._garbage(f"outputs that make no sense ({error})") from error
        else:
            raise self._garbage(f"a message of kind {kind}")

    def _send(self, kind: int, body: Any = b"", descriptors: Sequence[int] = ()) -> None:
        try:
            with self._sending:
                wire.send(self._connection, kind, body, descriptors)
        except (wire.Closed, OSError) as error:
            raise self._died(error) from None

    def _receive(self, reason: str, deadline: float) -> tuple[int, bytes, list[int]]:
        try:
            found: tuple[int, bytes, list[int]] = wire.receive(self._connection, wire.MOST_REPLY_BYTES, deadline)
            return found
        except ValueError as error:
            raise self._garbage(str(error)) from error
        except TimeoutError:
            raise self._garbage("less than it had announced") from None
        except (wire.Closed, OSError) as error:
            raise self._died(error, reason) from None

    def _object(self, body: bytes) -> dict[str, Any]:
        try:
            found = json.loads(body)
        except (ValueError, RecursionError, MemoryError) as error:
            raise self._garbage("what is not JSON") from error
        if not isinstance(found, dict):
            raise self._garbage("JSON that is not an object")
        return found

    def _raised(self, said: Any) -> BaseException:
        """Returns the error that a worker reports."""
        try:
            if self._most_bytes is not None:
                said = {name: harmless(value) if isinstance(value, str) else value for name, value in said.items()}
            return raised_again(said)
        except (AttributeError, TypeError, ValueError):
            return self._garbage("an error that makes no sense")

    def _died(self, error: BaseException | None = None, reason: str = "died") -> WorkerError:
        if not self.process.over.wait(_GRACE_S):
            return self._stopped(f"its worker does not listen any more ({error})", reason)
        ended = self.process.ended
        assert ended is not None
        what = "its worker could not start" if reason == "start" else "its worker ended"
        return WorkerError(f"{what}: {ended}", reason, ended.status, ended.signal, ended.lines)

    def _stopped(self, message: str, reason: str) -> WorkerError:
        self.process.kill()
        self.process.over.wait(_GRACE_S)
        lines = self.process.lines
        return WorkerError(f"{message}{f' ({lines[-1]})' if lines else ''}", reason, stderr=lines)

    def _garbage(self, what: str) -> WorkerError:
        return self._stopped(f"its worker answered {what}, which makes no sense, and was killed", "garbage")


_open: weakref.WeakSet[Channel] = weakref.WeakSet()


def _forget() -> None:
    """In a forked child: a worker that no parent's signal ends, behind a command, ends when nobody has its socket."""
    for channel in list(_open):
        channel._connection.close()


os.register_at_fork(after_in_child=_forget)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends
