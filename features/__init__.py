"""What each tensor is: features, their parameters, specs, and the schema that fixes what they mean.

A name is loaded when it is first used: a worker that runs a model needs the rows of its spec, and none of the features.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

if __name__ != "perceptum.features":
    raise ImportError("import this folder as perceptum.features, not by its bare name")

# typing.TYPE_CHECKING without typing
TYPE_CHECKING = False

# public name -> the module that holds it
_WHERE = {
    "About": ".parameter",
    "COLUMN_MEANINGS": ".vocabulary",
    "COLUMN_UNITS": ".vocabulary",
    "Catalogue": ".catalogue",
    "Concat": ".collate",
    "DTYPES": ".vocabulary",
    "Dim": ".spec",
    "FRAMES": ".vocabulary",
    "Feature": ".feature",
    "FrameOfReference": ".vocabulary",
    "Grid": ".grid",
    "GroundSource": ".reference",
    "Group": ".group",
    "InputFrame": ".vocabulary",
    "Layout": ".layout",
    "Parameter": ".parameter",
    "Params": ".params",
    "Place": ".layout",
    "Preset": ".preset",
    "ReferenceFrame": ".vocabulary",
    "ReferenceParams": ".reference",
    "Resolved": ".resolve",
    "Row": ".spec",
    "RowError": ".errors",
    "Schema": ".schema",
    "SchemaMismatch": ".errors",
    "Spec": ".spec",
    "SpecError": ".errors",
    "Stack": ".collate",
    "UNITS": ".vocabulary",
    "Unit": ".vocabulary",
    "UnknownFeature": ".errors",
    "canonical": ".canonical",
    "fingerprint": ".feature",
    "output_frame": ".output_frame",
    "parameters_of": ".parameter",
}

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

if TYPE_CHECKING:
    from typing import Any

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


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


class _Folder(ModuleType):
    """`perceptum.features` is this folder and, by the contract, also a call: pc.features() is the catalogue."""

    def __call__(self) -> Catalogue:
        from .catalogue import Catalogue

        return Catalogue()

    def __setattr__(self, name: str, value: object) -> None:
        # Python puts each module that it imports here, under its name: two have the name of what they hold
        if isinstance(value, ModuleType) and name in _WHERE:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Folder
