"""perceptum info lists the logs of a dataset; commands that take any number of logs take a dataset and its splits."""

import pytest

from perceptum.cli.opening import open_logs
from perceptum.errors import NotALog, UsageError

SMALL = "frames=3,beams=8,azimuth_steps=60,image_size=80x48"


def test_info_lists_the_logs_of_a_dataset(command):
    done = command("info", f"synthetic:logs=2,{SMALL}", "--split", "val")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [word for word in lines[1].split() if word.isidentifier()] == ["log", "frames", "duration_s", "split"]
    assert [line.split()[1] for line in lines[3:5]] == ["street-1000000000", "street-1000000001"]
    assert lines[-1] == "Dataset synthetic val: 2 logs, 6 frames"


def test_info_of_a_dataset_is_json_too(command):
    for words in ((f"synthetic:logs=2,{SMALL}", "--split", "val"), (f"synthetic:split=val,logs=2,{SMALL}",)):
        found = command("info", *words, "--json").json
        assert (found["name"], found["frames"]) == ("synthetic val", 6)
        assert [row["frames"] for row in found["logs"]] == [3, 3]


def test_info_of_one_log_is_as_it_was(command):
    assert command("info", f"synthetic:{SMALL}", "--json").json["name"] == "street-0"


def test_info_lists_a_folder_of_logs_and_other_commands_say_which_with(command, tmp_path):
    command("convert", f"synthetic:{SMALL}", "drives/train/a")
    command("convert", f"synthetic:seed=1,{SMALL}", "drives/val/b")
    found = command("info", "drives", "--json").json
    assert [(row["name"], row["split"], row["frames"]) for row in found["logs"]] == [("a", "train", 3), ("b", "val", 3)]
    assert [row["name"] for row in command("info", "drives:split=val", "--json").json["logs"]] == ["b"]
    refused = command("check", "drives")
    assert refused.status == 2
    assert refused.err == (
        "perceptum: drives: holds 2 logs, wanted one: drives/train/a, drives/val/b; perceptum info drives lists them\n"
    )
    wrong = command("info", "drives", "--split", "vla")
    assert (wrong.status, wrong.err) == (
        2,
        "perceptum: drives: no split 'vla'; there are train, val; did you mean drives:split=val?\n",
    )


TWO = f"synthetic:logs=2,split=val,{SMALL}"
FIRST, SECOND = (f"synthetic:frames=3,beams=8,azimuth_steps=60,image_size=80x48,seed={10**9 + k}" for k in (0, 1))
COMMANDS = {
    "explain": ["explain", "ego_pose", "--log", TWO],
    "view": ["view", TWO, "--json"],
    "bench": ["bench", TWO, "--spec", "ego_pose", "--rounds", "1"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_what_looks_at_a_frame_takes_the_first_of_several_logs_and_says_which(command, words):
    done = command(*words)
    assert done.status == 0
    assert done.err == f"{TWO}: holds 2 logs, this is the first, {FIRST}; perceptum info {TWO} lists them\n"


@pytest.mark.parametrize(
    "words",
    [["build", TWO, "ego_pose"], ["infer", TWO, "gone.neuropod"], ["check", TWO], ["convert", TWO, "store"]],
    ids=lambda words: words[0],
)
def test_what_goes_through_a_log_asks_for_one_of_several(refusal, words):
    said = f"{TWO}: holds 2 logs, wanted one: {FIRST}, {SECOND}; perceptum info {TWO} lists them"
    assert refusal(*words) == (2, said)


def test_the_name_of_a_log_among_several_opens_it(command):
    done = command("build", SECOND, "ego_pose", "--json", "--frames", 0)
    assert [row["frame_id"] for row in done.json] == ["000000"]
    rows = command("info", TWO, "--json").json["logs"]
    assert [row["place"] for row in rows] == [FIRST, SECOND]
    assert command("info", TWO).out.splitlines()[-2] == f"one of them alone: perceptum info {FIRST}"


def test_a_folder_that_holds_one_log_is_that_log_in_every_command(command, kitti, tmp_path):
    above = tmp_path / "data"
    above.mkdir()
    (above / "drive").symlink_to(kitti)
    assert command("build", above, "ego_pose", "--json").json[1]["frame_id"] == "000001"
    assert command("explain", "ego_pose", "--log", above, "--json").json["built"]["frame_id"] == "000000"
    assert command("check", above).out.endswith(": nothing wrong\n")
    assert command("convert", above, "store").status == 0


def test_the_logs_of_a_published_split_that_are_not_here_are_bad_use(refusal, kitti):
    (kitti / "training" / "velodyne" / "000000.bin").unlink()
    said = f"{kitti}: none of the 3712 frames of split train is here; here are 000001"
    for words in (["info", kitti, "--split", "train"], ["view", f"{kitti}:split=train"]):
        assert refusal(*words) == (2, said)


def test_any_number_of_logs_and_datasets_are_one(tmp_path):
    dataset = open_logs([f"synthetic:{SMALL}", f"synthetic:logs=2,split=val,{SMALL}"])
    assert [log.source.options.seed for log in dataset.logs] == [0, 10**9, 10**9 + 1]
    assert len(open_logs(f"synthetic:{SMALL}")) == 3
    with pytest.raises(UsageError, match="synthetic:frames="):
        open_logs([f"synthetic:{SMALL}", "synthetic:frame=3"])
    with pytest.raises(UsageError, match=r"^synthetic:split=a: option split is given twice, a and b$"):
        open_logs("synthetic:split=a", split="b")
    with pytest.raises(NotALog, match="no such folder"):
        open_logs(str(tmp_path / "nowhere"))
