"""cupy-raw and cupy-raw-emulated: the LSTM of this project's own CUDA kernels, on a GPU and on any machine.

Both run the same code (lstm.py) over the same kernels (kernels/), on different machines (machine.py).
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, ClassVar
from zlib import crc32

import numpy as np

from ..interface import Capabilities, LSTMBackend, UnsupportedError
from ..nvidia_driver import why_no_device
from ..problem import STORAGE, Array, LSTMGradients, LSTMSpec, LSTMState, LSTMWeights, validate_inputs
from .emulator.emulator import Emulator
from .lstm import RawLSTM
from .machine import Machine
from .plan.plan import Path
from .source import KERNELS

MAX_CHECKED_OPERATIONS = 400_000
"""Multiply-adds of a call up to which the emulator checks every access; above, it only runs the kernels."""

ALL_PROMISES = Capabilities(
    precisions=frozenset(STORAGE),
    num_layers=None,
    bidirectional=True,
    projection=True,
    peephole=True,
    no_bias=True,
    lengths=True,
    zero_lengths=True,
    gradients=True,
)
"""Everything that LSTMSpec can say."""


class _Raw(LSTMBackend):
    """What both backends do. Subclasses may set `path` and `kernels`."""

    path: ClassVar[Path | None] = None
    """The plan to use; None: the one that plan.py picks"""
    kernels: ClassVar[FilePath] = KERNELS
    """The folder of the .cu files"""

    _machine: Machine
    _dtype: Any
    """Of the arrays that forward takes"""

    def _start(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        if reason := self.capabilities.why_unsupported(spec):
            raise UnsupportedError(reason)
        weights.validate(spec)
        self._spec = spec
        self._lstm: RawLSTM | None = RawLSTM(spec, weights, self._machine, self.path)

    def forward(self, x: Any, state: LSTMState, lengths: Array | None = None, training: bool = False) -> tuple[Any, LSTMState]:
        """See LSTMBackend.forward.

        Raises ValueError for an argument of the wrong shape or dtype, OutOfMemoryError before anything is allocated,
        LaunchError where the device refuses a launch, EmulationError where the emulator has findings.
        """
        lstm = self._open()
        validate_inputs(self._spec, x, state, lengths, self._dtype)
        return lstm.forward(x, state, lengths, training)

    def backward(self, grad_y: Any, grad_state: LSTMState) -> LSTMGradients:
        """See LSTMBackend.backward. Raises what `forward` raises, and RuntimeError where no training forward came before."""
        return self._open().backward(grad_y, grad_state)

    def _open(self) -> RawLSTM:
        if self._lstm is None:
            raise RuntimeError("this backend was closed; construct another one")
        return self._lstm

    def remark(self) -> str:
        """Which plan the last call ran, and why."""
        plans = [] if self._lstm is None else self._lstm.plans
        return "; ".join(f"{plan.direction} {plan.path}: {plan.reason}" for plan in plans)

    def close(self) -> None:
        """Drop the weights and the arrays saved for a backward."""
        self._lstm = None


class CuPyRawLSTM(_Raw):
    """The kernels on an NVIDIA GPU, on CuPy's current stream. Arrays are cupy.ndarray, of uint16 for bfloat16."""

    capabilities = replace(ALL_PROMISES, device="cuda")

    @classmethod
    def unavailable(cls) -> str | None:
        """Why CuPy cannot reach a GPU here; None if it seems that it can. Does not import CuPy."""
        return "cupy is not installed" if importlib.util.find_spec("cupy") is None else why_no_device()

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        from .gpu.machine import GPUMachine

        self._machine = self._gpu = GPUMachine(spec.precision, self.kernels)
        self._dtype = self._gpu.stored
        self._start(spec, weights)

    def to_device(self, array: Array) -> Any:
        """A copy of the host array on the device."""
        return self._gpu.upload(array)

    def to_host(self, array: Any) -> Array:
        """A copy of the device array on the host."""
        return self._gpu.download(array)

    def synchronize(self) -> None:
        """Wait for CuPy's current stream."""
        import cupy

        cupy.cuda.get_current_stream().synchronize()


class EmulatedLSTM(_Raw):
    """The kernels on the CPU emulator. Each launch has its own schedule; the result has the same bits under all."""

    max_checked_operations: ClassVar[int] = MAX_CHECKED_OPERATIONS
    """Multiply-adds of a call up to which every access is checked; findings are raised as EmulationError"""

    capabilities = ALL_PROMISES

    def remark(self) -> str:
        """Which plan the last call ran, and that its time says nothing about a GPU."""
        plans = super().remark()
        return f"emulated on a CPU, which says nothing about speed; {plans}" if plans else ""

    @classmethod
    def unavailable(cls) -> str | None:
        """Why the kernels cannot be compiled here; None if they can."""
        return Emulator.unavailable()

    def __init__(self, spec: LSTMSpec, weights: LSTMWeights) -> None:
        from .emulator.machine import EmulatedMachine

        self._machine = self._emulated = EmulatedMachine(spec.precision, self.kernels)
        self._dtype = spec.dtype
        self._start(spec, weights)

    def forward(
        self, x: Array, state: LSTMState, lengths: Array | None = None, training: bool = False
    ) -> tuple[Array, LSTMState]:
        """See LSTMBackend.forward."""
        if getattr(x, "ndim", 0) == 3:
            self._emulated.detect = self._operations(len(x), x.shape[1], training) <= self.max_checked_operations
            self._emulated.seed = crc32(
                np.asarray(x).tobytes()
            )  # other inputs, other schedules; the same call has the same ones
        return super().forward(x, state, lengths, training)

    def _operations(self, steps: int, batch: int, training: bool) -> int:
        """Multiply-adds of a call, roughly."""
        s = self._spec
        widths = sum(s.layer_input_size(l) + s.state_size for l in range(s.num_layers))
        return 4 * s.hidden_size * widths * s.num_directions * steps * batch * (3 if training else 1)
