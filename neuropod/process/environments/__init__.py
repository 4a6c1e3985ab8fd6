"""Which Python a model's worker runs in: this one, or an environment that the user has registered or had made."""

from __future__ import annotations

from .ahead import Ahead, look_ahead
from .choosing import Interpreter, choose
from .environment import Environment
from .making import create
from .need import Need
from .registry import HERE, add, find, registered, remove

__all__ = [
    "HERE",
    "Ahead",
    "Environment",
    "Interpreter",
    "Need",
    "add",
    "choose",
    "create",
    "find",
    "look_ahead",
    "registered",
    "remove",
]
