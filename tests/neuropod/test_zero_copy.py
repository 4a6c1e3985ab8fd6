"""The table of copies in the docs is what is measured here and now."""

import importlib.util
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_table_of_copies_is_up_to_date():
    """In this process, which has imported the frameworks already: that takes longer than to measure."""
    spec = importlib.util.spec_from_file_location("generate_zero_copy", DOCS / "generate_zero_copy.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    written = (DOCS / "zero_copy.md").read_text(encoding="utf-8")
    assert generate.page() == written, "a hand-off copies, or no longer does: run python docs/generate_zero_copy.py"
