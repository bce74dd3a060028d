"""torch-cpu and torch-cudnn: `torch.nn.LSTM`, with all process-wide switches that affect it set explicitly.

PyTorch packs gates as this project does (i, f, g, o) and keeps both biases, so weights are copied unchanged; `weight_hr` is
w_hr. It has no peepholes. Set here and not left to PyTorch's defaults:

- precision: TF32 is off for "float32" and on for "tf32" while a call runs; the process's own setting is restored after it.
  PyTorch's own default for cuDNN's recurrent layers is TF32.
- lengths: sequences are packed; packing needs lengths above 0, so rows of length 0 are left out of the call.
- training: what `forward` returns is a copy of what autograd saved, so that the caller may overwrite it before `backward`.

torch is imported when a backend is constructed, not before: `capabilities` and `unavailable()` need no torch.
"""

from __future__ import annotations

import importlib.util
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from .interface import Capabilities, LSTMBackend, UnavailableError, UnsupportedError
from .nvidia_driver import why_no_device
from .packings import STATE_DICT_NAMES
from .problem import Array, DirectionWeights, LSTMGradients, LSTMSpec, LSTMState, LSTMWeights

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

ALL_PRECISIONS = frozenset({"float64", "float32", "tf32", "float16", "bfloat16"})


class _TorchLSTM(LSTMBackend):
    """Common to both devices. Arrays are torch tensors on `capabilities.device`, in the storage dtype."""

    _switches: list[tuple[Any, str, Any]]
    """(object, attribute, value it must have while a call runs)."""

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        """Copy the weights into an nn.LSTM on the device.

        Raises UnsupportedError for a spec that is not promised, ValueError for weights that do not fit it.
        """
        if reason := self.capabilities.why_unsupported(spec):
            raise UnsupportedError(reason)
        weights.validate(spec)
        import torch

        self._torch = torch
        self._spec = spec
        self._graph: tuple[list[Any], list[Any]] | None = None
        # on "meta": drawing initial weights, which are overwritten, would advance the process's random generator
        module = torch.nn.LSTM(
            spec.input_size,
            spec.hidden_size,
            spec.num_layers,
            bias=spec.bias,
            bidirectional=spec.bidirectional,
            proj_size=spec.proj_size,
            device="meta",
            dtype=getattr(torch, spec.dtype.name),
        )
        self._module: Any = module.to_empty(device=self.capabilities.device)
        self._module.flatten_parameters()  # one block of memory for cuDNN; does nothing on a CPU
        with torch.no_grad():
            for (_, array), parameter in zip(weights.items(), self._parameters(), strict=True):
                parameter.copy_(self.to_device(array))

    def forward(self, x: Any, state: LSTMState, lengths: Array | None = None, training: bool = False) -> tuple[Any, LSTMState]:
        """Run nn.LSTM; see LSTMBackend.forward. Raises torch.OutOfMemoryError where the device has too little memory."""
        torch = self._torch
        h, c = state.h, state.c
        if training:
            # detach: a new tensor over the same memory, so that the caller's own does not start to require gradients
            x, h, c = (tensor.detach().requires_grad_() for tensor in (x, h, c))
        if self._module.training != training:
            self._module.train(training)  # cuDNN keeps what its backward needs only in this mode
        # no_grad, not inference_mode: tensors made in the latter cannot be written to in place
        with self._flags(), torch.set_grad_enabled(training):
            y, h_n, c_n = self._run(x, h, c, lengths)
        if not training:
            return y, LSTMState(h_n, c_n)
        self._graph = [y, h_n, c_n], [x, h, c, *self._parameters()]
        return y.detach().clone(), LSTMState(h_n.detach().clone(), c_n.detach().clone())

    def backward(self, grad_y: Any, grad_state: LSTMState) -> LSTMGradients:
        """Autograd's gradients of the last training forward; see LSTMBackend.backward."""
        if self._graph is None:
            raise RuntimeError("backward needs a forward(training=True) before it, and runs once for each")
        (outputs, leaves), self._graph = self._graph, None
        given = (grad_y, grad_state.h, grad_state.c)
        reached = [(out, grad) for out, grad in zip(outputs, given, strict=True) if out.requires_grad]
        with self._flags():
            found = self._torch.autograd.grad(
                [out for out, _ in reached], leaves, [grad for _, grad in reached], materialize_grads=True
            )
        x, h0, c0, *rest = _unshared(found, given)
        gradients = iter(rest)
        layers = [
            [DirectionWeights(**{name: next(gradients) for name in self._fields()}) for _ in range(self._spec.num_directions)]
            for _ in range(self._spec.num_layers)
        ]
        return LSTMGradients(x, h0, c0, LSTMWeights(tuple(map(tuple, layers))))

    def to_device(self, array: Array) -> Any:
        """A copy of the host array as a contiguous tensor.

        Copied on a CPU too: torch allocates on 64-byte borders, NumPy does not, and MKL's sums depend on that alignment, so
        that equal inputs would not give equal bits. It also takes what torch cannot share: negative strides, read-only memory.
        """
        host = np.asarray(array)
        tensor = self._torch.empty(host.shape, dtype=getattr(self._torch, host.dtype.name))
        self.to_host(tensor)[...] = host
        return tensor.to(self.capabilities.device)

    def to_host(self, array: Any) -> Array:
        """The tensor as a NumPy array; on a CPU over the same memory."""
        tensor = array.detach().cpu()
        if tensor.dtype == self._torch.bfloat16:
            bits: Array = tensor.view(self._torch.int16).numpy()
            return bits.view(BFLOAT16)
        host: Array = tensor.numpy()
        return host

    def close(self) -> None:
        """Drop the weights and the saved graph."""
        self._module = self._graph = None

    def _run(self, x: Any, h: Any, c: Any, lengths: Array | None) -> tuple[Any, Any, Any]:
        """y [T, B, D*R], h_n [L*D, B, R], c_n [L*D, B, H], which share no memory with the inputs."""
        if lengths is None:
            y, (h_n, c_n) = self._module(x, (h, c))
            return y, h_n, c_n
        torch = self._torch
        steps, batch = x.shape[:2]
        valid = np.flatnonzero(lengths)
        if len(valid) == batch:
            return self._run_packed(x, h, c, lengths)
        y = x.new_zeros((steps, batch, self._spec.output_size))
        if len(valid) == 0:
            return y, h.clone(), c.clone()
        rows = torch.tensor(valid, device=x.device)
        x_rows, h_rows, c_rows = (array.index_select(1, rows) for array in (x, h, c))
        results = self._run_packed(x_rows, h_rows, c_rows, lengths[valid])
        y, h_n, c_n = (whole.index_copy(1, rows, part) for whole, part in zip((y, h, c), results, strict=True))
        return y, h_n, c_n

    def _run_packed(self, x: Any, h: Any, c: Any, lengths: Array) -> tuple[Any, Any, Any]:
        """The same for lengths that are all above 0; steps past a row's length are neither read nor computed."""
        rnn = self._torch.nn.utils.rnn
        packed = rnn.pack_padded_sequence(x, self._torch.tensor(lengths), enforce_sorted=False)
        packed, (h_n, c_n) = self._module(packed, (h, c))
        y, _ = rnn.pad_packed_sequence(packed, total_length=len(x))
        return y, h_n, c_n

    def _fields(self) -> list[str]:
        """The fields that each DirectionWeights of this spec has, in order."""
        return [name for name, shape in self._spec.weight_shapes(0).items() if shape is not None]

    def _parameters(self) -> list[Any]:
        """nn.LSTM's parameters, in the order of LSTMWeights.items()."""
        directions = ("", "_reverse")[: self._spec.num_directions]
        suffixes = [f"_l{layer}{direction}" for layer in range(self._spec.num_layers) for direction in directions]
        return [getattr(self._module, STATE_DICT_NAMES[name] + suffix) for suffix in suffixes for name in self._fields()]

    @contextmanager
    def _flags(self) -> Iterator[None]:
        """PyTorch's process-wide switches as this spec needs them, restored afterwards.

        Of PyTorch's two sets of precision switches only `fp32_precision` is used: a process that mixes them gets an error.
        """
        before = [getattr(owner, name) for owner, name, _ in self._switches]
        try:
            for owner, name, value in self._switches:
                setattr(owner, name, value)
            yield
        finally:
            for (owner, name, _), value in zip(self._switches, before, strict=True):
                setattr(owner, name, value)


class TorchCPULSTM(_TorchLSTM):
    """nn.LSTM on the CPU: oneDNN for float32 and bfloat16 without projection, ATen's own loop for everything else.

    Not promised: peepholes, which nn.LSTM lacks. tf32 may be computed in float32, which the contract allows.
    """

    capabilities = Capabilities(
        device="cpu",
        precisions=ALL_PRECISIONS,
        num_layers=None,
        bidirectional=True,
        projection=True,
        no_bias=True,
        lengths=True,
        zero_lengths=True,
        gradients=True,
        deterministic=True,
    )

    @classmethod
    def unavailable(cls) -> str | None:
        """Why there is no torch here; None if there is."""
        return None if importlib.util.find_spec("torch") else "torch is not installed"

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        super().__init__(spec, weights)
        torch = self._torch
        precision = "tf32" if spec.precision == "tf32" else "ieee"
        mkldnn = torch.backends.mkldnn  # `rnn` controls the oneDNN layer, `matmul` the products of ATen's loop
        self._switches = [(mkldnn.rnn, "fp32_precision", precision), (mkldnn.matmul, "fp32_precision", precision)]
        if spec.proj_size:
            # PyTorch warns once a process, at the first projected call, that oneDNN has no projection: suppressed here.
            with warnings.catch_warnings(), torch.no_grad():
                warnings.filterwarnings("ignore", message="LSTM with projections is not supported with oneDNN")
                torch.nn.LSTM(1, 2, proj_size=1, device="meta").to_empty(device="cpu")(torch.zeros(1, 1, 1))


CUDNN_ACTIVATION_ULPS = 136
"""cuDNN's small persistent kernel, which nn.LSTM gets up to H = 192, has a tanh within 2^-17 of the right one. On an H200 with
cuDNN 9.19, float32, arguments from -20 to 20: the worst is 128.0 units of 2^-24 (near 1.22), above H = 192 it is 1.6; the
sigmoid's is 1.9 everywhere, and in float64 both are within 2 units. The constant is the worst value and a sixteenth of it."""


class TorchCuDNNLSTM(_TorchLSTM):
    """nn.LSTM on an NVIDIA GPU through cuDNN, on torch's current stream.

    Determinism is not promised: NVIDIA documents that cuDNN's LSTM may differ from call to call unless CUBLAS_WORKSPACE_CONFIG
    is set before the process starts, and this class reads no environment.
    """

    capabilities = Capabilities(
        device="cuda",
        precisions=ALL_PRECISIONS,
        num_layers=None,
        bidirectional=True,
        projection=True,
        no_bias=True,
        lengths=True,
        zero_lengths=True,
        gradients=True,
        deterministic=False,
        activation_ulps=CUDNN_ACTIVATION_ULPS,
    )

    @classmethod
    def unavailable(cls) -> str | None:
        """Why cuDNN cannot be used through torch here; None if no obstacle is found. Does not import torch."""
        found = importlib.util.find_spec("torch")
        if found is None or found.origin is None:
            return "torch is not installed"
        if not _built_for_cuda(Path(found.origin).with_name("version.py")):
            return "the installed torch is built without CUDA"
        return why_no_device()

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        import torch

        if not (torch.cuda.is_available() and torch.backends.cudnn.is_available()):
            raise UnavailableError("torch finds no CUDA device with cuDNN", "see `lstm-parity backends`")
        # nn.LSTM would use another implementation there, whose time would be reported as cuDNN's
        if spec.precision == "bfloat16" and torch.cuda.get_device_capability() < (8, 0):
            raise UnsupportedError("precision bfloat16 is not promised below compute capability 8.0")
        precision = "tf32" if spec.precision == "tf32" else "ieee"
        cudnn, cublas = torch.backends.cudnn, torch.backends.cuda.matmul
        self._switches = [
            (cudnn, "enabled", True),
            (cudnn.rnn, "fp32_precision", precision),
            (cublas, "fp32_precision", precision),
        ]
        super().__init__(spec, weights)

    def synchronize(self) -> None:
        """Wait for torch's current stream."""
        self._torch.cuda.current_stream().synchronize()

    def close(self) -> None:
        """Drop the weights, and return the memory that torch caches to the device."""
        super().close()
        self._torch.cuda.empty_cache()


def _unshared(gradients: Any, given: tuple[Any, ...]) -> list[Any]:
    """The gradients, copied where autograd returns a tensor that it was given, as it does for the state of rows of length 0."""
    foreign = {tensor.untyped_storage().data_ptr() for tensor in given}
    return [g.clone() if g.untyped_storage().data_ptr() in foreign else g for g in gradients]


def _built_for_cuda(version_file: Path) -> bool:
    """Whether torch's version.py, parsed as text, names a CUDA version."""
    found = re.search(r"^cuda\b.*=\s*(.+)$", version_file.read_text(encoding="utf-8"), re.MULTILINE)
    return found is not None and found[1].strip() != "None"
