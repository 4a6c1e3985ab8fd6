"""The plan: what is to be done for one or several specs. A value: immutable, picklable, the same before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from perceptum.features import Layout, Resolved, Schema, Spec, SpecError, canonical

from .table import filler_of

__all__ = ["SINGLE", "Options", "Plan"]

SINGLE = ""
"""The key of a plan's only spec, where it was not given as {name: spec}."""


@dataclass(frozen=True)
class Options:
    """How to build, which no byte depends on."""

    threads: int = 1
    writable: bool = False

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise SpecError(f"threads must be at least 1, got {self.threads}")


@dataclass(frozen=True)
class Plan:
    """Everything about the specs has been checked when this is made; raises SpecError for what cannot be built."""

    schema: Schema
    specs: Mapping[str, Spec]
    """Model -> spec."""
    options: Options = Options()
    rows: Mapping[str, tuple[Resolved, ...]] = field(init=False, compare=False, repr=False)
    """Model -> its spec's rows, made certain."""
    layouts: Mapping[str, Layout] = field(init=False, compare=False, repr=False)
    """Model -> where its small tensors of fixed size lie in one block."""

    def __post_init__(self) -> None:
        rows = {model: _resolve(self.schema, model, spec) for model, spec in self.specs.items()}
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "layouts", {model: Layout.of(spec) for model, spec in self.specs.items()})

    def __reduce__(self) -> tuple[Any, ...]:
        # the rest follows from these, and the built-in schema is there on the other side too
        schema = None if self.schema is canonical() else self.schema
        return _plan_again, (schema, dict(self.specs), self.options)

    @property
    def single(self) -> bool:
        """Whether there is one spec, given without a name."""
        return list(self.specs) == [SINGLE]

    @property
    def parts(self) -> dict[str, dict[str, Any]]:
        """Returns what rows agree on that belong together: {"rows": {"frame": "ego"}, "rows __b of seer": ...}."""
        found: dict[str, dict[str, Any]] = {}
        for model, rows in self.rows.items():
            for row in rows:
                suffix = row.name.partition("__")[2]
                where = "rows" + (f" __{suffix}" if suffix else "") + (f" of {model}" if model else "")
                found.setdefault(where, {}).update(row.params.parts())
        return {where: parts for where, parts in found.items() if parts}


def _plan_again(schema: Schema | None, specs: Mapping[str, Spec], options: Options) -> Plan:
    return Plan(schema or canonical(), specs, options)


def _resolve(schema: Schema, model: str, spec: Spec) -> tuple[Resolved, ...]:
    try:
        if len(spec) == 0:
            raise SpecError("the spec has no rows: there is nothing to build")
        rows = schema.resolve(spec)
        for row in rows:
            filler_of(row)
        return rows
    except SpecError as error:
        raise error if model == SINGLE else type(error)(f"model '{model}': {error}") from error
