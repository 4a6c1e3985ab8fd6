"""What a stage is given: a frame and, in training, the draw from which its random choices follow."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

import numpy as np

from perceptum.inputs import Frame

__all__ = ["Draw", "Sample"]

_WORD = 2**64


@dataclass(frozen=True)
class Draw:
    """One sample of a training run. Equal draws make equal choices, on any machine and in any order."""

    seed: int
    epoch: int
    index: int
    """The sample's number within its epoch, not its place in a batch."""

    def __post_init__(self) -> None:
        for name in ("seed", "epoch", "index"):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not 0 <= value < _WORD:
                raise ValueError(f"a draw's {name} must be an integer from 0 to 2**64 - 1, got {value!r}")
            object.__setattr__(self, name, int(value))

    def random(self, purpose: str) -> np.random.Generator:
        """Returns the generator for one purpose: "flip", "drop_points".

        Philox (Salmon et al. 2011) keyed by seed and epoch, counting from index and purpose: a stage that draws more,
        less or not at all changes nothing that another stage draws.
        """
        words = hashlib.sha256(purpose.encode()).digest()[:8]
        counter = np.array([0, 0, self.index, int.from_bytes(words, "little")], dtype=np.uint64)
        key = np.array([self.seed, self.epoch], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(counter=counter, key=key))

    def numbers(self, purpose: str, n: int) -> list[float]:
        """Returns n numbers, uniform from 0 up to 1, of a purpose that draws a handful for each of many things.

        SHA-512 of the draw and the purpose, eight numbers of 53 bits at a time: a generator takes 12 us to make, and
        170 where pictures have filled the caches since the last one; this 3.
        """
        drawn = struct.pack("<3Q", self.seed, self.epoch, self.index) + purpose.encode()
        found: list[float] = []
        for block in range(-(-n // 8)):
            words = struct.unpack("<8Q", hashlib.sha512(struct.pack("<Q", block) + drawn).digest())
            found += [(word >> 11) * 2.0**-53 for word in words]
        return found[:n]


@dataclass(frozen=True)
class Sample:
    """A frame, and the draw in training; None at inference, where nothing is random."""

    frame: Frame
    draw: Draw | None = None
