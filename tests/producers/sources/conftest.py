"""What the tests of sources share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65_534


@pytest.fixture
def unprivileged_folder() -> Iterator[Path]:
    """Give a folder of someone who is not root: root may read everything."""
    with tempfile.TemporaryDirectory() as folder:
        as_root = os.geteuid() == 0
        if as_root:
            os.chown(folder, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            if as_root:
                os.seteuid(0)
