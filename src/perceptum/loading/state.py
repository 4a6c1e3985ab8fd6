"""Where a run is: small plain data, and whether it fits a loader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xxhash

from perceptum.errors import StateMismatch
from perceptum.inputs.dataset import Dataset

__all__ = ["FORMAT", "check_state", "dataset_fingerprint"]

FORMAT = 1
_MUST_AGREE = {
    "seed": "the seed of the order",
    "draws": "the seed of the draws",
    "frames": "the number of frames",
    "dataset": "the dataset (its logs, frames or weights)",
    "spec": "what is built (the spec, its parameters)",
    "drop_last": "drop_last",
}
"""Key -> what it is called."""


def dataset_fingerprint(dataset: Dataset) -> str:
    """Returns 16 hex digits over which frames there are, in which order and how often each is drawn: the names of the
    logs, their numbers of frames, which are chosen, the weights. No log is opened for it that is not open.

    Where they lie is not part of it, nor is what is in their records.
    """
    digest = xxhash.xxh3_64()
    for number in range(len(dataset.logs)):
        about = dataset.about(number)
        digest.update(f"{about.name}\0{about.frames}\n".encode())
    logs, frames = dataset.places()
    for array in (logs, frames, dataset.weights):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def check_state(state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raises StateMismatch where a saved state does not continue what a loader does."""
    if not isinstance(state, Mapping) or not isinstance(state.get("format"), int):
        raise StateMismatch("not a state of a loader: Loader.state_dict() gives one")
    if state["format"] != FORMAT:
        raise StateMismatch(f"a state of format {state['format']}; this version reads format {FORMAT}")
    for key, what in _MUST_AGREE.items():
        if state.get(key) != own[key]:
            raise StateMismatch(
                f"the state does not continue this run: {what} differs: "
                f"{state.get(key)!r} in the state, {own[key]!r} here"
            )
    for key in ("epoch", "position"):
        value = state.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise StateMismatch(f"the state's {key} must be a number of 0 or more, got {value!r}")
