"""The plan: which stages and fillers make the tensors of one spec. After planning, nothing about the spec can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from perceptum.features import Resolved, Schema, Spec, SpecError

from .stage import Filler, Stage, Stages
from .table import own_filler

__all__ = ["Plan", "Planned", "make_plan"]


@dataclass(frozen=True)
class Planned:
    """One tensor of the plan."""

    resolved: Resolved
    filler: Filler

    @property
    def name(self) -> str:
        return self.resolved.name

    @property
    def feature(self) -> str:
        return self.resolved.feature.name

    @property
    def dtype(self) -> str:
        return self.resolved.row.dtype

    @property
    def ragged(self) -> bool:
        """Whether the frame decides a size."""
        return None in self.resolved.fixed

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape for the frame that the stages last ran on."""
        own = self.filler.sizes()
        fixed, sizes = self.resolved.fixed, self.resolved.sizes
        return tuple(own[str(size)] if n is None else n for n, size in zip(fixed, sizes, strict=True))

    def fill(self, out: Any, dirty: dict[str, Any]) -> None:
        self.filler.fill(self.feature, out, dirty)


@dataclass(frozen=True)
class Plan:
    schema: Schema
    spec: Spec
    tensors: tuple[Planned, ...]
    stages: tuple[Stage, ...]
    """In an order in which they can run."""

    @property
    def levels(self) -> tuple[tuple[Stage, ...], ...]:
        """The stages in groups; those of a group need only earlier groups, and may run side by side."""
        level: dict[Stage, int] = {}
        for stage in self.stages:
            level[stage] = 1 + max((level[need] for need in stage.needs), default=-1)
        return tuple(tuple(s for s in self.stages if level[s] == k) for k in range(1 + max(level.values(), default=-1)))

    def users(self, stage: Stage) -> tuple[str, ...]:
        """Returns the names of the tensors that need a stage."""
        return tuple(t.name for t in self.tensors if stage in _closure(t.filler))


def make_plan(schema: Schema, spec: Spec) -> Plan:
    """Plans a spec; raises SpecError for what cannot be met."""
    if len(spec) == 0:
        raise SpecError("the spec has no rows: there is nothing to build")
    stages = Stages()
    tensors = tuple(Planned(r, stages.share(_filler(r), r.params)) for r in schema.resolve(spec))
    return Plan(schema, spec, tensors, stages.in_order)


def _filler(resolved: Resolved) -> Callable[..., Filler]:
    group = resolved.group
    filler = group.filler or own_filler(group)
    if filler is None:
        raise SpecError(f"input '{resolved.name}': no installed builder fills the group '{group.name}'")
    make: Callable[..., Filler] = filler
    return make


def _closure(stage: Stage) -> Iterable[Stage]:
    found = {stage}
    for need in stage.needs:
        found |= set(_closure(need))
    return found
