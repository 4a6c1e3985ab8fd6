"""Augmentation: what may happen to a training sample, and what did happen to one."""

from .augment import Augment
from .drawn import Drawn
from .paste import Paste
from .photometric import ImageColor
from .plain import augment_of, to_plain

__all__ = ["Augment", "Drawn", "ImageColor", "Paste", "augment_of", "to_plain"]
