"""The page about columnar writes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "columnar-writes.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_prints_what_the_page_says(tmp_path: Path) -> None:
    """It runs as it stands there, in an empty folder."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (said,) = re.findall(r"^It prints `(.*)`$", PAGE, re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert done.stdout.strip() == said


def test_paths_on_the_page_exist() -> None:
    """A path leads somewhere."""
    paths = re.findall(r"((?:worker|tests|benchmarks)/[\w/]+(?:\.py|/))", PAGE)
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path
