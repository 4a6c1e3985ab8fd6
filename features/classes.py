"""Which of a log's categories are a class: lists of classes, by name or in full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec

from .errors import SpecError
from .parameter import About

__all__ = [
    "CLASSES",
    "CLASS_LISTS",
    "ClassListName",
    "Classes",
    "LabelClass",
    "check_classes",
    "class_of",
    "classes_of",
    "said_of_no_class",
]

ClassListName = Literal["road_users", "nuscenes", "kitti", "waymo", "argoverse2", "nuscenes_lidarseg", "semantic_kitti"]


_MOST_SHOWN = 12
"""Names in a message."""


class LabelClass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A class, and the categories of the log that are of it."""

    name: Annotated[str, About("What the class is called.")]
    of: Annotated[
        tuple[str, ...],
        About("The log's categories, as it spells them; one that ends with * stands for all that begin so."),
    ]

    def __post_init__(self) -> None:
        if not self.name:
            raise SpecError("a class must have a name")
        if not self.of or not all(self.of):
            raise SpecError(f"class '{self.name}': `of` must list the categories that are of it, got {list(self.of)}")
        for pattern in self.of:
            if "*" in pattern[:-1]:
                raise SpecError(f"class '{self.name}': in '{pattern}' the * must be at the end")


Classes = ClassListName | tuple[str | LabelClass, ...]
"""A ready list by its name; or names of the log's categories, and classes with those that are merged into them."""


def _merged(**classes: str) -> tuple[LabelClass, ...]:
    return tuple(LabelClass(name=name, of=tuple(of.split())) for name, of in classes.items())


def _alone(names: str) -> tuple[LabelClass, ...]:
    return tuple(LabelClass(name=name, of=(name,)) for name in names.split())


CLASS_LISTS: Mapping[str, tuple[LabelClass, ...]] = MappingProxyType(
    {
        # of all datasets that we read
        "road_users": _merged(
            vehicle="vehicle.car vehicle.truck vehicle.bus.* vehicle.trailer vehicle.construction vehicle.emergency.* "
            "REGULAR_VEHICLE LARGE_VEHICLE BUS BOX_TRUCK TRUCK TRUCK_CAB VEHICULAR_TRAILER MESSAGE_BOARD_TRAILER "
            "SCHOOL_BUS ARTICULATED_BUS RAILED_VEHICLE CAR VAN TRAILER VEHICLE vehicle bus Car Van Truck Tram car "
            "truck",
            pedestrian="human.pedestrian.* PEDESTRIAN OFFICIAL_SIGNALER PERSON pedestrian Pedestrian Person_sitting",
            cyclist="vehicle.bicycle vehicle.motorcycle BICYCLIST MOTORCYCLIST WHEELED_RIDER BICYCLE MOTORCYCLE "
            "CYCLIST cyclist motorcyclist Cyclist",
        ),
        # in the order of OpenPCDet, CenterPoint and mmdetection3d's CenterPoint, by nuScenes' detection task
        "nuscenes": _merged(
            car="vehicle.car",
            truck="vehicle.truck",
            construction_vehicle="vehicle.construction",
            bus="vehicle.bus.bendy vehicle.bus.rigid",
            trailer="vehicle.trailer",
            barrier="movable_object.barrier",
            motorcycle="vehicle.motorcycle",
            bicycle="vehicle.bicycle",
            pedestrian="human.pedestrian.adult human.pedestrian.child human.pedestrian.construction_worker "
            "human.pedestrian.police_officer",
            traffic_cone="movable_object.trafficcone",
        ),
        "kitti": _alone("Car Pedestrian Cyclist"),
        "waymo": _alone("VEHICLE PEDESTRIAN CYCLIST"),
        # in the order of the dataset's own detection task
        "argoverse2": _alone(
            "REGULAR_VEHICLE PEDESTRIAN BICYCLIST MOTORCYCLIST WHEELED_RIDER BOLLARD CONSTRUCTION_CONE SIGN "
            "CONSTRUCTION_BARREL STOP_SIGN MOBILE_PEDESTRIAN_CROSSING_SIGN LARGE_VEHICLE BUS BOX_TRUCK TRUCK "
            "VEHICULAR_TRAILER TRUCK_CAB SCHOOL_BUS ARTICULATED_BUS MESSAGE_BOARD_TRAILER BICYCLE MOTORCYCLE "
            "WHEELED_DEVICE WHEELCHAIR STROLLER DOG"
        ),
        # the 16 and the 19 of the two challenges, in the order of their numbers
        "nuscenes_lidarseg": _merged(
            barrier="movable_object.barrier",
            bicycle="vehicle.bicycle",
            bus="vehicle.bus.bendy vehicle.bus.rigid",
            car="vehicle.car",
            construction_vehicle="vehicle.construction",
            motorcycle="vehicle.motorcycle",
            pedestrian="human.pedestrian.adult human.pedestrian.child human.pedestrian.construction_worker "
            "human.pedestrian.police_officer",
            traffic_cone="movable_object.trafficcone",
            trailer="vehicle.trailer",
            truck="vehicle.truck",
            driveable_surface="flat.driveable_surface",
            other_flat="flat.other",
            sidewalk="flat.sidewalk",
            terrain="flat.terrain",
            manmade="static.manmade",
            vegetation="static.vegetation",
        ),
        "semantic_kitti": _merged(
            car="car moving-car",
            bicycle="bicycle",
            motorcycle="motorcycle",
            truck="truck moving-truck",
            other_vehicle="bus on-rails other-vehicle moving-on-rails moving-bus moving-other-vehicle",
            person="person moving-person",
            bicyclist="bicyclist moving-bicyclist",
            motorcyclist="motorcyclist moving-motorcyclist",
            road="road lane-marking",
            parking="parking",
            sidewalk="sidewalk",
            other_ground="other-ground",
            building="building",
            fence="fence",
            vegetation="vegetation",
            trunk="trunk",
            terrain="terrain",
            pole="pole",
            traffic_sign="traffic-sign",
        ),
    }
)
"""Name -> what it stands for."""

CLASSES = About(
    "The classes, in the order of their numbers: a list's name; or a list of the log's categories, or of objects with "
    "`name` and `of`, the categories that are merged into it. A category belongs to the first class that it fits; what "
    "fits none is left out. road_users: vehicle, pedestrian, cyclist, of the categories of all datasets that are read; "
    "nuscenes: the ten of its detection task, in CenterPoint's order; kitti: Car, Pedestrian, Cyclist; waymo: VEHICLE, "
    "PEDESTRIAN, CYCLIST; argoverse2: the 26 of its detection task; "
    "nuscenes_lidarseg, semantic_kitti: the 16 and the 19 classes of points of their challenges."
)


def classes_of(classes: Classes) -> tuple[LabelClass, ...]:
    """Returns the classes in full, in order."""
    if isinstance(classes, str):
        return CLASS_LISTS[classes]
    return tuple(LabelClass(name=one, of=(one,)) if isinstance(one, str) else one for one in classes)


def check_classes(name: str, classes: Classes) -> None:
    """Raises SpecError for a list of classes that names none, or one or a category twice; `name` is the parameter's."""
    whole = classes_of(classes)
    names = [one.name for one in whole]
    if not names or len(set(names)) != len(names):
        raise SpecError(f"{name} must be one or more classes, each once, got {names}")
    seen: dict[str, str] = {}
    for one in whole:
        for pattern in one.of:
            if pattern in seen:
                raise SpecError(f"{name}: '{pattern}' is listed twice, in '{seen[pattern]}' and in '{one.name}'")
            seen[pattern] = one.name


def meaning_of(classes: Classes) -> list[Any]:
    """Returns the classes in full as plain data, for fingerprints: equal ones mean the same, however they are said."""
    plain: list[Any] = msgspec.to_builtins(classes_of(classes))
    return plain


def class_of(category: str, classes: tuple[LabelClass, ...]) -> int:
    """Returns the number of the first class that a category of the log is of; -1 where it is of none."""
    for number, one in enumerate(classes):
        for pattern in one.of:
            if category == pattern or (pattern[-1] == "*" and category.startswith(pattern[:-1])):
                return number
    return -1


def said_of_no_class(categories: Iterable[str], classes: tuple[LabelClass, ...]) -> str:
    """Returns why no box is of a class, in words: the classes and what they want, what there is, and what to do."""
    there = sorted(set(categories))
    ready = [name for name, own in CLASS_LISTS.items() if any(class_of(one, own) >= 0 for one in there)]
    lists = f"{', '.join(ready)}, which {'has' if len(ready) == 1 else 'have'} some of them, or to " if ready else ""
    wanted = [pattern for one in classes for pattern in one.of]
    names = _first(one.name for one in classes)
    # a class that is called as a category of the log may yet be of others: car of vehicle.car
    of = "" if wanted == [one.name for one in classes] else f", which are of the categories {_first(wanted)}"
    return (
        f"none is of a class in `classes` ({names}{of}): its categories are {_first(there)} (reported once; set "
        f"`classes` to {lists}a list of those to take)"
    )


def _first(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_MOST_SHOWN]) + (", ..." if len(listed) > _MOST_SHOWN else "")
