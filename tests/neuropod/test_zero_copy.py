"""The table of copies in the docs is what is measured here and now."""

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_table_of_copies_is_up_to_date():
    done = subprocess.run([sys.executable, DOCS / "generate_zero_copy.py", "--check"], check=False)
    assert done.returncode == 0, "a hand-off copies, or no longer does: run python docs/generate_zero_copy.py"
