"""The value of a tensor of an ONNX graph where it is a constant: an initializer, or computed from constants alone.

Only the operators in FOLDED are computed (by onnx's own reference evaluator, one node at a time); everything else is taken to
be computed at run time. A subgraph (a branch of If, the body of Loop or Scan) sees the names of the enclosing graphs.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import external_data_helper, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from ..problem import STORAGE, Array
from .contents import RefusedError, foreign_reader

_MOVES = "Concat Expand Flatten Gather Identity Reshape Slice Split Squeeze Transpose Unsqueeze"
_REST = "Add Cast CastLike Constant ConstantOfShape Div Mul Neg Pow Shape Size Sqrt Sub"
FOLDED = frozenset(f"{_MOVES} {_REST}".split())
"""The operators of ONNX's own domain whose results are constants where their inputs are."""

_MAX_ELEMENTS = 2**29  # of a result of ConstantOfShape or Expand, which can be large in a file of a few bytes


@dataclass
class Scope:
    """One graph and the scope that encloses it."""

    graph: Any
    outer: Scope | None = None
    depth: int = 0
    initializers: dict[str, Any] = field(default_factory=dict)
    made_by: dict[str, int] = field(default_factory=dict)
    """Tensor name -> index of the node that has it as an output."""

    def __post_init__(self) -> None:
        _check_text(self.graph)
        self.depth = self.outer.depth + 1 if self.outer else 0
        self.initializers = {tensor.name: tensor for tensor in self.graph.initializer}
        self.made_by = {name: index for index, node in enumerate(self.graph.node) for name in node.output if name}

    def nodes(self) -> Iterator[tuple[Any, Scope]]:
        """Every node of this graph and of the subgraphs in it, each with its scope."""
        for node in self.graph.node:
            yield node, self
            for attribute in node.attribute:
                for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                    yield from Scope(graph, self).nodes()


@dataclass(frozen=True)
class Constants:
    """Computes constants of one model."""

    model: Any
    folder: Path
    """Contains the files of the model's external data."""

    def value(self, name: str, scope: Scope) -> Array:
        """The tensor's value. Raises RefusedError where it is not a constant, is quantised, or cannot be computed."""
        values: dict[tuple[int, str], Array] = {}
        needed: dict[tuple[int, int], tuple[Any, Scope]] = {}
        left = [(name, scope)]
        while left:
            tensor, at = left.pop()
            home = _home(tensor, at)
            if (home.depth, tensor) in values:
                continue
            if tensor in home.initializers:
                values[home.depth, tensor] = self._array(home.initializers[tensor])
                continue
            index = home.made_by[tensor]
            node = home.graph.node[index]
            if (home.depth, index) not in needed:
                _check_folded(node, tensor)
                needed[home.depth, index] = (node, home)
                left += [(each, home) for each in node.input if each]
        for place in sorted(needed):  # ONNX sorts the nodes of a graph topologically
            node, at = needed[place]
            inputs = {each: values.get((_home(each, at).depth, each)) for each in node.input if each}
            for each, array in inputs.items():
                if array is None:
                    raise RefusedError(f"{each} is used before it is computed")
            with foreign_reader(f"{node.output[0]} cannot be computed from its constants"):
                outputs = self._run(node, inputs)
            values.update({(at.depth, each): array for each, array in outputs.items()})
        result = values.get((_home(name, scope).depth, name))
        if not isinstance(result, np.ndarray):
            raise RefusedError(f"{name} is no plain tensor")
        return result

    def _run(self, node: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        tensor = next((a.t for a in node.attribute if a.name == "value"), None) if node.op_type == "Constant" else None
        if tensor is not None:
            return {node.output[0]: self._array(tensor)}
        if (
            node.op_type in ("ConstantOfShape", "Expand")
            and math.prod(map(int, inputs[node.input[-1]].ravel())) > _MAX_ELEMENTS
        ):
            raise RefusedError(f"{node.output[0]} has more than {_MAX_ELEMENTS} elements")
        untyped = [helper.make_tensor_value_info(each, onnx.TensorProto.UNDEFINED, None) for each in inputs]
        results = [helper.make_tensor_value_info(each, onnx.TensorProto.UNDEFINED, None) for each in node.output if each]
        graph = helper.make_graph([node], "constants", untyped, results)
        model = helper.make_model(graph, opset_imports=self.model.opset_import)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return dict(zip((r.name for r in results), ReferenceEvaluator(model).run(None, inputs), strict=True))

    def _array(self, tensor: Any) -> Array:
        with foreign_reader(f"{tensor.name or 'a constant'} cannot be read"):
            if external_data_helper.uses_external_data(tensor):
                external_data_helper.load_external_data_for_tensor(tensor, str(self.folder))
                tensor.data_location = onnx.TensorProto.DEFAULT
            if tensor.data_type != onnx.TensorProto.BFLOAT16:
                return np.asarray(numpy_helper.to_array(tensor))
            # Releases of onnx differ in what to_array makes of bfloat16, so its bits are taken as onnx.proto lays them down.
            raw = tensor.HasField("raw_data")
            bits = np.frombuffer(tensor.raw_data, "<u2") if raw else np.array(tensor.int32_data, np.uint16)
            return bits.astype(np.uint16).reshape(tuple(tensor.dims)).view(STORAGE["bfloat16"])


def _check_text(graph: Any) -> None:
    """Names that are not UTF-8 come out of protobuf as bytes, which nothing after this expects."""
    names = [graph.name, *(each.name for each in (*graph.input, *graph.initializer))]
    names += [sparse.values.name for sparse in graph.sparse_initializer]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output, *(each.name for each in node.attribute)]
    if not all(isinstance(name, str) for name in names):
        raise RefusedError("is a damaged ONNX model: a name in it is not text")


def _home(tensor: str, scope: Scope) -> Scope:
    """The innermost scope that gives the tensor a constant value or computes it."""
    at: Scope | None = scope
    while at is not None:
        if tensor in at.initializers or tensor in at.made_by:
            return at
        if any(tensor == given.name for given in at.graph.input):
            raise RefusedError(f"{tensor} is an input of the graph {at.graph.name}, no constant of the file")
        if any(tensor == sparse.values.name for sparse in at.graph.sparse_initializer):
            raise RefusedError(f"{tensor} is stored as a sparse tensor, which is not read")
        at = at.outer
    raise RefusedError(f"{tensor} is nowhere in the model")


def _check_folded(node: Any, tensor: str) -> None:
    if "quant" in node.op_type.lower():
        raise RefusedError(f"{tensor} comes from {node.op_type}: a quantised LSTM, which is not read")
    if node.op_type not in FOLDED or node.domain not in ("", "ai.onnx"):
        raise RefusedError(f"{tensor} is computed at run time, by {node.op_type}, so the file does not say its value")
