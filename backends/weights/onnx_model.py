"""The LSTM nodes of an ONNX model, wherever they stand: in the graph, in subgraphs, in the model's own functions.

Each node is an LSTM of its own, so a stack that was exported as two nodes is two LSTMs of one layer. A node is called by its
name, or by its first output where it has none; `:2`, `:3` ... is added where names repeat.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..packings import host_array
from ..problem import Array, LSTMWeights
from .contents import Contents, FoundLSTM, RefusedError, check_finite, extra, foreign_reader, unused_name

_DEFAULT_ACTIVATIONS = ("sigmoid", "tanh", "tanh")
_POSITIONS = {"W": 1, "R": 2, "B": 3, "P": 7}  # inputs of the operator LSTM


def read_onnx(path: Path) -> Contents:
    """Every LSTM of the model. Raises RefusedError for a damaged one, UnavailableError where the extra is missing."""
    with extra("onnx", "an ONNX model"):
        import onnx
        from onnx import inliner

        from .onnx_constants import Constants, Scope
    with foreign_reader("cannot be read as an ONNX model"):
        model = onnx.load_model(str(path), format="protobuf", load_external_data=False)
        if model.functions:
            model = inliner.inline_local_functions(model)
    constants = Constants(model, path.parent)
    contents = Contents()
    names: set[str] = set()
    for node, scope in Scope(model.graph).nodes():
        if "LSTM" in node.op_type:
            name = unused_name(node.name or next(filter(None, node.output), "LSTM"), names)
            try:
                contents.lstms.append(FoundLSTM(name, _weights(node, scope, constants)))
            except ValueError as reason:
                contents.lstms.append(FoundLSTM(name, None, str(reason)))
        elif node.op_type in ("GRU", "RNN"):
            contents.others.append(f"{node.op_type} {node.name or next(filter(None, node.output), '')}".strip())
    return contents


def _weights(node: Any, scope: Any, constants: Any) -> LSTMWeights:
    if node.op_type != "LSTM" or node.domain not in ("", "ai.onnx"):
        what = "a quantised LSTM" if "quant" in node.op_type.lower() else "not ONNX's own LSTM"
        raise RefusedError(f"it is {node.op_type} of {node.domain or 'ai.onnx'}, {what}, which is not read")
    attributes = _attributes(node)
    direction = _direction(attributes)
    tensors: dict[str, Array | None] = dict.fromkeys(_POSITIONS)
    for letter, position in _POSITIONS.items():
        name = node.input[position] if position < len(node.input) else ""
        if name:
            try:
                array = tensors[letter] = host_array(name, constants.value(name, scope))
                check_finite(name, array)
            except ValueError as reason:
                raise RefusedError(f"its {letter}: {reason}") from reason
    for letter in ("W", "R"):
        if tensors[letter] is None:
            raise RefusedError(f"it has no {letter}")
    weights = LSTMWeights.from_onnx(**tensors).widened()
    spec = weights.infer_spec(weights.storage_precision)
    if spec.bidirectional != (direction == "bidirectional"):
        raise RefusedError(f"its W has {spec.num_directions} directions, which contradicts direction={direction}")
    hidden_size = attributes.get("hidden_size", spec.hidden_size)
    if hidden_size != spec.hidden_size:
        raise RefusedError(f"its R has hidden size {spec.hidden_size}, which contradicts hidden_size={hidden_size}")
    return weights


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    with foreign_reader("its attributes cannot be read"):
        return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _direction(attributes: dict[str, Any]) -> str:
    """The direction. Raises RefusedError for it, or for another attribute, that makes the node no LSTM of this project."""
    direction = _text(attributes.get("direction", b"forward"))
    if direction == "reverse":
        raise RefusedError("direction=reverse: an LSTM that only runs backwards has no spec here")
    if direction not in ("forward", "bidirectional"):
        raise RefusedError(f"direction={direction} is none of ONNX's")
    activations = tuple(_text(each).lower() for each in attributes.get("activations", ()))
    if activations not in ((), _DEFAULT_ACTIVATIONS, _DEFAULT_ACTIVATIONS * 2):
        raise RefusedError(f"activations={','.join(activations)}: only Sigmoid, Tanh, Tanh is an LSTM of this project")
    if "clip" in attributes:
        raise RefusedError(f"clip={attributes['clip']}: gates that are clipped are no LSTM of this project")
    if attributes.get("input_forget", 0):
        raise RefusedError("input_forget=1: coupled input and forget gates are no LSTM of this project")
    return direction


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
