"""Problems: what a kind of model takes and gives, and the metric that judges it; models for one are interchangeable."""

from .detection import Detection, Score
from .problem import Problem

__all__ = ["Detection", "Problem", "Score"]
