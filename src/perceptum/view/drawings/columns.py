"""Where a column is."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["column"]


def column(names: Sequence[str], name: str, layers: int = 1) -> int:
    """Returns the place of a column; layer_onehot is a block of as many as there are `layers`."""
    return sum(layers if before == "layer_onehot" else 1 for before in names[: list(names).index(name)])
