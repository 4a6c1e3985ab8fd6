"""What is asked of a sandbox, and where there can be none."""

import json
import os
import sys

import pytest

from perceptum.neuropod.errors import NeuropodError
from perceptum.neuropod.process import sandbox as face
from perceptum.neuropod.process.limits import Limits
from perceptum.neuropod.process.sandbox import Sandbox, confinement, source_folders, variables_inside
from perceptum.neuropod.process.worker.enclosure import possible


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"memory_bytes": 1}, "memory_bytes must be a whole number from 134217728 on, got 1"),
        ({"temporary_bytes": 0}, "temporary_bytes must be a whole number from 65536 on, got 0"),
        ({"processes": -1}, "processes must be a whole number from 0 on, got -1"),
        ({"processes": True}, "processes must be a whole number from 0 on, got True"),
        ({"cpu_s": 0.5}, "cpu_s must be a whole number from 1 on, got 0.5"),
        ({"read": ("/no/such",)}, "there is no '/no/such' to read"),
        ({"read": "/"}, "read must be paths in a list or tuple, got '/'"),
    ],
)
def test_a_sandbox_that_cannot_be_is_refused_when_it_is_made(wrong, said):
    with pytest.raises(NeuropodError, match=f"sandbox: {said}"):
        Sandbox(**wrong)


def test_an_order_is_plain_data_and_the_limits_memory_is_the_sandboxs():
    order = confinement(Limits(memory_bytes=1 << 30), Sandbox(), package="/usr/../usr/bin", variables={"MY_VARIABLE"})
    assert json.loads(json.dumps(order)) == order
    assert order["sandbox"]["memory_bytes"] == 1 << 30
    assert order["sandbox"]["read"] == ["/usr/bin"]
    assert order["sandbox"]["variables"] == ["MY_VARIABLE"]


def test_the_folders_that_perceptum_lies_in_are_shown_and_no_other_of_the_search_path(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    folders = source_folders()
    assert tmp_path not in folders
    assert all(folder.is_absolute() for folder in folders)
    import perceptum

    assert any(os.path.samefile(folder, os.path.dirname(perceptum.__file__)) for folder in folders)


def test_secrets_of_the_environment_are_not_passed_on():
    environment = {
        "AWS_SECRET_ACCESS_KEY": "x",
        "TF_VAR_password": "x",
        "HOME": "/home/me",
        "PATH": "/usr/bin",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_NUM_THREADS": "2",
        "LC_ALL": "C.UTF-8",
        "MINE": "x",
    }
    kept = variables_inside(environment, also={"MINE"})
    assert kept.keys() == {"TF_CPP_MIN_LOG_LEVEL", "OMP_NUM_THREADS", "LC_ALL", "MINE"}


# machines on which there can be none


def machine(monkeypatch, *, files=None, user=0, **system):
    """Makes this machine another one, as far as `why_not` looks."""
    files = {
        "/proc/self/status": "CapEff:\t000001ffffffffff\n",
        "/proc/self/uid_map": "0 0 4294967295",
        **(files or {}),
    }
    files.setdefault("/proc/self/gid_map", files["/proc/self/uid_map"])
    monkeypatch.setattr(possible, "_setting", lambda path, otherwise: files.get(path, otherwise))
    uname = os.uname()
    values = {"sysname": "Linux", "nodename": "n", "release": "6.1.0-13-amd64", "version": "1", "machine": "x86_64"}
    monkeypatch.setattr(os, "uname", lambda: type(uname)({**values, **system}.values()))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "getresuid", lambda: (user, user, user))
    monkeypatch.setattr(os, "getresgid", lambda: (user, user, user))


@pytest.mark.parametrize("user", [0, 1000])
@pytest.mark.parametrize(
    "release", ["5.14.0-70.el9.x86_64", "6.1.0-13-amd64", "5.15.133.1-microsoft-standard-WSL2", "7.0"]
)
def test_there_can_be_one_on_an_ordinary_machine(monkeypatch, user, release):
    machine(monkeypatch, user=user, release=release)
    assert possible.why_not() is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"machine": "riscv64"},
            "its table of system calls is for x86_64 and aarch64 with 64 bits, and this is riscv64",
        ),
        ({"release": "5.4.0-150-generic"}, "Linux 5.4.0-150-generic is too old; it needs 5.14 or newer"),
        ({"release": "3.10.0-1160.el7"}, "Linux 3.10.0-1160.el7 is too old"),
        (
            {"files": {"/proc/sys/user/max_user_namespaces": "0"}},
            "user namespaces are turned off; turn them on: sysctl user.max_user_namespaces=10000",
        ),
        (
            {"files": {"/proc/sys/kernel/unprivileged_userns_clone": "0"}, "user": 1000},
            "ordinary users may not make user namespaces; allow it: sysctl kernel.unprivileged_userns_clone=1",
        ),
        (
            {"files": {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"}, "user": 1000},
            "AppArmor keeps ordinary users from using user namespaces; give this Python a profile with 'userns,', or",
        ),
        (
            {"files": {"/proc/self/status": "CapEff:\t00000000a80425fb\n"}},
            "this is a root that may not become somebody else (it lacks the capabilities SETUID, SETGID or SYS_ADMIN",
        ),
        (
            {"files": {"/proc/self/uid_map": "0 1000 1"}},
            "root is the only user in this container, and can become nobody else; run as an ordinary user",
        ),
    ],
)
def test_where_there_can_be_none_it_is_refused_with_what_would_help(monkeypatch, changed, said):
    machine(monkeypatch, **changed)
    with pytest.raises(NeuropodError) as caught:
        face.require_sandbox()
    assert str(caught.value).startswith(f"isolate='sandbox' is not possible here: {said}")


def test_there_can_be_none_outside_of_linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert possible.why_not() == "it is made of Linux's namespaces, and this is darwin"


def test_a_program_with_two_users_rights_is_refused(monkeypatch):
    machine(monkeypatch, user=1000)
    monkeypatch.setattr(os, "getresuid", lambda: (1000, 1000, 0))
    assert "with the rights of two users" in possible.why_not()


@pytest.mark.parametrize(
    ("user_map", "number"),
    [("0 0 4294967295", 65534), ("0 1000 1\n1 100000 65536", 65534), ("0 1000 1\n1 100000 1000", 1000), ("0 0 1", 0)],
)
def test_root_becomes_a_user_without_rights_that_there_is(monkeypatch, user_map, number):
    machine(monkeypatch, files={"/proc/self/uid_map": user_map})
    assert possible.somebody() == number
