"""What a package says of itself beside its config.json."""

import json
import os
from typing import Any, Dict

from .errors import NeuropodError

__all__ = ["read_facts", "read_object"]


def read_object(folder: str, name: str) -> Dict[str, Any]:
    """Returns the JSON object in a file of the package; raises NeuropodError that names the file."""
    path = os.path.join(folder, *name.split("/"))
    if not os.path.isfile(path):
        raise NeuropodError("the file {} is missing; the package needs it".format(name))
    with open(path, "rb") as stream:
        try:
            found = json.loads(stream.read().decode("utf-8"))
        except ValueError as error:
            raise NeuropodError("{}: not JSON: {}".format(name, error)) from None
    if not isinstance(found, dict):
        raise NeuropodError("{}: must hold a JSON object, got {}".format(name, type(found).__name__))
    return found


def read_facts(folder: str) -> Dict[str, Any]:
    """Returns what perceptum.json holds; Uber's packages have none."""
    is_there = os.path.isfile(os.path.join(folder, "perceptum.json"))
    return read_object(folder, "perceptum.json") if is_there else {}
