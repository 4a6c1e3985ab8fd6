"""Groups and fillers as others write them: sparse, with fill values, ragged along any axis, random in training."""

from __future__ import annotations

import numpy as np

from perceptum.builders import Filler
from perceptum.features import Concat, Feature, Group, Params, Schema, Stack, canonical


class GraphParams(Params, frozen=True, kw_only=True):
    per_node: int = 3

    def dims(self):
        return {"F": self.per_node}


class Graph(Filler):
    """Nodes and edges whose numbers follow from the frame's index; an edge leads from a node to the next."""

    group = "acme_graph"

    def __init__(self, params, stages):
        super().__init__()
        self.title = "graph"
        self.n = 0

    def run(self, sample):
        self.n = sample.frame.time_ns // 1000 % 7

    def sizes(self):
        return {"num_nodes": self.n, "num_edges": max(self.n - 1, 0)}

    def fill(self, feature, out, written):
        if feature == "acme_nodes":
            out[:] = np.arange(self.n)[:, None] + 1
        else:
            out[0] = np.arange(max(self.n - 1, 0))
            out[1] = out[0] + 1


class SparseParams(Params, frozen=True, kw_only=True):
    size: int = 40

    def dims(self):
        return {"S": self.size}


class Sparse(Filler):
    """Writes every seventh element or so, and has never heard of clearing."""

    group = "acme_sparse"

    def __init__(self, params, stages):
        super().__init__()
        self.title = "sparse"
        self.size = params.size

    def run(self, sample):
        self.at = np.arange(sample.frame.time_ns // 1000 % 5, self.size, 7)
        self.rows = sample.frame.time_ns // 1000 % 4 + 1

    def sizes(self):
        return {"num_sparse": self.rows}

    def fill(self, feature, out, written):
        out.reshape(-1)[self.at[self.at < out.size]] = 5


class Noise(Filler):
    group = "acme_noise"

    def __init__(self, params, stages):
        super().__init__()
        self.title = "noise"

    def run(self, sample):
        self.values = np.zeros(4) if sample.draw is None else sample.draw.random("noise").random(4)

    def fill(self, feature, out, written):
        out[:] = self.values


def feature(name, shape, dtype="float32", **more):
    return Feature(name=name, dtypes=(dtype,), shape=shape, units="none", frame="none", **more)


class Nothing(Params, frozen=True, kw_only=True):
    """No parameters."""


GROUPS = (
    Group(
        name="acme_graph",
        params=GraphParams(),
        features=(
            feature("acme_nodes", ("num_nodes", "F"), collate=Concat()),
            feature("acme_edges", (2, "num_edges"), "int64", collate=Concat(1, "offset", "acme_nodes")),
        ),
        filler=Graph,
    ),
    Group(
        name="acme_sparse",
        params=SparseParams(),
        features=(
            feature("acme_zeros", ("S",)),
            feature("acme_large", ("S", 5000)),
            feature("acme_minus", ("S",), "int32", fill=-1),
            feature("acme_large_minus", ("S", 1000), "int32", fill=-1),
            feature("acme_rows", ("num_sparse", 9), "int32", fill=-1, collate=Concat()),
            feature("acme_stacked", ("num_sparse",), collate=Stack()),
        ),
        filler=Sparse,
    ),
    Group(name="acme_noise", params=Nothing(), features=(feature("acme_noise", (4,)),), filler=Noise),
)
SCHEMA = Schema("mine", "1", (*canonical().groups, *GROUPS))
NAMES = [f.name for group in GROUPS for f in group]


def truth(name, frame, draw=None):
    """What a tensor must be, written by hand."""
    k = frame.time_ns // 1000
    n = k % 7
    if name == "acme_nodes":
        return np.repeat(np.arange(n, dtype=np.float32)[:, None] + 1, 3, axis=1)
    if name == "acme_edges":
        return np.stack([np.arange(max(n - 1, 0)), np.arange(max(n - 1, 0)) + 1])
    if name == "acme_noise":
        return np.float32(np.zeros(4) if draw is None else draw.random("noise").random(4))
    rows = k % 4 + 1
    shape, dtype, fill = {
        "acme_zeros": ((40,), np.float32, 0),
        "acme_large": ((40, 5000), np.float32, 0),
        "acme_minus": ((40,), np.int32, -1),
        "acme_large_minus": ((40, 1000), np.int32, -1),
        "acme_rows": ((rows, 9), np.int32, -1),
        "acme_stacked": ((rows,), np.float32, 0),
    }[name]
    out = np.full(shape, fill, dtype)
    at = np.arange(k % 5, 40, 7)
    out.reshape(-1)[at[at < out.size]] = 5
    return out
