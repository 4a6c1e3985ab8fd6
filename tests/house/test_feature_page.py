"""docs/features.md is what the schema says today."""

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_of_features_is_written_by_its_script():
    done = subprocess.run([sys.executable, DOCS / "generate_features.py", "--check"], check=False)
    assert done.returncode == 0, "the schema changed: run python docs/generate_features.py"
