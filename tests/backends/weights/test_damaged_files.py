"""Whatever the bytes of a file: weights, or one line. Never another exception."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lstm_parity.backends import LSTMSpec, LSTMWeights, UnavailableError
from lstm_parity.backends.weights import WeightsFileError, list_lstms, load_weights

FLIPS = 150
KINDS = ["safetensors", "torch", "torch-legacy", "onnx", "onnx-nodes"]


def save_as(kind: str, path: Path, weights: LSTMWeights) -> None:
    if kind == "safetensors":
        save_file = pytest.importorskip("safetensors.numpy", reason="the extra safetensors is not installed").save_file
        save_file(weights.to_state_dict("rnn"), str(path))
    elif kind.startswith("torch"):
        torch = pytest.importorskip("torch", reason="the extra torch is not installed")
        tensors = {name: torch.from_numpy(array) for name, array in weights.to_state_dict("rnn").items()}
        torch.save({"model": tensors, "more": [1, 2.5]}, path, _use_new_zipfile_serialization=kind == "torch")
    else:
        onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
        w, r, b, _ = weights.to_onnx()
        given = {"W0": w[0], "axes": np.array([0]), "R": r, "B": b} if kind == "onnx-nodes" else {"W": w, "R": r, "B": b}
        nodes = [onnx.helper.make_node("Unsqueeze", ["W0", "axes"], ["W"])] if kind == "onnx-nodes" else []
        nodes.append(onnx.helper.make_node("LSTM", ["X", "W", "R", "B"], ["Y"], hidden_size=3))
        graph = onnx.helper.make_graph(
            nodes,
            "main",
            [onnx.helper.make_tensor_value_info("X", 1, None)],
            [onnx.helper.make_tensor_value_info("Y", 1, None)],
            [onnx.numpy_helper.from_array(array, name) for name, array in given.items()],
        )
        path.write_bytes(onnx.helper.make_model(graph).SerializeToString())


def outcome(path: Path) -> str:
    """ "loaded", or the one line; whatever else comes out fails the test."""
    loaded, line = None, ""
    try:
        loaded = load_weights(str(path))
    except (WeightsFileError, UnavailableError) as error:
        line = str(error)
    if loaded is None:
        assert "\n" not in line
        assert line.startswith(str(path))
        return line
    loaded.weights.validate(loaded.spec(loaded.precision))
    assert all(np.isfinite(array).all() for _, array in loaded.weights.items())
    assert list_lstms(path)
    return "loaded"


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_at_every_fiftieth(kind: str, tmp_path: Path, drawn_weights: Callable[..., LSTMWeights]) -> None:
    path = tmp_path / "m"
    save_as(kind, path, drawn_weights(LSTMSpec(2, 3)))
    whole = path.read_bytes()
    assert outcome(path) == "loaded"
    for k in range(50):
        path.write_bytes(whole[: len(whole) * k // 50])
        assert outcome(path) != "loaded", f"{kind} loads with the first {k}/50 of its bytes"


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bytes(kind: str, tmp_path: Path, drawn_weights: Callable[..., LSTMWeights]) -> None:
    path = tmp_path / "m"
    save_as(kind, path, drawn_weights(LSTMSpec(2, 3)))
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    refused = 0
    for seed in range(FLIPS):
        rng = np.random.default_rng(seed)
        damaged = whole.copy()
        places = rng.integers(0, len(whole), size=rng.integers(1, 4))
        damaged[places] ^= rng.integers(1, 256, size=len(places), dtype=np.uint8)
        path.write_bytes(damaged.tobytes())
        try:
            refused += outcome(path) != "loaded"
        except BaseException:
            print(f"{kind}, seed {seed}: bytes {places.tolist()} flipped")  # noqa: T201
            raise
    assert refused  # else the flips touched nothing that matters
