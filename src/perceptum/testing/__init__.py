"""What a plug-in's own tests call: does its feature, or its dataset, keep to what a builder and frames rely on?

Both raise AssertionError, which says in words what differs, where, and what to look at.
"""

from .dataset_check import check_dataset
from .feature_check import check_feature
from .frames import drive_frames, hostile_frames

__all__ = ["check_dataset", "check_feature", "drive_frames", "hostile_frames"]
