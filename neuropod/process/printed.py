"""What a worker prints that is not trusted: nothing that a terminal obeys, and not without end."""

from __future__ import annotations

import codecs
import time

__all__ = ["Printed", "harmless"]

_FIRST_BYTES = 1 << 20
_BYTES_PER_S = 64 << 10
_NOTE = b"\n[perceptum: the worker writes more than is passed on]\n"

# C0 and C1 but for tab and newline, and what turns the direction of text round
_OBEYED = [*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_HARMLESS = dict.fromkeys(_OBEYED, "?")


def harmless(text: str) -> str:
    """Returns text with a question mark for each character that moves a cursor, names a window, or worse."""
    return text.translate(_HARMLESS)


class Printed:
    """One worker's stderr."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._left_bytes = float(_FIRST_BYTES)
        self._looked_s = time.monotonic()
        self._is_noted = False

    def clean(self, data: bytes) -> bytes:
        """Returns what was read, which may begin and end within a character, without what a terminal obeys."""
        return harmless(self._decoder.decode(data)).encode()

    def passed_on(self, data: bytes) -> bytes:
        """Returns as much of it as may be passed on: a first mebibyte, and 64 KiB a second."""
        now = time.monotonic()
        self._left_bytes = min(self._left_bytes + (now - self._looked_s) * _BYTES_PER_S, _FIRST_BYTES)
        self._looked_s = now
        if len(data) <= self._left_bytes:
            self._left_bytes -= len(data)
            self._is_noted = False
            return data
        if self._is_noted:
            return b""
        self._is_noted = True
        return _NOTE
