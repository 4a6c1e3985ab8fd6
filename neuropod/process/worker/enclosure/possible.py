"""Whether there can be a sandbox on this machine; the parent asks before it starts a worker, and the worker again."""

import os
import sys
from typing import Optional, Tuple

__all__ = ["somebody", "why_not"]

_OLDEST = (5, 14)
"""The Linux from which on the number of processes is counted in each user namespace."""
_NOBODY = 65534
# CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN: of a root that can give itself away
_ROOT_NEEDS = (1 << 6) | (1 << 7) | (1 << 21)


def why_not() -> Optional[str]:
    """Returns why there can be no sandbox here, and what would help; None where nothing speaks against it.

    A container or a security module may still refuse what is asked of it, which is known when it is tried.
    """
    if not sys.platform.startswith("linux"):
        return "it is made of Linux's namespaces, and this is {}".format(sys.platform)
    system = os.uname()
    if system.machine not in ("x86_64", "aarch64") or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return "its table of system calls is for x86_64 and aarch64 with 64 bits, and this is {}".format(system.machine)
    if _version(system.release) < _OLDEST:
        return "Linux {} is too old; it needs {}.{} or newer".format(system.release, *_OLDEST)
    if _setting("/proc/sys/user/max_user_namespaces", "1") == "0":
        return "user namespaces are turned off; turn them on: sysctl user.max_user_namespaces=10000"
    if len(set(os.getresuid())) > 1 or len(set(os.getresgid())) > 1:
        return "this program runs with the rights of two users (set-user-ID); start it as one of them"
    return _why_not_root() if os.geteuid() == 0 else _why_not_user()


def _why_not_root() -> Optional[str]:
    held = int(_status("CapEff") or "0", 16)
    if held & _ROOT_NEEDS != _ROOT_NEEDS:
        return (
            "this is a root that may not become somebody else (it lacks the capabilities SETUID, SETGID or SYS_ADMIN, "
            "as in a container); run as an ordinary user"
        )
    if somebody() == 0:
        return "root is the only user in this container, and can become nobody else; run as an ordinary user"
    return None


def _why_not_user() -> Optional[str]:
    if _setting("/proc/sys/kernel/unprivileged_userns_clone", "1") == "0":
        return "ordinary users may not make user namespaces; allow it: sysctl kernel.unprivileged_userns_clone=1"
    if _setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0") != "0":
        return (
            "AppArmor keeps ordinary users from using user namespaces; give this Python a profile with 'userns,', or "
            "allow it to all: sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )
    return None


def somebody() -> int:
    """Returns the number of a user and group without rights, for root to become; 0 where there is none."""
    known = [_last("/proc/self/uid_map"), _last("/proc/self/gid_map")]
    return min(_NOBODY, *known)


def _last(path: str) -> int:
    """Returns the highest number that is a user's here, at most nobody's."""
    last = 0
    for line in _setting(path, "").splitlines():
        first, _, count = (int(word) for word in line.split())
        if first <= _NOBODY:
            last = max(last, min(_NOBODY, first + count - 1))
    return last


def _version(release: str) -> Tuple[int, ...]:
    words = release.split("-")[0].split(".")[:2]
    return tuple(int("".join(c for c in word if c.isdigit()) or 0) for word in words)


def _setting(path: str, otherwise: str) -> str:
    try:
        with open(path) as stream:
            return stream.read().strip()
    except OSError:
        return otherwise


def _status(key: str) -> str:
    for line in _setting("/proc/self/status", "").splitlines():
        if line.startswith(key + ":"):
            return line.split(":")[1].strip()
    return ""
