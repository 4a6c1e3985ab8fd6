"""What a sandboxed worker can see: a tree of files made for it, of its own processes, and of no network."""

import glob
import os
import site
import stat
import sys
from typing import List, Optional, Tuple

from . import kernel

__all__ = ["NAME", "NAMESPACES", "USER", "build", "interpreter", "unreadable"]

NAMESPACES = (
    kernel.CLONE_NEWNS
    | kernel.CLONE_NEWNET
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWCGROUP
)

NAME = "model"
"""The user and the machine as they are called inside."""
USER = 1000

# where Linux keeps the programs and libraries that an interpreter is made of
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store")
_SETTINGS = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
# how many processors there are, and their caches
_HARDWARE = ("/sys/devices/system/cpu", "/sys/devices/system/node")
# no /dev/zero: mapped as shared, it is memory that no limit counts
_DEVICES = ("/dev/null", "/dev/random", "/dev/urandom")
_GPUS = ("/dev/nvidia*", "/dev/dri", "/dev/kfd")
# of /proc, what says something of the machine or changes it
_HIDDEN_FILES = (
    "cmdline",
    "config.gz",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "sched_debug",
    "sysrq-trigger",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
)
_HIDDEN_FOLDERS = ("acpi", "asound", "bus", "driver", "fs", "irq", "scsi", "tty")
_FIXED = ("sys",)
_ROOT_BYTES = 4 << 20
_OLD = "/.old"


def interpreter() -> List[str]:
    """Returns the folders that this Python and its packages are in; raises OSError for one that is too much to show."""
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    packages = {path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")}
    if site.ENABLE_USER_SITE:
        packages.add(site.getusersitepackages())
    home = os.path.realpath(os.path.expanduser("~"))
    for prefix in sorted(prefixes):
        if _is_inside(home, os.path.realpath(prefix)) and prefix != "/usr":
            raise OSError(
                0,
                "this Python lies in {}, and so do the files of its user; use one in a folder of its own".format(
                    prefix
                ),
            )
    # this folder is where the worker's own code is
    folder = os.path.dirname(os.path.abspath(__file__))
    return sorted(path for path in prefixes | packages | {folder} if os.path.isdir(path))


def build(read: List[str], temporary_bytes: int, gpus: bool) -> None:
    """Replaces the whole tree of files by one with nothing in it but what `read` names, an interpreter needs, and an
    empty /tmp. Runs as the first process of the new namespaces."""
    shown = _SYSTEM + _SETTINGS + (("/sys",) if gpus else _HARDWARE)
    # links are followed as long as the old tree is there
    places = _places([path for path in shown + tuple(read) if os.path.lexists(path)])
    devices = list(_DEVICES) + ([path for name in _GPUS for path in sorted(glob.glob(name))] if gpus else [])
    devices = [path for path in devices if os.path.exists(path)]
    os.umask(0o022)

    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    base = os.path.realpath(next(path for path in ("/tmp", "/var", "/usr", "/dev") if os.path.isdir(path)))
    kernel.mount("tmpfs", base, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755,size={}".format(_ROOT_BYTES))
    os.mkdir(base + _OLD)
    kernel.pivot_root(base, base + _OLD)
    os.chdir("/")
    os.mkdir("/tmp")
    kernel.mount(
        "tmpfs",
        "/tmp",
        "tmpfs",
        kernel.MS_NOSUID | kernel.MS_NODEV,
        "mode=1777,size={},nr_inodes=65536".format(temporary_bytes),
    )
    for path, target in places:
        if target is None:
            _show(path)
        elif not os.path.lexists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(target, path)
    _make_dev(devices)
    _make_proc(gpus)
    _make_etc()
    kernel.unmount(_OLD)
    os.rmdir(_OLD)
    kernel.set_mount("/", kernel.MOUNT_ATTR_RDONLY, recursive=False)
    os.chdir("/tmp")


def _places(paths: List[str]) -> List[Tuple[str, Optional[str]]]:
    """Returns (path, None) for each place to show, those above others first, then (link, where it leads)."""
    real = sorted({os.path.realpath(path) for path in paths})
    tops: List[str] = []
    for path in real:
        if not any(_is_inside(path, top) for top in tops):
            tops.append(path)
    links = sorted({path for path in paths if os.path.realpath(path) != path})
    return [(path, None) for path in tops] + [(path, os.path.realpath(path)) for path in links]


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _show(path: str) -> None:
    """Has a file or folder of the old tree, with all that is mounted below it, read-only at the same place."""
    source = _OLD + path
    if os.path.isdir(source):
        os.makedirs(path, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").close()
    kernel.mount(source, path, None, kernel.MS_BIND | kernel.MS_REC)
    attributes = kernel.MOUNT_ATTR_RDONLY | kernel.MOUNT_ATTR_NOSUID | kernel.MOUNT_ATTR_NODEV
    kernel.set_mount(path, attributes, recursive=True)


def _make_dev(devices: List[str]) -> None:
    os.makedirs("/dev", exist_ok=True)
    for path in devices:
        source = _OLD + path
        if os.path.isdir(source):
            os.makedirs(path)
        else:
            open(path, "w").close()
        kernel.mount(source, path, None, kernel.MS_BIND | kernel.MS_REC)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink("/proc/self/fd" + target, "/dev/" + name)


def _make_proc(gpus: bool) -> None:
    os.mkdir("/proc")
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    for name in _HIDDEN_FILES:
        if os.path.exists("/proc/" + name):
            kernel.mount("/dev/null", "/proc/" + name, None, kernel.MS_BIND)
    for name in _HIDDEN_FOLDERS:
        if os.path.isdir("/proc/" + name) and not (gpus and name == "driver"):
            kernel.mount("tmpfs", "/proc/" + name, "tmpfs", kernel.MS_RDONLY, "size=0,mode=555")
    for name in _FIXED:
        kernel.mount("/proc/" + name, "/proc/" + name, None, kernel.MS_BIND | kernel.MS_REC)
        kernel.set_mount("/proc/" + name, kernel.MOUNT_ATTR_RDONLY, recursive=True)


def _make_etc() -> None:
    """Libraries ask who they run as; nobody else is named."""
    os.makedirs("/etc", exist_ok=True)
    with open("/etc/passwd", "w") as stream:
        stream.write("{0}:x:{1}:{1}:{0}:/tmp:/bin/false\n".format(NAME, USER))
    with open("/etc/group", "w") as stream:
        stream.write("{0}:x:{1}:\n".format(NAME, USER))


def unreadable(path: str) -> Optional[str]:
    """Returns a file or folder of `path` that others than its owner may not read, or None."""
    for folder, _, files in os.walk(path):
        for whole in [folder, *(os.path.join(folder, name) for name in files)]:
            mode = os.stat(whole).st_mode if os.path.exists(whole) else 0o777
            wanted = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
            if mode & wanted != wanted:
                return whole
    if os.path.isfile(path) and not os.stat(path).st_mode & stat.S_IROTH:
        return path
    return None
