"""The lane graph: pieces of lanes as nodes, and which of them follow or lie beside each other."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from .. import drawings
from ..checks import check_area, finite
from ..collate import Concat
from ..errors import SpecError
from ..feature import Feature
from ..group import Group
from ..parameter import About
from .lanes import LaneParams
from .vector_presets import LANE_GRAPH

__all__ = ["GROUPS", "SCALES", "LaneGraphParams"]

SCALES = 6
"""Of how many distances there are edges; a model that wants fewer asks for fewer."""


class LaneGraphParams(LaneParams, frozen=True, kw_only=True):
    range: Annotated[
        tuple[float, float, float, float],
        About("xmin ymin xmax ymax, half-open: the lanes that are there, as `select` says.", "m"),
    ] = (-100.0, -100.0, 100.0, 100.0)
    select: Annotated[
        Literal["any_point", "bounds"],
        About(
            "any_point: lanes with a point in `range`; bounds: lanes whose least and greatest x and y reach into it, "
            "its edges included, as LaneGCN."
        ),
    ] = "any_point"
    points_per_lane: Annotated[
        int | None,
        About(
            "A lane's centreline has this many points at equal distances along it, both ends among them, and a node "
            "for each step from one to the next; null: as recorded.",
            "count",
            least=2,
        ),
    ] = 10
    order: Annotated[
        Literal["map", "nearest"],
        About(
            "In which order lanes have their nodes. map: in the map's; nearest: the lane with the nearest point first, "
            "of equally near ones that with the lower lane_id."
        ),
    ] = "map"
    max_nodes: Annotated[
        int | None,
        About(
            "Lanes are taken in their order, as long as all have no more nodes than this; null: all.", "count", least=1
        ),
    ] = None
    hops: Annotated[
        tuple[int, int, int, int, int, int],
        About("How many steps apart the nodes of lane_edges_pre_0 and lane_edges_suc_0, ..._1, to ..._5 are.", "count"),
    ] = (1, 2, 4, 8, 16, 32)
    cross_dist: Annotated[float, About("The node beside another must be nearer than this.", "m", least=0)] = 6.0
    cross_angle: Annotated[
        float, About("The headings of nodes beside each other must differ by less than this.", "rad", least=0)
    ] = math.pi / 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_area("range", self.range)
        finite("cross_dist and cross_angle", (self.cross_dist, self.cross_angle))
        if not all(1 <= hop <= 4096 for hop in self.hops):
            raise SpecError(f"hops must be whole numbers from 1 to 4096, got {list(self.hops)}")

    def cap(self, dim: str) -> int | None:
        return self.max_nodes if dim == "num_nodes" else None


def _of_nodes(name: str, units: Literal["m", "flag"], prose: str, *more: int, frame: bool = False) -> Feature:
    return Feature(
        name=name,
        dtypes=("float32",),
        shape=("num_nodes", *more),
        units=units,
        frame="reference" if frame else "none",
        cut="first_rows",
        collate=Concat(),
        prose=prose,
    )


def _edges(name: str, size: str, prose: str) -> Feature:
    return Feature(
        name=name,
        dtypes=("int64",),
        shape=(2, size),
        units="index",
        frame="none",
        fill=-1,
        collate=Concat(axis=1, index="offset", offset_of="lane_ctrs"),
        prose=prose,
    )


_FOLLOWING = "Row 0: a node, row 1: a node {what}; each pair once, ordered by the first and then the second."
_BESIDE = (
    "Row 0: a node u, row 1: the node v nearest to it, of those of the lane to its {side}, of the lanes before and of "
    "those after that one; only where v is nearer than `cross_dist` and their headings differ by less than "
    "`cross_angle`. Of equally near nodes the first; ordered by u. After LaneGCN."
)

GROUPS = (
    Group(
        name="map_lane_graph",
        params=LaneGraphParams(),
        drawing=drawings.lane_graph,
        presets=LANE_GRAPH,
        features=(
            _of_nodes(
                "lane_ctrs",
                "m",
                "The middle x, y of each node: of a step of a lane's centreline. After LaneGCN (Liang et al. 2020). A "
                "lane whose centreline is one place has no nodes.",
                2,
                frame=True,
            ),
            _of_nodes("lane_feats", "m", "The step x, y of each node, from its start to its end.", 2, frame=True),
            _of_nodes("lane_turn", "flag", "Whether each node's lane turns left, and whether it turns right.", 2),
            _of_nodes(
                "lane_control",
                "flag",
                "Whether lights or signs decide who drives on the node's lane; 0 where the map does not say.",
            ),
            _of_nodes("lane_intersect", "flag", "Whether each node's lane lies in an intersection."),
            Feature(
                name="lane_id",
                dtypes=("int64",),
                shape=("num_nodes",),
                units="none",
                frame="none",
                fill=-1,
                cut="first_rows",
                collate=Concat(),
                prose="The number that the map gives to each node's lane; where its ids are not all whole numbers, the "
                "lane's place in the map's lane graph, from 0.",
            ),
            Feature(
                name="lane_num_nodes",
                dtypes=("int32",),
                shape=(1,),
                units="count",
                frame="none",
                counts="lane_ctrs",
                prose="How many rows of lane_ctrs are real.",
            ),
            *(
                _edges(
                    f"lane_edges_pre_{k}",
                    f"num_pre_{k}",
                    _FOLLOWING.format(what=f"`hops`[{k}] steps before it, along lanes and from lane to lane"),
                )
                for k in range(SCALES)
            ),
            *(
                _edges(
                    f"lane_edges_suc_{k}",
                    f"num_suc_{k}",
                    _FOLLOWING.format(what=f"`hops`[{k}] steps after it, along lanes and from lane to lane"),
                )
                for k in range(SCALES)
            ),
            *(_edges(f"lane_edges_{side}", f"num_{side}", _BESIDE.format(side=side)) for side in ("left", "right")),
        ),
    ),
)
