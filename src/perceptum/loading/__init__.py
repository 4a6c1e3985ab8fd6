"""Batches for a training loop: built in worker processes, in shared memory, in an order that can be gone on with."""

from __future__ import annotations

from perceptum.errors import LoaderError, StateMismatch, WorkerDied

from .batch import Batch, Batches
from .loader import Loader
from .stats import Stats

__all__ = ["Batch", "Batches", "Loader", "LoaderError", "StateMismatch", "Stats", "WorkerDied"]
