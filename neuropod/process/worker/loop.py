"""Serves one model: waits for a request, runs the model on the parent's memory, writes what comes out into its own."""

import faulthandler
import json
import os
import socket
import sys
import threading
import traceback
from collections import OrderedDict
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple, Union

import numpy as np

from . import wire
from .shared import Arena, Bell, Chunk, Place, Signal
from .tensors import SMALL_BYTES, Layout, Plan, encoded, plain

__all__ = ["serve"]

_MOST_KEPT = 256
"""Requests whose views are kept: a builder's memory comes round again."""
_MOST_TEXT = 1 << 20
_GRACE_S = 10.0
"""How long a request waits for what its parent has sent before it."""

_Order = Dict[str, Any]
_Empty = Callable[[str, Sequence[int], Any], Any]
"""Name, shape, dtype -> an array."""
_Run = Callable[[Dict[str, Any], Tuple[str, ...]], Mapping[str, Any]]
"""Inputs, wanted outputs -> outputs: arrays by name."""


def serve(connection: socket.socket, order: _Order, descriptors: Sequence[int]) -> None:
    """Loads what the order says, answers requests, and ends when the parent's end of the socket closes.

    descriptors: of the control file, of the pipe that wakes this process, of the one that wakes its parent, and of the
        memory for outputs, where the parent has made it.
    """
    # a crash in a framework leaves its lines of Python among the last on stderr
    faulthandler.enable()
    worker = _Worker(connection, order, *descriptors)
    worker.start()
    worker.answer()


class _Kept(object):
    """A request's arrays over the parent's memory, and how many hold them when nobody else does."""

    __slots__ = ("arrays", "counted", "counts", "wanted")

    def __init__(self, wanted: Tuple[str, ...], arrays: Dict[str, Any], roots: List[Any]) -> None:
        self.wanted = wanted
        self.arrays = arrays
        self.counted = list(arrays.values()) + roots
        self.counts: List[int] = []

    def settle(self) -> None:
        self.counts = list(map(sys.getrefcount, self.counted))

    def is_held(self) -> bool:
        """Returns whether the model, or its framework, still has one of them."""
        return list(map(sys.getrefcount, self.counted)) != self.counts


class _Worker(object):
    def __init__(
        self,
        connection: socket.socket,
        order: _Order,
        control_file: int,
        woken: int,
        waking: int,
        outputs: Optional[int] = None,
    ) -> None:
        """outputs: the memory for all outputs, where this process may make none."""
        self._connection = connection
        self._order = order
        self._control = control = Chunk(control_file)
        control.close_descriptor()
        self._head = wire.HEAD
        self._requested: Union[Signal, Bell]
        self._answered: Union[Signal, Bell]
        if outputs is None:
            self._requested = Signal(control, wire.TO_WORKER, order["wait"], woken)
            self._answered = Signal(control, wire.TO_PARENT, order["wait"], waking)
            self._arena = Arena("perceptum outputs")
        else:
            self._requested, self._answered = Bell(order["wait"], woken), Bell(order["wait"], waking)
            self._arena = Arena("perceptum outputs", Chunk(outputs))
            self._arena.chunks[0].close_descriptor()
        self._chunks_told = len(self._arena.chunks)
        self._chunks: List[Chunk] = []
        self._plans: Dict[int, Plan] = {}
        self._bodies: List[bytes] = []
        self._arrived = threading.Condition()
        self._kept: "OrderedDict[bytes, _Kept]" = OrderedDict()
        self._held: Dict[int, Tuple[_Kept, List[int]]] = {}
        self._current: Optional[_Kept] = None
        self._unsent: List[Tuple[int, Union[bytes, Dict[str, Any]], Optional[Chunk]]] = []
        self._pid = os.getpid()
        self._out_plans: Dict[Tuple[Tuple[str, str, int], ...], int] = {}
        self._layouts: Dict[Any, Layout] = {}
        self._given: Dict[int, Tuple[Place, int]] = {}
        self._frees = bool(order.get("free_memory"))
        self._begins = threading.Lock()
        self._begun = 0
        self._runner: Any = None
        self._run: _Run

    def start(self) -> None:
        """Loads the model, and tells the parent of it, or why it cannot."""
        thread = threading.Thread(target=self._listen, name="perceptum control")
        thread.daemon = True
        thread.start()
        beat = threading.Thread(target=self._beat, name="perceptum heartbeat")
        beat.daemon = True
        beat.start()
        try:
            self._runner, said = _load(self._order)
            self._run = _run_of(self._runner, self._empty)
        except BaseException as error:
            wire.send(self._connection, wire.LOADED, {"error": _error(error)})
            os._exit(0)
        wire.send(self._connection, wire.LOADED, said)

    def _listen(self) -> None:
        """Takes what comes over the socket, also while the model runs. Without a parent there is nothing to do."""
        try:
            while True:
                kind, body, descriptors = wire.receive(self._connection)
                if kind == wire.CLOSE:
                    self._end()
                elif kind == wire.SEAL:
                    self._seal(body)
                else:
                    with self._arrived:
                        self._take(kind, body, descriptors)
                        self._arrived.notify_all()
        except wire.Closed:
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            self._fail("what it was sent makes no sense")

    def _fail(self, what: str) -> None:
        """Ends the process: no answer would be to what was asked."""
        sys.stdout.flush()
        sys.stderr.write("perceptum worker: {}; it ends\n".format(what))
        sys.stderr.flush()
        os._exit(1)

    def _take(self, kind: int, body: bytes, descriptors: Sequence[int]) -> None:
        if kind == wire.CHUNK:
            chunk = Chunk(descriptors[0])
            chunk.close_descriptor()
            self._chunks.append(chunk)
        elif kind == wire.PLAN:
            plan = json.loads(body.decode())
            self._plans[plan["plan"]] = Plan(plan, self._order["how"] == "hosted")
        elif kind == wire.BODY:
            self._bodies.append(body)
        else:
            self._fail("a message of kind {} is none for a worker that serves".format(kind))

    def _await(self, is_there: Callable[[], object], what: str) -> None:
        with self._arrived:
            if not self._arrived.wait_for(is_there, _GRACE_S):
                self._fail("a request without {}".format(what))

    def _end(self) -> None:
        try:
            if self._runner is not None:
                self._runner.close()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

    def _beat(self) -> None:
        """Counts while Python lives: what hangs in a framework's C code, or is stopped, counts no more."""
        beats = self._control.memory[wire.BEAT : wire.BEAT + 8].cast("Q")
        nap = threading.Event()
        while True:
            beats[0] += 1
            nap.wait(wire.BEAT_S)

    def _seal(self, body: bytes) -> None:
        """A tensor that is written, while others are not: the runner may begin to move it to where it computes."""
        seal = getattr(self._runner, "seal", None)
        if seal is None:
            return
        number, body = wire.unpack(body[:8])[0], body[8:]
        views = self._plan_of(body).views(body, self._chunk)[0]
        with self._begins:
            # a call that has begun does without: when it ends, this memory may be written
            if number > self._begun:
                try:
                    for name, array in views.items():
                        seal(name, array)
                except Exception:
                    # it was an offer; the call itself will say what is wrong
                    traceback.print_exc()

    def _chunk(self, number: int) -> Chunk:
        if number >= len(self._chunks):
            self._await(lambda: number < len(self._chunks), "its memory, chunk {}".format(number))
        return self._chunks[number]

    def answer(self) -> None:
        """Answers requests for ever; the thread that listens ends the process."""
        memory = self._control.memory
        head, begin = wire.HEAD, wire.REQUEST + wire.HEAD.size
        wait = self._requested.wait
        while True:
            if not wait(60.0):
                continue
            number, kind, _, nbytes, returned = head.unpack_from(memory, wire.REQUEST)
            if number != self._begun + 1 or kind & ~wire.BY_SOCKET != wire.INFER:
                self._fail("request {} of kind {} after request {}".format(number, kind, self._begun))
            if kind & wire.BY_SOCKET:
                self._await(lambda: self._bodies, "its body")
                body = self._bodies.pop(0)
                nbytes = 0
            else:
                body = bytes(memory[begin : begin + nbytes])
            if returned:
                places = wire.unpack(bytes(memory[begin + nbytes : begin + nbytes + 8 * returned]))
                self._arena.returned.extend([(place >> 48, place & ((1 << 48) - 1)) for place in places])
            with self._begins:
                self._begun = number
            failed = None
            try:
                plan, said = self._infer(body)
            except BaseException as error:
                failed = _error(error)
                # its frames hold the request's arrays
                traceback.clear_frames(error.__traceback__)
            if os.getpid() != self._pid:
                # the model forked, and this is the child that came back: the answer is its parent's to give
                os._exit(0)
            kept, self._current = self._current, None
            held = 0
            given_up: List[int] = []
            if self._held or (kept is not None and list(map(sys.getrefcount, kept.counted)) != kept.counts):
                held, given_up = self._look_who_holds(number, kept)
            if failed is not None:
                failed.update(held=held, given_up=given_up)
                self._reply(number, wire.ERROR, 0, json.dumps(failed).encode())
                continue
            if held or given_up:
                said = wire.pack([held, len(given_up), *given_up]) + said[16:]
            self._reply(number, wire.RESULT, plan, said)
            if self._frees:
                self._arena.free_pages()

    def _reply(self, number: int, kind: int, plan: int, body: bytes) -> None:
        if len(body) > wire.SLOT_BYTES - self._head.size:
            self._unsent.append((wire.BODY, body, None))
            kind, body = kind | wire.BY_SOCKET, b""
        memory = self._control.memory
        self._head.pack_into(memory, wire.REPLY, number, kind, plan, len(body), len(self._unsent))
        begin = wire.REPLY + self._head.size
        memory[begin : begin + len(body)] = body
        self._answered.post()
        if self._unsent:
            self._send_rest()

    def _send_rest(self) -> None:
        """After the post: the parent reads them only then, and the socket does not hold more than some 200 KB."""
        unsent, self._unsent = self._unsent, []
        for kind, body, chunk in unsent:
            wire.send(self._connection, kind, body, [chunk.descriptor] if chunk else ())
            if chunk:
                chunk.close_descriptor()

    def _infer(self, body: bytes) -> Tuple[int, bytes]:
        kept = self._kept.get(body)
        if kept is None:
            plan = self._plan_of(body)
            kept = _Kept(plan.wanted, *plan.views(body, self._chunk))
            # text is read out of memory that holds other text the next time
            if not plan.has_text:
                if len(self._kept) >= _MOST_KEPT:
                    self._kept.popitem(last=False)
                self._kept[body] = kept
            kept.settle()
        self._current = kept
        try:
            return self._put(self._run(kept.arrays, kept.wanted))
        finally:
            if self._given:
                self._give_back()

    def _plan_of(self, body: bytes) -> Plan:
        number = wire.unpack(body[:8])[0]
        if number not in self._plans:
            self._await(lambda: number in self._plans, "its plan, number {}".format(number))
        return self._plans[number]

    def _empty(self, name: str, shape: Sequence[int], dtype: Any) -> Any:
        """Returns an array in our memory, for a runner that can write an output where it is to lie."""
        dtype = np.dtype(dtype)
        nbytes = dtype.itemsize
        for size in shape:
            nbytes *= size
        if nbytes <= SMALL_BYTES:
            return np.empty(shape, dtype)
        place = self._arena.allocate(nbytes)[0]
        chunk = self._arena.chunks[place[0]]
        self._given[chunk.address + place[1]] = place, nbytes
        return np.ndarray(shape, dtype, chunk.memory, place[1])

    def _give_back(self) -> None:
        """Takes back what `_empty` gave and no output lies in."""
        self._arena.returned.extend([place for place, _ in self._given.values()])
        self._given.clear()

    def _places(self, layout: Layout, found: Mapping[str, Any]) -> Tuple[Place, ...]:
        """Returns the places of an answer's blocks, as `allocate_all` does: where an output lies already, that."""
        places: List[Optional[Place]] = [None] * len(layout.sizes)
        used: Set[int] = set()
        for array, block in zip(found.values(), layout.block_of):
            address = array.__array_interface__["data"][0]
            place, nbytes = self._given.get(address, (None, -1))
            # the same array under a second name is copied
            if block is not None and nbytes == array.nbytes and array.flags.c_contiguous and address not in used:
                places[block] = place
                used.add(address)
        made = iter(self._arena.allocate_all([size for place, size in zip(places, layout.sizes) if place is None]))
        # not before: where there is no more memory, all that was given comes back
        for address in used:
            del self._given[address]
        return tuple([next(made) if place is None else place for place in places])

    def _look_who_holds(self, number: int, kept: Optional[_Kept]) -> Tuple[int, List[int]]:
        """Returns whether the model, or its framework, still holds what this request gave it, and the earlier requests
        of which it holds nothing any more."""
        held = kept is not None and kept.is_held()
        given_up: List[int] = []
        for key, (other, requests) in list(self._held.items()):
            if other is not kept and not other.is_held():
                given_up += requests
                del self._held[key]
        if kept is not None and held:
            self._held.setdefault(id(kept), (kept, []))[1].append(number)
        elif kept is not None:
            given_up += self._held.pop(id(kept), (kept, []))[1]
        return int(held), given_up

    def _put(self, found: Mapping[str, Any]) -> Tuple[int, bytes]:
        """Returns (plan, what a reply says where nothing is held): the outputs lie in our memory then."""
        try:
            layout = self._layouts.get(tuple([(name, a.dtype, a.shape) for name, a in found.items()]))
        except (AttributeError, TypeError):
            layout = None
        if layout is None:
            try:
                found = {name: plain(name, value) for name, value in found.items()}
            except TypeError:
                _check(self._order, found)
                raise
            layout = self._laid_out(found)
        places = self._places(layout, found) if self._given else self._arena.allocate_all(layout.sizes)
        while self._chunks_told < len(self._arena.chunks):
            self._unsent.append((wire.CHUNK, b"", self._arena.chunks[self._chunks_told]))
            self._chunks_told += 1
        try:
            told = layout.told.get(places)
            if told is None:
                told = layout.put_at(places, self._arena.chunks)
            said, views = told
            for view, array in zip(views, found.values()):
                # which does nothing where an array is copied to where it lies
                np.copyto(view, encoded(array) if layout.has_text and array.dtype.kind == "U" else array)
        except BaseException:
            self._arena.returned.extend(places)
            raise
        return layout.plan, said

    def _laid_out(self, found: Mapping[str, Any]) -> Layout:
        """Returns the layout of outputs of these names, types and shapes."""
        rows = tuple([(n, "U" if a.dtype.kind == "U" else a.dtype.str, a.ndim) for n, a in found.items()])
        plan = self._out_plans.get(rows)
        if plan is None:
            plan = self._out_plans[rows] = len(self._out_plans)
            self._unsent.append((wire.PLAN, {"plan": plan, "rows": rows}, None))
        layout = Layout(plan, found)
        # how long text is does not follow of its shape
        if not layout.has_text:
            if len(self._layouts) >= _MOST_KEPT:
                self._layouts.clear()
            self._layouts[tuple([(n, a.dtype, a.shape) for n, a in found.items()])] = layout
        return layout


def _load(order: _Order) -> Tuple[Any, Dict[str, Any]]:
    """Returns (runner, what the parent is told of it)."""
    if order["how"] == "hosted":
        from perceptum.neuropod.process.hosted import load

        return load(order)
    from .runners import load as load_lean

    return load_lean(order)


def _run_of(runner: Any, empty: _Empty) -> _Run:
    """Returns what runs a model: a runner may know how to leave its outputs where `empty` makes room, or at least that
    they are copied at once, so that it need not."""
    run_into = getattr(runner, "run_into", None)
    return runner.run if run_into is None else lambda inputs, wanted: run_into(inputs, wanted, empty)


def _check(order: _Order, outputs: Any) -> None:
    """Outputs that cannot be sent are not what the spec says: raises that, in the words of a model in the parent."""
    if order["how"] == "hosted":
        from perceptum.neuropod.process.hosted import check

        check(order, outputs)


def _error(error: BaseException) -> Dict[str, Any]:
    """Returns an error as the parent raises it again: its class, what it says, and where it came from."""
    lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        text = str(error)
    except BaseException:
        text = None
    return {
        "kind": type(error).__name__,
        "ours": any("perceptum" in kind.__module__ and kind.__name__ == "NeuropodError" for kind in type(error).__mro__)
        or bool(getattr(error, "is_neuropod_error", False)),
        "text": text if text is None else text[:_MOST_TEXT],
        "traceback": lines[-20000:],
    }
