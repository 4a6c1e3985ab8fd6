"""Problems: what a kind of model takes and gives, and the metric that judges it; models for one are interchangeable."""

from .bev_segmentation import BevSegmentation
from .detection3d import Detection3d
from .lidar_segmentation import LidarSegmentation
from .metric import Curve, JudgedProblem, Observation, Scores
from .motion_forecasting import MotionForecasting
from .problem import Problem
from .table import PROBLEMS, problem_named

__all__ = [
    "PROBLEMS",
    "BevSegmentation",
    "Curve",
    "Detection3d",
    "JudgedProblem",
    "LidarSegmentation",
    "MotionForecasting",
    "Observation",
    "Problem",
    "Scores",
    "problem_named",
]
