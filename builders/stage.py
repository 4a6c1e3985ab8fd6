"""A stage: one step of a plan. It runs once per frame, however many tensors need it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, ClassVar, TypeVar

from numpy.typing import NDArray

from perceptum.inputs import Frame

__all__ = ["Dirty", "Filler", "Stage", "Stages"]

S = TypeVar("S", bound="Stage")
T = TypeVar("T")

Dirty = dict[str, Any]
"""What a filler remembers of a buffer it has written, so that it can clear only that. Empty: the buffer is all zero."""


class Stage:
    """Something computed from a frame and shared by what needs it. A subclass says what in `run`."""

    title: str = ""
    needs: tuple[Stage, ...] = ()

    def __init__(self) -> None:
        self.dropped: dict[str, int] = {}
        """What this stage left out of the last frame, by reason."""

    def run(self, frame: Frame) -> None:
        """Computes this stage for a frame; the stages it needs have run."""

    @property
    def nbytes(self) -> int:
        """The size of the working memory."""
        return 0


class Filler(Stage):
    """A stage that fills the tensors of one group of features."""

    group: ClassVar[str]

    def sizes(self) -> Mapping[str, int]:
        """Returns the frame's own sizes, after `run`: {"num_voxels": 24093}."""
        return {}

    def fill(self, feature: str, out: NDArray[Any], dirty: Dirty) -> None:
        """Writes a tensor of the group. Whatever in `out` is not zero, `dirty` tells, before and after."""
        raise NotImplementedError


class Stages:
    """The stages of a plan, in an order in which they can run; asking twice for the same gives the same."""

    def __init__(self, threads: int = 1) -> None:
        self._stages: dict[Hashable, Stage] = {}
        self.threads = threads
        """How many threads a build may use."""
        self._pool = ThreadPoolExecutor(threads - 1, "perceptum-each") if threads > 1 else None

    def each(self, work: Callable[[T], object], items: Iterable[T]) -> None:
        """Does the work for every item, side by side on the build's threads; this one takes part."""
        items = list(items)
        if self._pool is None or len(items) < 2:
            for item in items:
                work(item)
            return
        others = [self._pool.submit(work, item) for item in items[1:]]
        try:
            work(items[0])
        finally:
            wait(others)
        for other in others:
            other.result()

    def share(self, make: Callable[..., S], *key: Hashable) -> S:
        """Returns the stage make(*key, self), made once per key."""
        where = (make, *key)
        if where not in self._stages:
            stage = make(*key, self)
            self._stages[where] = stage
        return self._stages[where]  # type: ignore[return-value]

    @property
    def in_order(self) -> tuple[Stage, ...]:
        return tuple(self._stages.values())
