"""Augment from plain data: what a JSON file says is what the class is given."""

from __future__ import annotations

import json

import pytest

from perceptum.builders import Augment
from perceptum.builders.augment import ImageColor, augment_of, to_plain
from perceptum.features import SpecError


@pytest.mark.parametrize(
    "augment",
    [
        Augment(),
        Augment(rotate=0.5, flip_y=0.5, scale=(0.9, 1.1), translate=0.2, drop_points=(0.1, 0.2), shuffle_points=True),
        Augment(image_crop=((0.0, 1.0), 0.5), image_color=ImageColor(brightness=0.2, hue=(-0.1, 0.1))),
    ],
)
def test_plain_data_make_the_same_again(augment: Augment) -> None:
    assert augment_of(json.loads(json.dumps(to_plain(augment)))) == augment


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"rotat": 1}, "augment: no field 'rotat'; did you mean 'rotate'"),
        ({"zzz": 1}, "augment: no field 'zzz'; there are rotate, flip_x"),
        ({"image_color": {"hu": 1}}, "augment: image_color: no field 'hu'; did you mean 'hue'"),
        ({"paste": {"counts": {"car": 3}}}, "augment: paste must say its database"),
        ({"paste": {"database": "x", "count": {}}}, "augment: paste: no field 'count'; did you mean 'counts'"),
        ({"paste": {"database": "x"}}, "augment: paste must say its counts"),
        ({"paste": {"database": 3, "counts": {"car": 3}}}, "paste: database must be a folder of objects, got 3"),
        ({"rotate": 10**400}, "rotate must be a finite number"),
        ({"rotate": {"from": 0}}, "augment: rotate has no fields of its own"),
        ([1], "augment must be an object of its fields"),
        ({"flip_x": 2}, "flip_x is how likely it is, from 0 to 1, got 2"),
    ],
)
def test_what_is_not_a_field_is_refused_by_name(plain: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        augment_of(plain)


def test_objects_to_paste_are_said_by_their_folder(tmp_path) -> None:
    import perceptum as pc
    from perceptum.objects import make_objects

    folder = tmp_path / "objects"
    make_objects([pc.open_log("synthetic", frames=1, beams=16, azimuth_steps=300)], folder)
    given = {"database": str(folder), "counts": {"v": 3, "w": 1}, "rotate": 0.5, "names": {"car": "Car"}}
    given["classes"] = [{"name": "v", "of": ["car"]}, {"name": "w", "of": ["truck"]}]
    plain = json.loads(json.dumps(to_plain(augment_of({"paste": given}))))
    assert plain["paste"]["database"] == str(folder)
    assert to_plain(augment_of(plain)) == to_plain(augment_of({"paste": given}))
