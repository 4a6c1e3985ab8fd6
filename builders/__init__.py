"""How a frame becomes tensors: the plan, its lanes and stages, the kernels, and the memory they fill."""

if __name__ != "perceptum.builders":
    raise ImportError("import this folder as perceptum.builders, not by its bare name")

from .agent.agents import Agents
from .agent.tracks import Tracks
from .augment import Augment, Drawn, ImageColor, Paste
from .builder import InputBuilder, Model
from .cache import CacheStats, TensorCache
from .camera.decoded import DecodedPictures, PictureAsker
from .camera.projection import CameraPixels, CameraPoses, Projection
from .camera.sight import CameraSight
from .camera.views import CameraView, CameraViews
from .cells import GridCells, PointStage
from .columns import Column, Columns
from .errors import BuildError
from .explain import Explanation
from .lidar.cells import Cells
from .lidar.cloud import Cloud
from .map.around import MapAround
from .map.bits import MapBits
from .memory import Lease, Memory
from .plan import Options, Plan
from .pool import Pool
from .radar.cells import RadarCells
from .radar.cloud import RadarCloud
from .reference import Reference
from .sample import Draw, Sample
from .stage import Clearing, Filler, Stage, Stages
from .targets.labels import LabelBoxes
from .tensors import Tensors
from .voxelization import Voxelization
from .written import Written

__all__ = [
    "Agents",
    "Augment",
    "BuildError",
    "CacheStats",
    "CameraPixels",
    "CameraPoses",
    "CameraSight",
    "CameraView",
    "CameraViews",
    "Cells",
    "Clearing",
    "Cloud",
    "Column",
    "Columns",
    "DecodedPictures",
    "Draw",
    "Drawn",
    "Explanation",
    "Filler",
    "GridCells",
    "ImageColor",
    "InputBuilder",
    "LabelBoxes",
    "Lease",
    "MapAround",
    "MapBits",
    "Memory",
    "Model",
    "Options",
    "Paste",
    "PictureAsker",
    "Plan",
    "PointStage",
    "Pool",
    "Projection",
    "RadarCells",
    "RadarCloud",
    "Reference",
    "Sample",
    "Stage",
    "Stages",
    "TensorCache",
    "Tensors",
    "Tracks",
    "Voxelization",
    "Written",
]
