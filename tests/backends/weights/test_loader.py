"""FILE and FILE#name, safetensors and torch checkpoints, and every file that no weights can be taken from."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_parity.backends import LSTMSpec, LSTMWeights, UnavailableError
from lstm_parity.backends.weights import WeightsFileError, list_lstms, load_weights

Draw = Callable[..., LSTMWeights]
Same = Callable[[LSTMWeights, LSTMWeights], None]
SPECS = [
    LSTMSpec(2, 3, num_layers=2, bidirectional=True, proj_size=2),
    LSTMSpec(2, 3, bias=False, precision="float16"),
    LSTMSpec(2, 3, precision="bfloat16"),
    LSTMSpec(2, 3, precision="float64"),
]


def refusal(text: str | Path) -> str:
    with pytest.raises(WeightsFileError) as caught:
        load_weights(str(text))
    message = str(caught.value)
    assert "\n" not in message
    assert str(text).partition("#")[0] in message
    return message


def save_safetensors(path: Path, tensors: dict[str, Any]) -> Path:
    save_file = pytest.importorskip("safetensors.numpy", reason="the extra safetensors is not installed").save_file
    save_file(tensors, str(path))
    return path


def save_torch(path: Path, checkpoint: Any, **options: Any) -> Path:
    torch = pytest.importorskip("torch", reason="the extra torch is not installed")
    torch.save(checkpoint, path, **options)
    return path


def as_torch(arrays: dict[str, Any]) -> dict[str, Any]:
    torch = pytest.importorskip("torch", reason="the extra torch is not installed")
    return {
        k: torch.from_numpy(v.view(np.int16)).view(torch.bfloat16) if v.dtype.name == "bfloat16" else torch.from_numpy(v)
        for k, v in arrays.items()
    }


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_safetensors(spec: LSTMSpec, tmp_path: Path, drawn_weights: Draw, assert_same_weights: Same) -> None:
    weights = drawn_weights(spec)
    tensors = {**weights.to_state_dict("enc.rnn"), "table": np.arange(4)}
    loaded = load_weights(str(save_safetensors(tmp_path / "m.bin", tensors)))  # the suffix says nothing
    assert loaded.name == "enc.rnn"
    assert loaded.path == tmp_path / "m.bin"
    assert loaded.precision == spec.precision
    assert loaded.spec(spec.precision) == spec
    assert_same_weights(loaded.weights, weights)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
@pytest.mark.parametrize("legacy", [False, True])
def test_torch_checkpoint(spec: LSTMSpec, legacy: bool, tmp_path: Path, drawn_weights: Draw, assert_same_weights: Same) -> None:
    weights = drawn_weights(spec)
    state_dict = OrderedDict(as_torch(weights.to_state_dict("enc.rnn")))
    checkpoint = {"epoch": 3, "history": [0.5, {"loss": 1.0}], "nets": [state_dict, (None, "text")], "again": state_dict}
    path = save_torch(tmp_path / "m.onnx", checkpoint, _use_new_zipfile_serialization=not legacy)
    loaded = load_weights(str(path))
    assert loaded.name == "enc.rnn"
    assert loaded.spec(spec.precision) == spec
    assert_same_weights(loaded.weights, weights)


def test_torch_parameters_views_and_cells(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the extra torch is not installed")
    cell = torch.nn.LSTMCell(3, 4)
    parameters = dict(cell.named_parameters())
    parameters["weight_ih"] = torch.nn.Parameter(cell.weight_ih.detach().T.contiguous().T)
    loaded = load_weights(str(save_torch(tmp_path / "cell.pt", parameters)))
    assert loaded.spec("float32") == LSTMSpec(3, 4)
    np.testing.assert_array_equal(loaded.weights.layers[0][0].w_ih, cell.weight_ih.detach().numpy())


def test_a_checkpoint_that_contains_itself(tmp_path: Path, drawn_weights: Draw) -> None:
    checkpoint: dict[str, Any] = {"rnn": as_torch(drawn_weights(LSTMSpec(2, 3)).to_state_dict())}
    checkpoint["itself"] = [checkpoint]
    assert load_weights(str(save_torch(tmp_path / "loop.pt", checkpoint))).name == "rnn"


def test_a_module_is_not_unpickled(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the extra torch is not installed")
    for legacy in (False, True):
        path = save_torch(tmp_path / "whole.pt", torch.nn.LSTM(2, 3), _use_new_zipfile_serialization=not legacy)
        message = refusal(path)
        assert "needs torch.nn.modules.rnn.LSTM, and pickled code is not executed here" in message
        assert "torch.save(model.state_dict(), FILE)" in message


def test_a_torchscript_archive_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "script.pt"  # the two files that tell TorchScript from torch.save
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\x02N.")
        archive.writestr("net/constants.pkl", b"\x80\x02).")
    assert "is a TorchScript archive, which contains code" in refusal(path)


def test_torchs_quantised_lstm_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra torch is not installed")
    path = tmp_path / "quantised.pt"
    # What torch.save writes for a dynamically quantised LSTM: its only entry is an object, and no tensor.
    pickled = b"\x80\x02}X\x1e\x00\x00\x00rnn._all_weight_values.0.paramctorch\nScriptObject\n)\x81s."
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (("data.pkl", pickled), ("byteorder", b"little"), ("version", b"3\n")):
            archive.writestr(f"quantised/{name}", data)
    assert "holds a quantised LSTM or GRU" in refusal(path)


def test_a_tensor_larger_than_its_file(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the extra torch is not installed")
    tensors = {"weight_ih_l0": torch.zeros(1).expand(4 * 10**6, 10**6), "weight_hh_l0": torch.zeros(4, 1)}
    assert "weight_ih_l0 says it has shape (4000000, 1000000), more than the file holds" in refusal(
        save_torch(tmp_path / "huge.pt", tensors)
    )


def test_several_lstms_are_picked_by_name(tmp_path: Path, drawn_weights: Draw, assert_same_weights: Same) -> None:
    small, large = drawn_weights(LSTMSpec(2, 3)), drawn_weights(LSTMSpec(4, 5, num_layers=2, bidirectional=True, bias=False))
    path = save_safetensors(tmp_path / "two.safetensors", small.to_state_dict("a.rnn") | large.to_state_dict("b.rnn"))
    message = refusal(path)
    assert "2 LSTMs are in it, pick one with FILE#name" in message
    assert "a.rnn (I=2 H=3 L=1 D=1 float32), b.rnn (I=4 H=5 L=2 D=2 no bias float32)" in message
    assert_same_weights(load_weights(f"{path}#b.rnn").weights, large)
    assert_same_weights(load_weights(f"{path}#a.rnn").weights, small)
    assert "no LSTM is called 'rnn'; there is a.rnn (" in refusal(f"{path}#rnn")
    assert "no LSTM is called ''" in refusal(f"{path}#")
    assert [each.name for each in list_lstms(path)] == ["a.rnn", "b.rnn"]


def test_the_full_name_picks_as_well(tmp_path: Path, drawn_weights: Draw) -> None:
    path = save_torch(tmp_path / "m.pt", {"state_dict": as_torch(drawn_weights(LSTMSpec(2, 3)).to_state_dict("rnn"))})
    assert load_weights(f"{path}#rnn").name == load_weights(f"{path}#state_dict.rnn").name == "rnn"


def test_a_hash_in_a_path(tmp_path: Path, drawn_weights: Draw) -> None:
    tensors = drawn_weights(LSTMSpec(2, 3)).to_state_dict("net#1.rnn")
    (tmp_path / "run#7").mkdir()
    path = save_safetensors(tmp_path / "run#7" / "m#2", tensors)
    assert load_weights(str(path)).path == path
    assert load_weights(f"{path}#net#1.rnn").name == "net#1.rnn"


def test_casting(tmp_path: Path, drawn_weights: Draw) -> None:
    weights = drawn_weights(LSTMSpec(2, 3))
    weights.layers[0][0].w_hh[0, 0] = 1e6
    weights.layers[0][0].w_hh[0, 1] = 1e-40
    loaded = load_weights(str(save_safetensors(tmp_path / "m", weights.to_state_dict("rnn"))))
    assert loaded.spec("bfloat16") == LSTMSpec(2, 3, precision="bfloat16")
    assert loaded.spec("float16") == LSTMSpec(2, 3, precision="float16")
    for precision in ("float64", "float32", "tf32", "bfloat16"):
        loaded.weights_for(precision).validate(loaded.spec(precision))
    with pytest.raises(WeightsFileError, match=r"rnn: layers\[0\]\[0\]\.w_hh has values too large for float16"):
        loaded.weights_for("float16")


def test_no_lstm(tmp_path: Path) -> None:
    assert refusal(save_safetensors(tmp_path / "m", {"fc.weight": np.zeros((2, 2))})).endswith("there is no LSTM in it")
    tensors = {"dec.weight_ih_l0": np.zeros((9, 2)), "dec.weight_hh_l0": np.zeros((9, 3))}
    assert refusal(save_safetensors(tmp_path / "m", tensors)).endswith("there is no LSTM in it (it has GRU dec)")


def test_values_that_are_not_numbers_are_named(tmp_path: Path, drawn_weights: Draw) -> None:
    weights = drawn_weights(LSTMSpec(2, 3))
    weights.layers[0][0].w_hh[2, 1] = np.nan
    assert refusal(save_safetensors(tmp_path / "m", weights.to_state_dict("rnn"))).endswith("rnn: rnn.weight_hh_l0 holds NaN")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello, world\n", "is neither"),
        (b"# \x00\xff" * 99, "is neither"),
        (b"::::::::", "is neither"),
        (b"\x08\x08\x12\x01x", "is neither"),  # reads as an ONNX model without a graph
        (b"PK\x03\x04 cut", "damaged zip archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "is neither"),
    ],
)
def test_not_a_model(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    assert message in refusal(path)


def test_another_zip_archive(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", a=np.zeros(3))
    assert "no checkpoint saved by torch" in refusal(tmp_path / "arrays.npz")


def test_no_file_to_read(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none").endswith("no such file")
    assert refusal(f"{tmp_path / 'none'}#rnn").endswith("none: no such file")
    assert refusal(tmp_path).endswith("is a directory, not a file")
    for impossible in ("", "\0", "x" * 5000):
        with pytest.raises(WeightsFileError):
            load_weights(impossible)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe").endswith("is not a regular file")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_bytes(b"x")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert refusal(tmp_path / "secret").endswith("cannot be read: Permission denied")


@pytest.mark.parametrize(
    ("library", "content"),
    [
        ("safetensors", (2).to_bytes(8, "little") + b"{}"),
        ("torch", b"\x80\x02."),
        ("onnx", b"\x08\x08\x3a\x00"),  # ir_version 8, an empty graph
    ],
)
def test_a_missing_extra_is_named(library: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m").write_bytes(content)
    for name in [each for each in sys.modules if each.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UnavailableError) as caught:
        load_weights(str(tmp_path / "m"))
    assert caught.value.hint == f"pip install 'lstm-parity[{library}]'"
    assert f"needs {library}, which cannot be imported here" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_optional_library_is_imported_before_it_is_needed() -> None:
    program = (
        "import lstm_parity.backends.weights, sys; print(sorted({'torch', 'onnx', 'safetensors', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "[]"
