"""Several made-up drives as a dataset, and seeds that no two splits share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from perceptum.inputs import BadOption

from ..listing import Listing, Split
from ..options import OF_OPEN_DATASET, check_options
from .options import Options

__all__ = ["drives"]

_SPLITS = ("train", "val", "test")
_APART = 1_000_000_000
"""From the seeds of one split to those of the next; a drive of train has the seed that it is opened with alone."""


def drives(options: Mapping[str, Any]) -> tuple[Listing, dict[str, Any]]:
    """Returns the drives of all splits, and the options that they have in common.

    `logs` is how many drives a split has, `seed` the first one's; without a split it is the drives of train.
    """
    from . import open_source

    others = dict(options)
    logs, seed = others.pop("logs", 1), others.pop("seed", 0)
    check_options("synthetic", open_source, others, given=0, also=("logs", "split"), keywords=OF_OPEN_DATASET)
    for name, value, low, high in (("logs", logs, 1, 100_000), ("seed", seed, 0, _APART - 100_001)):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise BadOption(f"synthetic: {name} must be a whole number from {low} to {high}, got {value!r}")
    made = Options(seed=seed, **others)
    seeds = [seed + _APART * number + i for number in range(len(_SPLITS)) for i in range(logs)]
    splits = {
        name: Split(np.arange(number * logs, (number + 1) * logs, dtype=np.intp), logs)
        for number, name in enumerate(_SPLITS)
    }
    listing = Listing.of(
        [f"street-{own}" for own in seeds],
        frames=made.frames,
        duration_s=(made.frames - 1) * 0.1,
        option="seed",
        values=[str(own) for own in seeds],
        splits=splits,
    )
    return listing, others
