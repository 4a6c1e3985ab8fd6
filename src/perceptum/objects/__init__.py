"""Databases of objects, cut out of the labelled frames of any logs; `builders.Paste` pastes them."""

from perceptum.inputs.objects import ObjectDatabase

from .make import Made, make_objects

__all__ = ["Made", "ObjectDatabase", "make_objects"]
