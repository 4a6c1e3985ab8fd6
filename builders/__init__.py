"""How a frame becomes tensors: the plan, its lanes and stages, the kernels, and the memory they fill."""

if __name__ != "perceptum.builders":
    raise ImportError("import this folder as perceptum.builders, not by its bare name")

from .builder import InputBuilder, Model
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
from .memory import Lease, Memory
from .plan import Options, Plan
from .pool import Pool
from .radar.cells import RadarCells
from .radar.cloud import RadarCloud
from .reference import Reference
from .sample import Draw, Sample
from .stage import Clearing, Filler, Stage, Stages
from .tensors import Tensors
from .voxelization import Voxelization
from .written import Written

__all__ = [
    "BuildError",
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
    "Explanation",
    "Filler",
    "GridCells",
    "InputBuilder",
    "Lease",
    "Memory",
    "Model",
    "Options",
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
    "Tensors",
    "Voxelization",
    "Written",
]
