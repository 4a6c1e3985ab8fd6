"""docs/features/ is what the schema says today."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from perceptum.features import Catalogue

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted((DOCS / "features").glob("*.md"))


def test_the_pages_of_features_are_written_by_their_script():
    done = subprocess.run([sys.executable, DOCS / "generate_features.py", "--check"], check=False)
    assert done.returncode == 0, "the schema changed: run python docs/generate_features.py"


def test_there_is_a_page_for_each_family_and_an_index():
    assert {path.name for path in PAGES} == {"README.md", *(f"{family}.md" for family in Catalogue().families)}


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_to_a_heading(page):
    links = re.findall(r"\]\(([\w.]*)#([\w-]+)\)", page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if link[1] not in anchors(page.parent / link[0] if link[0] else page)] == []


@pytest.mark.parametrize("family", Catalogue().families)
def test_what_the_groups_of_a_family_share_is_said_once(family):
    rows = Catalogue().to_rows(family)
    text = (DOCS / "features" / f"{family}.md").read_text(encoding="utf-8")
    owners = {row["parameter_set"]: row["group"] for row in rows}
    for name in {one["name"] for row in rows for one in row["shared"]}:
        heading = f"# Parameters of {owners.get(name, f'the {name}')}\n"
        assert text.count(heading) == 1
        section = text.partition(heading)[2].partition("\n#")[0]
        shared = {one["name"] for row in rows for one in row["parameters"] if one["shared"] == name}
        assert [one for one in shared if f"\n| `{one}` |" not in section] == []
