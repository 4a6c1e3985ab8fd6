"""What a moment is: frames, records, poses, the HD map, and the log that hands them out."""

if __name__ != "perceptum.inputs":
    raise ImportError("import this folder as perceptum.inputs, not by its bare name")

from .arrays import Matrix, Times
from .cache import Cache
from .codecs import decode_image, encode_jpeg
from .dataset import Dataset
from .errors import BadOption, BrokenRecord, LogError, MissingRecord, NotALog, PoseUnknown
from .frame import Frame, Sync
from .ground import Ground, ground_of
from .hdmap import GroundGrid, HDMap, LaneGraph, Shapes
from .lenses import Lens, undistortion_map
from .log import Log
from .picture_part import PicturePart, room_for
from .picture_size import picture_size
from .point_labels import PointLabels
from .poses import Poses
from .records import CameraImage, Labels, LidarSweep, RadarSweep
from .signal import Signal
from .source import Source
from .turns import turn_of, turns_of

__all__ = [
    "BadOption",
    "BrokenRecord",
    "Cache",
    "CameraImage",
    "Dataset",
    "Frame",
    "Ground",
    "GroundGrid",
    "HDMap",
    "Labels",
    "LaneGraph",
    "Lens",
    "LidarSweep",
    "Log",
    "LogError",
    "Matrix",
    "MissingRecord",
    "NotALog",
    "PicturePart",
    "PointLabels",
    "PoseUnknown",
    "Poses",
    "RadarSweep",
    "Shapes",
    "Signal",
    "Source",
    "Sync",
    "Times",
    "decode_image",
    "encode_jpeg",
    "ground_of",
    "picture_size",
    "room_for",
    "turn_of",
    "turns_of",
    "undistortion_map",
]
