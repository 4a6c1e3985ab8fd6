"""What each tensor is: features, their parameters, specs, and the schema that fixes what they mean."""

import sys
from types import ModuleType

if __name__ != "perceptum.features":
    raise ImportError("import this folder as perceptum.features, not by its bare name")

from .canonical import canonical
from .catalogue import Catalogue
from .errors import SchemaMismatch, SpecError, UnknownFeature
from .feature import DTYPES, Feature, fingerprint
from .grid import Grid
from .params import Params
from .resolve import Resolved
from .schema import Schema
from .spec import Dim, Row, Spec

__all__ = [
    "DTYPES",
    "Catalogue",
    "Dim",
    "Feature",
    "Grid",
    "Params",
    "Resolved",
    "Row",
    "Schema",
    "SchemaMismatch",
    "Spec",
    "SpecError",
    "UnknownFeature",
    "canonical",
    "fingerprint",
]


class _Callable(ModuleType):
    """`perceptum.features` is this folder and, by the contract, also a call: pc.features() is the catalogue."""

    def __call__(self) -> Catalogue:
        return Catalogue()


sys.modules[__name__].__class__ = _Callable
