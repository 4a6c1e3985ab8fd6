"""What the two sides say to each other, and how it lies in bytes.

A request and its reply are written into a slot of shared memory, where there is room for a few thousand tensors: only
numbers, 64 bits each. What is large or rare goes over a socket, before the message that needs it: the order, names and
types (a plan), new chunks with their descriptors, errors.
"""

import array
import json
import os
import socket
import struct
import time
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple, Union

__all__ = [
    "BEAT",
    "BEAT_S",
    "BODY",
    "BY_SOCKET",
    "CHUNK",
    "CHUNK_MASK",
    "CLOSE",
    "CONTROL_BYTES",
    "Closed",
    "ENDED",
    "ERROR",
    "HEAD",
    "INFER",
    "LOADED",
    "MOST_REPLY_BYTES",
    "ORDER",
    "PLAN",
    "READ_ONLY",
    "REPLY",
    "REQUEST",
    "RESULT",
    "SEAL",
    "SLOT_BYTES",
    "TEXT",
    "TO_PARENT",
    "TO_WORKER",
    "VERSION",
    "WORKER",
    "pack",
    "receive",
    "send",
    "unpack",
]

VERSION = 1
"""Of all this. A worker of another version is refused."""

SLOT_BYTES = 256 << 10
TO_WORKER, TO_PARENT = 0, 64
"""Where the semaphores lie in the control file."""
BEAT = 128
"""Where the worker counts, every two seconds, while its interpreter is alive."""
BEAT_S = 2.0
REQUEST = 4096
REPLY = REQUEST + SLOT_BYTES
CONTROL_BYTES = REPLY + SLOT_BYTES

HEAD = struct.Struct("<QIIII")
"""Request's number, kind, plan (of a reply; a request's is in its body), bytes of the body, a count: of blocks that are
given back (request), of messages on the socket to read first (reply)."""
INFER, RESULT, ERROR = 1, 2, 3
BY_SOCKET = 0x100
"""Added to the kind where the body is on the socket, being too large for the slot."""

# what comes over the socket
ORDER, LOADED, CHUNK, PLAN, BODY, SEAL, CLOSE = range(1, 8)
# what comes over the line of who listens for parents: a new worker's socket, and how it ended
WORKER, ENDED = 8, 9
_FRAME = struct.Struct("<IHH")
MOST_BYTES = 256 << 20
MOST_REPLY_BYTES = 16 << 20
"""Of what a worker sends: names and numbers, never a tensor."""
_MOST_DESCRIPTORS = 8

READ_ONLY = 1 << 32
TEXT = 2 << 32
"""Beside the chunk's number: an array that may not be written; offsets and bytes of UTF-8 text."""
CHUNK_MASK = (1 << 32) - 1


class Closed(Exception):
    """The other side is gone."""


def pack(numbers: Sequence[int]) -> bytes:
    """Returns numbers, of 64 bits each, as bytes."""
    return struct.pack("<%dQ" % len(numbers), *numbers)


def unpack(data: bytes) -> Tuple[int, ...]:
    return struct.unpack("<%dQ" % (len(data) // 8), data)


def send(
    connection: socket.socket, kind: int, body: Union[bytes, Dict[str, Any]] = b"", descriptors: Sequence[int] = ()
) -> None:
    """Sends a message, with descriptors if any; raises Closed."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    head = _FRAME.pack(len(body), kind, len(descriptors))
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    try:
        # without the signal, SIGPIPE, that ends a program which does not ignore it as Python does at first
        connection.sendmsg([head], ancillary, socket.MSG_NOSIGNAL)
        connection.sendall(body, socket.MSG_NOSIGNAL)
    except (BrokenPipeError, ConnectionError) as error:
        raise Closed(str(error)) from error


def receive(
    connection: socket.socket, most_bytes: int = MOST_BYTES, deadline: Optional[float] = None
) -> Tuple[int, bytes, List[int]]:
    """Returns (kind, body, descriptors); raises Closed at the end, ValueError for what is no message.

    deadline: of time.monotonic(), for all of it: the connection's own timeout is for each part. Raises socket.timeout.
    """
    ancillary_bytes = socket.CMSG_SPACE(_MOST_DESCRIPTORS * 4)
    got = []  # type: List[Any]
    try:
        # in one step, written in C, from the system to a list: Ctrl-C comes between two steps, and then what was
        # received would be nobody's, and its descriptors open for ever
        got.extend(map(connection.recvmsg, [_FRAME.size], [ancillary_bytes], [getattr(socket, "MSG_CMSG_CLOEXEC", 0)]))
        head, _, flags, _ = got[0]
        descriptors = _descriptors(got)
        head += _exactly(connection, _FRAME.size - len(head), deadline) if head else b""
        if len(head) < _FRAME.size:
            raise Closed("end of messages")
        nbytes, kind, wanted = _FRAME.unpack(head)
        if nbytes > most_bytes or wanted != len(descriptors) or flags & socket.MSG_CTRUNC:
            raise ValueError("a message of {} bytes with {} descriptors".format(nbytes, len(descriptors)))
        return kind, _exactly(connection, nbytes, deadline), descriptors
    except BaseException as error:
        for descriptor in _descriptors(got):
            os.close(descriptor)
        if isinstance(error, ConnectionError):
            raise Closed(str(error)) from error
        raise


def _descriptors(got: Iterable[Any]) -> List[int]:
    """Returns what came with received messages, as recvmsg gives them."""
    found = array.array("i")
    for _, ancillary, _, _ in got:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found.frombytes(data[: len(data) - len(data) % 4])
    return list(found)


def _exactly(connection: socket.socket, nbytes: int, deadline: Optional[float]) -> bytes:
    data = bytearray(nbytes)
    view = memoryview(data)
    while len(view):
        if deadline is not None and time.monotonic() > deadline:
            raise socket.timeout("a message that does not end")
        got = connection.recv_into(view)
        if not got:
            raise Closed("end in the middle of a message")
        view = view[got:]
    return bytes(data)
