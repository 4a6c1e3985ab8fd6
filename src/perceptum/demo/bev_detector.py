"""A detector in TorchScript that looks from above: what stands on the ground, clustered and boxed. No learned weights.

Cells that stand above their surroundings are joined to clusters; each gets the rectangle that lies closest to its
cells (after Zhang et al. 2017, "Efficient L-shape fitting for vehicle detection using laser scanners").
"""

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["BevDetector", "INPUTS"]

_CELL = 0.2
_REACH = 51.2
_LOW, _SLICE = -3.0, 0.25
_GRID = {"range": [-_REACH, -_REACH, _LOW, _REACH, _REACH, 3.0], "voxel": [_CELL, _CELL, _SLICE]}
_SIDE, _SLICES = 512, 24

INPUTS: list[dict[str, Any]] = [
    {
        "name": "lidar_bev_occupancy",
        "dtype": "uint8",
        "shape": [_SLICES, _SIDE, _SIDE],
        "params": {"grid": _GRID},
    },
    {
        "name": "lidar_bev_stats",
        "dtype": "float32",
        "shape": [3, _SIDE, _SIDE],
        "params": {"grid": _GRID, "channels": ["count", "max_z", "min_z"]},
    },
]


class BevDetector(torch.nn.Module):
    """forward(lidar_bev_occupancy, lidar_bev_stats) -> {"boxes": (n, 7), "scores": (n,)}, both float32, ego frame."""

    steps: Tensor
    angles: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.cell = _CELL
        self.reach = _REACH
        self.side = _SIDE
        steps = [[i, j] for i in range(-2, 3) for j in range(-2, 3) if (i, j) > (0, 0)]
        self.register_buffer("steps", torch.tensor(steps, dtype=torch.int64))
        self.low = _LOW
        self.slice = _SLICE
        self.register_buffer("angles", torch.arange(30, dtype=torch.float32) * (math.pi / 60))

    def forward(self, lidar_bev_occupancy: Tensor, lidar_bev_stats: Tensor) -> dict[str, Tensor]:
        count, top, low = lidar_bev_stats[0], lidar_bev_stats[1], lidar_bev_stats[2]
        ground = self.ground(count, low)
        standing = self.standing(lidar_bev_occupancy, top, ground)
        cells = torch.nonzero(standing)
        if cells.size(0) == 0:
            return {"boxes": torch.zeros([0, 7]), "scores": torch.zeros([0])}
        rows, columns = cells[:, 0], cells[:, 1]
        cluster = torch.unique(self.clusters(cells), return_inverse=True)[1]
        x = (columns + 0.5) * self.cell - self.reach
        y = (rows + 0.5) * self.cell - self.reach
        z, floor = top[rows, columns], ground[rows, columns]
        return self.boxes(x, y, z, floor, count[rows, columns], cluster)

    def ground(self, count: Tensor, low: Tensor) -> Tensor:
        """The height of the ground under each cell (Y, X): the lowest point nearby, evened out."""
        known = torch.where(count > 0, low, torch.full_like(low, 1e3))[None, None]
        # on blocks of 1.6 m: as good as cell by cell, at a fraction of the time
        near = -torch.nn.functional.max_pool2d(-known, 8, 8)
        near = -torch.nn.functional.max_pool2d(-near, 3, 1, 1)
        far = -torch.nn.functional.max_pool2d(-near, 5, 1, 2)
        near = torch.where(near < 1e2, near, far)
        return torch.nn.functional.interpolate(near, size=[self.side, self.side], mode="bilinear")[0, 0]

    def standing(self, occupancy: Tensor, top: Tensor, ground: Tensor) -> Tensor:
        """Cells (Y, X) with something between knee and shoulder, and nothing of a building's height."""
        low = ((ground + 0.3 - self.low) / self.slice).ceil()
        high = ((ground + 1.8 - self.low) / self.slice).floor()
        solid = torch.zeros_like(occupancy[0])
        # only the slices that the band can touch somewhere are looked at
        for k in range(int(low.min().clamp(min=0)), int(high.max().clamp(max=occupancy.size(0) - 1)) + 1):
            solid = solid | (occupancy[k] & ((low <= k) & (k <= high)).to(torch.uint8))
        return (solid > 0) & (top - ground > 0.5) & (top - ground < 4.2)

    def clusters(self, cells: Tensor) -> Tensor:
        """A number per cell (N,), equal within a cluster: cells at most two apart belong together."""
        n = cells.size(0)
        number = torch.full([self.side + 4, self.side + 4], -1, dtype=torch.int64)
        number[cells[:, 0] + 2, cells[:, 1] + 2] = torch.arange(n)
        near = cells[None] + self.steps[:, None] + 2
        other = number[near[:, :, 0], near[:, :, 1]].flatten()
        one = torch.arange(n).repeat(self.steps.size(0))[other >= 0]
        other = other[other >= 0]
        parent = torch.arange(n)
        # Shiloach and Vishkin 1982: hook trees onto each other, then shorten them; rounds grow with log n
        while bool((parent[one] != parent[other]).any()):
            high = torch.maximum(parent[one], parent[other])
            low = torch.minimum(parent[one], parent[other])
            parent = parent.scatter_reduce(0, low, high, "amax")
            while bool((parent[parent] != parent).any()):
                parent = parent[parent]
        return parent

    def boxes(
        self, x: Tensor, y: Tensor, z: Tensor, floor: Tensor, count: Tensor, cluster: Tensor
    ) -> dict[str, Tensor]:
        n = int(cluster.max()) + 1
        u0, u1, v0, v1, yaw = self.rectangles(x, y, cluster, n)
        top = torch.full([n], -1e3).scatter_reduce(0, cluster, z, "amax")
        bottom = torch.full([n], 1e3).scatter_reduce(0, cluster, floor, "amin")
        points = torch.zeros([n]).scatter_add(0, cluster, count)
        length, width, height = u1 - u0 + self.cell, v1 - v0 + self.cell, top - bottom
        middle_u, middle_v = (u0 + u1) / 2, (v0 + v1) / 2
        small = (length < 1.2) & (width < 1.2)
        vehicle = (~small) & (height < 2.3)
        # a car seen from behind shows its width: the length lies across
        across = torch.where(vehicle, (length < 2.3) & (length > width), length < width)
        yaw = torch.where(across, yaw + math.pi / 2, yaw)
        length, width = torch.where(across, width, length), torch.where(across, length, width)
        middle_u, middle_v = torch.where(across, middle_v, middle_u), torch.where(across, -middle_u, middle_v)
        # what is hidden lies behind what is seen: grow away from the sensor
        full_length = torch.where(vehicle, length.clamp(min=4.4), length)
        full_width = torch.where(vehicle, width.clamp(min=1.8), width)
        middle_u = middle_u + torch.sign(middle_u) * (full_length - length) / 2
        middle_v = middle_v + torch.sign(middle_v) * (full_width - width) / 2
        centre_x = middle_u * torch.cos(yaw) - middle_v * torch.sin(yaw)
        centre_y = middle_u * torch.sin(yaw) + middle_v * torch.cos(yaw)
        box = torch.stack([centre_x, centre_y, bottom + height / 2, full_length, full_width, height, yaw], 1)
        wall = (width < 0.7) & ((length > 5.5) | ((length > 1.5) & (height > 2.2)))
        trunk = (height > 2.2) & (length < 2.0)
        plausible = (length < 13.0) & (width < 3.2) & (height > 0.7) & ~wall & ~trunk
        score = torch.where(plausible, 1 - torch.exp(-points / 30), torch.zeros_like(points))
        keep = score > 0.1
        return self.without_doubles(box[keep], score[keep])

    def without_doubles(self, box: Tensor, score: Tensor) -> dict[str, Tensor]:
        """Leaves out what stands within 1.5 m of something surer: the roof of a car whose rear was found already."""
        away = torch.hypot(box[:, None, 0] - box[None, :, 0], box[:, None, 1] - box[None, :, 1])
        keep = ~((away < 1.5) & (score[:, None] < score[None, :])).any(1)
        return {"boxes": box[keep], "scores": score[keep]}

    def rectangles(
        self, x: Tensor, y: Tensor, cluster: Tensor, n: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The rectangle of each cluster: extents along its own axes u and v, and its yaw."""
        cos, sin = torch.cos(self.angles)[:, None], torch.sin(self.angles)[:, None]
        u, v = cos * x + sin * y, cos * y - sin * x
        where = cluster.expand_as(u)
        low, high = torch.full([u.size(0), n], 1e4), torch.full([u.size(0), n], -1e4)
        u0, u1 = low.scatter_reduce(1, where, u, "amin"), high.scatter_reduce(1, where, u, "amax")
        v0, v1 = low.scatter_reduce(1, where, v, "amin"), high.scatter_reduce(1, where, v, "amax")
        to_u = torch.minimum(u1.gather(1, where) - u, u - u0.gather(1, where))
        to_v = torch.minimum(v1.gather(1, where) - v, v - v0.gather(1, where))
        closeness = 1 / torch.minimum(to_u, to_v).clamp(min=0.15)
        fit = torch.zeros([u.size(0), n]).scatter_add(1, where, closeness)
        best = fit.argmax(0, keepdim=True)
        yaw = self.angles[best[0]]
        return u0.gather(0, best)[0], u1.gather(0, best)[0], v0.gather(0, best)[0], v1.gather(0, best)[0], yaw
