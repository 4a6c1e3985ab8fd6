"""The plan: what is to be done for one or several specs. A value: immutable, picklable, the same before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from perceptum.features import Layout, Resolved, Schema, Spec, SpecError, canonical
from perceptum.plural import counted

from .augment import Augment
from .cache.tensor_cache import TensorCache
from .table import filler_of

__all__ = ["SINGLE", "Options", "Plan"]

SINGLE = ""
"""The key of a plan's only spec, where it was not given as {name: spec}."""


_MOST_THREADS = 1024
"""More are a slip."""


@dataclass(frozen=True)
class Options:
    """How to build; without `augment` and a draw no byte depends on it."""

    threads: int = 1
    writable: bool = False
    training: bool = False
    """Whether rows have their presets' training values, which they say themselves, and may be of targets."""
    augment: Augment | None = None
    """What may happen to samples that have a draw."""
    cache: TensorCache | None = None
    """Where tensors are kept, and found again; it changes no byte."""

    @property
    def keeps_pictures(self) -> bool:
        """Whether pictures are kept as they are decoded: where a draw changes what is shown of them."""
        changes = self.augment is not None and self.augment.changes_pictures
        return changes and self.cache is not None and self.cache.pictures

    def __post_init__(self) -> None:
        if isinstance(self.threads, bool) or not isinstance(self.threads, int):
            raise SpecError(f"threads must be a number, got {self.threads!r}")
        if not 1 <= self.threads <= _MOST_THREADS:
            raise SpecError(f"threads must be at least 1{_at_most(self.threads)}, got {self.threads}")
        for name in ("writable", "training"):
            if not isinstance(getattr(self, name), bool):
                raise SpecError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if self.augment is not None and not isinstance(self.augment, Augment):
            raise SpecError(f"augment must be an Augment, got {self.augment!r}")


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
        rows = {model: _resolve(self.schema, model, spec, self.options.training) for model, spec in self.specs.items()}
        object.__setattr__(self, "specs", MappingProxyType(dict(self.specs)))
        object.__setattr__(self, "rows", MappingProxyType(rows))
        object.__setattr__(self, "layouts", MappingProxyType({m: Layout.of(s) for m, s in self.specs.items()}))

    def __repr__(self) -> str:
        specs = [f"{m + ': ' if m else ''}{', '.join(row.name for row in spec)}" for m, spec in self.specs.items()]
        threads = counted(self.options.threads, "thread")
        return f"<Plan {'; '.join(specs)}; schema {self.schema.name} {self.schema.version}, {threads}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # the rest follows from these, and the built-in schema is there on the other side too
        schema = None if self.schema is canonical() else self.schema
        return _plan_again, (schema, dict(self.specs), self.options)

    @property
    def single(self) -> bool:
        """Whether there is one spec, given without a name."""
        return list(self.specs) == [SINGLE]

    @property
    def fingerprints(self) -> dict[str, str]:
        """Returns model -> 16 hex digits over what is built for it, see `Schema.fingerprint_of`."""
        return {model: self.schema.fingerprint_of(spec) for model, spec in self.specs.items()}

    @property
    def parts(self) -> dict[str, dict[str, Any]]:
        """Returns what rows agree on that belong together: {"rows": {"frame": "ego"}, "rows __b of seer": ...}."""
        found: dict[str, dict[str, Any]] = {}
        for model, rows in self.rows.items():
            for row in rows:
                where = "rows" + (f" __{row.suffix}" if row.suffix else "") + (f" of {model}" if model else "")
                found.setdefault(where, {}).update(row.parts)
        return {where: parts for where, parts in found.items() if parts}


def _at_most(threads: int) -> str:
    return f" and at most {_MOST_THREADS}" if threads > _MOST_THREADS else ""


def _plan_again(schema: Schema | None, specs: Mapping[str, Spec], options: Options) -> Plan:
    return Plan(schema or canonical(), specs, options)


def _resolve(schema: Schema, model: str, spec: Spec, training: bool) -> tuple[Resolved, ...]:
    try:
        if len(spec) == 0:
            raise SpecError("the spec has no rows: there is nothing to build")
        rows = schema.resolve(spec)
        for row in rows:
            filler_of(row)
            if row.feature.target and not training:
                raise SpecError(
                    f"input '{row.name}' is a target, what a model is to learn, which is made for training only: "
                    "InputBuilder(..., training=True), or --training; leave it out of what a model takes"
                )
        return rows
    except SpecError as error:
        raise error if model == SINGLE else type(error)(f"model '{model}': {error}") from error
