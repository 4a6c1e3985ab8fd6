"""What a lane does with a cache: it looks a frame up, runs what is missing, and keeps what came of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

import xxhash
from numpy.typing import NDArray

from perceptum.features import fingerprint
from perceptum.inputs import Frame, Log

from ..augment.drawn import Drawn
from ..sample import Sample
from ..stage import Stage, closure
from .asked import DRAW, Ask, Asked, asked_sample
from .code import UnknownCode, code_of, names_of
from .tensor_cache import Found, Made, TensorCache

if TYPE_CHECKING:
    from ..lane import Wanted

__all__ = ["Lookup", "Reuse"]

_FORMAT = 1
"""Of keys: it goes up where what they cover changes."""


class Reuse:
    """A cache as one lane uses it."""

    def __init__(self, cache: TensorCache, wanted: Iterable[Wanted], augments: bool) -> None:
        self.cache = cache
        self._closures = {one: closure(one.filler) for one in wanted}
        self._keys = {one: key for one, stages in self._closures.items() if (key := self._key(one, stages))}
        self._codes = {one: _code(stages) for one, stages in self._closures.items()}
        self._drawn = {one for one, stages in self._closures.items() if augments and _is_drawn(stages)}
        """Those that a draw changes."""
        self._asked = {stage: Asked() for stages in self._closures.values() for stage in stages}

    def __repr__(self) -> str:
        return f"<Reuse of {self.cache.folder}: {len(self._keys)} tensors>"

    def _key(self, wanted: Wanted, stages: Collection[Stage]) -> str | None:
        code = _code(stages)
        if code is None:
            return None
        row = wanted.row
        kind = type(wanted.filler)
        told = [
            _FORMAT,
            row.feature.name,
            fingerprint(row.feature.meaning(row.params)),
            row.row.dtype,
            list(wanted.fixed),
            f"{kind.__module__}.{kind.__qualname__}",
            code,
        ]
        return xxhash.xxh3_128_hexdigest(repr(told).encode())

    def look_up(self, sample: Sample) -> Lookup | None:
        """Returns what is kept for a sample; None where the frame is a stranger's, of which nothing is known."""
        frame = sample.frame
        if not isinstance(frame, Frame) or type(frame.log) is not Log:
            return None
        start = perf_counter()
        drawn = sample.draw is not None
        keys = {one: key for one, key in self._keys.items() if not (drawn and one in self._drawn)}
        by_key = self.cache.look_up(frame, set(keys.values()), drawn) if keys else {}
        found = {one: by_key[key] for one, key in keys.items() if key in by_key}
        counts = self.cache.counts
        for one, kept in found.items():
            counts.found(one.feature, kept.array.nbytes)
        lookup = Lookup(self, sample, found, keys)
        lookup.took_s = perf_counter() - start
        return lookup


class Lookup:
    """What is kept for one sample, and what is seen while the rest is built."""

    def __init__(self, reuse: Reuse, sample: Sample, found: Mapping[Wanted, Found], keys: Mapping[Wanted, str]) -> None:
        self._reuse, self._sample, self._keys = reuse, sample, keys
        self.found = found
        self.took_s = 0.0
        self.stages: frozenset[Stage] = frozenset(
            stage for one, stages in reuse._closures.items() if one not in found for stage in stages
        )
        """Those that must run."""
        self._samples: dict[Stage, Sample] = {}
        for stage in self.stages:
            asked = reuse._asked[stage]
            asked.begin()
            # kept until the build is over: stages refer to their frame weakly
            self._samples[stage] = asked_sample(sample, asked)

    def sample_for(self, stage: Stage) -> Sample:
        return self._samples[stage]

    def keep(self, arrays: Mapping[Wanted, NDArray[Any]]) -> None:
        """Called with all tensors of the sample: keeps those that were built and can be found again."""
        counts = self._reuse.cache.counts
        made: dict[str, Made] = {}
        missed: list[Wanted] = []
        for one in self._reuse._closures:
            if one in self.found:
                continue
            why = self._why_not(one)
            if why is not None:
                counts.left_out(why)
                continue
            missed.append(one)
            key = self._keys[one]
            if key not in made:
                made[key] = self._made(one, key, arrays[one])
        kept = self._reuse.cache.keep(self._sample.frame, made.values(), self._sample.draw is not None)
        for one in missed:
            key = self._keys[one]
            counts.built(one.feature, made[key].array.nbytes if key in kept else 0)

    def _why_not(self, one: Wanted) -> str | None:
        reuse = self._reuse
        if one not in reuse._keys:
            return "its code is not known"
        asked = [reuse._asked[stage] for stage in reuse._closures[one]]
        if self._sample.draw is not None and (one not in self._keys or any(DRAW in a.asks for a in asked)):
            return "a draw changes it"
        return next((a.unknown for a in asked if a.unknown is not None), None)

    def _made(self, one: Wanted, key: str, array: NDArray[Any]) -> Made:
        stages = self._reuse._closures[one]
        asks: dict[Ask, None] = {ask: None for stage in stages for ask in self._reuse._asked[stage].asks}
        dropped: dict[str, int] = {}
        for stage in stages:
            for reason, count in stage.dropped.items():
                dropped[reason] = max(dropped.get(reason, 0), int(count))
        sizes = {size: int(n) for size, n in one.own_sizes.items()}
        return Made(
            key,
            one.feature,
            self._reuse._codes[one] or "",
            names_of(map(type, stages)),
            array,
            tuple(asks),
            sizes,
            dropped,
        )


def _code(stages: Iterable[Stage]) -> str | None:
    try:
        return code_of({type(stage) for stage in stages}).digest
    except UnknownCode:
        return None


def _is_drawn(stages: Iterable[Stage]) -> bool:
    """Whether a draw may change what the stages make: of a plug-in's it is not known."""
    return any(isinstance(stage, Drawn) or type(stage).__module__.split(".")[0] != "perceptum" for stage in stages)
