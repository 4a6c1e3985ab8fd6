"""What each tensor is: features, their parameters, specs, and the schema that fixes what they mean."""

import sys
from types import ModuleType

if __name__ != "perceptum.features":
    raise ImportError("import this folder as perceptum.features, not by its bare name")

from .canonical import canonical
from .catalogue import Catalogue
from .collate import Concat, Stack
from .errors import RowError, SchemaMismatch, SpecError, UnknownFeature
from .feature import Feature, fingerprint
from .grid import Grid
from .group import Group
from .layout import Layout, Place
from .output_frame import output_frame
from .parameter import About, Parameter, parameters_of
from .params import Params
from .preset import Preset
from .reference import GroundSource, ReferenceParams
from .resolve import Resolved
from .schema import Schema
from .spec import Dim, Row, Spec
from .vocabulary import (
    COLUMN_MEANINGS,
    COLUMN_UNITS,
    DTYPES,
    FRAMES,
    UNITS,
    FrameOfReference,
    InputFrame,
    ReferenceFrame,
    Unit,
)

__all__ = [
    "COLUMN_MEANINGS",
    "COLUMN_UNITS",
    "DTYPES",
    "FRAMES",
    "UNITS",
    "About",
    "Catalogue",
    "Concat",
    "Dim",
    "Feature",
    "FrameOfReference",
    "Grid",
    "GroundSource",
    "Group",
    "InputFrame",
    "Layout",
    "Parameter",
    "Params",
    "Place",
    "Preset",
    "ReferenceFrame",
    "ReferenceParams",
    "Resolved",
    "Row",
    "RowError",
    "Schema",
    "SchemaMismatch",
    "Spec",
    "SpecError",
    "Stack",
    "Unit",
    "UnknownFeature",
    "canonical",
    "fingerprint",
    "output_frame",
    "parameters_of",
]


class _Callable(ModuleType):
    """`perceptum.features` is this folder and, by the contract, also a call: pc.features() is the catalogue."""

    def __call__(self) -> Catalogue:
        return Catalogue()


sys.modules[__name__].__class__ = _Callable
