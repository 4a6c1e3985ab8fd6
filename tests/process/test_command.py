"""Templates of the command that starts a worker."""

import pytest

from perceptum.neuropod.errors import NeuropodError
from perceptum.neuropod.process.command import expand

ARGV = ["/opt/py thon/bin/python", "-O", "/b/bootstrap.py"]
SOCKET = "/run/s/socket"
PACKAGE = "/models/a b.neuropod"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{worker}", [*ARGV, SOCKET]),
        (
            "nice -n 5 {worker}",
            ["nice", "-n", "5", *ARGV, SOCKET],
        ),
        (
            [
                "podman",
                "run",
                "-v",
                "{folder}:{folder}",
                "-v",
                "{code}:/c",
                "image",
                "python3",
                "{bootstrap}",
                "{socket}",
            ],
            ["podman", "run", "-v", "/run/s:/run/s", "-v", "/b:/c", "image", "python3", "/b/bootstrap.py", SOCKET],
        ),
        # a value is one word, whatever is in it
        ("x --ro={package} {worker}", ["x", "--ro=/models/a b.neuropod", *ARGV, SOCKET]),
        (
            "sh -c 'ulimit -c 0; exec {worker}'",
            ["sh", "-c", "ulimit -c 0; exec '/opt/py thon/bin/python' -O /b/bootstrap.py /run/s/socket"],
        ),
        # other braces stay
        ("awk '{print $1}' {worker}", ["awk", "{print $1}", *ARGV, SOCKET]),
        ("env A={} {worker}", None),
    ],
)
def test_a_template_is_filled_in_word_by_word(template, words):
    if words is None:
        with pytest.raises(NeuropodError, match=r"there is no \{\}"):
            expand(template, ARGV, SOCKET, PACKAGE)
    else:
        assert expand(template, ARGV, SOCKET, PACKAGE) == words


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("", "command: it is empty"),
        ([], "command: it is empty"),
        (
            "podman run image",
            "nothing in it starts the worker; add {worker}, or {bootstrap} and {socket}, got: podman run",
        ),
        ("podman {bootstrap}", "nothing in it starts the worker"),
        ("podman {wroker}", "there is no {wroker}; there are {worker}, {python}, {bootstrap}, {socket}, {folder}"),
        ("podman 'run {worker}", "No closing quotation: podman 'run {worker}"),
        ([1, "{worker}"], "must be a string or a sequence of strings"),
    ],
)
def test_a_template_that_starts_no_worker_is_refused(template, said):
    with pytest.raises(NeuropodError) as caught:
        expand(template, ARGV, SOCKET, PACKAGE)
    assert said in str(caught.value)
