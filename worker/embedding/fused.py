"""The local model as a fused int8 graph: the wheel's weights under faster operators.

As shipped, the int8 weights are turned into floats and multiplied as such. Here the products
stay in int8 (activations quantised on the fly, one scale a tensor; weights and their scales
taken over unchanged), attention is one operator, GELU another, and the mean and the L2 norm are
part of the graph. Operators: onnxruntime's ContribOperators.md. Its SkipLayerNormalization is
left out on purpose: ten times slower than Add and LayerNormalization in onnxruntime 1.32.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.wordpiece import wordpiece
from worker.embedding.graph import WEIGHTS_SHA256, Graph, shipped_model_path

BUILDER_VERSION: Final = 1
"""To be raised with every change of the graph that is built here."""

LEAST_COSINE: Final = 0.97
"""A graph whose vector of the probe is farther from the shipped graph's is not used."""

_STEM: Final = f"minilm-fused-{WEIGHTS_SHA256[:12]}-v{BUILDER_VERSION}"
_LOCK_WAIT_SECONDS: Final = 60.0
_LOCK_POLL_SECONDS: Final = 0.05
_PROBE: Final = "A headrace carries the water of a stream to the mill wheel; locks hold it back."

_LAYERS: Final = 6
_HEADS: Final = 12
_EPSILON: Final = 1e-12
_MICROSOFT: Final = "com.microsoft"

logger = logging.getLogger(__name__)


def fused_model_path(folder: Path) -> Path | None:
    """Give the fused graph's file in the folder, built first where it is missing or broken.

    Processes that ask at once build it once. The file's name carries the digest of its content,
    so that one cut short or damaged is known as such.

    Returns:
        None where it can't be had, with one warning in the log if that is a failure and not
        just the optional package ``onnx`` that is missing: use the graph as shipped then.

    Raises:
        UsageError: the wheel's weights are missing or not the pinned ones.
    """
    shipped = shipped_model_path()
    try:
        path = _whole_file(folder)
        if path is None and importlib.util.find_spec("onnx") is None:
            logger.info("no onnx package: the local model runs as shipped, at a third of the speed")
            return None
        return path or _build_once(folder, shipped)
    except Exception as error:  # noqa: BLE001 - whatever fails here, the shipped graph still works
        logger.warning(
            "no fused graph: the local model runs as shipped, at a third of the speed",
            extra={"folder": str(folder), "error": repr(error)},
        )
        return None


def _whole_file(folder: Path) -> Path | None:
    """Find the file whose content has the digest in its name."""
    for path in sorted(folder.glob(f"{_STEM}-*.onnx")):
        if path == _named(folder, path.read_bytes()):
            return path
    return None


def _named(folder: Path, content: bytes) -> Path:
    return folder / f"{_STEM}-{hashlib.sha256(content).hexdigest()[:16]}.onnx"


def _build_once(folder: Path, shipped: Path) -> Path:
    """Build under the lock, unless another process did so while this one waited."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder / f"{_STEM}.lock"):
        path = _whole_file(folder)
        if path is not None:
            return path
        content = _build(shipped)
        unchecked = folder / f"{_STEM}.tmp"  # one name is enough: we hold the lock
        unchecked.write_bytes(content)
        _compare(Graph(unchecked), Graph(shipped))
        for broken in folder.glob(f"{_STEM}-*.onnx"):
            broken.unlink()
        path = unchecked.replace(_named(folder, content))
        logger.info("fused graph built", extra={"path": str(path)})
        return path


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file; the kernel frees it when its holder dies."""
    give_up_at = time.monotonic() + _LOCK_WAIT_SECONDS
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(_LOCK_POLL_SECONDS)
        yield


def _compare(fused: Graph, shipped: Graph) -> None:
    """Run both once on this very machine, so that a faulty kernel is found before it is used."""
    ids = wordpiece().encode(_PROBE)
    cosine = float(fused.embed(ids) @ shipped.embed(ids))
    if cosine < LEAST_COSINE:
        raise ValueError(f"the fused graph is off: cosine {cosine:.4f} to the graph as shipped")


def _build(shipped: Path) -> bytes:
    """Give the fused graph as a serialised ONNX model; ids in, shape (1, n); (1, 384) out."""
    weights = _Weights(shipped)
    draft = _Draft()
    hidden = _add_embedding(draft, weights)
    for layer in range(_LAYERS):
        hidden = _add_layer(draft, weights, f"encoder.layer.{layer}.", hidden)
    mean = draft.add("ReduceMean", hidden, axes=[1], keepdims=0)
    draft.add("LpNormalization", mean, output="embedding", axis=-1, p=2)
    return draft.serialise()


def _add_embedding(draft: "_Draft", weights: "_Weights") -> str:
    """Add words and positions, and normalise: the int8 rows become floats as they are read."""
    embeddings = "embeddings."
    rows, scales = weights.quantised(embeddings + "word_embeddings.weight")
    words = draft.add(
        "Mul",
        draft.add("Cast", draft.add("Gather", draft.constant(rows), "input_ids"), to=1),  # float32
        draft.add("Gather", draft.constant(scales), "input_ids"),
    )
    rows, scales = weights.quantised(embeddings + "position_embeddings.weight")
    positions = rows * scales + weights.tensor(embeddings + "token_type_embeddings.weight")[0]
    used = draft.add(
        "Slice",
        draft.constant(positions[None]),
        draft.constant(np.array([0], np.int64)),
        draft.add("Shape", "input_ids", start=1),
        draft.constant(np.array([1], np.int64)),
    )
    gain = draft.constant(weights.tensor(embeddings + "LayerNorm.weight"))
    shift = draft.constant(weights.tensor(embeddings + "LayerNorm.bias"))
    total = draft.add("Add", words, used)
    return draft.add("LayerNormalization", total, gain, shift, epsilon=_EPSILON)


def _add_layer(draft: "_Draft", weights: "_Weights", layer: str, hidden: str) -> str:
    """Add one layer of the encoder: attention, then the two dense steps."""
    parts = [weights.dense(f"{layer}attention.self.{part}") for part in ("query", "key", "value")]
    kernel, scale, bias = (np.concatenate(joined, axis=-1) for joined in zip(*parts, strict=True))
    quantised, step, zero = draft.add_many("DynamicQuantizeLinear", hidden, outputs=3)
    attended = draft.add(
        "QAttention",
        quantised,
        draft.constant(kernel),
        draft.constant(bias),
        step,
        draft.constant(scale),
        "",  # no mask: one text a run, no padding
        zero,
        draft.constant(np.zeros(scale.shape, np.int8)),
        domain=_MICROSOFT,
        num_heads=_HEADS,
    )
    projected = _add_product(draft, weights, f"{layer}attention.output.dense", attended)
    middle = _add_skip(draft, weights, f"{layer}attention.output", projected, hidden)
    widened = _add_product(draft, weights, f"{layer}intermediate.dense", middle)
    active = draft.add("Gelu", widened, domain=_MICROSOFT)
    narrowed = _add_product(draft, weights, f"{layer}output.dense", active)
    return _add_skip(draft, weights, f"{layer}output", narrowed, middle)


def _add_product(draft: "_Draft", weights: "_Weights", name: str, hidden: str) -> str:
    """Add an int8 product and its bias."""
    kernel, scale, bias = map(draft.constant, weights.dense(name))
    return draft.add("DynamicQuantizeMatMul", hidden, kernel, scale, "", bias, domain=_MICROSOFT)


def _add_skip(draft: "_Draft", weights: "_Weights", name: str, hidden: str, skip: str) -> str:
    """Add hidden + skip, normalised."""
    gain = draft.constant(weights.tensor(f"{name}.LayerNorm.weight"))
    shift = draft.constant(weights.tensor(f"{name}.LayerNorm.bias"))
    return draft.add(
        "LayerNormalization", draft.add("Add", hidden, skip), gain, shift, epsilon=_EPSILON
    )


class _Weights:
    """The tensors of the shipped model, by their names in BERT."""

    def __init__(self, path: Path) -> None:
        import onnx  # noqa: PLC0415 - optional
        from onnx import numpy_helper  # noqa: PLC0415 - optional

        graph = onnx.load(path).graph
        self._tensors = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
        # The kernels have no names of their own there; the bias that follows them has.
        kernels = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
        self._kernels = {
            node.input[1]: kernels[node.input[0]]
            for node in graph.node
            if node.op_type == "Add" and node.input[0] in kernels
        }

    def tensor(self, name: str) -> NDArray[Any]:
        return self._tensors[f"inner.{name}"]

    def quantised(self, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Give a table's int8 rows and the scale of each."""
        return self.tensor(f"{name}_q"), self.tensor(f"{name}_scale")

    def dense(self, name: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Give a step's int8 kernel (in, out), the scale of each column, and the bias."""
        kernel = self._kernels[f"inner.{name}.bias"]
        scale = self._tensors[f"{kernel}_scale"].reshape(-1)
        return self._tensors[f"{kernel}_q"], scale, self.tensor(f"{name}.bias")


class _Draft:
    """A graph being put together; outputs and constants are numbered as they come."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, array: NDArray[Any]) -> str:
        from onnx import numpy_helper  # noqa: PLC0415 - optional

        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        (name,) = self.add_many(operator, *inputs, output=output, **attributes)
        return name

    def add_many(
        self, operator: str, *inputs: str, outputs: int = 1, output: str = "", **attributes: Any
    ) -> list[str]:
        from onnx import helper  # noqa: PLC0415 - optional

        stem = output or f"{operator}_{len(self._nodes)}"
        names = [stem if index == 0 else f"{stem}_{index}" for index in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, names, stem, **attributes))
        return names

    def serialise(self) -> bytes:
        from onnx import TensorProto, helper  # noqa: PLC0415 - optional

        ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "tokens"])
        vector = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 384])
        graph = helper.make_graph(self._nodes, _STEM, [ids], [vector], self._constants)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return bytes(model.SerializeToString())
