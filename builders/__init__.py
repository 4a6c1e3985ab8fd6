"""How a frame becomes tensors: the plan, its stages, the kernels, and the memory they fill."""

if __name__ != "perceptum.builders":
    raise ImportError("import this folder as perceptum.builders, not by its bare name")

from .builder import InputBuilder, Model, Tensors
from .explain import Explanation
from .pool import Pool

__all__ = ["Explanation", "InputBuilder", "Model", "Pool", "Tensors"]
