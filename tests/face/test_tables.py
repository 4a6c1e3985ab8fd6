"""Tables fit the terminal that they are shown on, and are never cut or folded for a program."""

from __future__ import annotations

import re
import sys

import pytest

from perceptum.cli.output import print_table

PROSE = "a text of many words, which may well be told in more lines than one " * 3
ROWS = [
    {"sensor": "RADAR_FRONT_RIGHT", "records": 13, "duration_s": 0.385, "what": PROSE},
    {"sensor": "CAM_FRONT", "records": 123456, "duration_s": 19.9, "what": ""},
]


@pytest.fixture
def shown(monkeypatch, capsys):
    """shown(rows, width) -> the lines on a terminal of that width."""

    def show(rows, width):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        print_table(rows)
        return re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()

    return show


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_table_is_no_wider_than_the_terminal_and_holds_every_word(shown, width):
    lines = shown(ROWS, width)
    assert max(map(len, lines)) <= width
    cells = "".join(line.strip("│┃").rpartition("│")[2] for line in lines)
    assert "".join(PROSE.split()) in "".join(cells.split())


@pytest.mark.parametrize("width", [80, 200])
def test_names_and_numbers_are_not_folded(shown, width):
    told = "\n".join(shown(ROWS, width))
    for word in ("RADAR_FRONT_RIGHT", "duration_s", "123456"):
        assert word in told


def test_margins_go_before_names_are_folded(shown):
    eight = [{f"column_{i}": "x" * 9 for i in range(7)}]
    assert len(shown(eight, 80)) == len(shown(eight, 200)) == 5
    assert max(map(len, shown(eight, 80))) == 71


def test_a_row_in_a_pipe_is_one_line(capsys):
    print_table(ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert PROSE.strip() in lines[3]


def test_a_table_of_prose_in_a_pipe_is_folded(capsys):
    print_table([{"word": "is", "text": PROSE}], prose=True)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) == 100
    assert "".join(PROSE.split()) in "".join("".join(line.split("│")[2:3]) for line in lines).replace(" ", "")
    print_table([{"word": "is", "text": "short"}], prose=True)
    assert max(map(len, capsys.readouterr().out.splitlines())) < 100


def test_the_sensors_of_a_log_fit_a_common_terminal(command):
    told = command("info", "synthetic:frames=2").out
    assert max(len(line) for line in told.splitlines()) < 100
    assert "float32 x y z vx vy vx_comp vy_comp rcs v_radial v_radial_comp" in told
    assert len([line for line in told.splitlines() if "RADAR_BACK_LEFT" in line]) == 2
