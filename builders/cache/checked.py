"""Which tensors a process has compared with their checksums."""

from __future__ import annotations

from typing import Literal

__all__ = ["Check", "Checked"]

Check = Literal["always", "first", "never"]

_MOST = 1_000_000


class Checked:
    """Those that were as they were written when this process first used them."""

    def __init__(self) -> None:
        self._marks: set[int] = set()

    def __repr__(self) -> str:
        return f"<Checked: {len(self._marks)}>"

    def wants(self, check: Check, mark: int) -> bool:
        return check == "always" or (check == "first" and mark not in self._marks)

    def note(self, check: Check, mark: int) -> None:
        if check == "first":
            if len(self._marks) >= _MOST:
                self._marks.clear()
            self._marks.add(mark)
