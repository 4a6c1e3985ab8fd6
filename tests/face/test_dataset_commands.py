"""perceptum info lists the logs of a dataset; commands that take any number of logs take a dataset and its splits."""

import pytest

from perceptum.cli.arguments import open_logs
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
    assert "drives: is not a log itself but holds train/a (store), val/b (store)" in refused.err
    wrong = command("info", "drives", "--split", "vla")
    assert (wrong.status, wrong.err) == (
        2,
        "perceptum: drives: no split 'vla'; there are train, val; did you mean drives:split=val?\n",
    )


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
