"""In which axes a model answers: as its output's row says, or as its inputs agree."""

import pytest

from perceptum.features import Row, RowError, SpecError, canonical, output_frame

BOXES = {"name": "boxes", "dtype": "float32", "shape": ["n", 7]}


def points(frame=None, name="lidar_points"):
    params = None if frame is None else {"frame": frame}
    return {"name": name, "dtype": "float32", "shape": ["n", 5], "params": params}


IMAGE = {"name": "lidar_range_image", "dtype": "float32", "shape": [5, 64, 2048]}
POSE = {"name": "ego_pose", "dtype": "float64", "shape": [4, 4]}
OWN = {"name": "my_own", "dtype": "float32", "shape": []}


@pytest.mark.parametrize(
    ("inputs", "wanted"),
    [
        ([points()], "ego"),
        ([points("ego")], "ego"),
        ([points("lidar")], "lidar"),
        ([points("lidar"), points("lidar", "lidar_points__b"), POSE, OWN], "lidar"),
        ([POSE], "ego"),
        ([OWN], "ego"),
        ([], "ego"),
    ],
)
def test_a_model_answers_in_the_axes_of_its_inputs(inputs, wanted):
    assert output_frame(canonical(), inputs, BOXES) == wanted


@pytest.mark.parametrize("inputs", [[points("lidar")], [points(), points("lidar", "lidar_points__b")], [IMAGE]])
@pytest.mark.parametrize("frame", ["ego", "lidar"])
def test_an_output_may_say_its_own_axes(inputs, frame):
    assert output_frame(canonical(), inputs, {**BOXES, "frame": frame}) == frame


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (
            [points("lidar"), points("ego", "lidar_points__b")],
            "'lidar_points' is in the primary lidar's axes at the reference time, 'lidar_points__b' is in the "
            "vehicle's axes at the reference time",
        ),
        ([IMAGE], "'lidar_range_image' is in the axes of the sensor that measured it, as measured"),
    ],
)
def test_what_the_inputs_do_not_agree_on_must_be_said(inputs, said):
    with pytest.raises(SpecError) as refused:
        output_frame(canonical(), inputs, BOXES)
    assert str(refused.value) == (
        f"the frame of reference of the output 'boxes' is not known, and its inputs do not say: {said}; "
        'write "frame": "ego" or "lidar" into its row'
    )


def test_a_row_keeps_its_frame():
    row = Row.of({**BOXES, "frame": "lidar"})
    assert row.frame == "lidar"
    assert row.to_dict() == {**BOXES, "frame": "lidar"}
    assert Row.of(row.to_dict()) == row
    assert "frame" not in Row.of(BOXES).to_dict()
    with pytest.raises(RowError, match=r"^'boxes': frame must be 'ego' or 'lidar', got 'world'$"):
        Row.of({**BOXES, "frame": "world"})


def test_an_input_says_its_axes_in_its_params():
    spec = canonical().spec([{**points(), "frame": "lidar"}])
    with pytest.raises(SpecError) as refused:
        canonical().resolve(spec)
    assert str(refused.value) == (
        'input \'lidar_points\' has a frame of its own, which is for outputs; say it in its params: {"frame": "lidar"}'
    )
