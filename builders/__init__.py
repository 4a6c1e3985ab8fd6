"""How a frame becomes tensors: the plan, its lanes and stages, the kernels, and the memory they fill."""

if __name__ != "perceptum.builders":
    raise ImportError("import this folder as perceptum.builders, not by its bare name")

from .builder import InputBuilder, Model
from .errors import BuildError
from .explain import Explanation
from .memory import Lease, Memory
from .plan import Options, Plan
from .pool import Pool
from .sample import Draw, Sample
from .stage import Filler, Stage, Stages
from .tensors import Tensors
from .written import Written

__all__ = [
    "BuildError",
    "Draw",
    "Explanation",
    "Filler",
    "InputBuilder",
    "Lease",
    "Memory",
    "Model",
    "Options",
    "Plan",
    "Pool",
    "Sample",
    "Stage",
    "Stages",
    "Tensors",
    "Written",
]
