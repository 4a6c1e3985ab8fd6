"""What a plug-in's own tests call: does its feature, dataset or problem keep to what others rely on?

All raise AssertionError, which says in words what differs, where, and what to look at.
"""

from .dataset_check import check_dataset
from .feature_check import check_feature
from .frames import drive_frames, hostile_frames
from .problem_check import check_problem

__all__ = ["check_dataset", "check_feature", "check_problem", "drive_frames", "hostile_frames"]
