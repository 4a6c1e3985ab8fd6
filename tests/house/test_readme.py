"""What README.md and docs/ show runs as written.

```python blocks run in document order, all blocks of a file in one namespace, in an empty folder. In ```console
blocks, `$ perceptum ...` runs in that same folder and must end with status 0, and `$ make NAME` must name a target;
other lines are output, or commands that a test cannot run. A fence that says `no-run` behind the language is only
shown.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


class Block(NamedTuple):
    """One runnable fenced block: its language, its text, and the line its text starts at."""

    language: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    found = []
    for match in FENCE.finditer(page):
        words = match["info"].split()
        if words and words[0] in ("python", "console") and "no-run" not in words:
            body = re.sub(f"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
            found.append(Block(words[0], body, page.count("\n", 0, match.start("body")) + 1))
    return found


def commands(block: Block) -> list[list[str]]:
    """The command lines of a console block, split into words, without comments."""
    joined = block.text.replace("\\\n", " ")
    return [shlex.split(line[2:], comments=True) for line in joined.splitlines() if line.startswith("$ ")]


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def check_command(words: list[str]) -> None:
    if words[0] == "make":
        asked = {word for word in words[1:] if "=" not in word and not word.startswith("-")}
        assert asked <= targets(), f"the Makefile has no target {sorted(asked - targets())}"
    if words[0] == "perceptum":
        program = "import sys; from perceptum.cli import main; sys.exit(main())"
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        command = [sys.executable, "-c", program, *words[1:]]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"


def run_page(page: str, name: str) -> None:
    """Runs a page's blocks in the current folder."""
    namespace = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "python":
            # the empty lines make a traceback name the page's own line
            exec(compile("\n" * (block.line - 1) + block.text, name, "exec", dont_inherit=True), namespace)
        else:
            for words in commands(block):
                check_command(words)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [p for p in pages() if blocks(p.read_text(encoding="utf-8"))], ids=page_name)
def test_what_a_page_shows_runs_as_written(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page.read_text(encoding="utf-8"), str(page))


def test_the_readme_shows_the_two_commands_and_code_that_runs():
    found = blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    shown = [words for block in found if block.language == "console" for words in commands(block)]
    assert ["make", "demo"] in shown
    assert ["make", "test"] in shown
    assert any("InputBuilder" in block.text for block in found if block.language == "python")


@pytest.mark.parametrize("page", [*pages(), ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"], ids=page_name)
def test_the_links_of_a_page_lead_somewhere(page):
    inside = [link["target"] for link in LINK.finditer(page.read_text(encoding="utf-8")) if "://" not in link["target"]]
    files = [target.split("#")[0] for target in inside if not target.startswith(("#", "mailto:"))]
    assert [target for target in files if not (page.parent / target).exists()] == []


SAMPLE = """# A page
```python
import perceptum as pc
names = [feature.name for feature in pc.features.canonical().features]
```
In a list, further in:
  ```python
  assert "lidar_points" in names
  open("seen.txt", "w").write(names[0])
  ```
```python no-run
raise SystemExit("only shown")
```
```sh
perceptum this is only shown
```
```console
$ make demo PYTHON=python3.12   # a comment
what it prints
$ cd perceptum
```
"""


def test_a_page_runs_in_order_in_one_namespace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(SAMPLE, "sample.md")
    assert (tmp_path / "seen.txt").read_text() in {f.name for f in pc_features()}


def pc_features():
    import perceptum as pc

    return pc.features.canonical().features


def test_a_broken_block_fails_at_its_own_line():
    with pytest.raises(ZeroDivisionError) as caught:
        run_page("# A page\n\n```python\nfine = 1\n1 / 0\n```\n", "sample.md")
    last = caught.traceback[-1]
    assert (Path(last.path).name, last.lineno + 1) == ("sample.md", 5)


def test_a_command_that_is_not_there_fails():
    with pytest.raises(AssertionError, match=r"^the Makefile has no target \['demmo'\]"):
        run_page("```console\n$ make demmo\n```\n", "sample.md")


def test_a_command_that_fails_fails():
    with pytest.raises(AssertionError, match=r"^perceptum no-such-command\n"):
        run_page("```console\n$ perceptum \\\n  no-such-command\n```\n", "sample.md")
