"""Judging models: any number of interchangeable ones, on the same frames, each built only what it asks for."""

from .comparison import Comparison, compare
from .evaluating import evaluate
from .result import Evaluation
from .run import ProblemFailed

__all__ = ["Comparison", "Evaluation", "ProblemFailed", "compare", "evaluate"]
