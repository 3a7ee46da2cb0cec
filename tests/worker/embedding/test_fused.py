"""The fused graph agrees with the shipped one, and is built once and whole, or not used."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from contract.wordpiece import wordpiece
from worker.embedding.fused import BUILDER_VERSION, LEAST_COSINE, fused_model_path
from worker.embedding.graph import WEIGHTS_SHA256, Graph, shipped_model_path

ROOT = Path(__file__).parents[3]
BUILD = """
import logging, pathlib, sys
logging.basicConfig(level=logging.INFO)
from worker.embedding.fused import fused_model_path
print(fused_model_path(pathlib.Path(sys.argv[1])))
"""
WITHOUT_ONNX = "import sys; sys.modules['onnx'] = None" + BUILD
TEXTS = [
    "",
    "Milvus",
    "A lease that ends is renewed while its worker lives.",
    "def add(left: int, right: int) -> int:\n    return left + right",
    "Größe und Gewicht der Schaufelräder; 水車の大きさ。",
    "the wheel turns and the water falls " * 60,
]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which the fused graph was built."""
    folder = tmp_path_factory.mktemp("models")
    assert fused_model_path(folder) is not None
    return folder


@pytest.fixture(scope="session")
def fused(folder: Path) -> Graph:
    """Load the fused graph."""
    path = fused_model_path(folder)
    assert path is not None
    return Graph(path)


@pytest.fixture(scope="session")
def shipped() -> Graph:
    """Load the graph as shipped."""
    return Graph(shipped_model_path())


def start(program: str, folder: Path) -> "subprocess.Popen[str]":
    """Start a Python program on the folder."""
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("text", TEXTS)
def test_both_graphs_agree(fused: Graph, shipped: Graph, text: str) -> None:
    """The vectors of a text by both graphs point the same way."""
    ids = wordpiece().encode(text, 256)
    assert float(fused.embed(ids) @ shipped.embed(ids)) > LEAST_COSINE


def test_the_file_is_named_by_weights_and_builder(folder: Path) -> None:
    """Other weights or another builder would use another file; nothing else is left behind."""
    (path,) = folder.glob("*.onnx")
    assert path.name.startswith(f"minilm-fused-{WEIGHTS_SHA256[:12]}-v{BUILDER_VERSION}-")
    assert list(folder.glob("*.tmp")) == []


def test_a_whole_file_is_used_again(folder: Path) -> None:
    """The second call builds nothing."""
    (path,) = folder.glob("*.onnx")
    before = path.stat().st_mtime_ns
    assert fused_model_path(folder) == path
    assert path.stat().st_mtime_ns == before


def test_a_file_cut_short_is_built_anew(folder: Path, tmp_path: Path) -> None:
    """Half a file under the right name is not loaded but replaced."""
    (whole,) = folder.glob("*.onnx")
    half = tmp_path / whole.name
    half.write_bytes(whole.read_bytes()[:1_000_000])
    path = fused_model_path(tmp_path)
    assert path is not None
    assert path.read_bytes() == whole.read_bytes()
    assert list(tmp_path.glob("*.onnx")) == [path]


def test_a_folder_that_cannot_be_made_gives_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing can be written, the caller is told to use the shipped graph."""
    (tmp_path / "file").touch()
    with caplog.at_level(logging.INFO):
        assert fused_model_path(tmp_path / "file" / "models") is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_two_processes_at_once_build_once(tmp_path: Path) -> None:
    """One builds, the other waits for it, and both get the same file."""
    processes = [start(BUILD, tmp_path) for _ in range(2)]
    (first, first_log), (second, second_log) = (
        process.communicate(timeout=60) for process in processes
    )
    assert [process.returncode for process in processes] == [0, 0]
    assert first == second
    assert Path(first.strip()).parent == tmp_path
    assert (first_log + second_log).count("fused graph built") == 1


def test_without_onnx_nothing_is_built_but_a_built_one_is_used(
    folder: Path, tmp_path: Path
) -> None:
    """The optional package is needed to build, not to run."""
    (path,) = folder.glob("*.onnx")
    processes = [start(WITHOUT_ONNX, folder), start(WITHOUT_ONNX, tmp_path)]
    built, missing = (process.communicate(timeout=60)[0].strip() for process in processes)
    assert (built, missing) == (str(path), "None")
    assert list(tmp_path.iterdir()) == []
