"""A stage: one step of a lane. It runs once per frame, however many tensors need it."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar

from numpy.typing import NDArray

from perceptum.plural import counted

from .crew import Crew
from .sample import Sample
from .written import Written

if TYPE_CHECKING:
    # a stage itself
    from .augment.augment import Augment
    from .cache.tensor_cache import TensorCache

__all__ = ["Clearing", "Filler", "Stage", "Stages", "closure"]

S = TypeVar("S", bound="Stage")
Item = TypeVar("Item")

Clearing = Literal["before", "whole", "own"]
"""before: the memory is cleared before `fill`; whole: `fill` writes every element; own: `fill` clears what `written`
says, and keeps it up to date."""


class Stage:
    """Something computed from a sample and shared by what needs it. A subclass says what in `run`.

    It belongs to one lane, and so to one frame at a time: scratch and results may be kept on the stage itself. A
    subclass with an `__init__` of its own need not call this one's.
    """

    title: str = ""
    """For `explain` and messages; the class's name in words, where a subclass says nothing."""
    needs: tuple[Stage, ...] = ()
    """The stages whose results this one reads, which run before it: what it shares when it is made is added."""
    dropped: dict[str, int]
    """What this stage left out of the last frame, by reason."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        stage = super().__new__(cls)
        stage.dropped = {}
        # FreeRange: free range
        stage.title = cls.title or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", cls.__name__).strip("_").lower()
        return stage

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.title}>"

    def run(self, sample: Sample) -> None:
        """Computes this stage for a sample; the stages it needs have run."""

    @property
    def nbytes(self) -> int:
        """The size of the working memory."""
        return 0


class Filler(Stage):
    """A stage that fills the tensors of one group of features. It is made as Filler(params, stages), and keeps both; a
    subclass that shares other stages does it in an `__init__` of its own."""

    group: str = ""
    """The name of its group, which the lane sets: `builders/table.py` says it of ours, a plug-in's group names its
    filler."""
    device: ClassVar[str] = "cpu"
    strided: ClassVar[frozenset[str]] = frozenset()
    """The features whose `fill` can write an `out` whose rows do not lie side by side, as places of a batch may."""

    def __init__(self, params: Any = None, stages: Stages | None = None) -> None:
        self.params = params
        self.stages = stages

    def want(self, feature: str, dtype: str) -> None:
        """Called when the lane is made, once for each tensor of the group that will be asked for."""

    def sizes(self) -> Mapping[str, int]:
        """Returns the frame's own sizes, after `run`: {"num_voxels": 24093}.

        After `fill` it may say fewer rows than before, of a tensor whose rows were not counted first: the others are
        cut off.
        """
        return {}

    def clearing(self, feature: str) -> Clearing:
        """Returns who clears a tensor's memory. The default is right for every `fill`, and the slowest."""
        return "before"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        """Writes a tensor of the group. Where `out` is not written it must hold the feature's fill value: see
        `clearing`.

        `out` may have fewer rows than `sizes()` said, where a spec fixes their number (write the first), or more (leave
        the fill value).
        """
        raise NotImplementedError


class Stages:
    """The stages of a lane, in an order in which they can run; asking twice for the same gives the same."""

    def __init__(
        self,
        crew: Crew,
        said: dict[Hashable, object],
        augment: Augment | None = None,
        pictures: TensorCache | None = None,
    ) -> None:
        self._crew = crew
        self._said = said
        self.augment = augment
        """What may happen to samples that have a draw; what does happen is in the stage `Drawn`."""
        self.pictures = pictures
        """Where pictures are kept as they are decoded; None: they are decoded each time."""
        self._stages: dict[Hashable, Stage] = {}
        self._taken: dict[Stage, None] = {}
        """What the stage that is being made has asked for."""

    def __repr__(self) -> str:
        return f"<Stages: {len(self._stages)} so far, {counted(self.threads, 'thread')}>"

    @property
    def threads(self) -> int:
        """The thread budget of a build."""
        return self._crew.threads

    @property
    def spare_threads(self) -> int:
        """How many threads beside this one have nothing to do at the moment; no byte may depend on it."""
        return self._crew.spare

    def share(self, make: Callable[..., S], *key: Hashable) -> S:
        """Returns the stage make(*key, self), made once per key. What is made meanwhile needs it, and runs after it."""
        where = (make, *key)
        if where not in self._stages:
            taken = self._taken
            self._taken = {}
            try:
                stage = make(*key, self)
                known = closure(stage)
                stage.needs = (*stage.needs, *(other for other in self._taken if other not in known))
            finally:
                self._taken = taken
            self._stages[where] = stage
        found = self._stages[where]
        self._taken[found] = None
        return found  # type: ignore[return-value]

    def each(self, work: Callable[[Item], object], items: Iterable[Item]) -> None:
        """Calls `work` on every item, within the thread budget: in turn with one thread, else side by side.

        For use within `run` and `fill`, with work that spends its time in kernels. No byte may depend on the order.
        """
        self._crew.each(work, items)

    def first_time(self, what: Hashable) -> bool:
        """Whether this is asked for the first time in a builder's life, by whichever of its lanes: a warning that every
        frame would repeat is said once."""
        # one step, since lanes and stages ask at once
        own = object()
        return self._said.setdefault(what, own) is own

    def finish(self) -> tuple[Stage, ...]:
        """Returns the stages in an order in which they can run, and forgets them.

        Stages keep this for `each`: if it kept them in turn, a lane's scratch would wait for the collector.
        """
        # not as they were made: a stage may learn later that it needs another
        ordered: dict[Stage, None] = {}
        for stage in self._stages.values():
            _after_needs(stage, ordered)
        self._stages, self._taken = {}, {}
        return tuple(ordered)


def _after_needs(stage: Stage, ordered: dict[Stage, None]) -> None:
    """Adds what a stage needs, and then the stage."""
    if stage not in ordered:
        for need in stage.needs:
            _after_needs(need, ordered)
        ordered[stage] = None


def closure(stage: Stage) -> set[Stage]:
    """Returns a stage and all that it needs, directly or through others."""
    found = {stage}
    for need in stage.needs:
        found |= closure(need)
    return found
