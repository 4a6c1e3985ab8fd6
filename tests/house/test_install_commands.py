"""Every command that a message or a page gives is one that works: its extra, its program, its options are there."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from perceptum.doctor import examine
from perceptum.install import install_command

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src/perceptum", "features", "inputs", "datasets", "builders", "neuropod")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def sources() -> list[Path]:
    found = {path.resolve() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    return sorted(found)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Every text of a file as its reader may see it, docstrings apart; {} where something is put in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (inner | prose):
            yield node.lineno, node.value


def asked_extras(path: Path) -> Iterator[tuple[int, str]]:
    """The extras for which a file's messages take an install command."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "install_command":
            yield from ((node.lineno, arg.value) for arg in node.args if isinstance(arg, ast.Constant))


def test_every_extra_that_a_message_names_is_there():
    asked = {(extra, f"{path.name}:{line}") for path in sources() for line, extra in asked_extras(path)}
    assert {"torch", "mcap", "map", "camera"} <= {extra for extra, _ in asked}
    assert [where for extra, where in asked if extra not in EXTRAS] == []


def test_no_message_writes_an_install_command_of_ours_by_itself():
    """Only `install_command` knows whether this is a checkout."""
    said = [
        f"{path.name}:{line}: {text}"
        for path in sources()
        for line, text in texts(path)
        if re.search(r"pip install \S*perceptum|pip install \S*\.\[", text) and path.name != "install.py"
    ]
    assert said == []


def parsed(command: str) -> tuple[str, set[str]]:
    """(what is installed, which extras) of a pip command; pip's own parser of requirements and paths."""
    words = shlex.split(command)
    assert words[:2] == ["pip", "install"]
    wanted = words[-1]
    assert words[2:-1] in ([], ["-e"])
    if words[2:-1] == ["-e"]:
        from pip._internal.req.constructors import parse_editable

        _, url, extras = parse_editable(wanted)
        return url, set(extras)
    requirement = Requirement(wanted)
    return requirement.name, set(requirement.extras)


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_pip_understands_the_command(extra):
    what, extras = parsed(install_command(extra))
    assert extras == ({extra} if extra else set())
    assert what in ("perceptum", ROOT.as_uri())


def command_of(folder: Path, *words: str) -> str:
    """What `install_command` says when this code lies in a folder."""
    program = "import sys; from perceptum.install import install_command; print(install_command(*sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd="/",
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.removesuffix("\n")


def put(folder: Path) -> Path:
    """The little that the command needs of the package, in a folder."""
    (folder / "perceptum").mkdir(parents=True)
    (folder / "perceptum" / "__init__.py").touch()
    shutil.copy(ROOT / "src" / "perceptum" / "install.py", folder / "perceptum")
    return folder


def test_who_cloned_installs_from_the_clone_wherever_it_lies(tmp_path):
    root = tmp_path / "a clone"
    source = put(root / "src")
    shutil.copy(ROOT / "pyproject.toml", root)
    assert command_of(source, "torch") == f"pip install -e '{root}[torch]'"
    assert parsed(command_of(source, "torch"))[1] == {"torch"}
    assert command_of(source) == f"pip install -e '{root}'"


def test_who_installed_a_wheel_asks_pip_by_name(tmp_path):
    site = put(tmp_path / "lib" / "python3.11" / "site-packages")
    assert command_of(site, "torch") == "pip install 'perceptum[torch]'"
    assert command_of(site) == "pip install perceptum"


def test_another_projects_folder_is_not_taken_for_the_clone(tmp_path):
    source = put(tmp_path / "src")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "robot"\n')
    assert command_of(source, "torch") == "pip install 'perceptum[torch]'"
    (tmp_path / "pyproject.toml").write_text("not toml [")
    assert command_of(source, "torch") == "pip install 'perceptum[torch]'"


def needs(extra: str) -> set[str]:
    """The packages of an extra, those of extras within it too."""
    found: set[str] = set()
    for requirement in map(Requirement, EXTRAS[extra]):
        inner = requirement.extras if requirement.name == "perceptum" else set()
        found |= set().union(*map(needs, inner)) if inner else {canonicalize_name(requirement.name)}
    return found


def test_the_extra_of_all_leaves_out_only_what_holds_others_back_or_has_gpl_code():
    everything = set().union(*(needs(extra) for extra in EXTRAS if extra != "all"))
    assert everything - needs("all") == {"py123d", "av"}


def test_the_doctor_knows_the_extra_of_each_package():
    listed = {canonicalize_name(p["package"]): p["extra"] for p in examine()["packages"]}
    absent = needs("all") - set(listed) - {"protobuf"}
    assert absent == set()
    assert [name for name, extra in listed.items() if extra != "-" and name not in needs(extra)] == []


PROGRAM = re.compile(r"`(perceptum [a-z][^`]*)`")


def test_every_command_of_ours_that_a_message_names_is_understood():
    """`perceptum NAME --option`, in backticks: the command is there, and takes the option."""
    import typer

    from perceptum.cli.commands import app

    known = typer.main.get_command(app).commands
    said = [
        (path.name, line, command) for path in sources() for line, t in texts(path) for command in PROGRAM.findall(t)
    ]
    for name, line, command in said:
        words = shlex.split(command)
        assert words[1] in known, f"{name}:{line}: {command}"
        options = {option for param in known[words[1]].params for option in param.opts}
        assert {word.partition("=")[0] for word in words[2:] if word.startswith("--")} <= options, f"{name}:{line}"


def test_every_make_target_that_a_message_names_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    said = {target for path in sources() for _, text in texts(path) for target in re.findall(r"`make ([a-z-]+)`", text)}
    assert said <= targets
