"""Where logs lie: one file per dataset, each answering one small protocol."""

if __name__ != "perceptum.datasets":
    raise ImportError("import this folder as perceptum.datasets, not by its bare name")

from .collection import open_collection
from .detect import DATASETS, open_log
from .memory import memory_log
from .reading.reader import Reader

__all__ = ["DATASETS", "Reader", "memory_log", "open_collection", "open_log"]
