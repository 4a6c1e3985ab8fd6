"""A model that tensors are built into: the memory that it owns, and each tensor handed over as soon as it is ready."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeGuard

from numpy.typing import NDArray

from .lane import OnReady
from .memory import Memory
from .pages import allocate_pages
from .pool import Allocate, Pool

__all__ = ["Handover", "Owner", "Receiver", "allocator_of", "is_memory", "is_model", "owner_of"]

Reference = Callable[[], Any]


class Receiver:
    """A model that gives memory and takes tensors, each where it can; it is not kept alive."""

    def __init__(self, model: object) -> None:
        self._model = _weakly(model)
        # it must not know of this object: what goes with its pool must not be in a circle
        self.pool = None if allocator_of(model) is None else Pool(partial(_allocate, self._model))
        """Over the model's own memory; None: it has none."""
        self._wanted = {row["name"] for row in getattr(model, "inputs", ())}

    @property
    def model(self) -> Any:
        """None: it is no longer there."""
        return self._model()

    def hand_over(self, name: str, array: NDArray[Any]) -> None:
        """Says to the model that a tensor is written, if it wants that and can begin with it."""
        seal = getattr(self.model, "seal", None)
        if seal is not None and name in self._wanted:
            seal(name, array)


class Handover:
    """Called for every tensor of a build as soon as it is written: its model gets it, then the caller's `on_ready`.

    Nobody takes back what is handed over by a build that then fails: the arrays die, and their memory is not lent again
    as long as it is in use.
    """

    def __init__(self, receivers: Mapping[str, Receiver], on_ready: OnReady | None = None) -> None:
        self._receivers = receivers
        self._on_ready = on_ready

    def __call__(self, spec: str, name: str, array: NDArray[Any]) -> None:
        receiver = self._receivers.get(spec)
        if receiver is not None:
            receiver.hand_over(name, array)
        if self._on_ready is not None:
            self._on_ready(spec, name, array)


def allocator_of(model: object) -> Allocate | None:
    """Returns what makes a model's own memory; None where it has none."""
    allocator: Allocate | None = getattr(model, "allocator", None)
    return allocator


def is_memory(one: object) -> TypeGuard[Memory]:
    return hasattr(one, "take")


def is_model(one: object) -> bool:
    """Whether tensors can be built into this, where it is not a memory."""
    return hasattr(one, "inputs") or allocator_of(one) is not None


@dataclass(frozen=True)
class Owner:
    """Who owns the memory of a spec's tensors, for those who explain it."""

    words: str
    model: Reference = lambda: None
    """The model that gets the tensors, where there is one; it is not kept alive."""
    allocate: Allocate = allocate_pages
    """Gives memory like that of the tensors."""


def owner_of(model: object | None, allocate: Allocate) -> Owner:
    """Returns who owns what `allocate` makes for a model."""
    if model is None:
        return Owner("builder's pool")
    if allocate is allocate_pages:
        return Owner("builder's pool", _weakly(model))
    return Owner(getattr(allocator_of(model), "owner", "model"), _weakly(model), allocate)


def _weakly(model: object) -> Reference:
    try:
        return weakref.ref(model)
    except TypeError:
        # not everything can be referred to weakly: it is then kept
        return lambda: model


def _allocate(model: Reference, name: str, nbytes: int) -> Any:
    # its caller holds the model: it builds into it
    return model().allocator(name, nbytes)
