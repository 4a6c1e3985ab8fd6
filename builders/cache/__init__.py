"""A cache of built tensors: what was built once is found again for as long as nothing that it came from changes."""

from .counts import CacheStats, FeatureStats
from .tensor_cache import TensorCache

__all__ = ["CacheStats", "FeatureStats", "TensorCache"]
