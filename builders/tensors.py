"""What a build returns: the tensors, and what is known of how they came about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

__all__ = ["Tensors"]


class Tensors(dict[str, NDArray[Any]]):
    """Name -> array, 64-byte aligned, in the spec's order."""

    __slots__ = ("dropped", "once_s", "times_s")

    def __init__(
        self,
        tensors: Mapping[str, NDArray[Any]],
        dropped: Mapping[str, int] | None = None,
        times_s: Mapping[str, float] | None = None,
        once_s: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(tensors)
        self.dropped: dict[str, int] = dict(dropped or {})
        """What was left out, by reason: points that are not finite, points over a limit. For a batch: in all frames."""
        self.times_s: dict[str, float] = dict(times_s or {})
        """Seconds by stage and tensor, those of other models in the same plan too. For a batch: in all frames. Reading
        the records counts, for the stages that first ask for them; what `once_s` has does not."""
        self.once_s: dict[str, float] = dict(once_s or {})
        """Seconds that only a process's first builds take, by what took them: "loading kernels", "compiling kernels";
        empty where nothing of that happened. What threads waited for at the same time counts once."""

    def __missing__(self, name: object) -> NDArray[Any]:
        raise KeyError(f"no tensor '{name}' here; there are {', '.join(self) or 'none'}")

    def __repr__(self) -> str:
        tensors = ", ".join(f"{name} {array.shape} {array.dtype}" for name, array in self.items())
        dropped = ", ".join(f"{n} {reason}" for reason, n in self.dropped.items() if n)
        return f"<Tensors: {tensors or 'none'}{'; dropped ' if dropped else ''}{dropped}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Tensors, (dict(self), self.dropped, self.times_s, self.once_s)
