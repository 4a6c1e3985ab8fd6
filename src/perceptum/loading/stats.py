"""What waited for what: seconds by stage, of the training loop and of the workers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from perceptum.plural import counted

__all__ = ["Stats"]

_FEW = 0.05
"""Of the time: so little waiting is worth nobody's while."""


@dataclass
class Stats:
    """Sums since the loader was made; print it."""

    workers: int
    batches: int = 0
    """That were delivered."""
    samples: int = 0
    elapsed_s: float = 0.0
    """In epochs: from asking for the first batch to the last one's delivery."""
    waited_s: float = 0.0
    """Of that, how long the loop waited for a batch; without workers, how long it built."""
    started_s: float = 0.0
    """Of the time in epochs: until new workers brought their first batch."""
    built_s: float = 0.0
    """How long batches took to build, all workers together."""
    idle_s: float = 0.0
    """How long workers had no job: nobody wanted more, or there was no room. All workers together."""
    stages_s: dict[str, float] = field(default_factory=dict)
    """Seconds by stage and tensor, as in `Tensors.times_s`: reading is in the stage that first asks for a record."""
    once_s: dict[str, float] = field(default_factory=dict)
    """What only first builds take: loading and compiling kernels."""
    dropped: dict[str, int] = field(default_factory=dict)
    """What builds left out, by reason."""
    left_out: list[str] = field(default_factory=list)
    """Frames that are in no batch though it was their turn, each with why, as they come in the epochs."""
    deaths: int = 0
    """Workers that died and were replaced."""
    held_bytes: int = 0
    """In batches that are ready, or that somebody holds."""
    most_held_bytes: int = 0

    def add_times(self, stages_s: Mapping[str, float], once_s: Mapping[str, float], dropped: Mapping[str, int]) -> None:
        totals: tuple[tuple[dict[str, Any], Mapping[str, Any]], ...] = (
            (self.stages_s, stages_s),
            (self.once_s, once_s),
            (self.dropped, dropped),
        )
        for total, more in totals:
            for key, value in more.items():
                total[key] = total.get(key, 0) + value

    @property
    def batches_per_s(self) -> float:
        return self.batches / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def advice(self) -> str:
        """One sentence: what waits for what."""
        if not self.batches or not self.elapsed_s:
            return "nothing was loaded yet"
        waits = self.waited_s / self.elapsed_s
        if not self.workers:
            return f"the loop builds its batches itself, {waits:.0%} of the time: workers would do that beside it"
        if waits > _FEW:
            return f"the loop waits for the loader {waits:.0%} of the time: {self._why}"
        idle = min(self.idle_s / (self.workers * self.elapsed_s), 1.0)
        return f"the loader keeps up: the loop waits {waits:.0%} of the time, its workers {idle:.0%}"

    @property
    def _why(self) -> str:
        if self.started_s + sum(self.once_s.values()) / self.workers > self.waited_s / 2:
            return "most of it while workers started and kernels were loaded or compiled, which happens once"
        if self.built_s / (self.workers * self.elapsed_s) <= 0.5:
            return "give the loader more room (prefetch, prefetch_bytes)"
        cpus = len(os.sched_getaffinity(0))
        if self.workers < cpus:
            return "add workers"
        return f"its {counted(self.workers, 'worker')} have {counted(cpus, 'CPU')}: ask for less, or keep it in a cache"

    def to_dict(self) -> dict[str, Any]:
        """Returns plain data."""
        return {**vars(self), "batches_per_s": self.batches_per_s, "advice": self.advice}

    def __str__(self) -> str:
        lines = [
            f"{counted(self.batches, 'batch')}, {counted(self.samples, 'sample')}, {self.batches_per_s:.1f} batches/s",
            self.advice,
            f"seconds: {self.elapsed_s:.2f} in epochs, {self.waited_s:.2f} of them waiting; "
            f"{self.built_s:.2f} building, {self.idle_s:.2f} idle in {counted(self.workers, 'worker')}",
            f"memory of batches: {self.held_bytes / 2**20:.1f} MiB held, at most {self.most_held_bytes / 2**20:.1f}",
        ]
        if self.deaths:
            lines.append(f"{counted(self.deaths, 'worker')} died and {'was' if self.deaths == 1 else 'were'} replaced")
        if self.left_out:
            lines += [f"{counted(len(self.left_out), 'frame')} left out:", *(f"  {line}" for line in self.left_out)]
        slowest = sorted(self.stages_s.items(), key=lambda item: -item[1])
        lines += [f"  {seconds:8.3f} s  {stage}" for stage, seconds in slowest]
        lines += [f"  {seconds:8.3f} s  {what}, once" for what, seconds in self.once_s.items()]
        return "\n".join(lines)
