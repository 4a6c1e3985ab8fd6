"""Memory that two processes share: anonymous files, blocks within them, and semaphores that wake the other side.

An anonymous file (memfd) has no name, so nothing is left behind however its owners end. It is passed on as a descriptor
and sealed against shrinking: a peer cannot take pages away from under the other's feet.
"""

import ctypes
import fcntl
import mmap
import os
import select
import time
from collections import deque
from contextlib import suppress
from threading import Lock
from typing import Deque, Dict, List, Optional, Sequence, Set, Tuple

__all__ = ["ALIGNMENT", "Arena", "Bell", "Chunk", "Place", "Signal", "WAITS", "block_bytes", "make_file"]

ALIGNMENT = 64
"""Bytes: every block starts at a multiple."""
_PAGE = mmap.PAGESIZE
_CHUNK_BYTES = 64 << 20
"""Of a new chunk, at least. Pages that nobody touches cost nothing."""
_KEEP_BYTES = 1 << 30
"""How many bytes of free blocks keep their pages; beyond it the largest give them back, until half of it is left."""

_F_ADD_SEALS, _F_GET_SEALS = 1033, 1034
_SEALS = 1 | 2 | 4
"""No more seals, no shrinking, no growing."""
_SHRINK = 2
_MFD_CLOEXEC, _MFD_ALLOW_SEALING = 1, 2
_SYS_MEMFD_CREATE = {"x86_64": 319, "aarch64": 279}

Place = Tuple[int, int]
"""Of a block: the number of its chunk, its first byte in there."""

_libc = ctypes.CDLL(None, use_errno=True)
# without letting go of the interpreter's lock: they take less time than that would
_quick = ctypes.PyDLL(None)


def make_file(name: str, nbytes: int) -> int:
    """Returns the descriptor of an anonymous file of that size, sealed against shrinking. Raises OSError."""
    flags = _MFD_CLOEXEC | _MFD_ALLOW_SEALING
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name, flags)
    else:
        descriptor = _libc.syscall(_SYS_MEMFD_CREATE[os.uname().machine], name.encode(), flags)
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    try:
        os.ftruncate(descriptor, nbytes)
        fcntl.fcntl(descriptor, _F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_sealed(descriptor: int) -> bool:
    """Returns whether a descriptor is an anonymous file that nobody can shrink."""
    try:
        return bool(fcntl.fcntl(descriptor, _F_GET_SEALS) & _SHRINK)
    except OSError:
        return False


class Chunk(object):
    """One anonymous file, mapped."""

    def __init__(self, descriptor: int, owns: bool = True) -> None:
        """owns: whether it closes the descriptor, which the map does not need."""
        self.descriptor = descriptor if owns else -1
        self.nbytes = os.fstat(descriptor).st_size
        self.map = mmap.mmap(descriptor, self.nbytes)
        self.memory = memoryview(self.map)
        """Of this and nothing else are arrays made: they keep it, and it keeps the map."""
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.map))

    def close_descriptor(self) -> None:
        """The map stays: it goes with the last array over it."""
        # first it is nobody's: Ctrl-C between two lines must not have it closed twice
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        if getattr(self, "descriptor", -1) >= 0:
            self.close_descriptor()

    def discard(self, offset: int, nbytes: int) -> bool:
        """Gives whole pages back to the system, and returns whether it took them; they hold zeros then."""
        if nbytes and offset % _PAGE == nbytes % _PAGE == 0 and hasattr(self.map, "madvise"):
            with suppress(OSError, AttributeError):
                self.map.madvise(mmap.MADV_REMOVE, offset, nbytes)
                return True
        return False


def block_bytes(nbytes: int) -> int:
    """Returns the size of block that is used for so many bytes: a multiple of 64, or of a page with at most a quarter
    more than was asked for, so that what comes back fits what is asked for next."""
    if nbytes <= _PAGE:
        return max(-(-nbytes // ALIGNMENT) * ALIGNMENT, ALIGNMENT)
    step = max(1 << (nbytes.bit_length() - 3), _PAGE)
    return -(-nbytes // step) * step


class Arena(object):
    """Blocks in chunks that this process makes. Only it allocates here; the other process maps the same chunks."""

    def __init__(self, name: str, chunk: Optional[Chunk] = None) -> None:
        """chunk: all the memory that there is, where this process may make none."""
        self._name = name
        self._is_fixed = chunk is not None
        self._lock = Lock()
        self._next = 0
        self._end = 0 if chunk is None else chunk.nbytes
        self._free: Dict[int, List[Place]] = {}
        self._free_bytes = 0
        self._bare: Set[Place] = set()
        self._sizes: Dict[Place, int] = {}
        self.chunks: List[Chunk] = [] if chunk is None else [chunk]
        self.returned: Deque[Place] = deque()
        """Blocks (chunk, offset) that are no longer used: whoever lets go of one appends it, in any thread."""

    def allocate(self, nbytes: int) -> Tuple[Place, bool]:
        """Returns the place of a block of at least so many bytes, and whether it is new and so holds zeros.

        Raises MemoryError where the system has no more.
        """
        with self._lock:
            return self._allocate(block_bytes(nbytes))

    def allocate_all(self, sizes: Sequence[int]) -> Tuple[Place, ...]:
        """Returns the places of blocks of these sizes, which `block_bytes` gave."""
        places = []
        try:
            with self._lock:
                for size in sizes:
                    place, _ = self._allocate(size)
                    places.append(place)
        except BaseException:
            self.returned.extend(places)
            raise
        return tuple(places)

    def _allocate(self, size: int) -> Tuple[Place, bool]:
        if self.returned:
            self._take_back()
        free = self._free.get(size)
        is_new = not free
        if free:
            place = free.pop()
            if place in self._bare:
                self._bare.remove(place)
            else:
                self._free_bytes -= size
        else:
            place = self._carve(size)
        self._sizes[place] = size
        return place, is_new

    @property
    def used_bytes(self) -> int:
        """Bytes in blocks that are in use."""
        with self._lock:
            self._take_back()
            return sum(self._sizes.values())

    def close(self) -> None:
        with self._lock:
            for chunk in self.chunks:
                chunk.close_descriptor()

    def _carve(self, size: int) -> Place:
        if self._is_fixed:
            self._make_room(size)
        elif self._next + size > self._end:
            try:
                made = Chunk(make_file(self._name, max(_CHUNK_BYTES, -(-size // _PAGE) * _PAGE)))
            except (OSError, ValueError) as error:
                raise MemoryError("no shared memory for {} bytes: {}".format(size, error)) from error
            self.chunks.append(made)
            self._next, self._end = 0, made.nbytes
        if size >= _PAGE:
            self._next = -(-self._next // _PAGE) * _PAGE
            if self._next + size > self._end:
                self._next = self._end
                return self._carve(size)
        place = (len(self.chunks) - 1, self._next)
        self._next += size
        return place

    def _make_room(self, size: int) -> None:
        """Begins anew in the largest gap between blocks that are in use, where what the only chunk has left is used up:
        sizes that change with every call leave free blocks that fit nothing else."""
        if self._next + size + _PAGE <= self._end:
            return
        self._free, self._free_bytes = {}, 0
        self._bare.clear()
        most = self.chunks[0].nbytes
        begin, gap = 0, (0, 0)
        used = sorted([(offset, nbytes) for (_, offset), nbytes in self._sizes.items()])
        for offset, nbytes in [*used, (most, 0)]:
            begin = -(-begin // _PAGE) * _PAGE
            gap = max(gap, (offset - begin, begin))
            begin = offset + nbytes
        self._next, self._end = gap[1], sum(gap)
        if size > gap[0]:
            raise MemoryError("no shared memory for {} bytes; there are {} in all".format(size, most))

    def _take_back(self) -> None:
        while self.returned:
            place = self.returned.popleft()
            size = self._sizes.pop(place, None)
            # what a peer gives back twice, or makes up, is not ours
            if size is not None:
                self._free.setdefault(size, []).append(place)
                self._free_bytes += size
        if self._free_bytes > _KEEP_BYTES:
            self._trim(_KEEP_BYTES // 2)

    def _trim(self, most_bytes: int) -> None:
        """Lets the pages of the largest free blocks go. The blocks stay: what is not touched takes no memory."""
        for size in sorted(self._free, reverse=True):
            if self._free_bytes <= most_bytes or size < _PAGE:
                return
            for place in self._free[size]:
                if place not in self._bare:
                    self.chunks[place[0]].discard(place[1], size)
                    self._bare.add(place)
                    self._free_bytes -= size

    def free_pages(self) -> None:
        """Lets the pages of all free blocks go, but for those that are smaller than a page."""
        with self._lock:
            self._take_back()
            self._trim(0)


for _function in (_quick.sem_post, _quick.sem_trywait, _libc.sem_init):
    _function.restype = ctypes.c_int
_quick.sem_post.argtypes = (ctypes.c_void_p,)
_quick.sem_trywait.argtypes = (ctypes.c_void_p,)
_libc.sem_init.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint)
_post, _try_wait = _quick.sem_post, _quick.sem_trywait
_yield = getattr(os, "sched_yield", lambda: time.sleep(0))

WAITS = ("adaptive", "poll", "sleep")
_POLLS = {"sleep": 0, "adaptive": 150, "poll": 20000}
"""How often is looked before sleeping; each look gives the processor to whoever wants it."""
_LONGEST_SLEEP_S = 0.25
"""A wake-up that goes astray costs this, and no more."""
_QUICK_S = 250e-6
_SLEEPS = 32
"""Bytes behind the semaphore: whether who waits for it sleeps."""


class Signal(object):
    """A semaphore of the C library, in shared memory: posted once for each message, waited for once.

    Who has looked in vain for a while sleeps on a pipe: the system runs whoever a pipe wakes where its waker runs; who
    sleeps on a semaphore is woken on another processor, which takes ten times as long.
    """

    def __init__(self, chunk: Chunk, offset: int, wait: str, descriptor: int, make: bool = False) -> None:
        """descriptor: of the pipe, to read for who waits, to write for who posts."""
        self._chunk = chunk
        self._at = chunk.address + offset
        self._sleeps = chunk.memory[offset + _SLEEPS : offset + _SLEEPS + 1]
        self._polls = range(_POLLS[wait])
        self._adapts = wait == "adaptive"
        self._was_quick = True
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        if make and _libc.sem_init(self._at, 1, 0):
            raise OSError(ctypes.get_errno(), "no semaphores that processes share")

    def post(self) -> None:
        _post(self._at)
        try:
            if self._sleeps[0]:
                os.write(self._descriptor, b"!")
        except OSError:
            # full, of wake-ups that nobody has read; or nobody is there to read them
            pass

    def take_back(self) -> bool:
        """Returns whether the last post was not waited for, and now never will be."""
        return not _try_wait(self._at)

    def wait(self, seconds: float) -> bool:
        """Returns whether the other side posted before so many seconds were over.

        Ctrl-C comes through. Looking is worth its time only where answers came quickly before.
        """
        at = self._at
        if self._was_quick or not self._adapts:
            for _ in self._polls:
                if not _try_wait(at):
                    return True
                _yield()
        elif not _try_wait(at):
            return True
        return self._sleep(at, seconds)

    def _sleep(self, at: int, seconds: float) -> bool:
        begin = time.monotonic()
        end = begin + seconds
        try:
            while True:
                self._sleeps[0] = 1
                # looked at after that was written, so that a post in between is not missed
                if not _try_wait(at):
                    break
                left = end - time.monotonic()
                if left <= 0:
                    self._was_quick = False
                    return False
                if self._poll.poll(min(left, _LONGEST_SLEEP_S) * 1e3):
                    os.read(self._descriptor, 4096)
        finally:
            self._sleeps[0] = 0
        self._was_quick = time.monotonic() - begin < _QUICK_S
        return True


class Bell(object):
    """What Signal does, through a pipe alone, for a worker that is not trusted: it could write nonsense into a
    semaphore, and then the C library ends the process that posts to it or waits for it."""

    def __init__(self, wait: str, descriptor: int) -> None:
        """descriptor: of the pipe, which does not block: to read for who waits, to write for who posts."""
        self._descriptor = descriptor
        self._polls = range(_POLLS[wait])
        self._adapts = wait == "adaptive"
        self._was_quick = True
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def post(self) -> None:
        # full, of wake-ups that nobody has read; or nobody is there to read them
        with suppress(OSError):
            os.write(self._descriptor, b"!")

    def wait(self, seconds: float) -> bool:
        """Returns whether the other side posted before so many seconds were over."""
        if self._was_quick or not self._adapts:
            for _ in self._polls:
                if self._rang(0):
                    return True
                _yield()
        begin = time.monotonic()
        end = begin + seconds
        while not self._rang(max(min(end - time.monotonic(), _LONGEST_SLEEP_S), 0)):
            if time.monotonic() >= end:
                self._was_quick = False
                return False
        self._was_quick = time.monotonic() - begin < _QUICK_S
        return True

    def take_back(self) -> bool:
        """Whether it was waited for is not known here, so it counts as such."""
        return False

    def _rang(self, seconds: float) -> bool:
        if not self._poll.poll(seconds * 1e3):
            return False
        try:
            return bool(os.read(self._descriptor, 1))
        except BlockingIOError:
            return False
