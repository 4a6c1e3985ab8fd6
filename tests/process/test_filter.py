"""The table of system calls: its numbers are those of the system's own headers."""

import re
from pathlib import Path

import pytest

from perceptum.neuropod.process.worker.enclosure import filter

HEADERS = {0: "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 1: "/usr/include/asm-generic/unistd.h"}
SINGLE = {
    "clone": filter._CLONE,
    "socketpair": filter._SOCKETPAIR,
    "ioctl": filter._IOCTL,
    "sched_setaffinity": filter._SETAFFINITY,
    "sched_setscheduler": filter._SETSCHEDULER,
    "mmap": filter._MMAP,
}


@pytest.mark.parametrize("column", HEADERS)
def test_the_numbers_of_calls_are_those_of_the_headers(column):
    path = Path(HEADERS[column])
    if not path.exists():
        pytest.skip(f"no {path}")
    known = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text())}
    checked = 0
    for name, numbers in {**filter.REFUSED, **filter.ABSENT, **filter._FORKS, **SINGLE}.items():
        if name in known:
            assert numbers[column] == known[name], name
            checked += 1
    assert checked > 60


def test_what_is_refused_is_a_known_call_of_its_processor():
    for name, numbers in filter.REFUSED.items():
        known = [number for number in numbers if number is not None]
        assert known, name
        assert max(known) <= filter.NEWEST
        if min(known) >= 424:
            assert len(set(known)) == 1, f"{name}: all processors share the numbers from 424 on"
    for column in (0, 1):
        column_numbers = [numbers[column] for numbers in filter.REFUSED.values() if numbers[column] is not None]
        assert len(column_numbers) == len(set(column_numbers))


def test_a_program_fits_into_the_kernels_limits():
    for forks in (False, True):
        program = filter.program(forks, True)
        assert len(program) % 8 == 0
        assert len(program) // 8 < 4096
